//! Namespaces that nobody makes.

use crate::report::Severity;
use crate::sink::Sink;
use crate::world::{Found, World};
use std::collections::BTreeMap;

/// Namespaces of every cluster.
const ALWAYS: &[&str] = &["default", "kube-system", "kube-public", "kube-node-lease"];

/// Checks the namespaces of all objects.
pub fn check(world: &World<'_>, sink: &mut Sink) {
    let mut first: BTreeMap<&str, usize> = BTreeMap::new();
    for object in &world.objects {
        let namespace = object.id.namespace.as_str();
        if namespace == world.namespace || ALWAYS.contains(&namespace) || namespace.is_empty() {
            continue;
        }
        first.entry(namespace).or_insert(object.index);
    }
    for (namespace, index) in first {
        let object = &world.objects[index];
        let severity = match world.find("Namespace", "", namespace) {
            Found::Here(_) | Found::There(_) => continue,
            Found::Missing => Severity::Error,
            Found::Unknown => Severity::Warning,
        };
        let message = format!("goes to namespace {namespace}, which the chart does not make");
        sink.add(
            severity,
            "missing-namespace",
            object,
            "metadata.namespace",
            message,
        )
        .fix(format!(
            "make it first: kubectl create namespace {namespace}"
        ));
    }
}
