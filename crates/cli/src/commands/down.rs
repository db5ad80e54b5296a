//! `coracle down`: removes the release that `up` installed.

use std::path::PathBuf;

use clap::Args;
use coracle_release::uninstall;

use super::progress::Progress;
use super::target::Target;
use super::{Global, block_on};
use crate::failure::Outcome;
use crate::project::Project;

/// Remove the release that `up` installed.
#[derive(Debug, Args)]
pub struct Down {
    /// Folder with coracle.yaml, or with a chart.
    #[arg(default_value = ".")]
    folder: PathBuf,
}

impl Down {
    /// Removes the release and waits until its objects are gone.
    pub fn run(&self, global: &Global) -> Outcome {
        let project = Project::read(&self.folder)?;
        let target = Target::of(global)?;
        let record = target.require_running()?;
        let step = Progress::new(global).step("Down");
        let removed = block_on(async {
            let client = target.client(&record).await?;
            Ok(uninstall(&client, &project.namespace, &project.release).await?)
        });
        match removed {
            Ok(Some(objects)) => step.done(&format!(
                "release {} is gone, {} objects",
                project.release,
                objects.len()
            )),
            Ok(None) => step.skipped(&format!(
                "there is no release {} in {}",
                project.release, project.namespace
            )),
            Err(failure) => {
                step.failed();
                return Err(failure);
            }
        }
        Ok(())
    }
}
