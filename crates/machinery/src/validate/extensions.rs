//! Custom resource definitions, their versions and the structural schemas in
//! them.
//!
//! Rules written in CEL are carried, not compiled.

mod defaults;
mod lists;
mod schema;
mod structural;
mod versions;

use serde_json::Value;

use super::{At, Causes, admission, names};

/// Group suffixes that need an approval.
const PROTECTED: [&str; 2] = ["k8s.io", "kubernetes.io"];
const APPROVAL: &str = "api-approved.kubernetes.io";

/// A `CustomResourceDefinition`.
pub(super) fn definition(object: &At<'_>, old: Option<&Value>, causes: &mut Causes) {
    let spec = object.field("spec");
    let metadata = object.field("metadata");
    let name = metadata.field("name");
    let text = |path: &str| {
        let value = path.split('.').fold(spec.value, |value, name| &value[name]);
        value.as_str().unwrap_or_default().to_owned()
    };
    let expected = format!("{}.{}", text("names.plural"), text("group"));
    if old.is_none() && !name.is_empty() && name.text() != expected {
        let detail = "must be spec.names.plural+\".\"+spec.group";
        causes.invalid(&name.path, name.text(), detail);
    }
    group(&spec.field("group"), causes);
    approval(object, &text("group"), causes);
    let scope = spec.field("scope");
    match scope.text() {
        "" => causes.required(&scope.path, ""),
        _ => causes.one_of(&scope, &["Cluster", "Namespaced"]),
    }
    let preserve = spec.field("preserveUnknownFields");
    if preserve.flag() {
        if old.is_none_or(|old| old["spec"]["preserveUnknownFields"] != true) {
            let detail = "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead";
            causes.invalid(&preserve.path, true, detail);
        }
        if has_default(&spec.value["versions"]) {
            let detail = "must be false in order to use defaults in the schema";
            causes.invalid(&preserve.path, true, detail);
        }
    }
    versions::check(&spec, causes);
    resource_names(&spec.field("names"), causes);
    conversion(&spec, causes);
    stored_versions(object, causes);
    if let Some(old) = old {
        fixed(&spec, old, causes);
    }
}

/// Whether a default stands anywhere in schemas.
fn has_default(value: &Value) -> bool {
    match value {
        Value::Object(map) => map.contains_key("default") || map.values().any(has_default),
        Value::Array(list) => list.iter().any(has_default),
        _ => false,
    }
}

/// What names the resource never changes; how it is stored does not either, once
/// it is served.
fn fixed(spec: &At<'_>, old: &Value, causes: &mut Causes) {
    let before = &old["spec"];
    let (names, named) = (spec.field("names"), &before["names"]);
    if is_established(&old["status"]) {
        super::immutable::field(&spec.field("scope"), &before["scope"], causes);
        super::immutable::field(&names.field("kind"), &named["kind"], causes);
    }
    super::immutable::field(&spec.field("group"), &before["group"], causes);
    super::immutable::field(&names.field("plural"), &named["plural"], causes);
}

fn is_established(status: &Value) -> bool {
    let conditions = status["conditions"].as_array();
    conditions
        .into_iter()
        .flatten()
        .any(|one| one["type"] == "Established" && one["status"] == "True")
}

fn group(group: &At<'_>, causes: &mut Causes) {
    let text = group.text();
    if text.is_empty() {
        causes.required(&group.path, "");
        return;
    }
    let wrong = names::subdomain(text);
    if !wrong.is_empty() {
        causes.invalid(&group.path, text, &wrong.join(","));
    } else if !text.contains('.') {
        causes.invalid(
            &group.path,
            text,
            "should be a domain with at least one dot",
        );
    }
}

fn approval(object: &At<'_>, group: &str, causes: &mut Causes) {
    let protected = PROTECTED
        .iter()
        .any(|suffix| group == *suffix || group.ends_with(&format!(".{suffix}")));
    if !protected {
        return;
    }
    let metadata = object.field("metadata");
    let annotations = metadata.field("annotations");
    let path = annotations.path.key(APPROVAL);
    match annotations.value.get(APPROVAL).and_then(Value::as_str) {
        None | Some("") => {
            let detail = "protected groups must have approval annotation \"api-approved.kubernetes.io\", see https://github.com/kubernetes/enhancements/pull/1111";
            causes.required(&path, detail);
        }
        Some(text) if text.starts_with("unapproved") || text.starts_with("https://") => {}
        Some(text) => {
            let detail = "protected groups must have approval annotation \"api-approved.kubernetes.io\" with either a URL or a reason starting with \"unapproved\", see https://github.com/kubernetes/enhancements/pull/1111";
            causes.invalid(&path, text, detail);
        }
    }
}

fn resource_names(given: &At<'_>, causes: &mut Causes) {
    for name in ["plural", "singular"] {
        let at = given.field(name);
        if at.is_empty() {
            causes.required(&at.path, "");
        } else {
            let wrong = names::label_1035(at.text());
            if !wrong.is_empty() {
                causes.invalid(&at.path, at.text(), &wrong.join(","));
            }
        }
    }
    for name in ["kind", "listKind"] {
        let at = given.field(name);
        if at.is_empty() {
            causes.required(&at.path, "");
            continue;
        }
        let wrong = names::label_1035(&at.text().to_lowercase());
        if !wrong.is_empty() {
            let detail = format!(
                "may have mixed case, but should otherwise match: {}",
                wrong.join(",")
            );
            causes.invalid(&at.path, at.text(), &detail);
        }
    }
    let (kind, list) = (given.field("kind"), given.field("listKind"));
    if !kind.is_empty() && kind.text() == list.text() {
        let detail = "kind and listKind may not be the same";
        causes.invalid(&list.path, list.text(), detail);
    }
    for list in ["shortNames", "categories"] {
        for name in given.field(list).items() {
            let wrong = names::label_1035(name.text());
            if !wrong.is_empty() {
                causes.invalid(&name.path, name.text(), &wrong.join(","));
            }
        }
    }
}

fn conversion(spec: &At<'_>, causes: &mut Causes) {
    let conversion = spec.field("conversion");
    if !conversion.is_set() {
        return;
    }
    let strategy = conversion.field("strategy");
    match strategy.text() {
        "" => causes.required(&strategy.path, ""),
        _ => causes.one_of(&strategy, &["None", "Webhook"]),
    }
    if strategy.text() != "None" && spec.field("preserveUnknownFields").flag() {
        let detail = "must be None if spec.preserveUnknownFields is true";
        causes.invalid(&strategy.path, strategy.text(), detail);
    }
    // Upstream's internal type has the parts of the webhook side by side.
    let webhook = &conversion.value["webhook"];
    let client = At {
        value: &webhook["clientConfig"],
        path: conversion.path.field("webhookClientConfig"),
    };
    let versions = At {
        value: &webhook["conversionReviewVersions"],
        path: conversion.path.field("conversionReviewVersions"),
    };
    if strategy.text() != "Webhook" {
        let detail = "should not be set when strategy is not set to Webhook";
        if client.is_set() {
            causes.forbidden(&client.path, detail);
        }
        if !versions.is_empty() {
            causes.forbidden(&versions.path, detail);
        }
        return;
    }
    match client.is_set() {
        true => admission::client(&client, causes),
        false => causes.required(&client.path, "required when strategy is set to Webhook"),
    }
    match versions.is_empty() {
        true => causes.required(&versions.path, ""),
        false => admission::review_versions(&versions, causes),
    }
}

/// The status of a definition.
pub(super) fn status(object: &At<'_>, causes: &mut Causes) {
    let status = object.field("status");
    accepted_names(&status.field("acceptedNames"), causes);
}

/// Names that were taken (`ValidateCustomResourceDefinitionNames`).
fn accepted_names(accepted: &At<'_>, causes: &mut Causes) {
    for name in ["plural", "singular", "kind", "listKind"] {
        let at = accepted.field(name);
        let mixed = name.ends_with("ind");
        let text = match mixed {
            true => at.text().to_lowercase(),
            false => at.text().to_owned(),
        };
        let wrong = names::label_1035(&text).join(",");
        if !at.is_empty() && !wrong.is_empty() {
            let rule = match mixed {
                true => format!("may have mixed case, but should otherwise match: {wrong}"),
                false => wrong,
            };
            causes.invalid(&at.path, at.text(), &rule);
        }
    }
    for list in ["shortNames", "categories"] {
        for at in accepted.field(list).items() {
            let wrong = names::label_1035(at.text()).join(",");
            if !wrong.is_empty() {
                causes.invalid(&at.path, at.text(), &wrong);
            }
        }
    }
    let (kind, list) = (accepted.field("kind"), accepted.field("listKind"));
    if !kind.is_empty() && kind.text() == list.text() {
        let detail = "kind and listKind may not be the same";
        causes.invalid(&list.path, list.text(), detail);
    }
}

fn stored_versions(object: &At<'_>, causes: &mut Causes) {
    let status = object.field("status");
    let stored = status.field("storedVersions");
    if stored.is_empty() {
        let detail = "must have at least one stored version";
        causes.invalid(&stored.path, stored.value, detail);
        return;
    }
    let spec = object.field("spec");
    let versions = spec.field("versions");
    for version in versions.items().filter(|v| v.field("storage").flag()) {
        let name = version.field("name").text();
        if !stored.items().any(|version| version.text() == name) {
            let detail = format!("must have the storage version {name}");
            causes.invalid(&stored.path, stored.value, &detail);
        }
    }
    for version in stored.items() {
        let known = versions
            .items()
            .any(|v| v.field("name").text() == version.text());
        if !known {
            let name = version.text();
            let detail = format!(
                "missing from spec.versions; {name} was previously a storage version, and must remain in spec.versions until a storage migration ensures no data remains persisted in {name} and removes {name} from status.storedVersions"
            );
            causes.invalid(&version.path, name, &detail);
        }
    }
}
