//! Defaults of admission webhooks and policies.

use serde_json::json;

use super::{Object, child, each};
use crate::default::{child_or_new, value};

/// Defaults of the webhooks of either configuration.
pub fn webhooks(object: &mut Object, mutating: bool) {
    for webhook in each(object, "webhooks") {
        value(webhook, "failurePolicy", || "Fail");
        value(webhook, "matchPolicy", || "Equivalent");
        value(webhook, "namespaceSelector", || json!({}));
        value(webhook, "objectSelector", || json!({}));
        value(webhook, "timeoutSeconds", || 10);
        if mutating {
            value(webhook, "reinvocationPolicy", || "Never");
        }
        for rule in each(webhook, "rules") {
            value(rule, "scope", || "*");
        }
        let service = child(webhook, "clientConfig").and_then(|config| child(config, "service"));
        if let Some(service) = service {
            value(service, "port", || 443);
        }
    }
}

/// Defaults of a `ValidatingAdmissionPolicy` or `MutatingAdmissionPolicy`.
pub fn policy(object: &mut Object) {
    let Some(spec) = child_or_new(object, "spec") else {
        return;
    };
    value(spec, "failurePolicy", || "Fail");
    if let Some(constraints) = child(spec, "matchConstraints") {
        match_resources(constraints);
    }
}

/// Defaults of the bindings of policies.
pub fn binding(object: &mut Object) {
    let resources = child(object, "spec").and_then(|spec| child(spec, "matchResources"));
    if let Some(resources) = resources {
        match_resources(resources);
    }
}

fn match_resources(resources: &mut Object) {
    value(resources, "matchPolicy", || "Equivalent");
    value(resources, "namespaceSelector", || json!({}));
    value(resources, "objectSelector", || json!({}));
    for list in ["resourceRules", "excludeResourceRules"] {
        for rule in each(resources, list) {
            value(rule, "scope", || "*");
        }
    }
}
