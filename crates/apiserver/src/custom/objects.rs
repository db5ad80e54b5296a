//! What a write does to a custom object besides what the client asked for, and
//! how it is read from a body: the part of `machinery`'s strategy that built-in
//! kinds have in their tables.

use coracle_machinery::kind::Kind;
use coracle_machinery::strict;
use serde_json::{Map, Value, json};

use super::{Custom, defaults};

/// Drops what the schema does not know. Returns one message per unknown field.
pub fn prune(custom: &Custom, value: &mut Value) -> Vec<String> {
    let metadata =
        coracle_machinery::schema::builtin().get("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta");
    let mut unknown = Vec::new();
    if let (Some(metadata), true) = (metadata, value["metadata"].is_object()) {
        // Types of metadata are checked when it is read as one of all objects.
        if let Ok(found) = strict::decode(metadata, &mut value["metadata"]) {
            unknown.extend(
                found
                    .iter()
                    .map(|message| message.replacen('"', "\"metadata.", 1)),
            );
        }
    }
    if custom.schema["x-kubernetes-preserve-unknown-fields"] == true
        && custom.schema.get("properties").is_none()
    {
        return unknown;
    }
    if let Some(types) = custom
        .types
        .and_then(coracle_machinery::schema::Definitions::root)
    {
        unknown.extend(strict::prune(types, value));
    }
    unknown
}

/// Writes defaults.
pub fn default(custom: &Custom, object: &mut Value) {
    defaults::apply(&custom.schema, object);
}

/// Prepares a new object.
pub fn prepare_create(kind: &Kind, object: &mut Value) {
    if let Some(metadata) = object["metadata"].as_object_mut() {
        for name in [
            "selfLink",
            "deletionTimestamp",
            "deletionGracePeriodSeconds",
        ] {
            metadata.shift_remove(name);
        }
        metadata.insert("generation".to_owned(), json!(1));
    }
    if kind.has_status()
        && let Some(map) = object.as_object_mut()
    {
        map.shift_remove("status");
    }
}

/// Prepares an update: with a `status` subresource, main and status are
/// written through their own doors only.
pub fn prepare_update(kind: &Kind, subresource: Option<&str>, object: &mut Value, old: &Value) {
    if subresource == Some("status") {
        let status = object.get("status").cloned();
        let managed = object["metadata"].get("managedFields").cloned();
        let revision = object["metadata"].get("resourceVersion").cloned();
        *object = old.clone();
        put(object, "status", status);
        put(&mut object["metadata"], "managedFields", managed);
        put(&mut object["metadata"], "resourceVersion", revision);
        return;
    }
    if kind.has_status() {
        put(object, "status", old.get("status").cloned());
    }
    let ignored: &[&str] = if kind.has_status() {
        &["metadata", "status"]
    } else {
        &["metadata"]
    };
    let content = |value: &Value| -> Map<String, Value> {
        let map = value.as_object().cloned().unwrap_or_default();
        map.into_iter()
            .filter(|(key, _)| !ignored.contains(&key.as_str()))
            .collect()
    };
    if content(object) != content(old) {
        let generation = old["metadata"]["generation"].as_i64().unwrap_or(0) + 1;
        object["metadata"]["generation"] = json!(generation);
    }
}

fn put(object: &mut Value, key: &str, value: Option<Value>) {
    match value {
        Some(value) => object[key] = value,
        None => {
            if let Some(map) = object.as_object_mut() {
                map.shift_remove(key);
            }
        }
    }
}
