//! Defaults of a schema: each must be a value that the schema would take.
//!
//! Defaults inside of metadata are judged by their type alone, not as names
//! and labels.

use serde_json::Value;

use super::schema::{DEPTH_MAX, META_FIELDS, flag_of};
use crate::custom;
use crate::validate::{At, Causes};

/// Judges every default of the schema of a version.
pub(super) fn check(root: &At<'_>, causes: &mut Causes) {
    walk(root, true, false, 0, causes);
}

fn walk(schema: &At<'_>, whole: bool, in_meta: bool, depth: usize, causes: &mut Causes) {
    if depth > DEPTH_MAX {
        return;
    }
    let default = schema.field("default");
    if default.is_set() {
        judge(schema, &default, whole, in_meta && !whole, causes);
    }
    let embedded = |schema: &At<'_>| flag_of(schema, "x-kubernetes-embedded-resource");
    let in_meta = in_meta && !whole;
    let items = schema.field("items");
    if items.is_set() {
        walk(&items, embedded(&items), in_meta, depth + 1, causes);
    }
    let properties = schema.field("properties");
    for (name, value) in properties.entries() {
        let child = At {
            value,
            path: properties.path.key(name),
        };
        let in_meta = in_meta || (whole && META_FIELDS.contains(&name));
        walk(&child, embedded(&child), in_meta, depth + 1, causes);
    }
}

fn judge(schema: &At<'_>, default: &At<'_>, whole: bool, in_meta: bool, causes: &mut Causes) {
    if !in_meta && has_unknown(schema.value, default.value, whole, 0) {
        causes.invalid(&default.path, default.value, "must not have unknown fields");
    }
    for mut cause in custom::judge_value(schema.value, default.value) {
        cause.field = match cause.field.as_str() {
            "" => default.path.to_string(),
            field => format!("{}.{field}", default.path),
        };
        causes.list.push(cause);
    }
}

/// Whether pruning by the schema would take something away.
fn has_unknown(schema: &Value, value: &Value, whole: bool, depth: usize) -> bool {
    if depth > DEPTH_MAX {
        return false;
    }
    let embedded = |schema: &Value| schema["x-kubernetes-embedded-resource"] == true;
    match value {
        Value::Object(map) => map.iter().any(|(name, value)| {
            if whole && META_FIELDS.contains(&name.as_str()) {
                return false;
            }
            let field = schema["properties"].get(name);
            let others = &schema["additionalProperties"];
            match field.or_else(|| others.is_object().then_some(others)) {
                Some(schema) => has_unknown(schema, value, embedded(schema), depth + 1),
                None => *others != true && schema["x-kubernetes-preserve-unknown-fields"] != true,
            }
        }),
        Value::Array(list) => {
            let items = &schema["items"];
            let mut list = list.iter();
            items.is_object() && list.any(|v| has_unknown(items, v, embedded(items), depth + 1))
        }
        _ => false,
    }
}
