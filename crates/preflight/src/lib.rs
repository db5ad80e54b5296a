//! Finds what would go wrong with a chart before anything is changed.
//!
//! [`check`] renders a chart and returns a [`Report`]; what a cluster knows
//! is handed in as a [`Target`]. Nothing here reads a file, asks a cluster or
//! prints.

mod locate;
mod object;
mod portability;
mod relations;
mod removed;
mod report;
mod schema;
mod secrets;
mod show;
mod sink;
mod target;
mod values;
mod workload;
mod world;

pub use report::{Finding, ObjectName, Report, Severity};
pub use show::Show;
pub use target::{Denied, TakenPort, Target};

use coracle_helm::{Capabilities, Chart, Lookup, Options, Release, RenderError, Rendered, Values};

/// What is checked.
#[derive(Clone, Copy)]
pub struct Input<'i> {
    /// The chart.
    pub chart: &'i Chart,
    /// The user's values.
    pub values: &'i Values,
    /// The release it would become.
    pub release: &'i Release,
    /// What templates know of the cluster.
    pub capabilities: &'i Capabilities,
    /// Answers `lookup`.
    pub lookup: &'i dyn Lookup,
    /// How to render.
    pub options: Options,
    /// What is known of the cluster; `None`: nothing.
    pub target: Option<&'i Target>,
    /// Whether the installation makes the release's namespace.
    pub create_namespace: bool,
}

/// Returns what templates know of an ordinary cluster of our version, for
/// checks that ask none: Helm's own default lists fewer kinds than any real
/// cluster serves.
pub fn ordinary_cluster() -> Capabilities {
    let mut capabilities = Capabilities::of(coracle_helm::Level::default());
    let versions = &mut capabilities.api_versions;
    for kind in coracle_machinery::kinds::all() {
        let version = kind.api_version().into_owned();
        let named = format!("{version}/{}", kind.kind);
        for name in [version, named] {
            if !versions.contains(&name) {
                versions.push(name);
            }
        }
    }
    capabilities
}

/// Renders a chart and looks for everything that would go wrong.
pub fn check(input: &Input<'_>) -> Report {
    let rendered = coracle_helm::render_with(
        input.chart,
        input.values,
        input.release,
        input.capabilities,
        input.lookup,
        input.options,
    );
    match rendered {
        Ok(rendered) => check_rendered(input, &rendered),
        Err(error) => refused(input, *error),
    }
}

/// Reports a chart that does not render.
pub fn refused(input: &Input<'_>, error: RenderError) -> Report {
    let mut report = Report::of(input);
    values::refused(error, &mut report);
    report
}

/// Looks for everything that would go wrong with a chart that is rendered.
pub fn check_rendered(input: &Input<'_>, rendered: &Rendered) -> Report {
    let mut report = Report::of(input);
    let mut sink = sink::Sink::default();
    let objects = object::read(rendered, &input.release.namespace, &mut sink);
    let world = world::World::new(objects, input);
    schema::check(&world, &mut sink);
    relations::check(&world, &mut sink);
    secrets::check(&world, input, &mut sink);
    portability::check(&world, input, &mut sink);
    report.objects = world.objects.len();
    report.warnings = rendered.warnings.clone();
    report.findings = locate::locate(sink.finish(), &world, input);
    report.sort();
    report
}
