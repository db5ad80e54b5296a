//! `coracle check`: says what would go wrong with a chart, changes nothing.

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use coracle_helm::{
    Capabilities, KubeVersion, Level, NoCluster, Options, Release, Rendered, render_with,
};
use coracle_preflight::{Input, Report, Severity, Show, Target as Facts};
use kube::Client;

use super::target::Target;
use super::{Global, block_on};
use crate::chart;
use crate::facts;
use crate::failure::Failure;
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
    /// Kubernetes version that the chart sees, where no cluster is asked.
    #[arg(long)]
    kube_version: Option<String>,
    /// Ask no cluster, even if one runs.
    #[arg(long)]
    offline: bool,
    /// Fail on warnings too.
    #[arg(long)]
    strict: bool,
    /// How to write the report.
    #[arg(long, short, value_enum, default_value_t = Output::Text)]
    output: Output,
}

/// How to write a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For people.
    Text,
    /// For programs.
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
        let chart = chart::load(path.as_ref())?;
        let values = self.values.read()?;
        let release = Release {
            namespace: self.namespace.clone(),
            ..Release::named(name.unwrap_or(chart.name()))
        };
        let asked = self.client(global)?;
        let capabilities = self.capabilities(asked.as_ref())?;
        let render = || {
            let options = Options::default();
            render_with(
                &chart,
                &values,
                &release,
                &capabilities,
                &NoCluster,
                options,
            )
        };
        let target = match (&asked, render()) {
            (Some((name, client)), Ok(rendered)) => {
                let own = global.context.is_none();
                Some(block_on(facts::gather(
                    client, name, own, &rendered, &release,
                ))?)
            }
            (None, Ok(rendered)) => Some(facts::host(&rendered)),
            (_, Err(_)) => None,
        };
        let mut report = coracle_preflight::check(&Input {
            chart: &chart,
            values: &values,
            release: &release,
            capabilities: &capabilities,
            lookup: &NoCluster,
            options: Options::default(),
            target: target.as_ref(),
            create_namespace: self.create_namespace,
        });
        report.rebase(chart.name(), path);
        self.print(&report, global.quiet);
        let failed = !report.is_ok() || self.strict && report.count(Severity::Warning) > 0;
        Ok(ExitCode::from(u8::from(failed)))
    }

    /// The cluster that is asked: the named context, else our own if it runs.
    fn client(&self, global: &Global) -> Result<Option<(String, Client)>, Failure> {
        if self.offline {
            return Ok(None);
        }
        if let Some(context) = &global.context {
            let client = block_on(facts::connect(context, global.kubeconfig.as_deref()))?;
            return Ok(Some((context.clone(), client)));
        }
        let Ok(target) = Target::of(global) else {
            return Ok(None);
        };
        let Some(record) = target.running() else {
            return Ok(None);
        };
        // A cluster that is about to stop is no reason to fail.
        let client = block_on(target.client(&record)).ok();
        Ok(client.map(|client| (target.dir.name().to_owned(), client)))
    }

    fn capabilities(&self, asked: Option<&(String, Client)>) -> Result<Capabilities, Failure> {
        if let Some((_, client)) = asked {
            return block_on(async { Ok(coracle_release::capabilities(client).await?) });
        }
        let mut capabilities = Capabilities::of(Level::default());
        if let Some(version) = &self.kube_version {
            capabilities.kube_version = KubeVersion::parse(version).map_err(Failure::usage)?;
        }
        Ok(capabilities)
    }

    fn print(&self, report: &Report, quiet: bool) {
        match self.output {
            Output::Json => println!("{:#}", report.to_json()),
            Output::Text => {
                let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
                let colour = std::io::stdout().is_terminal() && !plain;
                print!("{}", Show { colour, quiet }.report(report));
            }
        }
    }
}

/// Returns what is rendered as the objects' ports would be asked for.
pub fn node_ports(rendered: &Rendered) -> Vec<u16> {
    let lines = rendered
        .manifests
        .iter()
        .flat_map(|manifest| manifest.body.lines());
    let ports = lines.filter_map(|line| {
        let (_, value) = line.split_once("nodePort:")?;
        value.trim().parse().ok()
    });
    ports.collect()
}

/// What nobody asked is not known.
pub fn nothing_known() -> Facts {
    Facts {
        is_coracle: true,
        can_pull: true,
        ..Facts::default()
    }
}
