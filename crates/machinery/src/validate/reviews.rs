//! Access reviews (`pkg/apis/authorization/validation` upstream).

use serde_json::Value;

use super::{At, Bad, Causes, labels, names, quote};

/// Judges an access review; other reviews are not judged here.
pub(super) fn check(kind: &str, object: &At<'_>, causes: &mut Causes) {
    let spec = object.field("spec");
    let is_local = kind == "LocalSubjectAccessReview";
    match kind {
        "SelfSubjectAccessReview" => attributes(&spec, causes),
        "SubjectAccessReview" | "LocalSubjectAccessReview" => {
            attributes(&spec, causes);
            subject(&spec, causes);
        }
        _ => return,
    }
    let resource = spec.field("resourceAttributes");
    for name in ["fieldSelector", "labelSelector"] {
        selector(&resource.field(name), name == "labelSelector", causes);
    }
    metadata(&object.field("metadata"), is_local, causes);
    if is_local {
        local(object, causes);
    }
}

fn attributes(spec: &At<'_>, causes: &mut Causes) {
    let resource = spec.field("resourceAttributes");
    let path = spec.field("nonResourceAttributes");
    match (resource.is_set(), path.is_set()) {
        (true, true) => {
            let detail = "cannot be specified in combination with resourceAttributes";
            causes.invalid(&path.path, shown(&path), detail);
        }
        (false, false) => {
            let detail =
                "exactly one of nonResourceAttributes or resourceAttributes must be specified";
            causes.invalid(&resource.path, &Value::Null, detail);
        }
        _ => {}
    }
}

/// Attributes of a path as upstream's internal type prints them.
fn shown(path: &At<'_>) -> Bad {
    let text = |name: &str| quote(path.value[name].as_str().unwrap_or_default());
    Bad::raw(format!(
        "{{\"Path\":{},\"Verb\":{}}}",
        text("path"),
        text("verb")
    ))
}

fn subject(spec: &At<'_>, causes: &mut Causes) {
    let user = spec.field("user");
    if user.is_empty() && spec.field("groups").is_empty() {
        let detail = "at least one of user or group must be specified";
        causes.invalid(&user.path, "", detail);
    }
}

fn selector(selector: &At<'_>, of_labels: bool, causes: &mut Causes) {
    if !selector.is_set() {
        return;
    }
    let (raw, requirements) = (
        selector.field("rawSelector"),
        selector.field("requirements"),
    );
    match (raw.is_empty(), requirements.is_empty()) {
        (false, false) => {
            let detail = "may not specified at the same time as requirements";
            causes.invalid(&raw.path, raw.text(), detail);
        }
        (true, true) => {
            let detail = format!(
                "when {} is specified, requirements or rawSelector is required",
                selector.path
            );
            causes.required(&requirements.path, &detail);
        }
        _ => {}
    }
    for requirement in requirements.items() {
        let operator = requirement.field("operator");
        let key = requirement.field("key");
        let is_known = matches!(operator.text(), "In" | "NotIn" | "Exists" | "DoesNotExist");
        match (of_labels, is_known) {
            (true, true) => labels::requirement(&requirement, causes),
            // Newer clients may know operators that are not known here.
            (true, false) => {
                causes.invalid_text(&key.path, key.text(), names::qualified(key.text()));
            }
            (false, _) if key.is_empty() => causes.required(&key.path, "must be specified"),
            (false, _) => {}
        }
    }
}

fn metadata(metadata: &At<'_>, is_local: bool, causes: &mut Causes) {
    let allowed = |name: &str| name == "managedFields" || (is_local && name == "namespace");
    if metadata.entries().all(|(name, _)| allowed(name)) {
        return;
    }
    let detail = match is_local {
        true => "must be empty except for namespace",
        false => "must be empty",
    };
    let text = metadata.value.to_string();
    causes.invalid(&metadata.path, Bad::raw(text), detail);
}

fn local(object: &At<'_>, causes: &mut Causes) {
    let spec = object.field("spec");
    let resource = spec.field("resourceAttributes");
    let namespace = resource.field("namespace");
    let own = object.value["metadata"]["namespace"].as_str();
    if resource.is_set() && namespace.text() != own.unwrap_or_default() {
        let detail = "must match metadata.namespace";
        causes.invalid(&namespace.path, namespace.text(), detail);
    }
    let path = spec.field("nonResourceAttributes");
    if path.is_set() {
        let detail = "disallowed on this kind of request";
        causes.invalid(&path.path, shown(&path), detail);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(kind: &str, object: Value, expected: &[&str]) {
        let mut causes = Causes::default();
        super::check(kind, &At::root(&object), &mut causes);
        let found: Vec<String> = causes
            .list
            .iter()
            .map(|cause| format!("{}: {}", cause.field, cause.message))
            .collect();
        assert_eq!(found, expected, "{object}");
    }

    #[test]
    fn reviews_ask_one_thing() {
        let own = "SelfSubjectAccessReview";
        let neither = "spec.resourceAttributes: Invalid value: null: exactly one of nonResourceAttributes or resourceAttributes must be specified";
        check(
            own,
            json!({"spec": {"resourceAttributes": {"verb": "get"}}}),
            &[],
        );
        check(own, json!({"spec": {}}), &[neither]);
        check(
            own,
            json!({"spec": {"resourceAttributes": {}, "nonResourceAttributes": {"path": "/x"}}}),
            &[
                "spec.nonResourceAttributes: Invalid value: {\"Path\":\"/x\",\"Verb\":\"\"}: cannot be specified in combination with resourceAttributes",
            ],
        );
        check(
            "SubjectAccessReview",
            json!({"spec": {}}),
            &[
                neither,
                "spec.user: Invalid value: \"\": at least one of user or group must be specified",
            ],
        );
        check(
            own,
            json!({"metadata": {"name": "x"}, "spec": {"nonResourceAttributes": {}}}),
            &["metadata: Invalid value: {\"name\":\"x\"}: must be empty"],
        );
    }

    #[test]
    fn selectors_of_reviews() {
        let review =
            |name: &str, selector: Value| json!({"spec": {"resourceAttributes": {name: selector}}});
        check(
            "SelfSubjectAccessReview",
            review("labelSelector", json!({})),
            &[
                "spec.resourceAttributes.labelSelector.requirements: Required value: when spec.resourceAttributes.labelSelector is specified, requirements or rawSelector is required",
            ],
        );
        check(
            "SelfSubjectAccessReview",
            review(
                "fieldSelector",
                json!({"rawSelector": "a", "requirements": [{"key": "k", "operator": "Exists"}]}),
            ),
            &[
                "spec.resourceAttributes.fieldSelector.rawSelector: Invalid value: \"a\": may not specified at the same time as requirements",
            ],
        );
    }

    #[test]
    fn local_reviews_stay_in_their_namespace() {
        check(
            "LocalSubjectAccessReview",
            json!({"metadata": {"namespace": "a"}, "spec": {"user": "u", "resourceAttributes": {"namespace": "b"}}}),
            &[
                "spec.resourceAttributes.namespace: Invalid value: \"b\": must match metadata.namespace",
            ],
        );
        check(
            "LocalSubjectAccessReview",
            json!({"metadata": {"namespace": "a"}, "spec": {"user": "u", "nonResourceAttributes": {"path": "/"}}}),
            &[
                "spec.nonResourceAttributes: Invalid value: {\"Path\":\"/\",\"Verb\":\"\"}: disallowed on this kind of request",
            ],
        );
    }
}
