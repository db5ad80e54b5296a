//! `coracle list`: the releases of a namespace, or of all.

use clap::Args;
use coracle_release::{Listing, Record, Status, records};
use serde_json::{Value, json};

use super::flags::{Format, Output};
use super::place::{Manner, Place};
use super::{Verb, answer, go, table};
use crate::failure::Outcome;

/// List releases.
#[derive(Debug, Clone, Default, Args)]
#[command(
    after_help = "Examples:\n  coracle list                  of the namespace default\n  coracle list -A -o json       of all namespaces, as data\n  coracle list --failed -d      what failed, by date"
)]
pub struct List {
    /// Of all namespaces.
    #[arg(long, short = 'A')]
    pub all_namespaces: bool,
    /// Names alone.
    #[arg(long)]
    pub short: bool,
    /// Leave out the headers.
    #[arg(long)]
    pub no_headers: bool,
    /// Layout of times, as Go writes it.
    #[arg(long, value_name = "LAYOUT")]
    pub time_format: Option<String>,
    /// By date instead of by name.
    #[arg(long, short)]
    pub date: bool,
    /// The other way round.
    #[arg(long, short)]
    pub reverse: bool,
    /// Accepted: all states are shown unless some are named.
    #[arg(long, short, hide = true)]
    pub all: bool,
    /// Those that were removed and whose history was kept.
    #[arg(long)]
    pub uninstalled: bool,
    /// Revisions that others followed.
    #[arg(long)]
    pub superseded: bool,
    /// Those that are being removed.
    #[arg(long)]
    pub uninstalling: bool,
    /// Those that are deployed.
    #[arg(long)]
    pub deployed: bool,
    /// Those that failed.
    #[arg(long)]
    pub failed: bool,
    /// Those that are being installed, upgraded or rolled back.
    #[arg(long)]
    pub pending: bool,
    /// How many; 0 for all.
    #[arg(long, short, default_value_t = 256, allow_negative_numbers = true)]
    pub max: isize,
    /// The first.
    #[arg(long, default_value_t = 0)]
    pub offset: usize,
    /// Regular expression that names must match.
    #[arg(long, short)]
    pub filter: Option<String>,
    /// Label selector of the records.
    #[arg(long, short = 'l')]
    pub selector: Option<String>,
    #[command(flatten)]
    pub output: Output,
}

impl List {
    fn statuses(&self) -> Vec<Status> {
        use Status::{
            Deployed, Failed, PendingInstall, PendingRollback, PendingUpgrade, Superseded,
            Uninstalled, Uninstalling,
        };
        let choices = [
            (self.deployed, &[Deployed][..]),
            (self.uninstalled, &[Uninstalled]),
            (self.uninstalling, &[Uninstalling]),
            (
                self.pending,
                &[PendingInstall, PendingUpgrade, PendingRollback],
            ),
            (self.failed, &[Failed]),
            (self.superseded, &[Superseded]),
        ];
        choices
            .into_iter()
            .filter(|(chosen, _)| *chosen && !self.all)
            .flat_map(|(_, statuses)| statuses.iter().copied())
            .collect()
    }

    fn time(&self, record: &Record) -> String {
        let time = &record.info.last_deployed;
        match &self.time_format {
            Some(layout) => go::layout(time, layout),
            None => go::plain(time),
        }
    }

    fn row(&self, record: &Record) -> [String; 7] {
        [
            record.name.clone(),
            record.namespace.clone(),
            record.version.to_string(),
            self.time(record),
            record.info.status.word().to_owned(),
            record.chart_title(),
            record.app_version(),
        ]
    }

    fn table(&self, found: &[Record]) -> String {
        let header = [
            "NAME",
            "NAMESPACE",
            "REVISION",
            "UPDATED",
            "STATUS",
            "CHART",
            "APP VERSION",
        ];
        let mut rows = Vec::new();
        if !self.no_headers {
            rows.push(header.map(str::to_owned).to_vec());
        }
        rows.extend(found.iter().map(|record| self.row(record).to_vec()));
        table::helm(&rows)
    }
}

impl Verb for List {
    async fn run(&self, place: &Place) -> Outcome {
        let namespace = if self.all_namespaces {
            ""
        } else {
            place.namespace()
        };
        if let Some(filter) = &self.filter {
            coracle_helm::regex_error(filter)
                .map_or(Ok(()), |words| Err(anyhow::anyhow!(words)))?;
        }
        let session = place.session_in(namespace)?;
        let failed = |error| answer::failure(place, "", &error);
        let (all, skipped) = records(&session).await.map_err(failed)?;
        for text in skipped {
            eprintln!("level=ERROR msg={text:?}");
        }
        let listing = Listing {
            statuses: self.statuses(),
            filter: self.filter.clone(),
            selector: self.selector.clone().unwrap_or_default(),
            by_date: self.date,
            reverse: self.reverse,
            offset: self.offset,
            max: usize::try_from(self.max).unwrap_or_default(),
        };
        let found = listing.pick(all).map_err(failed)?;
        let short = self.short || (place.quiet && place.manner == Manner::Coracle);
        match self.output.output {
            Format::Table if short => {
                for record in &found {
                    println!("{}", record.name);
                }
            }
            Format::Table => print!("{}", self.table(&found)),
            format if short => {
                let names: Vec<&str> = found.iter().map(|record| record.name.as_str()).collect();
                answer::data(format, &json!(names));
            }
            format => {
                let keys = [
                    "name",
                    "namespace",
                    "revision",
                    "updated",
                    "status",
                    "chart",
                    "app_version",
                ];
                let entry = |record: &Record| -> Value {
                    let pairs = keys.map(str::to_owned).into_iter().zip(self.row(record));
                    pairs
                        .map(|(key, value)| (key, Value::String(value)))
                        .collect::<serde_json::Map<_, _>>()
                        .into()
                };
                answer::data(format, &found.iter().map(entry).collect());
            }
        }
        Ok(())
    }
}
