//! The text of a patched object that cannot be read: upstream writes objects
//! that the patch touched in the order of their keys, the others as they were.

use serde_json::{Map, Value, json};

use super::patch::Form;

/// The fields of metadata in the order of their type (`meta/v1 ObjectMeta`).
const METADATA: [&str; 15] = [
    "name",
    "generateName",
    "namespace",
    "selfLink",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "labels",
    "annotations",
    "ownerReferences",
    "finalizers",
    "managedFields",
];

/// Writes what `patch` made.
pub fn text(form: Form, patched: &Value, patch: &Value) -> String {
    let touched = match form {
        Form::Json => places(patch),
        _ => patch.clone(),
    };
    let mut shown = patched.clone();
    if let Some(metadata) = shown.get_mut("metadata").and_then(Value::as_object_mut) {
        let place = |key: &str| METADATA.iter().position(|known| *known == key);
        sort_by(metadata, |key| (place(key), String::new()));
    }
    if !touched.is_object() {
        return shown.to_string();
    }
    arrange(&mut shown, &touched);
    shown.to_string()
}

fn sort_by<K: Ord>(map: &mut Map<String, Value>, place: impl Fn(&str) -> K) {
    let mut entries: Vec<_> = std::mem::take(map).into_iter().collect();
    entries.sort_by_key(|(key, _)| place(key));
    map.extend(entries);
}

fn arrange(value: &mut Value, touched: &Value) {
    let Some(touched) = touched.as_object() else {
        return;
    };
    match value {
        Value::Object(map) => {
            sort_by(map, str::to_owned);
            for (key, inner) in touched {
                if let Some(value) = map.get_mut(key) {
                    arrange(value, inner);
                }
            }
        }
        Value::Array(list) => {
            for (key, inner) in touched {
                let index = key.parse::<usize>().ok();
                if let Some(value) = index.and_then(|index| list.get_mut(index)) {
                    arrange(value, inner);
                }
            }
        }
        _ => {}
    }
}

/// The objects on the ways of the operations of an RFC 6902 patch.
fn places(patch: &Value) -> Value {
    let mut tree = json!({});
    for operation in patch.as_array().into_iter().flatten() {
        let path = operation["path"].as_str().unwrap_or_default();
        let steps: Vec<&str> = path.split('/').skip(1).collect();
        let mut place = &mut tree;
        for step in steps.iter().take(steps.len().saturating_sub(1)) {
            let key = step.replace("~1", "/").replace("~0", "~");
            let map = place.as_object_mut().expect("the tree is made of objects");
            place = map.entry(key).or_insert_with(|| json!({}));
        }
    }
    tree
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(form: Form, patch: Value, expected: &str) {
        let patched = json!({
            "kind": "K",
            "metadata": {"uid": "u", "name": "n", "labels": {"b": "1", "a": "2"}},
            "apiVersion": "v1",
            "spec": {"y": {"d": 1, "c": 2}, "x": 1},
        });
        assert_eq!(text(form, &patched, &patch), expected, "{patch}");
    }

    #[test]
    fn touched_objects_are_in_key_order() {
        check(
            Form::Merge,
            json!({"kind": "K"}),
            r#"{"apiVersion":"v1","kind":"K","metadata":{"name":"n","uid":"u","labels":{"b":"1","a":"2"}},"spec":{"y":{"d":1,"c":2},"x":1}}"#,
        );
        check(
            Form::Merge,
            json!({"metadata": {"labels": {"a": "2"}}}),
            r#"{"apiVersion":"v1","kind":"K","metadata":{"labels":{"a":"2","b":"1"},"name":"n","uid":"u"},"spec":{"y":{"d":1,"c":2},"x":1}}"#,
        );
        check(
            Form::Json,
            json!([{"op": "add", "path": "/spec/x", "value": 1}]),
            r#"{"apiVersion":"v1","kind":"K","metadata":{"name":"n","uid":"u","labels":{"b":"1","a":"2"}},"spec":{"x":1,"y":{"d":1,"c":2}}}"#,
        );
    }
}
