//! The way over from client-side apply: the annotation in which kubectl keeps
//! what it applied last.
//!
//! Applied by kubectl itself, a configuration may take the fields that the
//! annotation says were its own; afterwards the annotation is kept in step, so
//! that the way back stays open.

use serde_json::{Map, Value};

use super::compare::compare;
use super::fields::fields_of;
use super::types::Type;
use super::validate::validate;
use super::{ApplyError, Conflict, Manager};

/// The manager whose configurations are kept in the annotation.
pub(super) const MANAGER: &str = "kubectl";
const ANNOTATION: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// Bytes that all annotations of an object may have.
const ANNOTATIONS_BYTES_MAX: usize = 256 * 1024;

/// Returns true if every conflict is about a field that client-side apply
/// wrote and nobody changed since.
///
/// # Errors
/// With the conflicts that remain otherwise.
pub(super) fn allows(
    ty: Type<'_>,
    live: &Value,
    conflicts: Vec<Conflict>,
    manager: Manager<'_>,
) -> Result<bool, ApplyError> {
    let Some(last) = last_applied(live, manager) else {
        return Err(ApplyError::Conflicts(conflicts));
    };
    if validate(live, ty).is_err() || validate(&last, ty).is_err() {
        return Err(ApplyError::Conflicts(conflicts));
    }
    let changes = compare(&last, live, ty);
    let own = fields_of(&last, ty)
        .difference(&changes.modified)
        .difference(&changes.added)
        .difference(&changes.removed);
    let remaining: Vec<Conflict> = conflicts
        .into_iter()
        .filter(|conflict| !own.has(&conflict.field.0))
        .collect();
    if remaining.is_empty() {
        Ok(true)
    } else {
        Err(ApplyError::Conflicts(remaining))
    }
}

fn last_applied(live: &Value, manager: Manager<'_>) -> Option<Value> {
    let text = live["metadata"]["annotations"][ANNOTATION].as_str()?;
    let last: Value = serde_json::from_str(text).ok()?;
    (last["apiVersion"] == manager.api_version).then_some(last)
}

/// Writes the configuration into the annotation, if the object has it.
pub(super) fn kept_in_step(mut object: Value, config: &Value, manager: Manager<'_>) -> Value {
    let annotations = object
        .get_mut("metadata")
        .and_then(|metadata| metadata.get_mut("annotations"));
    let Some(annotations) = annotations.and_then(Value::as_object_mut) else {
        return object;
    };
    let present = annotations
        .get(ANNOTATION)
        .and_then(Value::as_str)
        .is_some_and(|text| !text.is_empty());
    if manager.name != MANAGER || !present {
        return object;
    }
    let mut config = config.clone();
    let metadata = config.get_mut("metadata");
    if let Some(Value::Object(annotations)) =
        metadata.and_then(|metadata| metadata.get_mut("annotations"))
    {
        annotations.shift_remove(ANNOTATION);
    }
    annotations.insert(ANNOTATION.to_owned(), encode(&config).into());
    let bytes: usize = annotations
        .iter()
        .map(|(name, text)| name.len() + text.as_str().map_or(0, str::len))
        .sum();
    if bytes > ANNOTATIONS_BYTES_MAX {
        annotations.shift_remove(ANNOTATION);
    }
    object
}

/// JSON as Go's encoder writes it: keys sorted, `<`, `>` and `&` escaped, a
/// line break at the end.
fn encode(config: &Value) -> String {
    let text = sorted(config).to_string();
    text.replace('<', "\\u003c")
        .replace('>', "\\u003e")
        .replace('&', "\\u0026")
        + "\n"
}

fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut members: Vec<_> = map.iter().collect();
            members.sort_by_key(|(name, _)| *name);
            let members = members
                .into_iter()
                .map(|(name, value)| (name.clone(), sorted(value)));
            Value::Object(members.collect::<Map<_, _>>())
        }
        Value::Array(items) => Value::Array(items.iter().map(sorted).collect()),
        scalar => scalar.clone(),
    }
}
