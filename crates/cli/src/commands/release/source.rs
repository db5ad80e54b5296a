//! The chart and values that flags name.

use std::sync::Arc;

use clap::Args;
use coracle_helm::{Chart, Lookup, Values};
use coracle_release::{ClusterLookup, Source};

use super::place::Place;
use crate::chart;
use crate::failure::Failure;
use crate::values::ValueFlags;

/// Flags that say where a chart comes from; only folders and archives do.
#[derive(Debug, Clone, Default, Args)]
pub struct ChartFlags {
    /// Version that the chart should have.
    #[arg(long, value_name = "RANGE")]
    pub version: Option<String>,
    /// Bring dependencies that are on this disk into charts/ first.
    #[arg(long)]
    pub dependency_update: bool,
    #[command(flatten)]
    pub fetching: Fetching,
}

/// Helm's flags for fetching charts. Nothing is fetched, so most of them mean
/// nothing; what would be a promise is refused.
#[derive(Debug, Clone, Default, Args)]
pub struct Fetching {
    /// Address of a chart repository (not supported: name a folder or archive).
    #[arg(long, hide = true)]
    repo: Option<String>,
    /// Check a signature (not supported).
    #[arg(long, hide = true)]
    verify: bool,
    /// Accepted.
    #[arg(long, hide = true)]
    keyring: Option<String>,
    /// Accepted.
    #[arg(long, hide = true)]
    ca_file: Option<String>,
    /// Accepted.
    #[arg(long, hide = true)]
    cert_file: Option<String>,
    /// Accepted.
    #[arg(long, hide = true)]
    key_file: Option<String>,
    /// Accepted.
    #[arg(long, hide = true)]
    username: Option<String>,
    /// Accepted.
    #[arg(long, hide = true)]
    password: Option<String>,
    /// Accepted.
    #[arg(long, hide = true)]
    pass_credentials: bool,
    /// Accepted.
    #[arg(long, hide = true)]
    plain_http: bool,
    /// Accepted.
    #[arg(long, hide = true)]
    insecure_skip_tls_verify: bool,
    /// Accepted; versions of a folder are what they are.
    #[arg(long, hide = true)]
    devel: bool,
}

impl Fetching {
    /// Refuses what is not done.
    pub fn check(&self) -> Result<(), Failure> {
        if let Some(repository) = &self.repo {
            return Err(
                Failure::usage(format!("charts are not fetched from {repository}"))
                    .hint("fetch the archive first and name it, or a chart's folder"),
            );
        }
        if self.verify {
            return Err(Failure::usage(
                "signatures of charts are not checked: leave out --verify",
            ));
        }
        Ok(())
    }
}

/// Loads the chart that a command names, and the values that its flags give.
/// A chart that is not there is said first, then what is wrong with the values.
pub fn load(
    reference: &str,
    flags: &ChartFlags,
    values: &ValueFlags,
) -> Result<(Chart, Values), Failure> {
    flags.fetching.check()?;
    let path = chart::locate(reference)?;
    let values = values.read()?;
    if flags.dependency_update && path.is_dir() {
        crate::commands::dependency::update(&path, &mut std::io::sink())?;
    }
    let chart = chart::load(&path)?;
    for warning in &chart.warnings {
        eprintln!("{warning}");
    }
    if let Some(version) = &flags.version
        && version != &chart.metadata.version
        && !coracle_helm::dependencies::is_compatible(version, &chart.metadata.version)
    {
        // Helm takes a chart of this disk whatever its version.
        eprintln!(
            "warning: chart {} has version {}, --version asks for {version}",
            chart.name(),
            chart.metadata.version
        );
    }
    if chart.metadata.deprecated {
        eprintln!("level=WARN msg=\"this chart is deprecated\"");
    }
    Ok((chart, values))
}

/// Loads the chart that a command names, to show it.
pub fn look(reference: &str, flags: &ChartFlags) -> Result<Chart, Failure> {
    flags.fetching.check()?;
    chart::load_any(&chart::locate(reference)?)
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
    let (chart, values) = load(reference, chart_flags, values)?;
    Ok(Source {
        name: name.to_owned(),
        chart,
        values,
        lookup,
    })
}
