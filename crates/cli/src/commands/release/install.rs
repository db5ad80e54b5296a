//! `coracle install`: the first revision of a release.

use clap::Args;
use coracle_helm::KubeVersion;
use coracle_release::{DryRun, Options, Record, Source, install};

use super::answer::{self, Shown};
use super::flags::{Applying, Common, Format, Output, labels};
use super::naming::Naming;
use super::place::{Manner, Place};
use super::source::{ChartFlags, source};
use super::tell::Teller;
use super::{Verb, interrupt};
use crate::failure::{Failure, Outcome};
use crate::values::ValueFlags;

/// Install a chart as a release.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Examples:\n  coracle install web ./chart\n  coracle install web ./chart -f values.yaml --set replicas=2 --wait\n  coracle install web ./chart -n shop --create-namespace --rollback-on-failure\n  coracle install web ./chart --dry-run=server   what would be applied, asking the cluster"
)]
pub struct Install {
    /// Name of the release and the chart's folder or archive.
    #[arg(required = true, num_args = 1.., value_name = "[NAME] CHART")]
    pub names: Vec<String>,
    #[command(flatten)]
    pub naming: Naming,
    /// Take the name of a release that failed or was removed with its history kept.
    #[arg(long)]
    pub replace: bool,
    #[command(flatten)]
    pub deploying: Deploying,
}

/// Flags of both install and upgrade.
#[derive(Debug, Clone, Args)]
pub struct Deploying {
    #[command(flatten)]
    pub values: ValueFlags,
    #[command(flatten)]
    pub chart: ChartFlags,
    #[command(flatten)]
    pub common: Common,
    #[command(flatten)]
    pub applying: Applying,
    #[command(flatten)]
    pub output: Output,
    /// Print what would change of each object before it is changed.
    #[arg(long)]
    pub diff: bool,
    /// Make the namespace if there is none.
    #[arg(long)]
    pub create_namespace: bool,
    /// Undo what was done when it fails; waits as --wait does.
    #[arg(long, alias = "atomic")]
    pub rollback_on_failure: bool,
    /// With --dry-run: leave Secrets out.
    #[arg(long)]
    pub hide_secret: bool,
    /// Labels of the release's record: k=v,k2=v2.
    #[arg(long, short, value_name = "K=V")]
    pub labels: Vec<String>,
    /// Leave crds/ alone.
    #[arg(long)]
    pub skip_crds: bool,
    /// Take objects that belong to nobody or to another release.
    #[arg(long)]
    pub take_ownership: bool,
    /// Leave values.schema.json unread.
    #[arg(long)]
    pub skip_schema_validation: bool,
    /// Let unknown fields of objects pass.
    #[arg(long)]
    pub disable_openapi_validation: bool,
    /// Do not print the notes.
    #[arg(long)]
    pub hide_notes: bool,
    /// Accepted: notes of charts below are not rendered.
    #[arg(long, hide = true)]
    pub render_subchart_notes: bool,
    /// Accepted: templates never ask DNS.
    #[arg(long, hide = true)]
    pub enable_dns: bool,
    /// Version of Kubernetes that templates see.
    #[arg(long)]
    pub kube_version: Option<String>,
    /// API versions that templates see in addition.
    #[arg(long, value_delimiter = ',')]
    pub api_versions: Vec<String>,
}

impl Deploying {
    /// Returns the options that the flags say.
    pub fn options(&self) -> Result<Options, Failure> {
        let mut options = Options {
            diff: self.diff,
            create_namespace: self.create_namespace,
            rollback_on_failure: self.rollback_on_failure,
            hide_secret: self.hide_secret,
            labels: labels(&self.labels).map_err(Failure::usage)?,
            skip_crds: self.skip_crds,
            take_ownership: self.take_ownership,
            skip_schema_validation: self.skip_schema_validation,
            skip_field_validation: self.disable_openapi_validation,
            api_versions: self.api_versions.clone(),
            interrupt: Some(interrupt()),
            ..Options::default()
        };
        if let Some(version) = &self.kube_version {
            options.kube_version = Some(KubeVersion::parse(version).map_err(Failure::usage)?);
        }
        self.common.put(&mut options);
        self.applying.put(&mut options);
        Ok(options)
    }

    /// Returns what is to be deployed.
    pub fn source(&self, place: &Place, name: &str, chart: &str) -> Result<Source, Failure> {
        let asks = self.applying.dry_run != Some(DryRun::Client);
        source(place, name, chart, &self.chart, &self.values, asks)
    }

    /// Prints what was deployed.
    pub fn print(&self, place: &Place, record: &Record) -> Outcome {
        // The diff was all that was asked for.
        if self.diff && self.is_only_simulated() && self.is_for_people() {
            return Ok(());
        }
        let shown = Shown {
            debug: place.debug,
            metadata: false,
            hide_notes: self.hide_notes || place.quiet,
        };
        answer::print(record, self.output.output, shown, None)
    }

    /// Whether nothing is changed.
    pub fn is_only_simulated(&self) -> bool {
        self.applying.dry_run.is_some_and(|how| how != DryRun::None)
    }

    /// Whether it prints for people.
    pub fn is_for_people(&self) -> bool {
        self.output.output == Format::Table
    }
}

impl Install {
    async fn perform(&self, place: &Place) -> Result<Record, Failure> {
        let (name, chart) = self.naming.name_and_chart(&self.names, None)?;
        let mut options = self.deploying.options()?;
        options.replace = self.replace;
        let source = self.deploying.source(place, &name, chart)?;
        perform(place, &source, &options).await
    }
}

impl Verb for Install {
    fn is_offline(&self) -> bool {
        // Words that make no sense are refused before anybody is asked.
        self.deploying.applying.dry_run == Some(DryRun::Client)
            || self.naming.name_and_chart(&self.names, None).is_err()
    }

    async fn run(&self, place: &Place) -> Outcome {
        let record = self.perform(place).await;
        let record = record.map_err(|failure| match place.manner {
            Manner::Helm => failure.while_doing("INSTALLATION FAILED"),
            Manner::Coracle => failure,
        })?;
        self.deploying.print(place, &record)
    }
}

/// Installs and tells of it.
pub async fn perform(place: &Place, source: &Source, options: &Options) -> Result<Record, Failure> {
    let session = place.session()?;
    place.look_first(source, options, true).await?;
    let mut teller = Teller::new(place);
    let result = install(&session, source, options, &mut |event| teller.hear(event)).await;
    teller.end();
    result.map_err(|error| answer::failure(place, "", &error))
}
