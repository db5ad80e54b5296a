//! Reading an object as its type reads it: JSON text to a value with
//! duplicate fields noticed, then the value against a type: wrong types are
//! errors, unknown fields are dropped and reported.
//!
//! [`parse`] and [`decode`] are what a request body goes through; the caller
//! decides what an unknown or duplicate field means (`fieldValidation`).
//! Rules beyond the type are `validate`'s; absent fields are `default`'s.

use std::fmt;

use base64::Engine as _;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::map::Entry;
use serde_json::{Map, Number, Value};

use crate::kind::Kind;
use crate::path::Path;
use crate::quantity;
use crate::schema::{Format, Node, Shape};
use crate::time;

/// Most findings that are kept of one object.
const FINDINGS_MAX: usize = 100;

/// A JSON text as a value.
#[derive(Debug, PartialEq)]
pub struct Parsed {
    /// The value; of duplicate fields the last one counts.
    pub value: Value,
    /// One message per duplicate field: `duplicate field "spec.replicas"`.
    pub duplicates: Vec<String>,
}

/// Why a body is not an object of its type. The messages follow Go's decoder.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum DecodeError {
    /// The text is not JSON.
    #[error("{0}")]
    Syntax(String),
    /// A value has another type than its field.
    #[error(
        "json: cannot unmarshal {found} into Go struct field {owner}.{field} of type {expected}"
    )]
    Type {
        /// What stands there: `string`, `number`, `object`, ….
        found: String,
        /// Name of the structure that holds the field.
        owner: String,
        /// Dotted path of the field, without list indices.
        field: String,
        /// The type upstream gives the field.
        expected: String,
    },
    /// A quantity, time or base64 text that cannot be read.
    #[error("{0}")]
    Text(String),
}

/// Parses a JSON text and notices duplicate fields.
///
/// # Errors
/// When the text is not JSON or is nested deeper than 128 levels.
pub fn parse(text: &[u8]) -> Result<Parsed, DecodeError> {
    let mut duplicates = Vec::new();
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let seed = Seed {
        path: Path::ROOT,
        duplicates: &mut duplicates,
    };
    let value = seed
        .deserialize(&mut deserializer)
        .and_then(|value| deserializer.end().map(|()| value))
        .map_err(|error| DecodeError::Syntax(error.to_string()))?;
    Ok(Parsed { value, duplicates })
}

/// Reads `value` as `schema`: unknown fields are dropped, `null` becomes
/// "absent", quantities, times and bytes get their canonical text. Returns
/// one message per unknown field: `unknown field "spec.foo"`.
///
/// # Errors
/// When a value has another type than its field.
pub fn decode(schema: Node<'_>, value: &mut Value) -> Result<Vec<String>, DecodeError> {
    let mut reader = Reader {
        unknown: Vec::new(),
    };
    reader.read(schema, value, &Path::ROOT, schema)?;
    Ok(reader.unknown)
}

/// Reads an object of any kind: [`decode`] for a built-in one; of a custom one
/// the metadata is decoded and the rest pruned. Returns one message per
/// unknown field.
///
/// # Errors
/// When a value has another type than its field.
pub fn read(kind: &Kind, object: &mut Value) -> Result<Vec<String>, DecodeError> {
    let schema = kind.schema();
    if kind.custom.is_none() {
        return decode(schema, object);
    }
    let mut reader = Reader {
        unknown: Vec::new(),
    };
    if let (Some(node), Some(metadata)) = (schema.field("metadata"), object.get_mut("metadata")) {
        reader.read(node, metadata, &Path::new("metadata"), schema)?;
    }
    prune_at(schema, object, &Path::ROOT, &mut reader.unknown);
    Ok(reader.unknown)
}

/// Drops what the type of a custom resource does not know, as structural
/// schemas prescribe; types are left to validation. Returns one message per
/// unknown field.
pub fn prune(schema: Node<'_>, value: &mut Value) -> Vec<String> {
    let mut unknown = Vec::new();
    prune_at(schema, value, &Path::ROOT, &mut unknown);
    unknown
}

/// Joins findings to the message a strict request is refused with.
pub fn strict_message(findings: &[String]) -> String {
    format!("strict decoding error: {}", findings.join(", "))
}

struct Seed<'a> {
    path: Path<'a>,
    duplicates: &'a mut Vec<String>,
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        loop {
            let seed = Seed {
                path: self.path.index(list.len()),
                duplicates: self.duplicates,
            };
            match access.next_element_seed(seed)? {
                Some(value) => list.push(value),
                None => return Ok(Value::Array(list)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = access.next_key::<String>()? {
            let entry = map.entry(key);
            let path = self.path.field(entry.key());
            if matches!(entry, Entry::Occupied(_)) && self.duplicates.len() < FINDINGS_MAX {
                self.duplicates.push(format!("duplicate field \"{path}\""));
            }
            let value = access.next_value_seed(Seed {
                path,
                duplicates: self.duplicates,
            })?;
            match entry {
                Entry::Occupied(mut entry) => drop(entry.insert(value)),
                Entry::Vacant(entry) => {
                    entry.insert(value);
                }
            }
        }
        Ok(Value::Object(map))
    }
}

struct Reader {
    unknown: Vec<String>,
}

impl Reader {
    /// `owner` is the structure that holds the field, for messages.
    fn read(
        &mut self,
        node: Node<'_>,
        value: &mut Value,
        path: &Path<'_>,
        owner: Node<'_>,
    ) -> Result<(), DecodeError> {
        let mismatch = |value: &Value| Err(type_error(node, value, path, owner));
        match (node.shape(), &mut *value) {
            (_, Value::Null) | (Shape::Any, _) => Ok(()),
            (Shape::Object, Value::Object(map)) => self.object(node, map, path),
            (Shape::Map, Value::Object(map)) => {
                let Some(element) = node.element() else {
                    return Ok(());
                };
                for (key, value) in map.iter_mut() {
                    self.read(element, value, &path.entry(key), owner)?;
                    replace_null(element, value);
                }
                Ok(())
            }
            (Shape::List, Value::Array(list)) => {
                let Some(element) = node.element() else {
                    return Ok(());
                };
                for (index, value) in list.iter_mut().enumerate() {
                    self.read(element, value, &path.index(index), owner)?;
                    replace_null(element, value);
                }
                Ok(())
            }
            (Shape::String, Value::String(_)) | (Shape::Boolean, Value::Bool(_)) => Ok(()),
            (Shape::Integer, Value::Number(number)) if fits(node, number) => Ok(()),
            (Shape::Number, Value::Number(_)) => Ok(()),
            (Shape::IntOrString, Value::String(_)) => Ok(()),
            (Shape::IntOrString, Value::Number(number)) if is_int32(number) => Ok(()),
            (Shape::Quantity, Value::String(_) | Value::Number(_)) => {
                let text = match &*value {
                    Value::String(text) => text.trim().to_owned(),
                    other => other.to_string(),
                };
                let text =
                    quantity::canonical(&text).map_err(|e| DecodeError::Text(e.to_string()))?;
                *value = Value::String(text);
                Ok(())
            }
            (Shape::Time, Value::String(text)) => {
                *value = Value::String(time::canonical_seconds(text).map_err(DecodeError::Text)?);
                Ok(())
            }
            (Shape::MicroTime, Value::String(text)) => {
                *value = Value::String(time::canonical_micros(text).map_err(DecodeError::Text)?);
                Ok(())
            }
            (Shape::Bytes, Value::String(text)) => {
                if let Some(clean) = clean_base64(text)? {
                    *value = Value::String(clean);
                }
                Ok(())
            }
            (_, value) => mismatch(value),
        }
    }

    fn object(
        &mut self,
        node: Node<'_>,
        map: &mut Map<String, Value>,
        path: &Path<'_>,
    ) -> Result<(), DecodeError> {
        let mut result = Ok(());
        map.retain(|name, value| {
            if result.is_err() {
                return true;
            }
            let Some(field) = node.field(name) else {
                return self.unknown_field(node, &path.field(name));
            };
            if value.is_null() {
                return false;
            }
            result = self.read(field, value, &path.field(name), node);
            true
        });
        result
    }

    fn unknown_field(&mut self, node: Node<'_>, path: &Path<'_>) -> bool {
        if node.preserves_unknown() {
            return true;
        }
        if self.unknown.len() < FINDINGS_MAX {
            self.unknown.push(format!("unknown field \"{path}\""));
        }
        false
    }
}

/// Go decodes a `null` element as the zero value of its type.
fn replace_null(node: Node<'_>, value: &mut Value) {
    if !value.is_null() {
        return;
    }
    *value = match node.shape() {
        Shape::String | Shape::Bytes => Value::String(String::new()),
        Shape::Quantity => Value::String("0".into()),
        Shape::Integer | Shape::Number | Shape::IntOrString => Value::from(0),
        Shape::Boolean => Value::Bool(false),
        Shape::Object => Value::Object(Map::new()),
        _ => Value::Null,
    };
}

fn fits(node: Node<'_>, number: &Number) -> bool {
    match node.format() {
        Format::Int32 => is_int32(number),
        _ => number.as_i64().is_some(),
    }
}

fn is_int32(number: &Number) -> bool {
    number.as_i64().is_some_and(|n| i32::try_from(n).is_ok())
}

/// Returns another text when `text` is base64 in a form that Go's decoder
/// accepts but does not write (line breaks).
fn clean_base64(text: &str) -> Result<Option<String>, DecodeError> {
    let has_breaks = text.contains(['\n', '\r']);
    let clean: String = if has_breaks {
        text.chars().filter(|c| !matches!(c, '\n' | '\r')).collect()
    } else {
        String::new()
    };
    let checked = if has_breaks { &clean } else { text };
    match base64::engine::general_purpose::STANDARD.decode(checked) {
        Ok(_) => Ok(has_breaks.then_some(clean)),
        Err(error) => Err(DecodeError::Text(format!(
            "illegal base64 data at input byte {}",
            base64_offset(checked, &error)
        ))),
    }
}

fn base64_offset(text: &str, error: &base64::DecodeError) -> usize {
    match error {
        base64::DecodeError::InvalidByte(offset, _)
        | base64::DecodeError::InvalidLastSymbol(offset, _) => *offset,
        // Go reports the start of the unfinished group.
        _ => text.len() / 4 * 4,
    }
}

fn type_error(node: Node<'_>, value: &Value, path: &Path<'_>, owner: Node<'_>) -> DecodeError {
    let found = match value {
        Value::Bool(_) => "bool".to_owned(),
        Value::String(_) => "string".to_owned(),
        Value::Array(_) => "array".to_owned(),
        Value::Object(_) => "object".to_owned(),
        Value::Number(number) if takes_numbers(node) => format!("number {number}"),
        _ => "number".to_owned(),
    };
    DecodeError::Type {
        found,
        owner: short_name(owner).to_owned(),
        field: path.without_indices(),
        expected: go_type(node),
    }
}

fn takes_numbers(node: Node<'_>) -> bool {
    matches!(node.shape(), Shape::Integer | Shape::IntOrString)
}

fn short_name(node: Node<'_>) -> &str {
    let name = node.definition().unwrap_or_default();
    name.rsplit('.').next().unwrap_or_default()
}

/// The type as Go's decoder names it.
fn go_type(node: Node<'_>) -> String {
    if let Some(name) = node.go_type() {
        return name.to_owned();
    }
    let element = || {
        node.element()
            .map_or_else(|| "interface {}".into(), go_type)
    };
    match node.shape() {
        Shape::Object => match node.definition().and_then(|name| name.rsplit_once('.')) {
            Some((package, name)) => {
                let version = package.rsplit('.').next().unwrap_or_default();
                format!("{version}.{name}")
            }
            None => "map[string]interface {}".into(),
        },
        Shape::Map => format!("map[string]{}", element()),
        Shape::List => format!("[]{}", element()),
        Shape::String => "string".into(),
        Shape::Integer if node.format() == Format::Int32 => "int32".into(),
        Shape::Integer => "int64".into(),
        Shape::Number => "float64".into(),
        Shape::Boolean => "bool".into(),
        Shape::IntOrString => "int32".into(),
        Shape::Quantity => "resource.Quantity".into(),
        Shape::Time | Shape::MicroTime => "string".into(),
        Shape::Bytes => "[]uint8".into(),
        Shape::Any => "interface {}".into(),
    }
}

fn prune_at(node: Node<'_>, value: &mut Value, path: &Path<'_>, unknown: &mut Vec<String>) {
    match (node.shape(), value) {
        (Shape::Object, Value::Object(map)) => map.retain(|name, value| {
            let path = path.field(name);
            let standard = node.is_embedded_resource()
                && matches!(name.as_str(), "apiVersion" | "kind" | "metadata");
            match node.field(name) {
                Some(field) => prune_at(field, value, &path, unknown),
                None if standard || node.preserves_unknown() => {}
                None => {
                    if unknown.len() < FINDINGS_MAX {
                        unknown.push(format!("unknown field \"{path}\""));
                    }
                    return false;
                }
            }
            true
        }),
        (Shape::Map, Value::Object(map)) => {
            if let Some(element) = node.element() {
                for (key, value) in map.iter_mut() {
                    prune_at(element, value, &path.field(key), unknown);
                }
            }
        }
        (Shape::List, Value::Array(list)) => {
            if let Some(element) = node.element() {
                for (index, value) in list.iter_mut().enumerate() {
                    prune_at(element, value, &path.index(index), unknown);
                }
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds;
    use serde_json::json;

    fn node(kind: &str) -> Node<'static> {
        let kind = kinds::all().iter().find(|known| known.kind == kind);
        kind.expect("a built-in kind").schema()
    }

    #[test]
    fn duplicate_fields_are_named_with_their_path() {
        let text = br#"{"spec":{"a":[{"b":1,"b":2}],"c":{}},"spec":3}"#;
        let parsed = parse(text).expect("JSON");
        assert_eq!(
            parsed.duplicates,
            [
                "duplicate field \"spec.a[0].b\"",
                "duplicate field \"spec\""
            ]
        );
        assert_eq!(parsed.value, json!({"spec": 3}));
    }

    #[test]
    fn texts_that_are_not_json_are_refused() {
        for text in ["", "{", "{\"a\":}", "{} {}", "\u{feff}{}", "nul"] {
            assert!(parse(text.as_bytes()).is_err(), "{text}");
        }
        assert!(parse(&b"[".repeat(100_000)).is_err());
        assert!(parse(b"{\"a\":\"\xff\"}").is_err());
    }

    #[test]
    fn unknown_fields_are_dropped_and_named() {
        let mut pod = json!({
            "spec": {"containers": [{"name": "a", "Image": "b"}], "bogus": 1},
            "metadata": {"labels": {"any": "thing"}, "label": {}},
            "extra": {"deep": true}
        });
        let unknown = decode(node("Pod"), &mut pod).expect("types fit");
        assert_eq!(
            unknown,
            [
                "unknown field \"spec.containers[0].Image\"",
                "unknown field \"spec.bogus\"",
                "unknown field \"metadata.label\"",
                "unknown field \"extra\"",
            ]
        );
        assert_eq!(
            pod,
            json!({"spec": {"containers": [{"name": "a"}]}, "metadata": {"labels": {"any": "thing"}}})
        );
    }

    #[track_caller]
    fn refused(kind: &str, mut value: Value, message: &str) {
        let error = decode(node(kind), &mut value).expect_err("wrong type");
        assert_eq!(error.to_string(), message);
    }

    #[test]
    fn wrong_types_are_worded_as_go_words_them() {
        let into = "into Go struct field";
        refused(
            "Pod",
            json!({"spec": {"containers": "x"}}),
            &format!(
                "json: cannot unmarshal string {into} PodSpec.spec.containers of type []v1.Container"
            ),
        );
        refused(
            "Pod",
            json!({"spec": {"containers": [{"image": 1}]}}),
            &format!(
                "json: cannot unmarshal number {into} Container.spec.containers.image of type string"
            ),
        );
        refused(
            "Pod",
            json!({"spec": []}),
            &format!("json: cannot unmarshal array {into} Pod.spec of type v1.PodSpec"),
        );
        refused(
            "Pod",
            json!({"spec": {"containers": [{"securityContext": {"capabilities": {"add": "x"}}}]}}),
            &format!(
                "json: cannot unmarshal string {into} Capabilities.spec.containers.securityContext.capabilities.add of type []v1.Capability"
            ),
        );
        refused(
            "Pod",
            json!({"spec": {"restartPolicy": 1}}),
            &format!(
                "json: cannot unmarshal number {into} PodSpec.spec.restartPolicy of type v1.RestartPolicy"
            ),
        );
        refused(
            "ConfigMap",
            json!({"data": []}),
            &format!(
                "json: cannot unmarshal array {into} ConfigMap.data of type map[string]string"
            ),
        );
        refused(
            "ConfigMap",
            json!({"metadata": {"name": true}}),
            &format!("json: cannot unmarshal bool {into} ObjectMeta.metadata.name of type string"),
        );
        refused(
            "PodDisruptionBudget",
            json!({"spec": {"minAvailable": 1.5}}),
            &format!(
                "json: cannot unmarshal number 1.5 {into} PodDisruptionBudgetSpec.spec.minAvailable of type int32"
            ),
        );
        refused(
            "Secret",
            json!({"data": {"a": "!"}}),
            "illegal base64 data at input byte 0",
        );
        refused(
            "Pod",
            json!({"spec": {"containers": [{"resources": {"limits": {"cpu": "x"}}}]}}),
            "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
        );
    }

    #[test]
    fn values_get_their_canonical_text() {
        let mut pod = json!({
            "metadata": {"creationTimestamp": "2024-01-01T02:00:00.5+02:00", "labels": null},
            "spec": {"nodeSelector": {"a": null}, "containers": [
                {"resources": {"limits": {"cpu": 0.5, "memory": "1024Mi"}}}
            ]}
        });
        decode(node("Pod"), &mut pod).expect("types fit");
        assert_eq!(
            pod,
            json!({
                "metadata": {"creationTimestamp": "2024-01-01T00:00:00Z"},
                "spec": {"nodeSelector": {"a": ""}, "containers": [
                    {"resources": {"limits": {"cpu": "500m", "memory": "1Gi"}}}
                ]}
            })
        );
    }
}
