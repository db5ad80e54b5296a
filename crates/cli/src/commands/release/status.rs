//! `helm status`: a release, its objects and pods as they stand.

use clap::Args;
use coracle_release::{resource_tables, resources, revision};
use serde_json::Value;

use super::answer::{self, Shown};
use super::flags::{Format, Output, integer};
use super::place::Place;
use super::{Verb, table};
use crate::failure::Outcome;

/// Show a release with its objects.
#[derive(Debug, Clone, Args)]
pub struct ReleaseStatus {
    /// Name of the release.
    pub release: String,
    /// The revision; the newest if none is named.
    #[arg(long, allow_negative_numbers = true, value_parser = integer)]
    pub revision: Option<i64>,
    #[command(flatten)]
    pub output: Output,
}

impl Verb for ReleaseStatus {
    async fn run(&self, place: &Place) -> Outcome {
        let session = place.session()?;
        let failed = |error| answer::failure(place, "", &error);
        let mut record = revision(&session, &self.release, self.revision)
            .await
            .map_err(failed)?;
        let shown = Shown::default();
        if self.output.output == Format::Table {
            let tables = resource_tables(&session, &record).await.map_err(failed)?;
            let text: String = tables
                .iter()
                .map(|(title, rows)| format!("==> {title}\n{}\n", table::kubectl(rows)))
                .collect();
            return answer::print(&record, Format::Table, shown, Some(&text));
        }
        let found = resources(&session, &record).await.map_err(failed)?;
        let found = serde_json::to_value(found)?;
        if found.as_object().is_some_and(|found| !found.is_empty()) {
            record.info.more.insert("resources".into(), found);
        }
        record.chart = Value::Null;
        answer::print(&record, self.output.output, shown, None)
    }
}
