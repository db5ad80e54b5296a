//! `coracle template`: prints what a chart renders to.

use std::path::PathBuf;

use clap::Args;
use coracle_helm::print::{self, Parts};
use coracle_helm::{Capabilities, KubeVersion, Level, NoCluster, Release};

use crate::chart;
use crate::failure::{Failure, Outcome};

/// Render a chart as `helm template` does.
#[derive(Debug, Args)]
pub struct Template {
    /// Name of the release and the chart, or the chart alone.
    #[arg(required = true, num_args = 1..=2, value_name = "[NAME] CHART")]
    names: Vec<String>,
    /// File of values; later ones win.
    #[arg(long = "values", short = 'f')]
    values: Vec<PathBuf>,
    /// A value: key=value.
    #[arg(long)]
    set: Vec<String>,
    /// Namespace of the release.
    #[arg(long, short, default_value = "default")]
    namespace: String,
    /// Kubernetes version that the chart sees.
    #[arg(long)]
    kube_version: Option<String>,
    /// Print the definitions of crds/ as well.
    #[arg(long)]
    include_crds: bool,
    /// Leave tests away.
    #[arg(long)]
    skip_tests: bool,
    /// Leave hooks away.
    #[arg(long)]
    no_hooks: bool,
}

impl Template {
    /// Prints the manifest.
    pub fn run(&self) -> Outcome {
        let (name, path) = match self.names.as_slice() {
            [path] => ("release-name", path),
            [name, path] => (name.as_str(), path),
            _ => return Err(Failure::usage("name one chart")),
        };
        let chart = chart::load(path.as_ref())?;
        let values = chart::values(&self.values, &self.set)?;
        let release = Release {
            namespace: self.namespace.clone(),
            ..Release::named(name)
        };
        let mut capabilities = Capabilities::of(Level::default());
        if let Some(version) = &self.kube_version {
            capabilities.kube_version = KubeVersion::parse(version).map_err(Failure::usage)?;
        }
        let rendered = chart::rendered(&chart, &values, &release, &capabilities, &NoCluster)?;
        for warning in &rendered.warnings {
            eprintln!("{warning}");
        }
        let parts = Parts {
            crds: self.include_crds,
            no_hooks: self.no_hooks,
            skip_tests: self.skip_tests,
        };
        print!("{}", print::template(&rendered, parts));
        Ok(())
    }
}
