//! The text of a patched object that cannot be read: upstream writes objects
//! that the patch touched in the order of their keys, the others as they were.

use coracle_machinery::kind::Kind;
use coracle_machinery::protobuf;
use serde_json::{Value, json};

use super::patch::Form;

/// Writes what `patch` made.
pub fn text(kind: &Kind, form: Form, patched: &Value, patch: &Value) -> String {
    let touched = match form {
        Form::Json => places(patch),
        _ => patch.clone(),
    };
    let mut shown = patched.clone();
    protobuf::arrange(&kind.api_version(), kind.kind, &mut shown);
    if !touched.is_object() {
        return shown.to_string();
    }
    arrange(&mut shown, &touched);
    shown.to_string()
}

fn arrange(value: &mut Value, touched: &Value) {
    let Some(touched) = touched.as_object() else {
        return;
    };
    match value {
        Value::Object(map) => {
            map.sort_keys();
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
        let kind = crate::resource::builtin("", "services");
        let patched = json!({
            "kind": "Service",
            "metadata": {"uid": "u", "name": "n", "labels": {"b": "1", "a": "2"}},
            "apiVersion": "v1",
            "spec": {"type": "ClusterIP", "ports": [{"port": 1, "name": "p"}]},
        });
        assert_eq!(text(kind, form, &patched, &patch), expected, "{patch}");
    }

    #[test]
    fn touched_objects_are_in_key_order() {
        check(
            Form::Merge,
            json!({"kind": "K"}),
            r#"{"apiVersion":"v1","kind":"Service","metadata":{"name":"n","uid":"u","labels":{"a":"2","b":"1"}},"spec":{"ports":[{"name":"p","port":1}],"type":"ClusterIP"}}"#,
        );
        check(
            Form::Merge,
            json!({"metadata": {"labels": {"a": "2"}}}),
            r#"{"apiVersion":"v1","kind":"Service","metadata":{"labels":{"a":"2","b":"1"},"name":"n","uid":"u"},"spec":{"ports":[{"name":"p","port":1}],"type":"ClusterIP"}}"#,
        );
        check(
            Form::Json,
            json!([{"op": "add", "path": "/spec/type", "value": "x"}]),
            r#"{"apiVersion":"v1","kind":"Service","metadata":{"name":"n","uid":"u","labels":{"a":"2","b":"1"}},"spec":{"ports":[{"name":"p","port":1}],"type":"ClusterIP"}}"#,
        );
    }
}
