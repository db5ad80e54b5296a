//! What a kind means, asked of `machinery` in one place: defaults, first
//! status, validation, warnings. Nothing is decided here.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use coracle_machinery::kind::Kind;
use coracle_machinery::schema::{Node, Shape};
use coracle_machinery::{canonical, convert, default, strategy, validate};
use jiff::Timestamp;
use serde_json::Value;

use crate::custom;
use crate::status::{ApiError, ApiResult, Cause};

/// Writes defaults into a decoded object.
pub fn default(kind: &'static Kind, object: &mut Value) {
    if let Some(custom) = custom::of(kind) {
        custom::objects::default(custom, object);
        return;
    }
    fold_string_data(kind, object);
    count_template(kind, object, None);
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
    if custom::of(kind).is_some() {
        return;
    }
    let schema = kind.schema();
    canonical::canonicalize(schema, object);
    empty_to_null(schema, object);
}

/// Brings an object into the form field owners are compared in: as the client
/// means it, before it was stored.
pub fn compared_form(kind: &'static Kind, object: &mut Value) {
    if custom::of(kind).is_none() {
        canonical::canonicalize(kind.schema(), object);
    }
}

/// An empty list that is always written is a nil slice once it was stored, and
/// nil slices are written as `null`.
fn empty_to_null(schema: Node<'_>, value: &mut Value) {
    match value {
        Value::Object(map) => {
            for (name, member) in map.iter_mut() {
                let node = match schema.shape() {
                    Shape::Object => schema.field(name),
                    Shape::Map => schema.element(),
                    _ => None,
                };
                if let Some(node) = node {
                    empty_to_null(node, member);
                }
            }
        }
        Value::Array(list) if list.is_empty() && schema.is_always_written() => *value = Value::Null,
        Value::Array(list) => {
            if let Some(element) = schema.element() {
                list.iter_mut()
                    .for_each(|member| empty_to_null(element, member));
            }
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

/// A definition remembers every version its objects were stored in.
fn note_stored_version(kind: &Kind, object: &mut Value) {
    if kind.kind != "CustomResourceDefinition" {
        return;
    }
    let versions = object["spec"]["versions"].as_array();
    let storage = versions
        .into_iter()
        .flatten()
        .find(|version| version["storage"] == true);
    let Some(name) = storage.map(|version| version["name"].clone()) else {
        return;
    };
    let mut stored = object["status"]["storedVersions"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    if !stored.contains(&name) {
        stored.push(name);
    }
    object["status"]["storedVersions"] = Value::Array(stored);
}

/// Annotation in which a DaemonSet counts changes of its template.
pub const TEMPLATE_GENERATION: &str = "deprecated.daemonset.template.generation";

/// DaemonSets count changes of their template in an annotation, which is always
/// there: zero when nobody has counted yet.
fn count_template(kind: &Kind, object: &mut Value, count: Option<i64>) {
    if kind.kind != "DaemonSet" {
        return;
    }
    let annotations = &mut object["metadata"]["annotations"];
    if !annotations.is_object() {
        *annotations = Value::Object(serde_json::Map::new());
    }
    if count.is_some() || annotations.get(TEMPLATE_GENERATION).is_none() {
        annotations[TEMPLATE_GENERATION] = count.unwrap_or(0).to_string().into();
    }
}

/// Brings an object into the form it has when it is read back: what is stored
/// is defaulted once more, as upstream does on every read.
pub fn stored_form(kind: &'static Kind, object: &mut Value) {
    default(kind, object);
    canonicalize(kind, object);
}

/// Prepares a new object.
pub fn prepare_create(kind: &'static Kind, object: &mut Value) {
    if custom::of(kind).is_some() {
        return custom::objects::prepare_create(kind, object);
    }
    strategy::prepare_create(kind, object, Timestamp::now());
    count_template(kind, object, Some(1));
    note_stored_version(kind, object);
}

/// Prepares an update.
pub fn prepare_update(
    kind: &'static Kind,
    subresource: Option<&str>,
    object: &mut Value,
    old: &Value,
) {
    if custom::of(kind).is_some() {
        return custom::objects::prepare_update(kind, subresource, object, old);
    }
    strategy::prepare_update(kind, subresource, object, old, Timestamp::now());
    if subresource.is_none() {
        note_stored_version(kind, object);
    }
    if kind.kind == "DaemonSet" {
        let before = old["metadata"]["annotations"][TEMPLATE_GENERATION].as_str();
        let before = before
            .and_then(|count| count.parse::<i64>().ok())
            .unwrap_or(1);
        let changed = object["spec"]["template"] != old["spec"]["template"];
        count_template(kind, object, Some(before + i64::from(changed)));
    }
}

/// Validates a new object.
pub fn validate_create(kind: &Kind, object: &Value) -> Vec<Cause> {
    let mut found = causes(validate::create(kind, object));
    found.extend(by_schema(kind, object));
    found
}

/// Judges a custom object by its schema.
fn by_schema(kind: &Kind, object: &Value) -> Vec<Cause> {
    custom::of(kind)
        .map(|custom| custom::validate::object(&custom.schema, object))
        .unwrap_or_default()
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

/// Validates an update.
pub fn validate_update(
    kind: &Kind,
    subresource: Option<&str>,
    object: &Value,
    old: &Value,
) -> Vec<Cause> {
    let mut found = causes(validate::update(kind, subresource, object, old));
    found.extend(by_schema(kind, object));
    found
}

/// Returns what is questionable about a new or changed object.
pub fn warnings(kind: &Kind, object: &Value, old: Option<&Value>) -> Vec<String> {
    validate::warnings(kind, object, old)
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
