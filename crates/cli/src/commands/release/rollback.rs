//! `coracle rollback`: a new revision that says what an older one said.

use clap::Args;
use coracle_release::{Options, rollback};

use super::flags::{Applying, Common};
use super::place::Place;
use super::tell::Teller;
use super::{Verb, answer, interrupt};
use crate::failure::{Failure, Outcome};

/// Roll a release back to an older revision.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Examples:\n  coracle rollback web        to the revision before the newest\n  coracle rollback web 3 --wait"
)]
pub struct Rollback {
    /// Name of the release.
    pub release: String,
    /// The revision; the one before the newest if none is named.
    pub revision: Option<String>,
    /// Accepted, as Helm takes them without effect.
    #[arg(hide = true)]
    pub more: Vec<String>,
    /// Remove objects that were made when it fails.
    #[arg(long)]
    pub cleanup_on_fail: bool,
    /// Revisions that are kept; 0 for all.
    #[arg(long, default_value_t = 10, env = "HELM_MAX_HISTORY", hide_env = true)]
    pub history_max: usize,
    #[command(flatten)]
    pub common: Common,
    #[command(flatten)]
    pub applying: Applying,
}

impl Verb for Rollback {
    async fn run(&self, place: &Place) -> Outcome {
        let text = self.revision.as_deref().unwrap_or_default();
        let revision = self.revision.as_deref().map(str::parse::<i64>).transpose();
        let revision = revision.map_err(|_| {
            let words = coracle_helm::strvals::bad_integer(text);
            Failure::from(anyhow::anyhow!(
                "could not convert revision to a number: {words}"
            ))
        })?;
        let mut options = Options {
            cleanup_on_fail: self.cleanup_on_fail,
            history_max: self.history_max,
            interrupt: Some(interrupt()),
            ..Options::default()
        };
        self.common.put(&mut options);
        self.applying.put(&mut options);
        let session = place.session()?;
        let mut teller = Teller::new(place);
        let result = rollback(&session, &self.release, revision, &options, &mut |event| {
            teller.hear(event);
        })
        .await;
        teller.end();
        result.map_err(|error| answer::failure(place, "", &error))?;
        println!("Rollback was a success! Happy Helming!");
        Ok(())
    }
}
