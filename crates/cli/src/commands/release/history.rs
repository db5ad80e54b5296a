//! `coracle history`: the revisions of a release.

use clap::Args;
use coracle_release::{Record, history};
use serde_json::{Map, Value};

use super::flags::{Format, Output};
use super::place::Place;
use super::{Verb, answer, go, table};
use crate::failure::Outcome;

/// Show the revisions of a release.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Examples:\n  coracle history web\n  coracle history web --max 5 -o json\n  coracle rollback web 2   back to one of them"
)]
pub struct History {
    /// Name of the release.
    pub release: String,
    /// How many of the newest.
    #[arg(long, default_value_t = 256, allow_negative_numbers = true)]
    pub max: isize,
    /// Show which revision was rolled back to.
    #[arg(long)]
    pub show_rollback_revision: bool,
    #[command(flatten)]
    pub output: Output,
}

impl History {
    fn table(&self, records: &[Record]) -> String {
        let mut header = vec![
            "REVISION",
            "UPDATED",
            "STATUS",
            "CHART",
            "APP VERSION",
            "DESCRIPTION",
        ];
        if self.show_rollback_revision {
            header.insert(5, "ROLLBACK");
        }
        let mut rows = vec![header.into_iter().map(str::to_owned).collect()];
        for record in records {
            let info = &record.info;
            let mut row = vec![
                record.version.to_string(),
                go::ansic(&info.last_deployed),
                info.status.word().to_owned(),
                record.chart_title(),
                record.app_version(),
                info.description.clone(),
            ];
            if self.show_rollback_revision {
                let to = info.rollback_revision;
                row.insert(
                    5,
                    if to > 0 {
                        to.to_string()
                    } else {
                        String::new()
                    },
                );
            }
            rows.push(row);
        }
        table::helm(&rows)
    }
}

fn entry(record: &Record, with_rollback: bool) -> Value {
    let info = &record.info;
    let mut entry = Map::new();
    let mut put = |key: &str, value: Value| entry.insert(key.into(), value);
    put("revision", record.version.into());
    if !info.last_deployed.is_empty() {
        put("updated", info.last_deployed.as_str().into());
    }
    put("status", info.status.word().into());
    put("chart", record.chart_title().into());
    put("app_version", record.app_version().into());
    if with_rollback && info.rollback_revision != 0 {
        put("rollback_revision", info.rollback_revision.into());
    }
    put("description", info.description.as_str().into());
    Value::Object(entry)
}

impl Verb for History {
    async fn run(&self, place: &Place) -> Outcome {
        let session = place.session()?;
        let records = history(&session, &self.release).await;
        let mut records = records.map_err(|error| answer::failure(place, "", &error))?;
        records.truncate(usize::try_from(self.max).unwrap_or_default());
        records.reverse();
        match self.output.output {
            Format::Table => print!("{}", self.table(&records)),
            format => answer::data(
                format,
                &records
                    .iter()
                    .map(|record| entry(record, self.show_rollback_revision))
                    .collect(),
            ),
        }
        Ok(())
    }
}
