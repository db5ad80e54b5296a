//! How objects fit together: what one names, another must be.

mod autoscaling;
mod browser;
mod environment;
mod flows;
mod images;
mod ingress;
mod namespaces;
mod policies;
mod ports;
mod probes;
mod references;
mod security;
mod services;
mod storage;

use crate::sink::Sink;
use crate::workload::Workload;
use crate::world::World;
use coracle_machinery::selector::LabelSelector;
use serde_json::Value;

/// Checks all relations.
pub fn check(world: &World<'_>, sink: &mut Sink) {
    references::check(world, sink);
    services::check(world, sink);
    probes::check(world, sink);
    ingress::check(world, sink);
    autoscaling::check(world, sink);
    storage::check(world, sink);
    ports::check(world, sink);
    namespaces::check(world, sink);
    flows::check(world, sink);
    browser::check(world, sink);
    images::check(world, sink);
    security::check(world, sink);
}

/// The workloads of a namespace whose pods a Service's selector finds.
fn selected<'w>(
    workloads: &[Workload<'w>],
    namespace: &str,
    selector: &Value,
) -> Vec<Workload<'w>> {
    let Ok(selector) = LabelSelector::from_map(selector.as_object()) else {
        return Vec::new();
    };
    workloads
        .iter()
        .filter(|workload| {
            workload.namespace() == namespace && selector.matches(&workload.labels())
        })
        .copied()
        .collect()
}

/// ` (did you mean X?)` as a sentence of its own.
fn did_you_mean(wanted: &str, names: Vec<String>) -> Option<String> {
    let near = coracle_helm::nearest(wanted, names);
    near.first().map(|near| format!("did you mean {near}?"))
}

/// Joins names for a sentence.
fn list(names: &[String]) -> String {
    match names {
        [] => "none".into(),
        [one] => one.clone(),
        [most @ .., last] => format!("{} and {last}", most.join(", ")),
    }
}
