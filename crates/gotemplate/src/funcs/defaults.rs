//! Sprig's defaults and JSON functions, after its `defaults.go`.

use super::{A, Answer, B, Functions, S, s};
use crate::error::Error;
use crate::json;
use crate::value::{Entries, Kind, Value};

pub(super) fn register(table: &mut Functions) {
    table.variadic("default", &[A, A], |_, args| {
        Ok(match args.get(1) {
            Some(given) if !empty(given) => given.clone(),
            _ => args[0].clone(),
        })
    });
    table.add("empty", &[A], |_, args| Ok(Value::Bool(empty(&args[0]))));
    table.variadic("coalesce", &[A], |_, args| {
        Ok(args
            .iter()
            .find(|arg| !empty(arg))
            .cloned()
            .unwrap_or_default())
    });
    table.variadic("all", &[A], |_, args| {
        Ok(Value::Bool(!args.iter().any(empty)))
    });
    table.variadic("any", &[A], |_, args| {
        Ok(Value::Bool(!args.iter().all(empty)))
    });
    table.add("ternary", &[A, A, B], |_, args| {
        Ok(args[usize::from(!args[2].truth())].clone())
    });
    table.add("toJson", &[A], |_, args| {
        Ok(json::encode(&args[0], true).unwrap_or_default().into())
    });
    table.add("mustToJson", &[A], |_, args| {
        must(json::encode(&args[0], true))
    });
    table.add("toRawJson", &[A], |_, args| {
        must(json::encode(&args[0], false))
    });
    table.add("mustToRawJson", &[A], |_, args| {
        must(json::encode(&args[0], false))
    });
    table.add("toPrettyJson", &[A], |_, args| {
        Ok(json::encode_pretty(&args[0]).unwrap_or_default().into())
    });
    table.add("mustToPrettyJson", &[A], |_, args| {
        must(json::encode_pretty(&args[0]))
    });
    table.add("mustFromJson", &[S], |_, args| {
        json::decode(s(&args[0])).map_err(Error::message)
    });
    table.add("fromJson", &[S], |_, args| Ok(from_json(s(&args[0]))));
    table.add("fromJsonArray", &[S], |_, args| {
        Ok(from_json_array(s(&args[0])))
    });
}

fn must(text: Result<Vec<u8>, String>) -> Answer {
    text.map(Value::from).map_err(Error::message)
}

/// Helm's `fromJson`: a map, or a map with the key `Error`.
fn from_json(text: &[u8]) -> Value {
    let message = match json::decode(text) {
        Ok(value @ (Value::Map(_) | Value::Nil)) => return value,
        Ok(other) => format!(
            "json: cannot unmarshal {} into Go value of type map[string]interface {{}}",
            json_kind(&other)
        ),
        Err(message) => message,
    };
    Value::map(Entries::from([("Error".into(), message.into())]))
}

/// Helm's `fromJsonArray`: a list, or a list with the error.
fn from_json_array(text: &[u8]) -> Value {
    let message = match json::decode(text) {
        Ok(value @ (Value::List(_) | Value::Nil)) => return value,
        Ok(other) => format!(
            "json: cannot unmarshal {} into Go value of type []interface {{}}",
            json_kind(&other)
        ),
        Err(message) => message,
    };
    Value::list(vec![message.into()])
}

/// What `encoding/json` calls a value in its messages.
pub(crate) fn json_kind(value: &Value) -> &'static str {
    match value.kind() {
        Kind::String => "string",
        Kind::Bool => "bool",
        Kind::Slice => "array",
        Kind::Map => "object",
        _ => "number",
    }
}

/// Sprig's `empty`: the zero of its type; structs never are.
pub(crate) fn empty(value: &Value) -> bool {
    !value.truth()
}
