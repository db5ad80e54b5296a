//! `coracle show`: parts of a chart, as `helm show` prints them.

use std::io::Write;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use coracle_helm::show::{self, Part};

use crate::chart;
use crate::failure::Outcome;

/// Show a chart, its values, README or definitions.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  coracle show values charts/todo-app > my-values.yaml\n  coracle show chart todo-app-1.0.0.tgz"
)]
pub struct Show {
    /// What to show.
    #[arg(value_enum)]
    part: What,
    /// Folder or archive of the chart.
    chart: PathBuf,
}

/// A part of a chart.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum What {
    /// Everything.
    All,
    /// Chart.yaml.
    Chart,
    /// values.yaml.
    Values,
    /// The README.
    Readme,
    /// The definitions of crds/.
    Crds,
}

impl Show {
    /// Prints the part.
    pub fn run(&self) -> Outcome {
        let chart = chart::load(&self.chart)?;
        let part = match self.part {
            What::All => Part::All,
            What::Chart => Part::Chart,
            What::Values => Part::Values,
            What::Readme => Part::Readme,
            What::Crds => Part::Crds,
        };
        std::io::stdout().write_all(&show::show(&chart, part))?;
        Ok(())
    }
}
