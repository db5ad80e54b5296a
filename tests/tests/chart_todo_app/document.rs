//! A rendered object against its document, field by field.

use serde_json::{Value, json};

use crate::FIXTURES;

pub fn fixture(path: &str) -> Value {
    let text = std::fs::read_to_string(format!("{FIXTURES}/{path}.yaml")).expect(path);
    serde_saphyr::from_str(&text).expect(path)
}

/// What a rendered object may hold beyond its document.
const EXTRAS: &[&str] = &[
    "metadata.namespace",
    "metadata.labels.helm.sh/chart",
    "metadata.labels.app.kubernetes.io/",
    "spec.template.metadata.annotations.checksum/",
    "spec.template.metadata.annotations",
    "spec.template.spec.automountServiceAccountToken",
    "spec.template.spec.securityContext",
    "spec.template.spec.terminationGracePeriodSeconds",
    "spec.template.spec.containers[backend].securityContext",
    "spec.template.spec.containers[frontend].securityContext",
    "spec.template.spec.containers[backend].env[PORT]",
    // Set by the document's healthCheck values, absent from its manifests.
    "spec.template.spec.containers[backend].livenessProbe.timeoutSeconds",
    "spec.template.spec.containers[backend].livenessProbe.failureThreshold",
    "spec.template.spec.containers[backend].readinessProbe.timeoutSeconds",
    "spec.template.spec.containers[backend].readinessProbe.failureThreshold",
    "spec.template.spec.containers[frontend].livenessProbe.timeoutSeconds",
    "spec.template.spec.containers[frontend].livenessProbe.failureThreshold",
    "spec.template.spec.containers[frontend].readinessProbe.timeoutSeconds",
    "spec.template.spec.containers[frontend].readinessProbe.failureThreshold",
];

/// Compares a rendered object with its document, both ways.
pub fn check_object(rendered: &Value, document: &Value) {
    let mut wrong = Vec::new();
    compare(rendered, document, "", &mut wrong);
    assert!(
        wrong.is_empty(),
        "{}:\n{}",
        document["metadata"]["name"],
        wrong.join("\n")
    );
}

fn compare(rendered: &Value, document: &Value, path: &str, wrong: &mut Vec<String>) {
    match (rendered, document) {
        (Value::Object(have), Value::Object(want)) => {
            for (key, value) in want {
                let path = join(path, key);
                match have.get(key) {
                    Some(found) => compare(found, value, &path, wrong),
                    None => wrong.push(format!("{path} is missing")),
                }
            }
            // A list that the document leaves out is an empty one: its members
            // are judged one by one.
            let empty = json!([]);
            for (key, found) in have
                .iter()
                .filter(|(key, found)| !want.contains_key(*key) && found.is_array())
            {
                compare(found, &empty, &join(path, key), wrong);
            }
            let more = have
                .iter()
                .filter(|(key, found)| !want.contains_key(*key) && !found.is_array())
                .map(|(key, _)| key);
            wrong.extend(
                more.map(|key| join(path, key))
                    .filter(|path| !is_extra(path))
                    .map(|path| format!("{path} is too much")),
            );
        }
        (Value::Array(have), Value::Array(want)) => {
            for (place, value) in want.iter().enumerate() {
                let path = format!("{path}[{}]", name_of(value, place));
                match have
                    .iter()
                    .enumerate()
                    .find(|(i, one)| name_of(one, *i) == name_of(value, place))
                {
                    Some((_, found)) => compare(found, value, &path, wrong),
                    None => wrong.push(format!("{path} is missing")),
                }
            }
            for (place, value) in have.iter().enumerate() {
                let name = name_of(value, place);
                let path = format!("{path}[{name}]");
                if !want
                    .iter()
                    .enumerate()
                    .any(|(i, one)| name_of(one, i) == name)
                    && !is_extra(&path)
                {
                    wrong.push(format!("{path} is too much"));
                }
            }
        }
        (_, Value::String(text)) if text.starts_with("<base64") => {}
        (have, want) if have == want => {}
        (have, want) => wrong.push(format!("{path} is {have}, the document says {want}")),
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

/// Members of lists are told apart by name, else by place.
fn name_of(value: &Value, place: usize) -> String {
    value["name"]
        .as_str()
        .map_or_else(|| place.to_string(), ToOwned::to_owned)
}

fn is_extra(path: &str) -> bool {
    EXTRAS
        .iter()
        .any(|extra| path == *extra || (extra.ends_with('/') && path.starts_with(extra)))
}
