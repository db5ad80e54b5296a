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

use crate::accept;
use crate::body::Body;
use crate::object::to_vec;
use crate::respond;
use crate::status::{ApiError, ApiResult};

const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

/// Answers `/api`.
///
/// # Errors
/// 406 when no form asked for is served.
pub fn core_versions(headers: &HeaderMap, address: &str) -> ApiResult<Response<Body>> {
    negotiate(
        headers,
        |group| group.is_empty(),
        || {
            json!({
                "kind": "APIVersions",
                "versions": ["v1"],
                "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": address}],
            })
        },
    )
}

/// Answers `/apis`.
///
/// # Errors
/// 406 when no form asked for is served.
pub fn groups(headers: &HeaderMap) -> ApiResult<Response<Body>> {
    negotiate(
        headers,
        |group| !group.is_empty(),
        || {
            let groups: Vec<Value> = kinds::groups()
                .iter()
                .filter(|(group, _)| !group.is_empty())
                .map(|(group, versions)| group_value(group, versions))
                .collect();
            json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
        },
    )
}

fn negotiate(
    headers: &HeaderMap,
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
            "application/json" if aggregated => {
                let body = to_vec(&aggregate(&belongs));
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

fn group_value(group: &str, versions: &[&str]) -> Value {
    let version =
        |version: &&str| json!({"groupVersion": format!("{group}/{version}"), "version": version});
    let versions: Vec<Value> = versions.iter().map(version).collect();
    let preferred = versions.first().cloned().unwrap_or_default();
    json!({"name": group, "versions": versions, "preferredVersion": preferred})
}

/// Answers `/apis/GROUP`.
///
/// # Errors
/// 404 for an unknown group.
pub fn group(name: &str) -> ApiResult<Response<Body>> {
    let (name, versions) = kinds::groups()
        .iter()
        .find(|(group, _)| *group == name && !name.is_empty())
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
pub fn resources(group: &str, version: &str) -> ApiResult<Response<Body>> {
    let Some((_, versions)) = kinds::groups().iter().find(|(known, _)| *known == group) else {
        return Err(ApiError::no_such_path());
    };
    if !versions.contains(&version) {
        return Err(ApiError::no_such_resource());
    }
    let mut resources: Vec<Value> = Vec::new();
    for kind in sorted(group, version) {
        resources.push(resource(kind));
        resources.extend(kind.subresources.iter().map(|sub| subresource(kind, sub)));
    }
    resources.sort_by(|left, right| left["name"].as_str().cmp(&right["name"].as_str()));
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

fn sorted(group: &str, version: &str) -> Vec<&'static Kind> {
    let mut rows: Vec<&'static Kind> = kinds::all()
        .iter()
        .filter(|kind| kind.group == group && kind.version == version)
        .collect();
    rows.sort_by_key(|kind| kind.plural);
    rows
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
    let digest = Sha256::digest(format!("{}/{}/{}", kind.group, kind.version, kind.kind));
    STANDARD.encode(&digest[..8])
}

fn aggregate(belongs: &impl Fn(&str) -> bool) -> Value {
    let items: Vec<Value> = kinds::groups()
        .iter()
        .filter(|(group, _)| belongs(group))
        .map(|(group, versions)| {
            let mut metadata = Map::new();
            if !group.is_empty() {
                metadata.insert("name".to_owned(), json!(group));
            }
            let versions: Vec<Value> = versions
                .iter()
                .map(|version| {
                    let resources: Vec<Value> = sorted(group, version)
                        .into_iter()
                        .map(aggregated_resource)
                        .collect();
                    json!({"version": version, "resources": resources, "freshness": "Current"})
                })
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
