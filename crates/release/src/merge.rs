//! The three-way merge of what a chart said, says, and what stands in the
//! cluster, as a JSON merge patch (RFC 7386).
//!
//! It knows no schema: lists are taken whole. Helm 3 merged lists of built-in
//! kinds by their keys; who needs that lets the server apply.

use serde_json::{Map, Value};

/// Returns the patch that takes `live` to what `new` wants, removing what `old`
/// had and `new` has not; `None` where nothing is to be done.
pub fn three_way(old: &Value, new: &Value, live: &Value) -> Option<Value> {
    let patch = object(old.as_object(), new.as_object()?, live.as_object());
    (!patch.is_empty()).then_some(Value::Object(patch))
}

fn object(
    old: Option<&Map<String, Value>>,
    new: &Map<String, Value>,
    live: Option<&Map<String, Value>>,
) -> Map<String, Value> {
    let mut patch = Map::new();
    let stands = |key: &str| live.and_then(|live| live.get(key));
    for key in old.into_iter().flat_map(Map::keys) {
        if !new.contains_key(key) && stands(key).is_some() {
            patch.insert(key.clone(), Value::Null);
        }
    }
    for (key, wanted) in new {
        let there = stands(key);
        match (wanted, there) {
            (Value::Null, None) => {}
            (Value::Object(wanted), Some(Value::Object(there))) => {
                let before = old.and_then(|old| old.get(key)?.as_object());
                let below = object(before, wanted, Some(there));
                if !below.is_empty() {
                    patch.insert(key.clone(), Value::Object(below));
                }
            }
            (wanted, there) if there == Some(wanted) => {}
            (wanted, _) => {
                patch.insert(key.clone(), wanted.clone());
            }
        }
    }
    patch
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn merges_three_ways() {
        let check = |old: Value, new: Value, live: Value, expected: Value| {
            assert_eq!(
                three_way(&old, &new, &live).unwrap_or(json!({})),
                expected,
                "{old} {new} {live}"
            );
        };
        // What the chart drops goes, what others added stays.
        check(
            json!({"d": {"a": 1, "b": 2}}),
            json!({"d": {"a": 1}}),
            json!({"d": {"a": 1, "b": 2, "c": 3}}),
            json!({"d": {"b": null}}),
        );
        // What was changed by hand comes back.
        check(
            json!({"n": 1}),
            json!({"n": 1}),
            json!({"n": 5}),
            json!({"n": 1}),
        );
        check(json!(null), json!({"n": [1]}), json!({}), json!({"n": [1]}));
        check(
            json!({"x": 1}),
            json!({"n": null}),
            json!({"n": 1}),
            json!({"n": null}),
        );
        check(json!({}), json!({"n": 1}), json!({"n": 1}), json!({}));
    }
}
