//! `coracle package`: a chart as an archive; the same chart gives the same
//! bytes.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use coracle_helm::package::{Changes, pack};

use crate::chart;
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
        for path in &self.charts {
            let chart = chart::load(path)?;
            let archive = pack(&chart, &changes).map_err(|error| anyhow::anyhow!(error))?;
            std::fs::create_dir_all(&self.destination)
                .with_context(|| format!("could not make {}", self.destination.display()))?;
            let target = std::path::absolute(self.destination.join(&archive.name))?;
            std::fs::write(&target, &archive.bytes)
                .with_context(|| format!("could not write {}", target.display()))?;
            println!(
                "Successfully packaged chart and saved it to: {}",
                target.display()
            );
        }
        Ok(())
    }
}
