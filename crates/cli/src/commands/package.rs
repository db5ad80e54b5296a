//! `coracle package`: a chart as an archive; the same chart gives the same
//! bytes.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use coracle_helm::dependencies;
use coracle_helm::package::{Changes, pack};
use coracle_helm::semver::Version;

use super::dependency;
use super::release::source::Fetching;
use crate::chart;
use crate::disk::path_error;
use crate::failure::{Failure, Outcome};

/// Pack a chart folder into NAME-VERSION.tgz.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  coracle package charts/todo-app\n  coracle package charts/todo-app --version 1.1.0 --app-version 2.0 -d dist\n\nFiles carry the time of SOURCE_DATE_EPOCH, else none: the same chart gives the\nsame bytes."
)]
pub struct Package {
    /// Folders of charts.
    #[arg(required = true, value_name = "CHART")]
    charts: Vec<PathBuf>,
    /// Another version of the chart.
    #[arg(long)]
    version: Option<String>,
    /// Another version of the application.
    #[arg(long)]
    app_version: Option<String>,
    /// Folder to write to.
    #[arg(long, short, default_value = ".")]
    destination: PathBuf,
    /// Bring dependencies that are on this disk into charts/ first.
    #[arg(long, short = 'u')]
    dependency_update: bool,
    /// Sign the archive (not supported).
    #[arg(long, hide = true)]
    sign: bool,
    #[command(flatten)]
    fetching: Fetching,
}

impl Package {
    /// Writes the archives.
    pub fn run(&self) -> Outcome {
        let modified = match std::env::var("SOURCE_DATE_EPOCH") {
            Ok(text) => text.trim().parse().map_err(|_| {
                Failure::usage(format!(
                    "SOURCE_DATE_EPOCH is {text:?}, no number of seconds"
                ))
            })?,
            Err(_) => 0,
        };
        let changes = Changes {
            version: self.version.clone(),
            app_version: self.app_version.clone(),
            modified,
        };
        self.fetching.check()?;
        if self.sign {
            return Err(Failure::usage("archives are not signed: leave out --sign"));
        }
        for path in &self.charts {
            self.one(path, &changes)?;
        }
        Ok(())
    }

    fn one(&self, path: &Path, changes: &Changes) -> Outcome {
        std::fs::metadata(path).map_err(|error| path_error("stat", path, &error))?;
        if self.dependency_update {
            dependency::update(path, &mut std::io::sink())?;
        }
        let chart = chart::load(path)?;
        let words = |message: String| anyhow::anyhow!(message);
        if let Some(version) = &changes.version {
            Version::parse(version).map_err(words)?;
        }
        dependencies::check_folder(&chart).map_err(words)?;
        let archive = pack(&chart, changes).map_err(words)?;
        std::fs::create_dir_all(&self.destination)
            .with_context(|| format!("could not make {}", self.destination.display()))?;
        let target = match self.destination.as_os_str() == "." {
            true => std::path::absolute(&archive.name)?,
            false => self.destination.join(&archive.name),
        };
        std::fs::write(&target, &archive.bytes)
            .with_context(|| format!("could not write {}", target.display()))?;
        println!(
            "Successfully packaged chart and saved it to: {}",
            target.display()
        );
        Ok(())
    }
}
