//! The chart and values that flags name.

use std::path::Path;
use std::sync::Arc;

use clap::Args;
use coracle_helm::{Chart, Lookup};
use coracle_release::{ClusterLookup, Source};

use super::place::Place;
use crate::chart;
use crate::failure::Failure;
use crate::values::ValueFlags;

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
        values: values.read()?,
        lookup,
    })
}
