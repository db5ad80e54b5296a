//! How lists and maps of a schema are merged: `x-kubernetes-list-type`,
//! `x-kubernetes-list-map-keys`, `x-kubernetes-map-type`.

use std::collections::BTreeSet;

use super::schema::flag_of;
use crate::validate::{At, Causes};

/// Judges one schema, its children left out.
pub(super) fn check(schema: &At<'_>, causes: &mut Causes) {
    let map = schema.field("x-kubernetes-map-type");
    if map.is_set() {
        let detail = "must be object if x-kubernetes-map-type is specified";
        must_be(schema, "object", detail, causes);
        causes.one_of(&map, &["atomic", "granular"]);
    }
    list(schema, causes);
    keys(schema, causes);
    if schema.value["x-kubernetes-list-type"] == "map" {
        keyed(schema, causes);
    }
    items(schema, causes);
}

fn must_be(schema: &At<'_>, wanted: &str, detail: &str, causes: &mut Causes) -> bool {
    let kind = schema.field("type");
    match kind.text() {
        text if text == wanted => return true,
        "" => causes.required(&kind.path, detail),
        other => causes.invalid(&kind.path, other, detail),
    }
    false
}

fn list(schema: &At<'_>, causes: &mut Causes) {
    let kind = schema.field("x-kubernetes-list-type");
    if !kind.is_set() {
        return;
    }
    let detail = "must be array if x-kubernetes-list-type is specified";
    if must_be(schema, "array", detail, causes) && kind.text() == "set" {
        atomic_elements(&schema.field("items"), causes);
    }
    causes.one_of(&kind, &["atomic", "set", "map"]);
}

/// The elements of a set are taken whole.
fn atomic_elements(items: &At<'_>, causes: &mut Causes) {
    let detail = "must be atomic as item of a list with x-kubernetes-list-type=set";
    let (list, map) = (
        items.field("x-kubernetes-list-type"),
        items.field("x-kubernetes-map-type"),
    );
    match items.field("type").text() {
        "array" if list.is_set() && list.text() != "atomic" => {
            causes.invalid(&list.path, list.value, detail);
        }
        // Upstream shows the list type here, too.
        "object" if map.text() != "atomic" => causes.invalid(&map.path, list.value, detail),
        _ => {}
    }
}

fn keys(schema: &At<'_>, causes: &mut Causes) {
    let kind = schema.field("x-kubernetes-list-type");
    if schema.field("x-kubernetes-list-map-keys").is_empty() {
        return;
    }
    let detail = "must be map if x-kubernetes-list-map-keys is non-empty";
    match kind.text() {
        "map" => {}
        "" if !kind.is_set() => causes.required(&kind.path, detail),
        other => causes.invalid(&kind.path, other, detail),
    }
}

/// A list whose elements are told apart by keys.
fn keyed(schema: &At<'_>, causes: &mut Causes) {
    let keys = schema.field("x-kubernetes-list-map-keys");
    if keys.is_empty() {
        let detail = "must not be empty if x-kubernetes-list-type is map";
        causes.required(&keys.path, detail);
    }
    let items = schema.field("items");
    if !items.is_set() {
        let detail = "must have a schema if x-kubernetes-list-type is map";
        causes.required(&items.path, detail);
        return;
    }
    let kind = items.field("type");
    if kind.text() != "object" {
        let detail = "must be object if parent array's x-kubernetes-list-type is map";
        causes.invalid(&kind.path, kind.text(), detail);
        return;
    }
    let properties = items.field("properties");
    let mut seen = BTreeSet::new();
    for key in keys.items() {
        match properties.value.get(key.text()) {
            None => {
                let detail = "entries must all be names of item properties";
                causes.invalid(&keys.path, keys.value, detail);
            }
            Some(property) if property["type"] == "array" || property["type"] == "object" => {
                let path = properties.path.key(key.text());
                let detail =
                    "must be a scalar type if parent array's x-kubernetes-list-type is map";
                causes.invalid(&path.field("type"), kind.text(), detail);
            }
            Some(_) => {}
        }
        if !seen.insert(key.text()) {
            let detail = "must not contain duplicate entries";
            causes.invalid(&keys.path, keys.value, detail);
        }
    }
}

/// Elements, and the keys of elements, are never null or absent.
fn items(schema: &At<'_>, causes: &mut Causes) {
    let kind = schema.field("x-kubernetes-list-type");
    let items = schema.field("items");
    if !matches!(kind.text(), "set" | "map") || !items.value.is_object() {
        return;
    }
    if flag_of(&items, "nullable") {
        let detail = format!(
            "cannot be nullable when x-kubernetes-list-type is {}",
            kind.text()
        );
        causes.forbidden(&items.path.field("nullable"), &detail);
    }
    if kind.text() == "set" {
        return;
    }
    let required = items.field("required");
    let properties = items.field("properties");
    for key in schema.field("x-kubernetes-list-map-keys").items() {
        let Some(value) = properties.value.get(key.text()) else {
            continue;
        };
        let path = properties.path.key(key.text());
        let is_required = required.items().any(|name| name.text() == key.text());
        if !is_required && value["default"].is_null() {
            let detail = "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property";
            causes.required(&path.field("default"), detail);
        }
        if value["nullable"] == true {
            let detail = "this property is in x-kubernetes-list-map-keys, so it cannot be nullable";
            causes.forbidden(&path.field("nullable"), detail);
        }
    }
}
