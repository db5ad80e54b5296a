//! Defaulting: what an absent field means, written into the object.
//!
//! [`apply`] does for every built-in kind what upstream's defaulting functions
//! do when an object is decoded; it is idempotent. Defaults that depend on
//! other objects (cluster addresses, priorities, tolerations, service
//! accounts) are admission's and allocation's, not these.

use serde_json::{Map, Value};

use crate::kind::Kind;

pub use crate::defaults::pods::pod_spec;

/// Writes the defaults of `kind` into a decoded object.
pub fn apply(kind: &Kind, object: &mut Value) {
    if kind.custom.is_some() {
        crate::custom::default(kind.schema(), object);
    } else if let Value::Object(object) = object {
        crate::defaults::apply(kind, object);
    }
}

/// A JSON object, as the defaulting functions hand it around.
pub(crate) type Object = Map<String, Value>;

/// Returns the object at `name`, if there is one.
pub(crate) fn child<'a>(object: &'a mut Object, name: &str) -> Option<&'a mut Object> {
    object.get_mut(name)?.as_object_mut()
}

/// Returns the object at `name`, made empty where absent.
pub(crate) fn child_or_new<'a>(object: &'a mut Object, name: &str) -> Option<&'a mut Object> {
    value(object, name, || Value::Object(Map::new()));
    child(object, name)
}

/// Returns the objects of the list at `name`.
pub(crate) fn each<'a>(
    object: &'a mut Object,
    name: &str,
) -> impl Iterator<Item = &'a mut Object> + use<'a> {
    object
        .get_mut(name)
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
        .filter_map(Value::as_object_mut)
}

/// Returns the text at `name`, empty where absent.
pub(crate) fn get_text<'a>(object: &'a Object, name: &str) -> &'a str {
    object.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// Whether nothing stands at `name`.
pub(crate) fn is_absent(object: &Object, name: &str) -> bool {
    object.get(name).is_none_or(Value::is_null)
}

/// Sets a field that is absent; zero and empty values stay (pointers upstream).
pub(crate) fn value<V: Into<Value>>(object: &mut Object, name: &str, make: impl FnOnce() -> V) {
    if is_absent(object, name) {
        object.insert(name.to_owned(), make().into());
    }
}

/// Sets a text that is absent or empty.
pub(crate) fn text(object: &mut Object, name: &str, default: &str) {
    if is_absent(object, name) || object[name] == "" {
        object.insert(name.to_owned(), Value::from(default));
    }
}

/// Sets a number that is absent or zero.
pub(crate) fn number(object: &mut Object, name: &str, default: i64) {
    if is_absent(object, name) || object[name] == 0 {
        object.insert(name.to_owned(), Value::from(default));
    }
}
