//! What a kind means, asked of `machinery` in one place: defaults, first
//! status, validation, warnings. Nothing is decided here.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use coracle_machinery::kind::Kind;
use coracle_machinery::{canonical, convert, default, strategy, validate};
use jiff::Timestamp;
use serde_json::Value;

use crate::status::{ApiError, ApiResult, Cause};

/// Writes defaults into a decoded object.
pub fn default(kind: &'static Kind, object: &mut Value) {
    fold_string_data(kind, object);
    begin_count(kind, object);
    default::apply(kind, object);
    if kind.stored_as.is_some() {
        // What the storage's version adds shows in this one too.
        let storage = kind.storage();
        convert::to_storage(kind, object);
        default::apply(storage, object);
        convert::from_storage(kind, object);
    }
}

/// Brings an object into the form it is stored and answered in.
pub fn canonicalize(kind: &'static Kind, object: &mut Value) {
    canonical::apply(kind, object);
}

/// Brings an object into the form field owners are compared in: canonical, but
/// before it was stored, when an empty list was still a list.
pub fn compared_form(kind: &'static Kind, object: &mut Value) {
    let before = holds_empty_list(object).then(|| object.clone());
    canonical::apply(kind, object);
    if let Some(before) = before {
        restore_empty(&before, object);
    }
}

fn holds_empty_list(value: &Value) -> bool {
    match value {
        Value::Array(list) => list.is_empty() || list.iter().any(holds_empty_list),
        Value::Object(map) => map.values().any(holds_empty_list),
        _ => false,
    }
}

fn restore_empty(before: &Value, value: &mut Value) {
    match (before, &mut *value) {
        (Value::Array(list), Value::Null) if list.is_empty() => *value = before.clone(),
        (Value::Object(before), Value::Object(map)) => {
            for (name, member) in map.iter_mut() {
                if let Some(before) = before.get(name) {
                    restore_empty(before, member);
                }
            }
        }
        (Value::Array(before), Value::Array(list)) => {
            before
                .iter()
                .zip(list)
                .for_each(|(before, member)| restore_empty(before, member));
        }
        _ => {}
    }
}

/// Texts of a Secret become its data as soon as they are read.
fn fold_string_data(kind: &Kind, object: &mut Value) {
    if (kind.group, kind.kind) != ("", "Secret") {
        return;
    }
    let Some(Value::Object(texts)) = object
        .as_object_mut()
        .and_then(|map| map.shift_remove("stringData"))
    else {
        return;
    };
    for (key, text) in texts {
        object["data"][key] = STANDARD.encode(text.as_str().unwrap_or_default()).into();
    }
}

/// Annotation in which a DaemonSet counts changes of its template.
pub const TEMPLATE_GENERATION: &str = "deprecated.daemonset.template.generation";

/// The count of a DaemonSet is always there: zero when nobody has counted yet.
fn begin_count(kind: &Kind, object: &mut Value) {
    if kind.kind != "DaemonSet" {
        return;
    }
    let annotations = &mut object["metadata"]["annotations"];
    if !annotations.is_object() {
        *annotations = Value::Object(serde_json::Map::new());
    }
    if annotations.get(TEMPLATE_GENERATION).is_none() {
        annotations[TEMPLATE_GENERATION] = "0".into();
    }
}

/// Brings an object into the form it has when it is read back: what is stored
/// is defaulted once more, as upstream does on every read.
pub fn stored_form(kind: &'static Kind, object: &mut Value) {
    default(kind, object);
    canonicalize(kind, object);
}

/// Prepares a new object.
pub fn prepare_create(kind: &Kind, object: &mut Value) {
    strategy::prepare_create(kind, object, Timestamp::now());
}

/// Prepares an update.
pub fn prepare_update(kind: &Kind, subresource: Option<&str>, object: &mut Value, old: &Value) {
    strategy::prepare_update(kind, subresource, object, old, Timestamp::now());
}

/// Validates a new object.
pub fn validate_create(kind: &Kind, object: &Value) -> Vec<Cause> {
    causes(validate::create(kind, object))
}

fn causes(found: Vec<validate::Cause>) -> Vec<Cause> {
    found
        .into_iter()
        .map(|cause| Cause {
            reason: cause.reason.as_str().to_owned(),
            message: cause.message,
            field: cause.field,
        })
        .collect()
}

/// Validates an access review.
pub fn validate_review(kind: &Kind, object: &Value) -> Vec<Cause> {
    causes(validate::review(kind, object))
}

/// Validates the name under which fields are owned.
pub fn validate_manager(name: &str) -> Vec<Cause> {
    causes(validate::field_manager(name))
}

/// Validates `DeleteOptions`.
pub fn validate_delete_options(options: &Value) -> Vec<Cause> {
    causes(validate::delete_options(options))
}

/// Validates an update.
pub fn validate_update(
    kind: &Kind,
    subresource: Option<&str>,
    object: &Value,
    old: &Value,
) -> Vec<Cause> {
    causes(validate::update(kind, subresource, object, old))
}

/// Returns what is questionable about a new or changed object.
pub fn warnings(
    kind: &Kind,
    subresource: Option<&str>,
    object: &Value,
    old: Option<&Value>,
) -> Vec<String> {
    validate::warnings(kind, subresource, object, old)
}

/// Turns causes into the error that names them.
///
/// # Errors
/// 422 when there are causes.
pub fn refuse(kind: &Kind, name: &str, causes: Vec<Cause>) -> ApiResult<()> {
    if causes.is_empty() {
        return Ok(());
    }
    // Faults are named in the group of the storage.
    let group = kind.stored_as.map_or(kind.group, |(group, ..)| group);
    Err(ApiError::invalid(group, kind.kind, name, causes))
}
