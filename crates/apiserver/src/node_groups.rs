//! API groups that the node answers: `metrics.k8s.io` and
//! `custom.metrics.k8s.io`. They are in discovery, and may be asked, as soon as
//! a node's service is there that knows them; what they say is the node's.
//!
//! Upstream serves them through its aggregation layer
//! (<https://kubernetes.io/docs/tasks/debug/debug-cluster/resource-metrics-pipeline/>).

use std::collections::BTreeMap;

use bytes::Bytes;
use http::request::Parts;
use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::{Map, Value, json};

use crate::body::{self, Body};
use crate::kubelet::Kubelet;
use crate::request::ResourcePath;
use crate::server::Core;
use crate::status::{ApiError, ApiResult};

/// The groups with their versions, preferred version first.
const GROUPS: &[(&str, &[&str])] = &[
    ("custom.metrics.k8s.io", &["v1beta2", "v1beta1"]),
    ("metrics.k8s.io", &["v1beta1"]),
];

/// What the node serves now: the `resources` of discovery by group and version.
#[derive(Debug, Default)]
pub struct NodeGroups(Vec<(&'static str, &'static str, Vec<Value>)>);

impl NodeGroups {
    /// Asks the node, if `path` is one of discovery.
    pub async fn discover(core: &Core, path: &str) -> NodeGroups {
        let kubelet = core.kubelet.read().clone();
        let Some(kubelet) = kubelet.filter(|_| path == "/" || path.starts_with("/apis")) else {
            return NodeGroups::default();
        };
        let mut found = Vec::new();
        for (group, versions) in GROUPS {
            for version in *versions {
                if let Some(resources) = resources(&kubelet, group, version).await {
                    found.push((*group, *version, resources));
                }
            }
        }
        NodeGroups(found)
    }

    /// Returns the groups with their versions.
    pub fn groups(&self) -> Vec<(String, Vec<String>)> {
        let mut groups: Vec<(String, Vec<String>)> = Vec::new();
        for (group, version, _) in &self.0 {
            match groups.last_mut().filter(|(last, _)| last == group) {
                Some((_, versions)) => versions.push((*version).to_owned()),
                None => groups.push(((*group).to_owned(), vec![(*version).to_owned()])),
            }
        }
        groups
    }

    /// Returns the resources of a version in the legacy form of discovery.
    pub fn resources(&self, group: &str, version: &str) -> Option<&[Value]> {
        self.0
            .iter()
            .find(|(known, of, _)| *known == group && *of == version)
            .map(|(.., resources)| resources.as_slice())
    }

    /// Returns the resources of a version in the aggregated form.
    pub fn aggregated(&self, group: &str, version: &str) -> Option<Vec<Value>> {
        let mut parents: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
        for resource in self.resources(group, version)? {
            let name = resource["name"].as_str().unwrap_or_default();
            let (parent, sub) = name.split_once('/').unwrap_or((name, ""));
            let entry = parents
                .entry(parent)
                .or_insert_with(|| parent_of(parent, resource));
            let kind = json!({"group": "", "version": "", "kind": resource["kind"]});
            if sub.is_empty() {
                entry["responseKind"] = kind;
                entry["verbs"] = resource["verbs"].clone();
            } else if let Some(list) = entry
                .entry("subresources")
                .or_insert_with(|| json!([]))
                .as_array_mut()
            {
                list.push(
                    json!({"subresource": sub, "responseKind": kind, "verbs": resource["verbs"]}),
                );
            }
        }
        Some(parents.into_values().map(Value::Object).collect())
    }
}

/// A resource that is listed for its subresources alone, as upstream's
/// aggregator makes it up.
fn parent_of(name: &str, resource: &Value) -> Map<String, Value> {
    let namespaced = resource["namespaced"].as_bool().unwrap_or_default();
    let mut parent = Map::new();
    parent.insert("resource".to_owned(), json!(name));
    parent.insert(
        "responseKind".to_owned(),
        json!({"group": "", "version": "", "kind": ""}),
    );
    let scope = if namespaced { "Namespaced" } else { "Cluster" };
    parent.insert("scope".to_owned(), json!(scope));
    parent.insert(
        "singularResource".to_owned(),
        resource["singularName"].clone(),
    );
    parent.insert("verbs".to_owned(), json!([]));
    parent
}

/// Returns the resources of one version; `None` when the node does not serve it.
async fn resources(kubelet: &Kubelet, group: &str, version: &str) -> Option<Vec<Value>> {
    let request = Request::get(format!("/apis/{group}/{version}"))
        .body(body::full(Bytes::new()))
        .ok()?;
    let response = kubelet.pass(request).await.ok()?;
    if response.status() != StatusCode::OK {
        return None;
    }
    let bytes = response.into_body().collect().await.ok()?.to_bytes();
    let mut list: Value = serde_json::from_slice(&bytes).ok()?;
    match list["resources"].take() {
        Value::Array(resources) => Some(resources),
        _ => None,
    }
}

/// Returns the node, if it is the one to answer for this path.
pub fn node_of(core: &Core, path: &ResourcePath) -> Option<Kubelet> {
    let ours = GROUPS
        .iter()
        .any(|(group, versions)| *group == path.group && versions.contains(&path.version.as_str()));
    ours.then(|| core.kubelet.read().clone()).flatten()
}

/// Passes an authorised request on as it is.
///
/// # Errors
/// 405 for anything but reading, 502 when the node does not answer.
pub async fn pass(kubelet: &Kubelet, parts: Parts, body: Body) -> ApiResult<Response<Body>> {
    if parts.method != Method::GET {
        return Err(ApiError::method_not_allowed());
    }
    kubelet.pass(Request::from_parts(parts, body)).await
}
