//! Between YAML values, as charts have them, and JSON values, as the API and
//! the records have them.
//!
//! Helm's records are written by Go's `encoding/json`: a float without a
//! fraction has none in the text either.

use coracle_goyaml as yaml;
use serde_json::{Map, Number, Value};

/// Floats up to here are written without an exponent by `encoding/json`.
const PLAIN_MAX: f64 = 1e21;

/// Returns a YAML value as JSON.
pub fn to_json(value: &yaml::Value) -> Value {
    match value {
        yaml::Value::Null => Value::Null,
        yaml::Value::Bool(flag) => Value::Bool(*flag),
        yaml::Value::Int(number) => Value::from(*number),
        yaml::Value::Uint(number) => Value::from(*number),
        yaml::Value::Float(number) => float(*number),
        yaml::Value::Str(text) => Value::String(text.clone()),
        yaml::Value::Seq(items) => Value::Array(items.iter().map(to_json).collect()),
        yaml::Value::Map(map) => Value::Object(map_to_json(map)),
    }
}

/// Returns a YAML map as a JSON object.
pub fn map_to_json(map: &yaml::Map) -> Map<String, Value> {
    map.iter()
        .map(|(key, value)| (key.clone(), to_json(value)))
        .collect()
}

fn float(number: f64) -> Value {
    if number.fract() == 0.0 && number.abs() < PLAIN_MAX {
        if number >= i64::MIN as f64 && number < i64::MAX as f64 {
            return Value::from(number as i64);
        }
        if number > 0.0 && number < u64::MAX as f64 {
            return Value::from(number as u64);
        }
    }
    Number::from_f64(number).map_or(Value::Null, Value::Number)
}

/// Returns a JSON value as YAML; every number is a float, as it is for Go.
pub fn from_json(value: &Value) -> yaml::Value {
    match value {
        Value::Null => yaml::Value::Null,
        Value::Bool(flag) => yaml::Value::Bool(*flag),
        Value::Number(number) => yaml::Value::Float(number.as_f64().unwrap_or_default()),
        Value::String(text) => yaml::Value::Str(text.clone()),
        Value::Array(items) => yaml::Value::Seq(items.iter().map(from_json).collect()),
        Value::Object(map) => yaml::Value::Map(map_from_json(map)),
    }
}

/// Returns a JSON object as a YAML map.
pub fn map_from_json(map: &Map<String, Value>) -> yaml::Map {
    map.iter()
        .map(|(key, value)| (key.clone(), from_json(value)))
        .collect()
}

/// Returns a JSON value as the YAML text that `sigs.k8s.io/yaml` writes.
pub fn to_yaml_text(value: &Value) -> String {
    yaml::to_string(&from_json(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_go_writes_them() {
        let check = |number: f64, expected: &str| {
            assert_eq!(to_json(&yaml::Value::Float(number)).to_string(), expected);
        };
        check(3.0, "3");
        check(-0.5, "-0.5");
        check(1e6, "1000000");
        check(f64::NAN, "null");
    }
}
