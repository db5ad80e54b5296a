//! From a chart and values to the documents of a release.
//!
//! Main function: [`render`]. Reference: `pkg/engine/engine.go` and
//! `renderResources` in `pkg/action/action.go` of Helm.

use crate::capabilities::Capabilities;
use crate::chart::{Chart, File};
use crate::compat::Level;
use crate::convert::from_entries;
use crate::error::RenderError;
use crate::job::Job;
use crate::manifest::{Hook, Manifest};
use crate::provenance::Provenance;
use crate::reading::Texts;
use crate::stack::on_large_stack;
use crate::values::Values;
use coracle_goyaml as yaml;
use std::collections::BTreeSet;

/// The release that a rendering is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Release {
    /// Name.
    pub name: String,
    /// Namespace.
    pub namespace: String,
    /// Revision, from 1.
    pub revision: u64,
    /// Whether this is an installation; otherwise an upgrade.
    pub is_install: bool,
}

impl Release {
    /// Makes the first revision of a release in `default`.
    pub fn named(name: impl Into<String>) -> Self {
        Release {
            name: name.into(),
            namespace: "default".into(),
            revision: 1,
            is_install: true,
        }
    }
}

/// Answers the template function `lookup`.
pub trait Lookup: Sync {
    /// Returns an object, a list when `name` is empty, or an empty map.
    ///
    /// # Errors
    ///
    /// A text for the template's error.
    fn lookup(
        &self,
        api_version: &str,
        kind: &str,
        namespace: &str,
        name: &str,
    ) -> Result<yaml::Value, String>;
}

/// There is no cluster: every lookup finds nothing.
pub struct NoCluster;

impl Lookup for NoCluster {
    fn lookup(&self, _: &str, _: &str, _: &str, _: &str) -> Result<yaml::Value, String> {
        Ok(yaml::Value::Map(yaml::Map::new()))
    }
}

/// How to render.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Which release of Helm to equal.
    pub level: Level,
    /// Leaves the schemas unread.
    pub skip_schema_validation: bool,
    /// `required` and `fail` do not fail.
    pub lint: bool,
    /// Makes random functions repeatable.
    pub seed: Option<u64>,
    /// Leaves freeing memory to the end of the process: for a program that
    /// renders once.
    pub once: bool,
}

/// The documents of a release.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rendered {
    /// Documents in the order of installation.
    pub manifests: Vec<Manifest>,
    /// Hooks, by kind.
    pub hooks: Vec<Hook>,
    /// Custom resource definitions of `crds/`: not templates.
    pub crds: Vec<File>,
    /// What `NOTES.txt` says.
    pub notes: String,
    /// Warnings, as Helm prints them.
    pub warnings: Vec<String>,
}

/// Renders a chart.
///
/// # Errors
///
/// Whenever `helm template` would refuse; in its words, with the place, the
/// values and a remedy.
pub fn render(
    chart: &Chart,
    values: &Values,
    release: &Release,
    capabilities: &Capabilities,
    lookup: &dyn Lookup,
) -> Result<Rendered, Box<RenderError>> {
    render_with(
        chart,
        values,
        release,
        capabilities,
        lookup,
        Options::default(),
    )
}

/// Renders a chart with options.
///
/// # Errors
///
/// As [`render`].
pub fn render_with(
    chart: &Chart,
    values: &Values,
    release: &Release,
    capabilities: &Capabilities,
    lookup: &dyn Lookup,
    options: Options,
) -> Result<Rendered, Box<RenderError>> {
    let job = Job {
        chart,
        values,
        release,
        capabilities,
        lookup,
        options,
        rules: options.level.rules(),
    };
    job.prepare()
}

/// Renders once more and records who wrote which lines of some files; `None`
/// when the chart does not render.
pub fn trace(
    chart: &Chart,
    values: &Values,
    release: &Release,
    capabilities: &Capabilities,
    lookup: &dyn Lookup,
    options: Options,
    paths: &BTreeSet<String>,
) -> Option<Provenance> {
    let rules = options.level.rules();
    let job = Job {
        chart,
        values,
        release,
        capabilities,
        lookup,
        options,
        rules,
    };
    on_large_stack(|| job.trace_all(paths))
}

/// Returns the values that the templates of the root chart see, those of
/// subcharts below their names.
///
/// # Errors
///
/// When dependencies or values do not fit together.
pub fn final_values(
    chart: &Chart,
    values: &Values,
    level: Level,
) -> Result<yaml::Map, Box<RenderError>> {
    let job = Job {
        chart,
        values,
        release: &Release::named("release-name"),
        capabilities: &Capabilities::of(level),
        lookup: &NoCluster,
        options: Options::default(),
        rules: level.rules(),
    };
    let (_, coalesced) = job.values_of_charts(&mut Vec::new())?;
    Ok(from_entries(&coalesced))
}

/// What the linter gets to see of a rendering.
pub(crate) enum LintTexts {
    /// Texts by path.
    Texts(Texts),
    /// Helm's words.
    Refused(String),
    /// Helm says nothing and looks no further.
    Silent,
}

/// Renders as `helm lint` does: a refusal by the chart counts for nothing.
pub(crate) fn lint_texts(
    chart: &Chart,
    values: &Values,
    namespace: &str,
    capabilities: &Capabilities,
    skip_schema_validation: bool,
) -> LintTexts {
    let options = Options {
        lint: true,
        skip_schema_validation,
        ..Options::default()
    };
    let release = Release {
        name: "test-release".into(),
        namespace: namespace.into(),
        revision: 0,
        is_install: false,
    };
    let job = Job {
        chart,
        values,
        release: &release,
        capabilities,
        lookup: &NoCluster,
        options,
        rules: options.level.rules(),
    };
    on_large_stack(|| job.lint())
}
