//! A new Job gets a selector of its own, unless the client manages it.

use serde_json::{Map, Value, json};

use super::object_at;
use crate::kind::Kind;

/// Labels of a Job's pods that carry the Job's uid and name, old and new.
const UID_LABELS: [&str; 2] = ["controller-uid", "batch.kubernetes.io/controller-uid"];
const NAME_LABELS: [&str; 2] = ["job-name", "batch.kubernetes.io/job-name"];

/// Whether a decoded object is a Job that has the labels of its template:
/// upstream's defaults make them one map, so that what is generated for the
/// template later shows in both.
pub fn lends_labels(kind: &Kind, object: &Value) -> bool {
    let labels = &object["metadata"]["labels"];
    (kind.group, kind.kind) == ("batch", "Job")
        && labels.as_object().is_none_or(Map::is_empty)
        && object["spec"]["manualSelector"] != true
}

/// Takes the labels of the template from the Job again, until they are complete.
pub fn take_back_labels(object: &mut Value) {
    object_at(object, "metadata").shift_remove("labels");
}

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
    let own = object["metadata"]["labels"].as_object();
    let shares = own.is_none_or(Map::is_empty)
        && object["spec"]["template"]["metadata"]["labels"].is_object();
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
    if shares {
        object_at(object, "metadata").insert("labels".to_owned(), labels);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds;

    #[test]
    fn a_job_has_all_labels_of_its_template() {
        let kind = kinds::by_plural("batch", "v1", "jobs").expect("a kind");
        let check = |own: Value, expected: &[&str]| {
            let mut job = json!({
                "metadata": {"name": "j", "uid": "u", "labels": own},
                "spec": {"template": {"metadata": {"labels": {"app": "a"}}}},
            });
            let lends = lends_labels(kind, &job);
            crate::default::apply(kind, &mut job);
            if lends {
                take_back_labels(&mut job);
            }
            create(&mut job);
            let labels = job["metadata"]["labels"].as_object().expect("labels");
            let mut names: Vec<&str> = labels.keys().map(String::as_str).collect();
            names.sort_unstable();
            assert_eq!(names, expected);
        };
        check(json!({"own": "x"}), &["own"]);
        let all = [
            "app",
            "batch.kubernetes.io/controller-uid",
            "batch.kubernetes.io/job-name",
            "controller-uid",
            "job-name",
        ];
        check(json!({}), &all);
        check(Value::Null, &all);
    }
}
