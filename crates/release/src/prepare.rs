//! From a chart and values to what a revision says: rendered documents, hooks,
//! notes, and the values that are recorded.

use coracle_goyaml as yaml;
use coracle_helm::coalesce::Coalescer;
use coracle_helm::convert::from_entries;
use coracle_helm::{
    Capabilities, Chart, Level, NoCluster, Release, Rendered, Values, dependencies, render_with,
};
use serde_json::Value;

use crate::ReleaseError;
use crate::capabilities;
use crate::chart_record::{chart_from_record, chart_to_record};
use crate::error::unreachable_or;
use crate::event::Event;
use crate::json::{map_from_json, map_to_json};
use crate::objects::{Object, parse};
use crate::operation::Operation;
use crate::options::{DryRun, OldValues, Source};
use crate::record::{Hook, Record};

/// What a revision says.
pub(crate) struct Prepared {
    pub chart: Value,
    pub config: Value,
    pub manifest: String,
    pub hooks: Vec<Hook>,
    pub notes: String,
    pub objects: Vec<Object>,
}

/// Renders a chart for a revision.
pub(crate) async fn prepare(
    operation: &mut Operation<'_>,
    source: &Source,
    revision: i64,
    previous: Option<&Record>,
) -> Result<Prepared, ReleaseError> {
    let (chart, values) = with_old_values(source, previous, operation.options.old_values)?;
    let capabilities = seen(operation).await?;
    let release = Release {
        name: source.name.clone(),
        namespace: operation.session.namespace().to_owned(),
        revision: revision.unsigned_abs(),
        is_install: previous.is_none(),
    };
    let lookup = source.lookup.clone();
    let options = coracle_helm::Options {
        skip_schema_validation: operation.options.skip_schema_validation,
        ..coracle_helm::Options::default()
    };
    let config = Value::Object(map_to_json(values.map()));
    let record = recorded(&chart, &values);
    // The renderer blocks while it asks the cluster, so it has a thread of its own.
    let rendering = tokio::task::spawn_blocking(move || match lookup {
        Some(lookup) => render_with(&chart, &values, &release, &capabilities, &*lookup, options),
        None => render_with(
            &chart,
            &values,
            &release,
            &capabilities,
            &NoCluster,
            options,
        ),
    });
    let rendered = match rendering.await {
        Ok(rendered) => rendered.map_err(ReleaseError::Render)?,
        Err(panic) => std::panic::resume_unwind(panic.into_panic()),
    };
    for warning in &rendered.warnings {
        (operation.tell)(Event::Warning(warning.clone()));
    }
    let manifest = manifest(&rendered, operation.options.hide_secret);
    Ok(Prepared {
        chart: record,
        config,
        objects: parse(&manifest)?,
        manifest,
        hooks: rendered.hooks.iter().map(Hook::of).collect(),
        notes: rendered.notes,
    })
}

/// What templates see of the cluster.
async fn seen(operation: &Operation<'_>) -> Result<Capabilities, ReleaseError> {
    let options = operation.options;
    let mut capabilities = if options.dry_run == DryRun::Client {
        let mut capabilities = Capabilities::of(Level::default());
        capabilities
            .api_versions
            .extend(options.api_versions.iter().cloned());
        capabilities
    } else {
        let served = operation.session.served().await?;
        let version = operation.session.client().apiserver_version().await;
        let version = version.map_err(unreachable_or("ask the cluster's version"))?;
        capabilities::of(&version.git_version, served.discovery())?
    };
    if let Some(version) = &options.kube_version {
        capabilities.kube_version = version.clone();
    }
    Ok(capabilities)
}

/// Helm records the chart after its dependencies were worked out.
fn recorded(chart: &Chart, values: &Values) -> Value {
    let mut chart = chart.clone();
    let rules = Level::default().rules();
    // What is wrong with them is said by the rendering.
    let _ = dependencies::process(&mut chart, values.map(), rules, &mut Vec::new());
    chart_to_record(&chart)
}

/// Returns chart and values, the old revision's worked in.
fn with_old_values(
    source: &Source,
    previous: Option<&Record>,
    old_values: OldValues,
) -> Result<(Chart, Values), ReleaseError> {
    let mut chart = source.chart.clone();
    let Some(previous) = previous else {
        return Ok((chart, source.values.clone()));
    };
    let config = previous
        .config
        .as_object()
        .map(map_from_json)
        .unwrap_or_default();
    let values = match old_values {
        OldValues::Reset => source.values.clone(),
        OldValues::IfNoneGiven if source.values.map().is_empty() => Values::from_map(config),
        OldValues::IfNoneGiven => source.values.clone(),
        OldValues::Reuse => {
            chart.values = laid_over(&chart_from_record(&previous.chart), &config)?;
            chart.values_text = None;
            Values::from_map(over_config(source.values.map(), config)?)
        }
        OldValues::ResetThenReuse => Values::from_map(over_config(source.values.map(), config)?),
    };
    Ok((chart, values))
}

fn over_config(values: &yaml::Map, config: yaml::Map) -> Result<yaml::Map, ReleaseError> {
    let below = Chart {
        values: config,
        ..Chart::default()
    };
    laid_over(&below, values)
}

/// Lays values over a chart's defaults.
pub(crate) fn laid_over(chart: &Chart, values: &yaml::Map) -> Result<yaml::Map, ReleaseError> {
    let mut coalescer = Coalescer::coalesce(Level::default().rules());
    let laid = coalescer
        .run(chart, values)
        .map_err(ReleaseError::Invalid)?;
    Ok(from_entries(&laid))
}

/// Returns the manifest of a revision, as its record keeps it.
fn manifest(rendered: &Rendered, hide_secret: bool) -> String {
    let mut out = String::new();
    for manifest in &rendered.manifests {
        let body = if hide_secret && manifest.kind == "Secret" && manifest.api_version == "v1" {
            "# HIDDEN: The Secret output has been suppressed"
        } else {
            &manifest.body
        };
        out.push_str(&format!("---\n# Source: {}\n{body}\n", manifest.path));
    }
    out
}
