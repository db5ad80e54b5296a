//! Strategic merge patch: lists merge by key, directives delete and reorder.
//!
//! [`apply`] follows `k8s.io/apimachinery/pkg/util/strategicpatch` with its
//! server-side options, to the order of every list: the order in which items
//! end up is visible to users, so it is copied with its oddities. Making
//! patches, which clients do, is not here.

mod go;
mod lists;
mod order;

use serde_json::{Map, Value};

use super::{PatchError, cannot_unmarshal};
use crate::schema::{Node, Shape};
use go::TypeName;

const DIRECTIVE: &str = "$patch";
const DELETE_FROM_LIST: &str = "$deleteFromPrimitiveList";
const RETAIN_KEYS: &str = "$retainKeys";
const ELEMENT_ORDER: &str = "$setElementOrder";

/// Values nest at most this deep; the parser of request bodies allows 128.
const DEPTH_MAX: usize = 128;

type Result<T> = std::result::Result<T, PatchError>;

/// Returns `document` with `patch` merged into it by the facts of `schema`.
///
/// Custom resources have no such facts in upstream's eyes: their patches are
/// refused with 415 before this is called.
///
/// # Errors
/// When the patch is malformed, or breaks a rule of its directives.
pub fn apply(schema: Node<'_>, document: &Value, patch: &Value) -> Result<Value> {
    if patch.is_null() {
        return Ok(document.clone());
    }
    let Value::Object(patch) = patch else {
        let text = cannot_unmarshal(patch, "map[string]interface {}");
        return Err(PatchError::Malformed(text));
    };
    let Value::Object(document) = document else {
        return Err(PatchError::Malformed("invalid JSON document".to_owned()));
    };
    let merged = merge_map(document.clone(), patch.clone(), Some(schema), 0)?;
    Ok(Value::Object(merged))
}

/// How one field merges.
#[derive(Clone, Copy)]
struct Field<'a> {
    /// The field's own type, or its element's for a list.
    schema: Option<Node<'a>>,
    merge: bool,
    merge_key: Option<&'a str>,
}

/// Looks up a field whose value is a map on both sides.
fn map_field<'a>(schema: Option<Node<'a>>, key: &str) -> Result<Field<'a>> {
    let node = lookup(schema, key)?;
    Ok(Field {
        schema: Some(node),
        merge: false,
        merge_key: None,
    })
}

/// Looks up a field whose value is a list on both sides.
fn list_field<'a>(schema: Option<Node<'a>>, key: &str) -> Result<Field<'a>> {
    let node = lookup(schema, key)?;
    if node.shape() != Shape::List {
        return Err(PatchError::Unprocessed(
            "expected slice or array type, but got: struct".to_owned(),
        ));
    }
    Ok(Field {
        schema: node.element(),
        merge: node.patch_strategy().merge,
        merge_key: node.patch_merge_key(),
    })
}

fn lookup<'a>(schema: Option<Node<'a>>, key: &str) -> Result<Node<'a>> {
    let schema = schema.filter(|schema| schema.shape() == Shape::Object);
    let Some(schema) = schema else {
        let message = "merging an object in json but data type is not struct, instead is: map";
        return Err(PatchError::Unprocessed(message.to_owned()));
    };
    schema.field(key).ok_or_else(|| {
        let name = schema
            .definition()
            .and_then(|name| name.rsplit('.').next())
            .unwrap_or_default();
        let message =
            format!("unable to find api field in struct {name} for the json field {key:?}");
        PatchError::Unprocessed(message)
    })
}

/// Merges two maps. A `$patch` directive beside the fields governs alone.
fn merge_map(
    mut original: Map<String, Value>,
    mut patch: Map<String, Value>,
    schema: Option<Node<'_>>,
    depth: usize,
) -> Result<Map<String, Value>> {
    if depth > DEPTH_MAX {
        return Err(PatchError::Malformed("the patch nests too deep".to_owned()));
    }
    if let Some(directive) = patch.get(DIRECTIVE).cloned() {
        return match directive.as_str() {
            Some("replace") => {
                patch.shift_remove(DIRECTIVE);
                Ok(patch)
            }
            Some("delete") => Ok(Map::new()),
            _ => Err(bad_patch_type(&directive, &patch)),
        };
    }
    retain_keys(&mut original, &mut patch)?;
    lists::merge_ordered(&mut original, &mut patch, schema, depth)?;
    for (key, change) in patch {
        merge_field(&mut original, &key, change, schema, depth)?;
    }
    Ok(original)
}

fn merge_field(
    original: &mut Map<String, Value>,
    key: &str,
    change: Value,
    schema: Option<Node<'_>>,
    depth: usize,
) -> Result<()> {
    let deletes = key.starts_with(DELETE_FROM_LIST);
    let key = if deletes {
        target(key, DELETE_FROM_LIST)?
    } else {
        key
    };
    if change.is_null() {
        original.shift_remove(key);
        return Ok(());
    }
    let Some(present) = original.get_mut(key) else {
        if !deletes {
            set(original, key, without_directives(without_nulls(change)));
        }
        return Ok(());
    };
    match (present, change) {
        (Value::Object(present), Value::Object(change)) => {
            let field = map_field(schema, key)?;
            *present = merge_map(std::mem::take(present), change, field.schema, depth + 1)?;
        }
        (Value::Array(present), Value::Array(change)) => {
            let field = list_field(schema, key)?;
            *present = if field.merge || deletes {
                lists::merge_list(std::mem::take(present), change, field, deletes, depth + 1)?.items
            } else {
                change
            };
        }
        (present, change) if deletes => {
            // Only lists can be deleted from; a value of another type stays.
            let same_type = TypeName::of(present) == TypeName::of(&change);
            if same_type {
                set(original, key, Some(change));
            }
        }
        (present, change) => {
            let same_type = TypeName::of(present) == TypeName::of(&change);
            let change = if same_type {
                change
            } else {
                without_nulls(change)
            };
            set(original, key, without_directives(change));
        }
    }
    Ok(())
}

/// Puts a value in the place of `key`; `None` removes it.
fn set(map: &mut Map<String, Value>, key: &str, value: Option<Value>) {
    match value {
        Some(value) => {
            map.insert(key.to_owned(), value);
        }
        None => {
            map.shift_remove(key);
        }
    }
}

/// The field that a directive such as `$setElementOrder/containers` is about.
fn target<'k>(key: &'k str, prefix: &str) -> Result<&'k str> {
    key.strip_prefix(prefix)
        .and_then(|rest| rest.strip_prefix('/'))
        .ok_or_else(|| {
            let list = if prefix == ELEMENT_ORDER {
                "setElementOrder"
            } else {
                "primitive"
            };
            PatchError::Malformed(format!("invalid patch format of {list} list"))
        })
}

/// Obeys `$retainKeys`: clears what it does not name.
fn retain_keys(original: &mut Map<String, Value>, patch: &mut Map<String, Value>) -> Result<()> {
    let Some(retained) = patch.shift_remove(RETAIN_KEYS) else {
        return Ok(());
    };
    let malformed = || PatchError::Malformed("invalid patch format of retainKeys".to_owned());
    let retained = retained.as_array().ok_or_else(malformed)?;
    let names: Vec<&str> = retained.iter().filter_map(Value::as_str).collect();
    let is_directive =
        |key: &str| key.starts_with(DELETE_FROM_LIST) || key.starts_with(ELEMENT_ORDER);
    let strays = patch.iter().any(|(key, value)| {
        !value.is_null() && !is_directive(key) && !names.contains(&key.as_str())
    });
    if strays {
        return Err(malformed());
    }
    original.retain(|key, _| names.contains(&key.as_str()));
    Ok(())
}

/// Drops null members of maps at every depth: nothing is left to delete in a
/// value that is new.
fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let members = map.into_iter().filter(|(_, value)| !value.is_null());
            Value::Object(
                members
                    .map(|(key, value)| (key, without_nulls(value)))
                    .collect(),
            )
        }
        Value::Array(items) => Value::Array(items.into_iter().map(without_nulls).collect()),
        scalar => scalar,
    }
}

/// Drops maps that carry a `$patch` directive, at every depth.
fn without_directives(value: Value) -> Option<Value> {
    Some(match value {
        Value::Object(map) if map.contains_key(DIRECTIVE) => return None,
        Value::Object(map) => {
            let members = map
                .into_iter()
                .filter_map(|(key, value)| Some((key, without_directives(value)?)));
            Value::Object(members.collect())
        }
        Value::Array(items) => {
            Value::Array(items.into_iter().filter_map(without_directives).collect())
        }
        scalar => scalar,
    })
}

fn bad_patch_type(directive: &Value, patch: &Map<String, Value>) -> PatchError {
    let message = format!(
        "unknown patch type: {} in map: {}",
        go::as_text(directive),
        go::print_map(patch)
    );
    PatchError::Unprocessed(message)
}

fn no_merge_key(item: &Map<String, Value>, merge_key: &str) -> PatchError {
    let message = format!(
        "map: {} does not contain declared merge key: {merge_key}",
        go::print_map(item)
    );
    PatchError::Unprocessed(message)
}

fn bad_type(expected: &str, value: &Value) -> PatchError {
    PatchError::Unprocessed(format!(
        "expected a {expected}, but received a {}",
        TypeName::of(value).text()
    ))
}

fn as_map(value: &Value) -> Result<&Map<String, Value>> {
    value
        .as_object()
        .ok_or_else(|| bad_type("map[string]interface {}", value))
}

#[cfg(test)]
mod tests;
