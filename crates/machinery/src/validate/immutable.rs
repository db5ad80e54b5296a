//! What updates may not change.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{At, Bad, Causes, batch, config, go_json, names, network, node, service, storage};
use crate::kind::Kind;
use crate::schema;

const SET_SPEC: &str = "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden";

/// Compares an update with what it replaces.
pub(super) fn check(kind: &Kind, object: &At<'_>, old: &Value, causes: &mut Causes) {
    match (kind.group, kind.kind) {
        ("apps", "Deployment" | "ReplicaSet" | "DaemonSet") => {
            let spec = object.field("spec");
            field(&spec.field("selector"), &old["spec"]["selector"], causes);
        }
        ("apps", "StatefulSet") => stateful_set(object, old, causes),
        ("apps", "ControllerRevision") => field(&object.field("data"), &old["data"], causes),
        ("batch", "Job") => batch::job_update(object, old, causes),
        ("", "ConfigMap") => {
            config::frozen(object, old, &["data", "binaryData"], causes);
        }
        ("", "Secret") => {
            field(&object.field("type"), &old["type"], causes);
            config::frozen(object, old, &["data"], causes);
        }
        ("", "ResourceQuota") => {
            let spec = object.field("spec");
            let scopes = spec.field("scopes");
            if as_set(scopes.value) != as_set(&old["spec"]["scopes"]) {
                causes.invalid(&scopes.path, scopes.value, names::IMMUTABLE);
            }
        }
        ("", "Node") => node::update(object, old, causes),
        ("", "Service") => service::update(object, old, causes),
        ("", "PersistentVolumeClaim") => storage::claim_update(object, old, causes),
        ("", "PersistentVolume") => {
            // Upstream's rules for updates begin with those for new volumes.
            storage::persistent_volume(object, causes);
            storage::volume_update(object, old, causes);
        }
        ("storage.k8s.io", _) => storage::class_update(kind.kind, object, old, causes),
        ("scheduling.k8s.io", "PriorityClass") => {
            config::priority_class_update(object, old, causes);
        }
        ("node.k8s.io", "RuntimeClass") => field(&object.field("handler"), &old["handler"], causes),
        ("rbac.authorization.k8s.io", "RoleBinding" | "ClusterRoleBinding") => {
            let role = object.field("roleRef");
            if role.value != &old["roleRef"] {
                let shown = format!(
                    "{{\"APIGroup\":{},\"Kind\":{},\"Name\":{}}}",
                    role.value["apiGroup"], role.value["kind"], role.value["name"]
                );
                causes.invalid(&role.path, Bad::raw(shown), "cannot change roleRef");
            }
        }
        ("discovery.k8s.io", "EndpointSlice") => {
            field(&object.field("addressType"), &old["addressType"], causes);
        }
        ("networking.k8s.io", _) => network::update(kind.kind, object, old, causes),
        _ => {}
    }
}

/// The texts of a list, whatever their order.
fn as_set(list: &Value) -> BTreeSet<&str> {
    let list = list.as_array().into_iter().flatten();
    list.filter_map(Value::as_str).collect()
}

/// A field that never changes.
pub(super) fn field(at: &At<'_>, old: &Value, causes: &mut Causes) {
    if !equal(at.value, old) {
        causes.invalid(&at.path, at.value, names::IMMUTABLE);
    }
}

/// A structure of an internal type that never changes; it is shown with the
/// named fields, absent texts as empty ones, in Go's names.
pub(super) fn structure(at: &At<'_>, old: &Value, fields: &[&str], causes: &mut Causes) {
    if equal(at.value, old) {
        return;
    }
    let shown = match at.value {
        Value::Object(_) => {
            let parts = fields.iter().map(|name| {
                let value = match &at.value[*name] {
                    Value::Null => "\"\"".to_owned(),
                    value => go_json(value),
                };
                format!("{}:{value}", super::quote(&super::go_name(name)))
            });
            format!("{{{}}}", parts.collect::<Vec<_>>().join(","))
        }
        other => go_json(other),
    };
    causes.invalid(&at.path, Bad::raw(shown), names::IMMUTABLE);
}

/// Semantic equality: empty and absent are the same.
pub(super) fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Object(x), Value::Object(y)) => {
            let null = Value::Null;
            x.keys()
                .chain(y.keys())
                .all(|key| equal(x.get(key).unwrap_or(&null), y.get(key).unwrap_or(&null)))
        }
        (Value::Array(x), Value::Array(y)) => {
            x.len() == y.len() && x.iter().zip(y).all(|(x, y)| equal(x, y))
        }
        (Value::Null, other) | (other, Value::Null) => match other {
            Value::Array(list) => list.is_empty(),
            Value::Object(map) => map.is_empty(),
            other => other.is_null(),
        },
        (x, y) => x == y,
    }
}

/// Whether two values of a built-in type are the same in canonical form.
pub(super) fn same(definition: &str, a: &Value, b: &Value) -> bool {
    let canonical = |value: &Value| {
        let mut value = value.clone();
        if let Some(node) = schema::builtin().get(definition) {
            crate::canonical::canonicalize(node, &mut value);
        }
        value
    };
    equal(&canonical(a), &canonical(b))
}

fn stateful_set(object: &At<'_>, old: &Value, causes: &mut Causes) {
    let spec = object.field("spec");
    let fixed = |spec: &Value| {
        let mut spec = spec.clone();
        if let Some(map) = spec.as_object_mut() {
            for name in [
                "replicas",
                "ordinals",
                "template",
                "updateStrategy",
                "revisionHistoryLimit",
                "persistentVolumeClaimRetentionPolicy",
                "minReadySeconds",
            ] {
                map.remove(name);
            }
        }
        spec
    };
    let definition = "io.k8s.api.apps.v1.StatefulSetSpec";
    if !same(definition, &fixed(spec.value), &fixed(&old["spec"])) {
        causes.forbidden(&spec.path, SET_SPEC);
    }
}
