//! `coracle uninstall`: removes releases.

use clap::Args;
use coracle_release::{Cascade, Options, ReleaseError, Removal, uninstall_release};

use super::flags::Common;
use super::place::{Manner, Place};
use super::tell::Teller;
use super::{Verb, answer, interrupt};
use crate::failure::Outcome;

/// Remove releases and their objects.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Examples:\n  coracle uninstall web\n  coracle uninstall web --keep-history   it can be rolled back\n  coracle uninstall web --wait           until its objects are gone"
)]
pub struct Uninstall {
    /// Names of the releases.
    #[arg(required = true)]
    pub releases: Vec<String>,
    /// Keep the records, so that it can be rolled back.
    #[arg(long)]
    pub keep_history: bool,
    /// A release that is not there is no failure.
    #[arg(long)]
    pub ignore_not_found: bool,
    /// What becomes of what the objects own: background (it goes afterwards),
    /// foreground (it goes first), orphan (it stays).
    #[arg(long, value_name = "HOW", default_value = "background", value_parser = cascade)]
    pub cascade: Cascade,
    /// Only say what would be done.
    #[arg(long)]
    pub dry_run: bool,
    #[command(flatten)]
    pub common: Common,
}

fn cascade(text: &str) -> Result<Cascade, String> {
    match text {
        "background" => Ok(Cascade::Background),
        "foreground" => Ok(Cascade::Foreground),
        "orphan" => Ok(Cascade::Orphan),
        _ => Err(format!(
            "invalid cascade value ({text}). Must be \"background\", \"foreground\", or \"orphan\""
        )),
    }
}

impl Verb for Uninstall {
    async fn run(&self, place: &Place) -> Outcome {
        let mut options = Options {
            interrupt: Some(interrupt()),
            ..Options::default()
        };
        self.common.put(&mut options);
        let removal = Removal {
            keep_history: self.keep_history,
            dry_run: self.dry_run,
            cascade: self.cascade,
        };
        for name in &self.releases {
            self.one(place, name, &removal, &options).await?;
        }
        Ok(())
    }
}

impl Uninstall {
    async fn one(
        &self,
        place: &Place,
        name: &str,
        removal: &Removal,
        options: &Options,
    ) -> Outcome {
        let session = place.session()?;
        let mut teller = Teller::new(place);
        let result = uninstall_release(&session, name, removal, options, &mut |event| {
            teller.hear(event);
        })
        .await;
        teller.end();
        match result {
            Ok(removed) => {
                if !removed.kept.is_empty() {
                    let kept: Vec<String> = removed
                        .kept
                        .iter()
                        .map(|object| format!("[{}] {}\n", object.kind(), object.name()))
                        .collect();
                    println!(
                        "These resources were kept due to the resource policy:\n{}",
                        kept.concat()
                    );
                }
            }
            Err(ReleaseError::NotFound { .. }) if self.ignore_not_found => {}
            Err(error @ (ReleaseError::NotFound { .. } | ReleaseError::Record(_))) => {
                let prefix = match place.manner {
                    Manner::Helm => format!("uninstall: Release not loaded: {name}"),
                    Manner::Coracle => String::new(),
                };
                return Err(answer::failure(place, &prefix, &error));
            }
            Err(error) => return Err(answer::failure(place, "", &error)),
        }
        println!("release \"{name}\" uninstalled");
        Ok(())
    }
}
