//! Values as upstream's internal types print themselves in messages: without
//! JSON names, every field there. Which fields a type has stands in
//! `internal.txt`, one type on a line (`pkg/apis/core` and `pkg/apis/batch`).
//!
//! A field is `GoName/jsonName:kind`, the JSON name left out where the Go name
//! tells it. Kinds: `s` a text, `i` a number, `b` a truth value, `q` a quantity,
//! `p` anything that is `null` when absent, `=T` a structure, `*T` one that may be
//! absent, `[T` a list of them. `^T` is a structure whose fields stand in this one,
//! `^` alone the metadata.

use serde_json::{Map, Value};

use super::{Bad, go_text};

const TYPES: &str = include_str!("internal.txt");

/// Metadata in the order of its type.
const METADATA: [&str; 6] = [
    "name",
    "generateName",
    "namespace",
    "labels",
    "annotations",
    "finalizers",
];

/// Fields of a pod that the internal type keeps in its security context.
const OF_HOST: [&str; 5] = [
    "hostNetwork",
    "hostPID",
    "hostIPC",
    "shareProcessNamespace",
    "hostUsers",
];

/// A value of the internal type `name`.
pub(super) fn shown(name: &str, value: &Value) -> Bad {
    Bad::raw(or_null(name, value))
}

fn or_null(name: &str, value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        value => structure(name, value),
    }
}

fn structure(name: &str, value: &Value) -> String {
    if name == "PodSpec" {
        return format!("{{{}}}", members(name, &with_host(value)).join(","));
    }
    format!("{{{}}}", members(name, value).join(","))
}

fn with_host(spec: &Value) -> Value {
    let mut spec = spec.clone();
    let given: Vec<(String, Value)> = OF_HOST
        .iter()
        .filter_map(|name| Some(((*name).to_owned(), spec.get(*name)?.clone())))
        .collect();
    if !given.is_empty() && !spec["securityContext"].is_object() {
        spec["securityContext"] = Value::Object(Map::new());
    }
    if let Some(context) = spec["securityContext"].as_object_mut() {
        context.extend(given);
    }
    spec
}

/// The fields of a type with their values; none of a type nobody knows.
fn members(name: &str, value: &Value) -> Vec<String> {
    let mut lines = TYPES.lines().filter_map(|line| line.split_once(' '));
    let fields = lines.find(|(known, _)| *known == name);
    let mut found = Vec::new();
    for field in fields.map_or("", |(_, fields)| fields).split(' ') {
        match (field.strip_prefix('^'), field.split_once(':')) {
            (Some(""), _) => found.extend(metadata(&value["metadata"])),
            (Some(inner), _) => found.extend(members(inner, value)),
            (None, Some((names, kind))) => found.push(member(names, kind, value)),
            (None, None) => {}
        }
    }
    found
}

fn metadata(metadata: &Value) -> Vec<String> {
    let given = METADATA.iter().filter(|name| !metadata[**name].is_null());
    given
        .map(|name| format!("\"{name}\":{}", go_text(&metadata[*name])))
        .collect()
}

fn member(names: &str, kind: &str, object: &Value) -> String {
    let (go_name, json_name) = match names.split_once('/') {
        Some((go_name, json_name)) => (go_name, json_name.to_owned()),
        None => (names, json_name(names)),
    };
    let value = &object[&json_name];
    let (first, inner) = kind.split_at(1);
    let text = match (first, value) {
        ("=", value) => structure(inner, value),
        ("*", value) => or_null(inner, value),
        ("[", Value::Array(list)) => {
            let elements: Vec<String> = list.iter().map(|one| structure(inner, one)).collect();
            format!("[{}]", elements.join(","))
        }
        ("s", Value::Null) => "\"\"".to_owned(),
        ("q", Value::Null) => "\"0\"".to_owned(),
        ("i", Value::Null) => "0".to_owned(),
        ("b", Value::Null) => "false".to_owned(),
        (_, value) => go_text(value),
    };
    format!("\"{go_name}\":{text}")
}

fn json_name(go_name: &str) -> String {
    let mut letters = go_name.chars();
    let first = letters.next().map(|letter| letter.to_ascii_lowercase());
    first.into_iter().chain(letters).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_type_that_is_named_is_there() {
        let known: Vec<&str> = TYPES
            .lines()
            .filter_map(|line| line.split(' ').next())
            .collect();
        for field in TYPES.split_whitespace() {
            let inner = field.rsplit(':').next().unwrap_or_default();
            let inner = inner.strip_prefix(['=', '*', '[', '^']).unwrap_or_default();
            assert!(inner.is_empty() || known.contains(&inner), "{field}");
        }
    }

    #[test]
    fn all_fields_are_shown() {
        let policy = json!({"rules": [{"action": "Ignore", "onPodConditions": [{"type": "a", "status": "True"}]}]});
        assert_eq!(
            or_null("PodFailurePolicy", &policy),
            r#"{"Rules":[{"Action":"Ignore","OnExitCodes":null,"OnPodConditions":[{"Type":"a","Status":"True"}]}]}"#
        );
        let volume = json!({"name": "v", "emptyDir": {}});
        let text = or_null("Volume", &volume);
        let start = r#"{"Name":"v","HostPath":null,"EmptyDir":{"Medium":"","SizeLimit":null},"#;
        assert!(text.starts_with(start), "{text}");
        let context = &with_host(&json!({"hostPID": true}))["securityContext"];
        let text = or_null("PodSecurityContext", context);
        assert!(
            text.starts_with(r#"{"HostNetwork":false,"HostPID":true,"#),
            "{text}"
        );
    }
}
