//! Releases, with Helm's verbs and flags: one file a verb.
//!
//! A verb is told where it works ([`Place`]) and how it speaks ([`Manner`]):
//! as `coracle`, or word for word as `helm` where the binary goes by that name.

mod answer;
mod filled;
mod flags;
pub mod get;
mod go;
mod history;
mod install;
mod list;
mod naming;
mod place;
mod rollback;
pub mod source;
mod status;
pub mod table;
mod tell;
mod test;
mod uninstall;
mod upgrade;

use std::sync::Arc;

use clap::Args;
use tokio::sync::Notify;

pub use flags::{dry_run, duration};
pub use get::Get;
pub use history::History;
pub use install::Install;
pub use list::List;
pub use naming::Naming;
pub use place::{HelmCluster, Place, Where};
pub use rollback::Rollback;
pub use source::ChartFlags;
pub use status::ReleaseStatus;
pub use test::Test;
pub use uninstall::Uninstall;
pub use upgrade::Upgrade;

use super::{Global, block_on};
use crate::failure::{Failure, Outcome};

/// A verb with the flags that say where.
#[derive(Debug, Args)]
pub struct Placed<T: Args> {
    #[command(flatten)]
    at: Where,
    #[command(flatten)]
    verb: T,
}

/// A verb on releases.
pub trait Verb {
    /// Does it.
    async fn run(&self, place: &Place) -> Outcome;

    /// Whether the cluster need not be there.
    fn is_offline(&self) -> bool {
        false
    }
}

impl<T: Args + Verb> Placed<T> {
    /// Does the verb where the flags say.
    pub fn run(&self, global: &Global) -> Outcome {
        block_on(async {
            let place = Place::of_coracle(global, &self.at, self.verb.is_offline()).await?;
            self.verb.run(&place).await
        })
    }
}

/// Makes the failure of an operation on a release.
pub fn failure_of(error: &coracle_release::ReleaseError) -> Failure {
    let failure = Failure::from(anyhow::anyhow!("{}", error.line()));
    match error.help() {
        Some(help) => failure.hint(help),
        None => failure,
    }
}

/// Returns a bell that Ctrl-C rings; a second Ctrl-C ends the program.
fn interrupt() -> Arc<Notify> {
    crate::interrupt::uninstall();
    let bell = Arc::new(Notify::new());
    let rung = bell.clone();
    tokio::spawn(async move {
        use tokio::signal::unix::{SignalKind, signal};
        let Ok(mut terminate) = signal(SignalKind::terminate()) else {
            return;
        };
        tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            _ = terminate.recv() => {}
        }
        eprintln!("interrupted: recording how far it got; again to give up at once");
        rung.notify_one();
        let _ = tokio::signal::ctrl_c().await;
        std::process::exit(130);
    });
    bell
}
