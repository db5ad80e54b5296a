//! `coracle upgrade`: the next revision of a release.

use clap::Args;
use coracle_release::{OldValues, is_there, upgrade};

use super::install::{self, Deploying};
use super::place::Place;
use super::tell::Teller;
use super::{Verb, answer};
use crate::failure::Outcome;

/// Upgrade a release to another chart or other values.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Examples:\n  coracle upgrade web ./chart --set image.tag=2\n  coracle upgrade --install web ./chart -f values.yaml --wait\n  coracle upgrade web ./chart --diff --dry-run=server   what would change, and no more\n  coracle upgrade web ./chart --reuse-values --rollback-on-failure"
)]
pub struct Upgrade {
    /// Name of the release.
    pub release: String,
    /// The chart's folder or archive.
    pub chart: String,
    /// Install it if there is no such release.
    #[arg(long, short)]
    pub install: bool,
    /// Keep the last revision's values, and the defaults of its chart.
    #[arg(long)]
    pub reuse_values: bool,
    /// Forget the last revision's values.
    #[arg(long)]
    pub reset_values: bool,
    /// Keep the last revision's values over the new chart's defaults.
    #[arg(long)]
    pub reset_then_reuse_values: bool,
    /// Remove objects that were made when it fails.
    #[arg(long)]
    pub cleanup_on_fail: bool,
    /// Revisions that are kept; 0 for all.
    #[arg(long, default_value_t = 10, env = "HELM_MAX_HISTORY", hide_env = true)]
    pub history_max: usize,
    #[command(flatten)]
    pub deploying: Deploying,
}

impl Upgrade {
    fn old_values(&self) -> OldValues {
        if self.reset_values {
            OldValues::Reset
        } else if self.reuse_values {
            OldValues::Reuse
        } else if self.reset_then_reuse_values {
            OldValues::ResetThenReuse
        } else {
            OldValues::IfNoneGiven
        }
    }
}

impl Verb for Upgrade {
    async fn run(&self, place: &Place) -> Outcome {
        let mut options = self.deploying.options()?;
        options.old_values = self.old_values();
        options.cleanup_on_fail = self.cleanup_on_fail;
        options.history_max = self.history_max;
        let source = self.deploying.source(place, &self.release, &self.chart)?;
        let session = place.session()?;
        let is_there = async || {
            let there = is_there(&session, &self.release).await;
            there.map_err(|error| answer::failure(place, "", &error))
        };
        if self.install && !is_there().await? {
            if self.deploying.is_for_people() {
                println!(
                    "Release {:?} does not exist. Installing it now.",
                    self.release
                );
            }
            options.replace = true;
            let record = install::perform(place, &source, &options).await;
            return self.deploying.print(place, &record?);
        }
        place.look_first(&source, &options, false).await?;
        let mut teller = Teller::new(place);
        let result = upgrade(&session, &source, &options, &mut |event| teller.hear(event)).await;
        teller.end();
        let record = result.map_err(|error| answer::failure(place, "UPGRADE FAILED", &error))?;
        let only_diff = self.deploying.diff && self.deploying.is_only_simulated();
        if self.deploying.is_for_people() && !only_diff {
            println!(
                "Release {:?} has been upgraded. Happy Helming!",
                self.release
            );
        }
        self.deploying.print(place, &record)
    }
}
