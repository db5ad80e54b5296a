//! How Go names the types of JSON values and prints them, for error texts
//! that clients compare.

use std::fmt::Write;

use serde_json::{Map, Value};

/// The Go type that a JSON value decodes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TypeName {
    Nil,
    Bool,
    Int,
    Float,
    String,
    Slice,
    Map,
}

impl TypeName {
    pub(super) fn of(value: &Value) -> TypeName {
        match value {
            Value::Null => TypeName::Nil,
            Value::Bool(_) => TypeName::Bool,
            Value::Number(number) if number.is_i64() => TypeName::Int,
            Value::Number(_) => TypeName::Float,
            Value::String(_) => TypeName::String,
            Value::Array(_) => TypeName::Slice,
            Value::Object(_) => TypeName::Map,
        }
    }

    pub(super) fn text(self) -> &'static str {
        match self {
            TypeName::Nil => "%!s(<nil>)",
            TypeName::Bool => "bool",
            TypeName::Int => "int64",
            TypeName::Float => "float64",
            TypeName::String => "string",
            TypeName::Slice => "[]interface {}",
            TypeName::Map => "map[string]interface {}",
        }
    }
}

/// Prints a value as `%s` does: texts plainly, the rest with a complaint.
pub(super) fn as_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "%!s(<nil>)".to_owned(),
        other => format!("%!s({}={})", TypeName::of(other).text(), print(other)),
    }
}

/// Prints a value as `%v` does.
pub(super) fn print(value: &Value) -> String {
    let mut out = String::new();
    write_value(&mut out, value);
    out
}

/// Prints a map as `%v` does, keys sorted.
pub(super) fn print_map(map: &Map<String, Value>) -> String {
    let mut out = String::new();
    write_map(&mut out, map);
    out
}

/// Prints a list as `%v` does.
pub(super) fn print_list(items: &[Value]) -> String {
    let mut out = String::new();
    write_list(&mut out, items);
    out
}

fn write_value(out: &mut String, value: &Value) {
    match value {
        Value::Null => out.push_str("<nil>"),
        Value::String(text) => out.push_str(text),
        Value::Array(items) => write_list(out, items),
        Value::Object(map) => write_map(out, map),
        scalar => {
            // Writing to a text cannot fail.
            let _ = write!(out, "{scalar}");
        }
    }
}

fn write_map(out: &mut String, map: &Map<String, Value>) {
    let mut members: Vec<_> = map.iter().collect();
    members.sort_by_key(|(key, _)| *key);
    out.push_str("map[");
    for (index, (key, value)) in members.into_iter().enumerate() {
        if index > 0 {
            out.push(' ');
        }
        out.push_str(key);
        out.push(':');
        write_value(out, value);
    }
    out.push(']');
}

fn write_list(out: &mut String, items: &[Value]) {
    out.push('[');
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push(' ');
        }
        write_value(out, item);
    }
    out.push(']');
}
