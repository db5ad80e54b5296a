//! JSON merge patch, RFC 7386.
//!
//! Objects inside a list of the patch lose their null members as well, which
//! the RFC does not ask for but API servers do.

use serde_json::{Map, Value};

use super::{PatchError, cannot_unmarshal};

/// Returns `document` with `patch` merged into it.
///
/// # Errors
/// When either is not an object: no API object is anything else.
pub fn apply(document: &Value, patch: &Value) -> Result<Value, PatchError> {
    let Value::Object(patch) = patch else {
        return Err(PatchError::Malformed(malformed(patch)));
    };
    let Value::Object(document) = document else {
        return Err(PatchError::Malformed("Invalid JSON Document".to_owned()));
    };
    let mut merged = document.clone();
    merge(&mut merged, patch);
    Ok(Value::Object(merged))
}

fn malformed(patch: &Value) -> String {
    if patch.is_null() {
        return "Invalid JSON Patch".to_owned();
    }
    let text = cannot_unmarshal(patch, "map[string]interface {}");
    format!("error decoding patch: {text}")
}

fn merge(document: &mut Map<String, Value>, patch: &Map<String, Value>) {
    for (key, change) in patch {
        if change.is_null() {
            document.shift_remove(key);
            continue;
        }
        match (document.get_mut(key), change) {
            (Some(Value::Object(inner)), Value::Object(change)) => merge(inner, change),
            (Some(Value::Object(_)), _) => {
                document.insert(key.clone(), change.clone());
            }
            _ => {
                document.insert(key.clone(), without_nulls(change));
            }
        }
    }
}

fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let members = map.iter().filter(|(_, value)| !value.is_null());
            Value::Object(
                members
                    .map(|(key, value)| (key.clone(), without_nulls(value)))
                    .collect(),
            )
        }
        Value::Array(items) => Value::Array(items.iter().map(without_nulls).collect()),
        scalar => scalar.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(document: Value, patch: Value, expected: Value) {
        assert_eq!(apply(&document, &patch), Ok(expected), "{patch}");
    }

    #[test]
    fn cases_of_the_rfc() {
        check(json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"}));
        check(
            json!({"a": "b"}),
            json!({"b": "c"}),
            json!({"a": "b", "b": "c"}),
        );
        check(json!({"a": "b"}), json!({"a": null}), json!({}));
        check(json!({"a": ["b"]}), json!({"a": "c"}), json!({"a": "c"}));
        check(
            json!({"a": {"b": "c"}}),
            json!({"a": {"b": "d", "c": null}}),
            json!({"a": {"b": "d"}}),
        );
        check(
            json!({"a": [{"b": "c"}]}),
            json!({"a": [1]}),
            json!({"a": [1]}),
        );
        check(
            json!({"e": null}),
            json!({"a": 1}),
            json!({"e": null, "a": 1}),
        );
        check(
            json!({}),
            json!({"a": {"bb": {"ccc": null}}}),
            json!({"a": {"bb": {}}}),
        );
    }

    #[test]
    fn only_objects() {
        assert_eq!(
            apply(&json!({}), &json!([])).expect_err("refused").code(),
            400
        );
        assert_eq!(
            apply(&json!({}), &json!(null)).expect_err("refused").code(),
            400
        );
    }
}
