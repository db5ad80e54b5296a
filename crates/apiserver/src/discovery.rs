//! Discovery: which groups, versions and resources are served, in the legacy
//! form and the aggregated one (`apidiscovery.k8s.io/v2`). Everything is read
//! from the table of kinds.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use coracle_machinery::kind::{Kind, Subresource};
use coracle_machinery::kinds;
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::accept::{self, Encoding};
use crate::body::Body;
use crate::custom::Customs;
use crate::node_groups::NodeGroups;
use crate::object::to_vec;
use crate::respond;
use crate::status::{ApiError, ApiResult};

const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

/// What is served: the built-in kinds, the custom ones and the node's.
pub struct Served {
    groups: Vec<(String, Vec<String>)>,
    rows: Vec<&'static Kind>,
    node: NodeGroups,
}

impl Served {
    /// Looks at what is served now.
    pub fn now(customs: &Customs, node: NodeGroups) -> Served {
        let own = |versions: &[&str]| versions.iter().map(|&version| version.to_owned()).collect();
        let builtin = kinds::groups()
            .iter()
            .map(|(group, versions)| ((*group).to_owned(), own(versions)));
        let rows = kinds::all().iter().chain(customs.all());
        Served {
            groups: builtin
                .chain(customs.groups())
                .chain(node.groups())
                .collect(),
            rows: rows.collect(),
            node,
        }
    }

    /// Returns the groups with their versions, preferred version first.
    pub fn groups(&self) -> impl Iterator<Item = (&str, &[String])> {
        self.groups
            .iter()
            .map(|(group, versions)| (group.as_str(), versions.as_slice()))
    }

    fn versions(&self, group: &str) -> Option<&[String]> {
        self.groups()
            .find(|(known, _)| *known == group)
            .map(|(_, versions)| versions)
    }

    fn sorted(&self, group: &str, version: &str) -> Vec<&'static Kind> {
        let of = |kind: &&&'static Kind| kind.group == group && kind.version == version;
        let mut rows: Vec<&'static Kind> = self.rows.iter().filter(of).copied().collect();
        rows.sort_by_key(|kind| kind.plural);
        rows
    }
}

/// Answers `/api`.
///
/// # Errors
/// 406 when no form asked for is served.
pub fn core_versions(
    headers: &HeaderMap,
    served: &Served,
    address: &str,
) -> ApiResult<Response<Body>> {
    negotiate(headers, served, str::is_empty, || {
        json!({
            "kind": "APIVersions",
            "versions": ["v1"],
            "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": address}],
        })
    })
}

/// Answers `/apis`.
///
/// # Errors
/// 406 when no form asked for is served.
pub fn groups(headers: &HeaderMap, served: &Served) -> ApiResult<Response<Body>> {
    negotiate(
        headers,
        served,
        |group| !group.is_empty(),
        || {
            let named = served.groups().filter(|(group, _)| !group.is_empty());
            let groups: Vec<Value> = named
                .map(|(group, versions)| group_value(group, versions))
                .collect();
            json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
        },
    )
}

fn negotiate(
    headers: &HeaderMap,
    served: &Served,
    belongs: impl Fn(&str) -> bool,
    legacy: impl Fn() -> Value,
) -> ApiResult<Response<Body>> {
    for range in accept::ranges(headers) {
        let plain = range.parameter("as").is_none();
        let aggregated = range.parameter("as") == Some("APIGroupDiscoveryList")
            && range.parameter("g") == Some("apidiscovery.k8s.io")
            && range.parameter("v") == Some("v2");
        match range.media.as_str() {
            "application/json" | "application/*" | "*/*" if plain => {
                return Ok(respond::json(StatusCode::OK, &legacy()));
            }
            "application/yaml" if plain => {
                let json = to_vec(&legacy()).into();
                return respond::encoded(StatusCode::OK, Encoding::Yaml, json);
            }
            "application/json" if aggregated => {
                let body = to_vec(&aggregate(served, &belongs));
                return Ok(respond::bytes(
                    StatusCode::OK,
                    HeaderValue::from_static(AGGREGATED),
                    body,
                ));
            }
            _ => {}
        }
    }
    Err(ApiError::not_acceptable(accept::SERVED))
}

fn group_value(group: &str, versions: &[String]) -> Value {
    let version = |version: &String| json!({"groupVersion": format!("{group}/{version}"), "version": version});
    let versions: Vec<Value> = versions.iter().map(version).collect();
    let preferred = versions.first().cloned().unwrap_or_default();
    json!({"name": group, "versions": versions, "preferredVersion": preferred})
}

/// Answers `/apis/GROUP`.
///
/// # Errors
/// 404 for an unknown group.
pub fn group(served: &Served, name: &str) -> ApiResult<Response<Body>> {
    let versions = served
        .versions(name)
        .filter(|_| !name.is_empty())
        .ok_or_else(ApiError::no_such_path)?;
    let mut map = Map::new();
    map.insert("kind".to_owned(), json!("APIGroup"));
    map.insert("apiVersion".to_owned(), json!("v1"));
    if let Value::Object(group) = group_value(name, versions) {
        map.extend(group);
    }
    Ok(respond::json(StatusCode::OK, &Value::Object(map)))
}

/// Answers `/api/v1` and `/apis/GROUP/VERSION`.
///
/// # Errors
/// 404 for an unknown group or version.
pub fn resources(served: &Served, group: &str, version: &str) -> ApiResult<Response<Body>> {
    let versions = served.versions(group).ok_or_else(ApiError::no_such_path)?;
    if !versions.iter().any(|known| known == version) {
        return Err(ApiError::no_such_resource());
    }
    let mut resources = served
        .node
        .resources(group, version)
        .unwrap_or_default()
        .to_vec();
    let mut builtin = true;
    for kind in served.sorted(group, version) {
        builtin &= kind.custom.is_none();
        resources.push(resource(kind));
        resources.extend(kind.subresources.iter().map(|sub| subresource(kind, sub)));
    }
    if builtin {
        resources.sort_by(|left, right| left["name"].as_str().cmp(&right["name"].as_str()));
    }
    let group_version = if group.is_empty() {
        version.to_owned()
    } else {
        format!("{group}/{version}")
    };
    let mut list = json!({"kind": "APIResourceList"});
    if !group.is_empty() {
        list["apiVersion"] = json!("v1");
    }
    list["groupVersion"] = json!(group_version);
    list["resources"] = json!(resources);
    Ok(respond::json(StatusCode::OK, &list))
}

fn resource(kind: &'static Kind) -> Value {
    let mut value = json!({
        "name": kind.plural, "singularName": kind.singular, "namespaced": kind.namespaced,
        "kind": kind.kind, "verbs": kind.verbs,
    });
    if !kind.short_names.is_empty() {
        value["shortNames"] = json!(kind.short_names);
    }
    if !kind.categories.is_empty() {
        value["categories"] = json!(kind.categories);
    }
    if kind.is_stored() {
        value["storageVersionHash"] = json!(storage_hash(kind.storage()));
    }
    value
}

fn subresource(kind: &'static Kind, sub: &Subresource) -> Value {
    let mut value = json!({"name": format!("{}/{}", kind.plural, sub.name), "singularName": "", "namespaced": kind.namespaced});
    let mut name = kind.kind;
    if let Some((group, version, other)) = sub.kind {
        if (group, version) != (kind.group, kind.version) {
            value["group"] = json!(group);
            value["version"] = json!(version);
        }
        name = other;
    }
    value["kind"] = json!(name);
    value["verbs"] = json!(sub.verbs);
    value
}

/// As upstream's `discovery.StorageVersionHash`: the first eight bytes of the
/// digest of group, version and kind.
fn storage_hash(kind: &Kind) -> String {
    let version = match kind.kind {
        // Upstream still stores these in the version before.
        "CustomResourceDefinition"
        | "MutatingAdmissionPolicy"
        | "MutatingAdmissionPolicyBinding" => "v1beta1",
        _ => kind.version,
    };
    let digest = Sha256::digest(format!("{}/{version}/{}", kind.group, kind.kind));
    STANDARD.encode(&digest[..8])
}

fn aggregate(served: &Served, belongs: &impl Fn(&str) -> bool) -> Value {
    let version_value = |group: &str, version: &String| {
        let rows = served.sorted(group, version).into_iter();
        let resources = served
            .node
            .aggregated(group, version)
            .unwrap_or_else(|| rows.map(aggregated_resource).collect());
        json!({"version": version, "resources": resources, "freshness": "Current"})
    };
    let items: Vec<Value> = served
        .groups()
        .filter(|(group, _)| belongs(group))
        .map(|(group, versions)| {
            let mut metadata = Map::new();
            if !group.is_empty() {
                metadata.insert("name".to_owned(), json!(group));
            }
            let versions: Vec<Value> = versions
                .iter()
                .map(|version| version_value(group, version))
                .collect();
            json!({"metadata": metadata, "versions": versions})
        })
        .collect();
    json!({
        "kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2",
        "metadata": {}, "items": items,
    })
}

fn aggregated_resource(kind: &'static Kind) -> Value {
    let mut value = json!({
        "resource": kind.plural,
        "responseKind": {"group": "", "version": "", "kind": kind.kind},
        "scope": if kind.namespaced { "Namespaced" } else { "Cluster" },
        "singularResource": kind.singular,
        "verbs": kind.verbs,
    });
    if !kind.short_names.is_empty() {
        value["shortNames"] = json!(kind.short_names);
    }
    if !kind.categories.is_empty() {
        value["categories"] = json!(kind.categories);
    }
    if !kind.subresources.is_empty() {
        let subresources: Vec<Value> = kind
            .subresources
            .iter()
            .map(|sub| aggregated_subresource(kind, sub))
            .collect();
        value["subresources"] = json!(subresources);
    }
    value
}

fn aggregated_subresource(kind: &Kind, sub: &Subresource) -> Value {
    let (group, version, name) = match sub.kind {
        Some((group, version, name)) if (group, version) != (kind.group, kind.version) => {
            (group, version, name)
        }
        Some((_, _, name)) => ("", "", name),
        None => ("", "", kind.kind),
    };
    json!({
        "subresource": sub.name,
        "responseKind": {"group": group, "version": version, "kind": name},
        "verbs": sub.verbs,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_storage_versions_as_upstream() {
        assert_eq!(
            storage_hash(crate::resource::builtin("", "namespaces")),
            "Q3oi5N2YM8M="
        );
        assert_eq!(
            storage_hash(crate::resource::builtin("", "limitranges")),
            "EBKMFVe6cwo="
        );
    }
}
