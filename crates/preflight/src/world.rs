//! All objects that will be there: those of the release and those of the
//! cluster.
//!
//! Main type: [`World`].

use crate::Input;
use crate::object::Object;
use crate::target::Target;
use crate::workload::{self, Workload};
use serde_json::Value;
use std::collections::HashMap;

/// All objects that will be there.
pub struct World<'w> {
    /// Objects of the release.
    pub objects: Vec<Object>,
    /// What is known of the cluster.
    pub target: Option<&'w Target>,
    /// Name of the release.
    pub release: &'w str,
    /// Namespace of the release.
    pub namespace: &'w str,
    index: HashMap<(String, String, String), usize>,
}

/// Where an object was found.
#[derive(Clone, Copy)]
pub enum Found<'f> {
    /// In the release.
    Here(&'f Object),
    /// In the cluster.
    There(&'f Value),
    /// Nowhere, and the cluster was asked.
    Missing,
    /// Not in the release; the cluster was not asked.
    Unknown,
}

impl<'f> Found<'f> {
    /// Returns the object.
    pub fn value(self) -> Option<&'f Value> {
        match self {
            Found::Here(object) => Some(&object.value),
            Found::There(value) => Some(value),
            Found::Missing | Found::Unknown => None,
        }
    }
}

impl<'w> World<'w> {
    /// Gathers the objects.
    pub fn new(objects: Vec<Object>, input: &Input<'w>) -> World<'w> {
        let key = |object: &Object| {
            let id = &object.id;
            (id.kind.clone(), id.namespace.clone(), id.name.clone())
        };
        let index = objects
            .iter()
            .map(|object| (key(object), object.index))
            .collect();
        World {
            objects,
            target: input.target,
            release: &input.release.name,
            namespace: &input.release.namespace,
            index,
        }
    }

    /// Looks for an object; an empty namespace is that of kinds without one.
    pub fn find(&self, kind: &str, namespace: &str, name: &str) -> Found<'_> {
        let key = (kind.to_owned(), namespace.to_owned(), name.to_owned());
        if let Some(index) = self.index.get(&key) {
            return Found::Here(&self.objects[*index]);
        }
        self.in_cluster(kind, namespace, name)
    }

    /// Looks for an object in the cluster alone.
    pub fn in_cluster(&self, kind: &str, namespace: &str, name: &str) -> Found<'_> {
        let Some(mut all) = self.target.and_then(|target| target.all(kind)) else {
            return Found::Unknown;
        };
        let is = |object: &&Value| {
            let metadata = &object["metadata"];
            metadata["name"] == name
                && metadata["namespace"].as_str().unwrap_or_default() == namespace
        };
        all.find(is).map_or(Found::Missing, Found::There)
    }

    /// Objects of the release of a kind.
    pub fn of_kind<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Object> {
        self.objects
            .iter()
            .filter(move |object| object.id.kind == kind && object.kind.is_some())
    }

    /// Names of a kind in a namespace, for "did you mean".
    pub fn names(&self, kind: &str, namespace: &str) -> Vec<String> {
        let here = self
            .objects
            .iter()
            .filter(|object| object.id.kind == kind && object.id.namespace == namespace)
            .map(|object| object.id.name.clone());
        let there = self
            .target
            .and_then(|target| target.all(kind))
            .into_iter()
            .flatten()
            .filter(|object| {
                object["metadata"]["namespace"].as_str().unwrap_or_default() == namespace
            })
            .filter_map(|object| object["metadata"]["name"].as_str().map(str::to_owned));
        here.chain(there).collect()
    }

    /// Everything of the release that makes pods.
    pub fn workloads(&self) -> Vec<Workload<'_>> {
        self.objects.iter().filter_map(workload::of).collect()
    }

    /// Whether the release holds objects of custom kinds that may make pods,
    /// Services and Secrets of their own.
    pub fn has_makers(&self) -> bool {
        self.objects.iter().any(|object| {
            object.kind.is_none()
                && !object.id.api_version.is_empty()
                && object.id.api_version.contains('.')
                && !is_passive(&object.id.api_version, &object.id.kind)
        })
    }

    /// Whether a container or another object speaks of a name, so that it may
    /// well be made when the release runs.
    pub fn speaks_of(&self, name: &str, except: &str) -> bool {
        self.objects.iter().any(|object| {
            let passive_reference = object.id.kind == except;
            !passive_reference && mentions(&object.value, name)
        })
    }
}

/// Custom kinds that make no pods, Services or Secrets.
fn is_passive(api_version: &str, kind: &str) -> bool {
    const GROUPS: &[&str] = &[
        "gateway.networking.k8s.io/",
        "networking.istio.io/",
        "security.istio.io/",
        "monitoring.coreos.com/",
        "traefik.io/",
        "cilium.io/",
        "keda.sh/",
        "kyverno.io/",
        "route.openshift.io/",
        "security.openshift.io/",
        "cloud.google.com/",
        "networking.gke.io/",
    ];
    const MAKERS: &[&str] = &[
        "Prometheus",
        "Alertmanager",
        "ThanosRuler",
        "PrometheusAgent",
    ];
    GROUPS.iter().any(|group| api_version.starts_with(group)) && !MAKERS.contains(&kind)
}

/// Whether a container's command, arguments or environment hold a name.
fn mentions(value: &Value, name: &str) -> bool {
    match value {
        Value::String(text) => holds_word(text, name),
        Value::Array(list) => list.iter().any(|item| mentions(item, name)),
        Value::Object(map) => map.iter().any(|(key, value)| match key.as_str() {
            "secretName" | "secretKeyRef" | "secretRef" | "configMapKeyRef" | "configMapRef"
            | "configMap" | "secret" | "imagePullSecrets" | "claimName" | "serviceAccountName"
            | "metadata" | "kind" | "roleRef" | "scaleTargetRef" | "matchLabels" | "labels"
            | "selector" => false,
            _ => mentions(value, name),
        }),
        _ => false,
    }
}

/// Whether a text holds a name that is not part of a longer one.
pub fn holds_word(text: &str, name: &str) -> bool {
    if name.is_empty() {
        return false;
    }
    let part = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric() || c == '-');
    text.match_indices(name).any(|(at, _)| {
        !part(text[..at].chars().next_back()) && !part(text[at + name.len()..].chars().next())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_whole() {
        assert!(holds_word("--secret-name=web-tls", "web-tls"));
        assert!(!holds_word("web-tls-extra", "web-tls"));
        assert!(!holds_word("anything", ""));
    }
}
