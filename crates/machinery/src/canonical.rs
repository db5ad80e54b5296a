//! The form in which an object is stored and answered: what upstream's types
//! leave out when zero is left out, what they always write is there.
//!
//! [`canonicalize`] assumes a decoded object (`strict::decode`). Which fields
//! are which is among the facts. Field order is left as it is.

use serde_json::{Map, Value};

use crate::kind::Kind;
use crate::schema::{Node, Shape};

/// Brings an object of any kind into its canonical form; of a custom one that
/// is its metadata.
pub fn apply(kind: &Kind, object: &mut Value) {
    let schema = kind.schema();
    if kind.custom.is_none() {
        canonicalize(schema, object);
    } else if let (Some(field), Some(metadata)) =
        (schema.field("metadata"), object.get_mut("metadata"))
    {
        canonicalize(field, metadata);
    }
}

/// Brings a decoded object of a built-in type into its canonical form.
pub fn canonicalize(schema: Node<'_>, object: &mut Value) {
    match (schema.shape(), object) {
        (Shape::Object, Value::Object(map)) => canonicalize_object(schema, map),
        (Shape::Map, Value::Object(map)) => {
            if let Some(element) = schema.element().filter(holds_objects) {
                for value in map.values_mut() {
                    canonicalize(element, value);
                }
            }
        }
        (Shape::List, Value::Array(list)) => {
            if let Some(element) = schema.element().filter(holds_objects) {
                for value in list {
                    canonicalize(element, value);
                }
            }
        }
        _ => {}
    }
}

/// Whether a walk into the node can find an object.
fn holds_objects(node: &Node<'_>) -> bool {
    matches!(node.shape(), Shape::Object | Shape::Map | Shape::List)
}

fn canonicalize_object(schema: Node<'_>, map: &mut Map<String, Value>) {
    map.retain(|name, value| {
        let Some(field) = schema.field(name) else {
            return true;
        };
        canonicalize(field, value);
        if !field.is_always_written() {
            return !is_left_out(field, value);
        }
        // An empty list does not survive upstream's storage form.
        if !field.is_pointer() && is_empty_collection(field, value) {
            *value = Value::Null;
        }
        true
    });
    for (name, field) in schema.fields() {
        if field.is_always_written() && !map.contains_key(name) {
            map.insert(name.to_owned(), zero(field));
        }
    }
}

fn is_empty_collection(field: Node<'_>, value: &Value) -> bool {
    match value {
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty() && field.shape() == Shape::Map,
        _ => false,
    }
}

/// `encoding/json`, "omitempty": false, 0, nil, and empty text, list or map.
fn is_left_out(field: Node<'_>, value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(flag) => !flag && !field.is_pointer(),
        Value::Number(number) => number.as_f64() == Some(0.0) && !field.is_pointer(),
        Value::String(text) => text.is_empty() && !field.is_pointer(),
        Value::Array(list) => list.is_empty() && !field.is_pointer(),
        Value::Object(map) => map.is_empty() && field.shape() == Shape::Map,
    }
}

/// The value an always written field has when nothing was given.
fn zero(field: Node<'_>) -> Value {
    if field.is_pointer() {
        return Value::Null;
    }
    match field.shape() {
        Shape::Object => {
            let mut map = Map::new();
            canonicalize_object(field, &mut map);
            Value::Object(map)
        }
        Shape::String => Value::String(String::new()),
        Shape::Integer | Shape::Number | Shape::IntOrString => Value::from(0),
        Shape::Boolean => Value::Bool(false),
        Shape::Quantity => Value::String("0".into()),
        Shape::Map | Shape::List | Shape::Time | Shape::MicroTime | Shape::Bytes | Shape::Any => {
            Value::Null
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds;
    use serde_json::json;

    #[track_caller]
    fn check(kind: &str, mut object: Value, expected: Value) {
        let kind = kinds::all().iter().find(|known| known.kind == kind);
        canonicalize(kind.expect("a built-in kind").schema(), &mut object);
        assert_eq!(object, expected);
    }

    #[test]
    fn zero_values_follow_the_types() {
        check(
            "ConfigMap",
            json!({"data": {}, "immutable": false, "metadata": {"labels": {}, "name": ""}}),
            json!({"immutable": false, "metadata": {}}),
        );
        check(
            "Role",
            json!({"metadata": {"name": "a"}}),
            json!({"metadata": {"name": "a"}, "rules": null}),
        );
        check(
            "Deployment",
            json!({"spec": {"replicas": 0, "paused": false, "template": {"spec": {"containers": [
                {"name": "a", "stdin": false, "ports": [{"hostPort": 0, "containerPort": 1}]}
            ]}}}}),
            json!({
                "spec": {
                    "replicas": 0,
                    "template": {"spec": {"containers": [
                        {"name": "a", "ports": [{"containerPort": 1}], "resources": {}}
                    ]}, "metadata": {}},
                    "selector": null,
                    "strategy": {}
                },
                "metadata": {},
                "status": {}
            }),
        );
    }
}
