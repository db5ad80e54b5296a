//! `coracle check`: says what would go wrong with a chart, changes nothing.

use std::io::IsTerminal;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, ValueEnum};
use coracle_helm::{Capabilities, KubeVersion, NoCluster, Release};
use coracle_preflight::{Report, Severity, Show};
use coracle_release::ClusterLookup;

use super::target::Target;
use super::{Global, block_on};
use crate::chart;
use crate::facts::Cluster;
use crate::failure::Failure;
use crate::look::{Look, colours};
use crate::values::ValueFlags;

/// Say what would go wrong with a chart; nothing is changed.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  coracle check charts/todo-app\n  coracle check todo charts/todo-app -f production.yaml --set backend.replicaCount=3\n  coracle check charts/todo-app --context staging   what differs on that cluster\n  coracle check charts/todo-app -o json             for programs\n\nExit codes: 0 nothing stands in the way, 1 something does (with --strict also a\nwarning), 2 the command line is wrong.\n\nA comment \"check-ignore: RULE reason\" beside a line of a template or values file\nsilences RULE there; in Chart.yaml, in the whole chart."
)]
pub struct Check {
    /// Name of the release and the chart, or the chart alone.
    #[arg(required = true, num_args = 1..=2, value_name = "[NAME] CHART")]
    names: Vec<String>,
    #[command(flatten)]
    values: ValueFlags,
    /// Namespace of the release.
    #[arg(long, short, default_value = "default")]
    namespace: String,
    /// The installation will make the namespace.
    #[arg(long)]
    create_namespace: bool,
    /// Kubernetes version that the chart sees.
    #[arg(long)]
    kube_version: Option<String>,
    /// Ask no cluster, even if one runs.
    #[arg(long)]
    offline: bool,
    /// Fail on warnings too.
    #[arg(long)]
    strict: bool,
    /// How to write the report: for people or for programs.
    #[arg(long, short, value_enum, default_value_t = Output::Text)]
    output: Output,
}

/// How to write a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    Text,
    Json,
}

impl Check {
    /// Checks the chart and prints the report.
    pub fn run(&self, global: &Global) -> Result<ExitCode, Failure> {
        let (name, path) = match self.names.as_slice() {
            [path] => (None, path),
            [name, path] => (Some(name.as_str()), path),
            _ => return Err(Failure::usage("name one chart")),
        };
        let chart = chart::named(path)?;
        let chart_name = chart.name().to_owned();
        let release = Release {
            namespace: self.namespace.clone(),
            ..Release::named(name.unwrap_or(&chart_name))
        };
        let mut report = block_on(async {
            let cluster = self.cluster(global).await?;
            let look = Look {
                chart,
                values: self.values.read()?,
                release,
                capabilities: self.capabilities(cluster.as_ref()).await?,
                lookup: match &cluster {
                    Some(cluster) => Arc::new(ClusterLookup::new(cluster.client.clone())),
                    None => Arc::new(NoCluster),
                },
                create_namespace: self.create_namespace,
            };
            look.report(cluster.as_ref()).await
        })?;
        report.rebase(&chart_name, path);
        self.print(&report, global.quiet);
        let failed = !report.is_ok() || self.strict && report.count(Severity::Warning) > 0;
        Ok(ExitCode::from(u8::from(failed)))
    }

    /// The cluster that is asked: the named context, else our own if it runs.
    async fn cluster(&self, global: &Global) -> Result<Option<Cluster>, Failure> {
        if self.offline {
            return Ok(None);
        }
        let Ok(target) = Target::of(global) else {
            return Ok(None);
        };
        let is_own = target.remote.is_none();
        if is_own && target.running().is_none() {
            return Ok(None);
        }
        let client = match target.connect().await {
            Ok(client) => client,
            // A cluster that is about to stop is no reason to fail.
            Err(_) if is_own => return Ok(None),
            Err(failure) => return Err(failure),
        };
        Ok(Some(Cluster {
            client,
            name: target.name().to_owned(),
            is_own,
        }))
    }

    async fn capabilities(&self, cluster: Option<&Cluster>) -> Result<Capabilities, Failure> {
        let mut capabilities = match cluster {
            Some(cluster) => coracle_release::capabilities(&cluster.client).await?,
            None => coracle_preflight::ordinary_cluster(),
        };
        if let Some(version) = &self.kube_version {
            capabilities.kube_version = KubeVersion::parse(version).map_err(Failure::usage)?;
        }
        Ok(capabilities)
    }

    fn print(&self, report: &Report, quiet: bool) {
        match self.output {
            Output::Json => println!("{:#}", report.to_json()),
            Output::Text => {
                let colour = colours(std::io::stdout().is_terminal());
                print!("{}", Show { colour, quiet }.report(report));
            }
        }
    }
}
