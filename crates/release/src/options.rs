//! How an operation is to be done: Helm's flags, with Helm's defaults.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use coracle_helm::{Chart, KubeVersion, Lookup, Values};
use tokio::sync::Notify;

/// What is to be deployed under which name.
#[derive(Clone)]
pub struct Source {
    /// Name of the release.
    pub name: String,
    /// The chart.
    pub chart: Chart,
    /// The values that the user gave.
    pub values: Values,
    /// Answers `lookup`; `None` where the cluster is not to be asked.
    pub lookup: Option<Arc<dyn Lookup + Send + Sync>>,
}

/// What is waited for after objects were applied.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Wait {
    /// Hooks alone.
    #[default]
    Hooks,
    /// Every object, as kstatus judges.
    Watcher,
    /// Workloads, volumes and Services, as Helm 3 judged.
    Legacy,
}

/// Whether and where an operation is only simulated.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum DryRun {
    /// It is done.
    #[default]
    None,
    /// It is simulated without asking the cluster anything.
    Client,
    /// It is simulated; the cluster is asked.
    Server,
}

/// Who merges an object's fields.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Apply {
    /// The server, also where an older Helm merged before.
    #[default]
    Auto,
    /// The server.
    Server,
    /// We do: three-way, by what the last revision said.
    Client,
}

/// What becomes of the values of the last revision.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OldValues {
    /// They stay if no new ones are given.
    #[default]
    IfNoneGiven,
    /// They go.
    Reset,
    /// They stay, and so do the old chart's defaults.
    Reuse,
    /// They stay over the new chart's defaults.
    ResetThenReuse,
}

/// Helm's flags.
#[derive(Debug, Clone)]
pub struct Options {
    /// Makes the release's namespace if there is none.
    pub create_namespace: bool,
    /// What is waited for.
    pub wait: Wait,
    /// Whether Jobs are waited for as well.
    pub wait_for_jobs: bool,
    /// How long one wait may take.
    pub timeout: Duration,
    /// Undoes what was done when it fails.
    pub rollback_on_failure: bool,
    /// Removes objects that a failed upgrade made.
    pub cleanup_on_fail: bool,
    /// Simulates.
    pub dry_run: DryRun,
    /// Leaves Secrets out of a simulated manifest.
    pub hide_secret: bool,
    /// What the history says; `None` for Helm's own words.
    pub description: Option<String>,
    /// Labels of the record; `null` removes one on upgrade.
    pub labels: BTreeMap<String, String>,
    /// Tells what would change before it is changed.
    pub diff: bool,
    /// Runs no hooks.
    pub no_hooks: bool,
    /// Leaves crds/ alone.
    pub skip_crds: bool,
    /// Takes objects that belong to nobody or to another release.
    pub take_ownership: bool,
    /// Takes the name of a release that failed or was removed.
    pub replace: bool,
    /// Takes fields that other managers own.
    pub force_conflicts: bool,
    /// Replaces objects instead of merging.
    pub force_replace: bool,
    /// Who merges.
    pub apply: Apply,
    /// Leaves values.schema.json unread.
    pub skip_schema_validation: bool,
    /// Lets unknown fields pass.
    pub skip_field_validation: bool,
    /// Version of Kubernetes that templates see, instead of the cluster's.
    pub kube_version: Option<KubeVersion>,
    /// API versions that templates see in addition.
    pub api_versions: Vec<String>,
    /// What becomes of the last revision's values.
    pub old_values: OldValues,
    /// How many revisions are kept; 0 for all.
    pub history_max: usize,
    /// Rung when the user interrupts.
    pub interrupt: Option<Arc<Notify>>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            create_namespace: false,
            wait: Wait::default(),
            wait_for_jobs: false,
            timeout: Duration::from_secs(300),
            rollback_on_failure: false,
            cleanup_on_fail: false,
            dry_run: DryRun::default(),
            hide_secret: false,
            description: None,
            labels: BTreeMap::new(),
            diff: false,
            no_hooks: false,
            skip_crds: false,
            take_ownership: false,
            replace: false,
            force_conflicts: false,
            force_replace: false,
            apply: Apply::default(),
            skip_schema_validation: false,
            skip_field_validation: false,
            kube_version: None,
            api_versions: Vec::new(),
            old_values: OldValues::default(),
            history_max: 10,
            interrupt: None,
        }
    }
}

impl Options {
    /// What is waited for; undoing a failure needs to know of it.
    pub(crate) fn waits(&self) -> Wait {
        match self.wait {
            Wait::Hooks if self.rollback_on_failure => Wait::Watcher,
            wait => wait,
        }
    }
}
