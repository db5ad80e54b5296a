//! Helm's functions that read and write YAML and TOML.
//!
//! Reference: `pkg/engine/funcs.go` of Helm.

use crate::convert::{Numbers, to_template, to_yaml};
use coracle_gotemplate::value::Type::{Any as A, String as S};
use coracle_gotemplate::{Entries, Error, Functions, Value};
use coracle_goyaml::{self as yaml, Dialect};
use std::sync::LazyLock;

/// All functions of a chart's templates.
pub static FUNCTIONS: LazyLock<Functions> = LazyLock::new(|| {
    let mut table = Functions::helm();
    register(&mut table);
    crate::toml::register(&mut table);
    table
});

fn register(table: &mut Functions) {
    table.add("toYaml", &[A], |_, args| {
        Ok(to_yaml(&args[0], Dialect::V2)
            .map(trimmed)
            .unwrap_or_default()
            .into())
    });
    table.add("mustToYaml", &[A], |_, args| {
        let text = to_yaml(&args[0], Dialect::V2)
            .map_err(|message| Error::message(format!("error marshaling into JSON: {message}")))?;
        Ok(trimmed(text).into())
    });
    table.add("toYamlPretty", &[A], |_, args| {
        Ok(to_yaml(&args[0], Dialect::V3)
            .map(trimmed)
            .unwrap_or_default()
            .into())
    });
    table.add("fromYaml", &[S], |_, args| Ok(from_yaml(&args[0])));
    table.add("fromYamlArray", &[S], |_, args| {
        Ok(from_yaml_array(&args[0]))
    });
}

/// Without the final line break.
fn trimmed(mut text: Vec<u8>) -> Vec<u8> {
    if text.last() == Some(&b'\n') {
        text.pop();
    }
    text
}

fn text(value: &Value) -> Vec<u8> {
    value.as_str().map(|text| text.to_vec()).unwrap_or_default()
}

fn read(value: &Value) -> Result<yaml::Value, String> {
    yaml::from_slice(&text(value))
        .map_err(|error| format!("error converting YAML to JSON: {error}"))
}

fn kind(value: &yaml::Value) -> &'static str {
    match value {
        yaml::Value::Str(_) => "string",
        yaml::Value::Bool(_) => "bool",
        yaml::Value::Seq(_) => "array",
        yaml::Value::Map(_) => "object",
        _ => "number",
    }
}

fn mismatch(value: &yaml::Value, wanted: &str) -> String {
    format!(
        "error unmarshaling JSON: while decoding JSON: json: cannot unmarshal {} into Go value of type {wanted}",
        kind(value)
    )
}

/// A map; what is none becomes a map with the key `Error`.
fn from_yaml(value: &Value) -> Value {
    let message = match read(value) {
        Ok(value @ yaml::Value::Map(_)) => return to_template(&value, Numbers::Floats),
        Ok(yaml::Value::Null) => return Value::map(Entries::new()),
        Ok(other) => mismatch(&other, "map[string]interface {}"),
        Err(message) => message,
    };
    Value::map(Entries::from([("Error".into(), message.into())]))
}

/// A list; what is none becomes a list with the error.
fn from_yaml_array(value: &Value) -> Value {
    let message = match read(value) {
        Ok(value @ yaml::Value::Seq(_)) => return to_template(&value, Numbers::Floats),
        Ok(yaml::Value::Null) => return Value::list(Vec::new()),
        Ok(other) => mismatch(&other, "[]interface {}"),
        Err(message) => message,
    };
    Value::list(vec![message.into()])
}
