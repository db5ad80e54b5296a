//! A new Job gets a selector of its own, unless the client manages it.

use serde_json::{Map, Value, json};

use super::object_at;

/// Labels of a Job's pods that carry the Job's uid and name, old and new.
const UID_LABELS: [&str; 2] = ["controller-uid", "batch.kubernetes.io/controller-uid"];
const NAME_LABELS: [&str; 2] = ["job-name", "batch.kubernetes.io/job-name"];

/// Writes the generated selector and labels; needs the Job's name and uid.
pub(super) fn create(object: &mut Value) {
    if object["spec"]["manualSelector"] == true {
        return;
    }
    let text = |name: &str| {
        let value = &object["metadata"][name];
        value.as_str().unwrap_or_default().to_owned()
    };
    let (uid, name) = (text("uid"), text("name"));
    let spec = object_at(object, "spec");
    let template = spec.entry("template").or_insert_with(|| json!({}));
    let metadata = object_at(template, "metadata");
    let labels = metadata.entry("labels").or_insert_with(|| json!({}));
    if !labels.is_object() {
        *labels = json!({});
    }
    let labels = labels.as_object_mut().expect("made an object above");
    // A label the client set by hand stays, and validation refuses it.
    for label in UID_LABELS {
        labels.entry(label).or_insert_with(|| uid.clone().into());
    }
    for label in NAME_LABELS {
        labels.entry(label).or_insert_with(|| name.clone().into());
    }
    let labels = Value::Object(labels.clone());
    let selector = spec.entry("selector").or_insert_with(|| json!({}));
    let matching = object_at(selector, "matchLabels");
    let label = UID_LABELS[1];
    if !matching.contains_key(label) {
        matching.insert(label.to_owned(), uid.into());
    }
    // A job without labels has those of its template.
    let own = object_at(object, "metadata")
        .entry("labels")
        .or_insert(Value::Null);
    if own.as_object().is_none_or(Map::is_empty) {
        *own = labels;
    }
}
