//! `coracle show`: parts of a chart, as `helm show` prints them.

use std::io::Write;

use clap::{Args, ValueEnum};
use coracle_helm::Chart;
use coracle_helm::show::{self, Part};
use coracle_machinery::jsonpath::JsonPath;

use super::release::{ChartFlags, source};
use crate::failure::Outcome;

/// Show a chart, its values, README or definitions.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  coracle show values charts/todo-app > my-values.yaml\n  coracle show chart todo-app-1.0.0.tgz"
)]
pub struct Show {
    /// What to show: all, chart (Chart.yaml), values (values.yaml), readme or crds.
    #[arg(value_enum, value_name = "PART", hide_possible_values = true)]
    part: What,
    /// Folder or archive of the chart.
    chart: String,
    /// Of values: what this template takes of them, {.image.tag}.
    #[arg(long, value_name = "TEMPLATE")]
    jsonpath: Option<String>,
    #[command(flatten)]
    flags: ChartFlags,
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
        let chart = source::look(&self.chart, &self.flags)?;
        if let (What::Values, Some(template)) = (self.part, &self.jsonpath) {
            return self.select(&chart, template);
        }
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
    /// Prints what a template takes of the values.
    fn select(&self, chart: &Chart, template: &str) -> Outcome {
        let path = JsonPath::parse(template)
            .map_err(|error| anyhow::anyhow!("error parsing jsonpath {template}: {error}"))?;
        let values = coracle_release::map_to_json(&chart.values);
        let text = path.render(&values.into());
        print!("{}", text.map_err(|error| anyhow::anyhow!("{error}"))?);
        Ok(())
    }
}
