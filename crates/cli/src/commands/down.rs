//! `coracle down`: removes the release that `up` installed.

use std::path::PathBuf;

use clap::Args;
use coracle_release::uninstall;

use super::progress::Progress;
use super::target::Target;
use super::{Global, block_on};
use crate::failure::{Failure, Outcome};
use crate::project::{self, Project};

/// Remove the release that `up` installed.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  coracle down                    the release of coracle.yaml in this folder
  coracle down --release web      a release by its name

The cluster keeps running; `coracle delete` removes that as well.")]
pub struct Down {
    /// Folder with coracle.yaml, or with a chart.
    #[arg(default_value = ".")]
    folder: PathBuf,
    /// Variation of coracle.yaml; may be given several times.
    #[arg(long = "profile", value_name = "NAME")]
    profiles: Vec<String>,
    /// Name of the release [default: that of coracle.yaml, or the chart's].
    #[arg(long, value_name = "NAME")]
    release: Option<String>,
    /// Namespace of the release [default: that of coracle.yaml].
    #[arg(long, short)]
    namespace: Option<String>,
}

impl Down {
    /// Removes the release and waits until its objects are gone.
    pub fn run(&self, global: &Global) -> Outcome {
        let project = self.project()?;
        let target = Target::of(global)?;
        let step = Progress::new(global).step("Down");
        let removed = block_on(async {
            let client = target.connect().await?;
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

    /// Reads the project; a release that is named needs none.
    fn project(&self) -> Result<Project, Failure> {
        let mut project = match &self.release {
            Some(release) if !project::is_in(&self.folder) => Project::of_release(release),
            _ => project::read_or(
                &self.folder,
                &self.profiles,
                "name the release: coracle down --release NAME",
            )?,
        };
        if let Some(release) = &self.release {
            project.release.clone_from(release);
        }
        if let Some(namespace) = &self.namespace {
            project.namespace.clone_from(namespace);
        }
        Ok(project)
    }
}
