//! The chart and values that flags name.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use clap::Args;
use coracle_helm::{Chart, Lookup, Values};
use coracle_release::{ClusterLookup, Source};

use super::place::Place;
use crate::chart;
use crate::failure::Failure;

/// Flags that give values.
#[derive(Debug, Clone, Default, Args)]
pub struct ValueFlags {
    /// File of values; later ones win; - is standard input.
    #[arg(
        long = "values",
        short = 'f',
        value_name = "FILE",
        value_delimiter = ','
    )]
    pub files: Vec<PathBuf>,
    /// A value: key=value; numbers and booleans are taken as such.
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// A value that stays text.
    #[arg(long, value_name = "KEY=VALUE")]
    pub set_string: Vec<String>,
    /// A value from a file: key=path.
    #[arg(long, value_name = "KEY=PATH")]
    pub set_file: Vec<String>,
    /// A value as JSON: key=json, or an object.
    #[arg(long, value_name = "KEY=JSON")]
    pub set_json: Vec<String>,
    /// A value that stays text, commas and all.
    #[arg(long, value_name = "KEY=VALUE")]
    pub set_literal: Vec<String>,
}

/// Flags that say where a chart comes from; only folders and archives do.
#[derive(Debug, Clone, Default, Args)]
pub struct ChartFlags {
    /// Version that the chart must have.
    #[arg(long, value_name = "RANGE")]
    pub version: Option<String>,
    /// Address of a chart repository (not supported: name a folder or archive).
    #[arg(long, hide = true)]
    pub repo: Option<String>,
    /// Accepted; versions of a folder are what they are.
    #[arg(long, hide = true)]
    pub devel: bool,
    /// Accepted; dependencies must be in charts/.
    #[arg(long, hide = true)]
    pub dependency_update: bool,
}

impl ValueFlags {
    /// Gathers the values in Helm's order.
    pub fn values(&self) -> Result<Values, Failure> {
        let mut values = Values::default();
        for path in &self.files {
            let text = read(path)?;
            values.add_file(&path.display().to_string(), &text)?;
        }
        for set in &self.set_json {
            values.set_json(set)?;
        }
        for set in &self.set {
            values.set(set)?;
        }
        for set in &self.set_string {
            values.set_string(set)?;
        }
        for set in &self.set_file {
            values.set_file(set, &|path| {
                std::fs::read_to_string(path).map_err(|error| format!("open {path}: {error}"))
            })?;
        }
        for set in &self.set_literal {
            values.set_literal(set)?;
        }
        Ok(values)
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    if path == Path::new("-") {
        let mut text = Vec::new();
        std::io::stdin().read_to_end(&mut text)?;
        return Ok(text);
    }
    let text = std::fs::read(path);
    Ok(text.with_context(|| format!("could not read values {}", path.display()))?)
}

/// Loads the chart that a command names.
pub fn load(reference: &str, flags: &ChartFlags) -> Result<Chart, Failure> {
    if flags.repo.is_some() || reference.contains("://") {
        return Err(anyhow::anyhow!("chart {reference}: only folders and .tgz archives can be installed, not repositories or registries")
            .into());
    }
    let path = Path::new(reference);
    if !path.exists() {
        let failure = Failure::from(anyhow::anyhow!("path {reference:?} not found"));
        return Err(failure.hint(
            "name a chart's folder or its .tgz archive; charts of repositories must be fetched first",
        ));
    }
    let chart = chart::load(path)?;
    for warning in &chart.warnings {
        eprintln!("{warning}");
    }
    if let Some(version) = &flags.version
        && version != &chart.metadata.version
        && !coracle_helm::dependencies::is_compatible(version, &chart.metadata.version)
    {
        return Err(anyhow::anyhow!(
            "chart {} has version {}, --version asks for {version}",
            chart.name(),
            chart.metadata.version
        )
        .into());
    }
    if chart.metadata.deprecated {
        eprintln!("level=WARN msg=\"this chart is deprecated\"");
    }
    Ok(chart)
}

/// Returns what is to be deployed; templates may ask the cluster unless the
/// operation is only simulated here.
pub fn source(
    place: &Place,
    name: &str,
    reference: &str,
    chart_flags: &ChartFlags,
    values: &ValueFlags,
    asks: bool,
) -> Result<Source, Failure> {
    let lookup = match asks {
        true => {
            let lookup = ClusterLookup::new(place.client()?.clone());
            Some(Arc::new(lookup) as Arc<dyn Lookup + Send + Sync>)
        }
        false => None,
    };
    Ok(Source {
        name: name.to_owned(),
        chart: load(reference, chart_flags)?,
        values: values.values()?,
        lookup,
    })
}
