//! Rows of disruption budgets, role bindings and admission configuration.

use jiff::Timestamp;
use serde_json::Value;

use super::{age, at, int, length, list, name, scalar, selector, string, text};

/// Cells of a `PodDisruptionBudget`.
pub(super) fn disruption_budget(object: &Value, now: Timestamp) -> Vec<Value> {
    let amount = |path: &str| -> Value {
        match at(object, path) {
            Value::Null => "N/A".into(),
            amount => scalar(amount).into(),
        }
    };
    vec![
        name(object),
        amount("spec.minAvailable"),
        amount("spec.maxUnavailable"),
        int(object, "status.disruptionsAllowed"),
        age(object, now),
    ]
}

/// Cells of a `RoleBinding` or `ClusterRoleBinding`.
pub(super) fn role_binding(object: &Value, now: Timestamp) -> Vec<Value> {
    let role = at(object, "roleRef");
    let subjects = |kind: &str| -> Value {
        let names: Vec<String> = list(object, "subjects")
            .iter()
            .filter(|subject| subject["kind"] == kind)
            .map(|subject| match kind {
                "ServiceAccount" => {
                    format!("{}/{}", text(subject, "namespace"), text(subject, "name"))
                }
                _ => text(subject, "name").to_owned(),
            })
            .collect();
        names.join(", ").into()
    };
    vec![
        name(object),
        format!("{}/{}", text(role, "kind"), text(role, "name")).into(),
        age(object, now),
        subjects("User"),
        subjects("Group"),
        subjects("ServiceAccount"),
    ]
}

/// Cells of the admissionregistration kinds.
pub(super) fn admission(kind: &str, object: &Value, now: Timestamp) -> Vec<Value> {
    match kind {
        "ValidatingWebhookConfiguration" | "MutatingWebhookConfiguration" => {
            let webhooks = length(object, "webhooks");
            vec![name(object), webhooks.into(), age(object, now)]
        }
        "ValidatingAdmissionPolicy" => policy(object, "spec.validations", now),
        "MutatingAdmissionPolicy" => policy(object, "spec.mutations", now),
        _ => vec![
            name(object),
            string(object, "spec.policyName"),
            parameter(object).into(),
            age(object, now),
        ],
    }
}

fn policy(object: &Value, rules: &str, now: Timestamp) -> Vec<Value> {
    let parameter = at(object, "spec.paramKind");
    let parameter = match parameter.is_null() {
        true => "<unset>".to_owned(),
        false => format!(
            "{}/{}",
            text(parameter, "apiVersion"),
            text(parameter, "kind")
        ),
    };
    vec![
        name(object),
        length(object, rules).into(),
        parameter.into(),
        age(object, now),
    ]
}

fn parameter(object: &Value) -> String {
    let reference = at(object, "spec.paramRef");
    match (text(reference, "namespace"), text(reference, "name")) {
        ("", "") if reference["selector"].is_object() => selector(&reference["selector"]),
        ("", "") => "<unset>".into(),
        ("", name) => format!("*/{name}"),
        (namespace, name) => format!("{namespace}/{name}"),
    }
}
