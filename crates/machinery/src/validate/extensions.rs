//! Custom resource definitions and the structural schemas in them.
//!
//! Rules written in CEL are carried, not compiled.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{At, Bad, Causes, go_json, names};

/// Group suffixes that need an approval.
const PROTECTED: [&str; 2] = ["k8s.io", "kubernetes.io"];
const APPROVAL: &str = "api-approved.kubernetes.io";
const TYPES: &[&str] = &["array", "boolean", "integer", "number", "object", "string"];
/// Deepest nesting of a schema that is judged.
const DEPTH_MAX: usize = 128;

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
        let detail = "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead";
        causes.invalid(&preserve.path, true, detail);
        if has_default(&spec.value["versions"]) {
            let detail = "must be false in order to use defaults in the schema";
            causes.invalid(&preserve.path, true, detail);
        }
    }
    versions(&spec, causes);
    resource_names(&spec.field("names"), causes);
    conversion(&spec.field("conversion"), causes);
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

fn versions(spec: &At<'_>, causes: &mut Causes) {
    let versions = spec.field("versions");
    let storage = versions
        .items()
        .filter(|v| v.field("storage").flag())
        .count();
    if storage != 1 {
        let detail = "must have exactly one version marked as storage version";
        causes.invalid(&versions.path, versions_shown(&versions), detail);
    }
    let mut seen = BTreeSet::new();
    let mut unique = true;
    for (index, version) in versions.items().enumerate() {
        let name = version.field("name");
        let wrong = names::label_1035(name.text());
        if index == 0 && !wrong.is_empty() {
            // The internal type has the first version's name in a field of its own.
            let path = spec.path.field("version");
            causes.invalid(&path, name.text(), &wrong.join(","));
        }
        if !wrong.is_empty() {
            causes.invalid(&name.path, name.text(), &wrong.join(","));
        }
        unique &= seen.insert(name.text().to_owned());
        let schema = version.field("schema");
        let root = schema.field("openAPIV3Schema");
        if !root.is_set() {
            causes.required(&root.path, "");
        }
        columns(&version.field("additionalPrinterColumns"), causes);
    }
    if !unique {
        let detail = "must contain unique version names";
        causes.invalid(&versions.path, versions_shown(&versions), detail);
    }
    schemas(spec, &versions, causes);
}

/// Versions as upstream's internal type prints them; equal schemas are hoisted
/// out of them.
fn versions_shown(versions: &At<'_>) -> Bad {
    let shown: Vec<String> = versions
        .items()
        .map(|version| {
            format!(
                "{{\"Name\":{},\"Served\":{},\"Storage\":{},\"Deprecated\":{},\"DeprecationWarning\":{},\"Schema\":null,\"Subresources\":null,\"AdditionalPrinterColumns\":null,\"SelectableFields\":{}}}",
                version.value["name"],
                version.field("served").flag(),
                version.field("storage").flag(),
                version.field("deprecated").flag(),
                version.value["deprecationWarning"],
                go_json(&version.value["selectableFields"]),
            )
        })
        .collect();
    Bad::raw(format!("[{}]", shown.join(",")))
}

/// One schema for all versions is judged under `spec.validation`.
fn schemas(spec: &At<'_>, versions: &At<'_>, causes: &mut Causes) {
    let all: Vec<&Value> = versions
        .value
        .as_array()
        .into_iter()
        .flatten()
        .map(|version| &version["schema"]["openAPIV3Schema"])
        .collect();
    let same = all.windows(2).all(|pair| pair[0] == pair[1]);
    if same {
        if let Some(value) = all.first().filter(|value| value.is_object()) {
            let path = spec.path.field("validation.openAPIV3Schema");
            root_schema(&At { value, path }, causes);
        }
        return;
    }
    for version in versions.items() {
        let schema = version.field("schema");
        let root = schema.field("openAPIV3Schema");
        if root.is_set() {
            root_schema(&root, causes);
        }
    }
}

fn columns(columns: &At<'_>, causes: &mut Causes) {
    for column in columns.items() {
        for name in ["name", "type", "jsonPath"] {
            let at = column.field(name);
            if at.is_empty() {
                causes.required(&at.path, "");
            }
        }
        let kind = column.field("type");
        if !kind.is_empty() {
            causes.one_of(&kind, &["boolean", "date", "integer", "number", "string"]);
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

fn conversion(conversion: &At<'_>, causes: &mut Causes) {
    if !conversion.is_set() {
        return;
    }
    let strategy = conversion.field("strategy");
    match strategy.text() {
        "None" => {}
        "Webhook" => {
            let webhook = &conversion.value["webhook"];
            if webhook["clientConfig"].is_null() {
                let path = conversion.path.field("webhookClientConfig");
                causes.required(&path, "required when strategy is set to Webhook");
            }
            let versions = webhook["conversionReviewVersions"].as_array();
            if versions.is_none_or(Vec::is_empty) {
                let path = conversion.path.field("conversionReviewVersions");
                causes.required(&path, "");
            }
        }
        "" => causes.required(&strategy.path, ""),
        _ => causes.one_of(&strategy, &["None", "Webhook"]),
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
            let detail = "must appear in spec.versions";
            causes.invalid(&version.path, version.text(), detail);
        }
    }
}

fn root_schema(root: &At<'_>, causes: &mut Causes) {
    let kind = root.field("type");
    match kind.text() {
        "" => causes.required(&kind.path, "must not be empty at the root"),
        "object" => {}
        other => causes.invalid(&kind.path, other, "must be object at the root"),
    }
    let properties = root.field("properties");
    if let Some(metadata) = properties.value.get("metadata") {
        only_names(&properties.path.key("metadata"), metadata, causes);
    }
    children(root, 0, causes);
}

/// A schema may say of the metadata only how objects are named.
fn only_names(path: &crate::path::Path<'_>, metadata: &Value, causes: &mut Causes) {
    let extra = metadata["properties"].as_object().into_iter().flatten();
    let named = extra
        .into_iter()
        .all(|(name, _)| matches!(&**name, "name" | "generateName"));
    let bare = metadata
        .as_object()
        .into_iter()
        .flatten()
        .all(|(key, _)| matches!(&**key, "type" | "properties" | "description"));
    if !named || !bare {
        let detail = "must not specify anything other than name and generateName, but metadata is implicitly specified";
        causes.forbidden(path, detail);
    }
}

fn children(schema: &At<'_>, depth: usize, causes: &mut Causes) {
    if depth > DEPTH_MAX {
        return;
    }
    let properties = schema.field("properties");
    for (name, value) in properties.entries() {
        let child = At {
            value,
            path: properties.path.key(name),
        };
        node(&child, "object fields", depth, causes);
    }
    let values = schema.field("additionalProperties");
    if values.value.is_object() {
        node(&values, "object fields", depth, causes);
    }
    let items = schema.field("items");
    if items.is_set() {
        node(&items, "array items", depth, causes);
    }
}

fn node(schema: &At<'_>, place: &str, depth: usize, causes: &mut Causes) {
    let kind = schema.field("type");
    let free = schema.value["x-kubernetes-preserve-unknown-fields"] == true
        || schema.value["x-kubernetes-int-or-string"] == true;
    match kind.text() {
        "" if free => {}
        "" => {
            let detail = format!("must not be empty for specified {place}");
            causes.required(&kind.path, &detail);
        }
        _ => causes.one_of(&kind, TYPES),
    }
    if kind.text() == "array" && !schema.field("items").is_set() {
        causes.required(&schema.field("items").path, "must be specified");
    }
    if !schema.field("properties").is_empty() && schema.value["additionalProperties"].is_object() {
        let at = schema.field("additionalProperties");
        let detail = "additionalProperties and properties are mutual exclusive";
        causes.forbidden(&at.path, detail);
    }
    list_type(schema, causes);
    default(schema, causes);
    children(schema, depth + 1, causes);
}

fn list_type(schema: &At<'_>, causes: &mut Causes) {
    let (kind, keys) = (
        schema.field("x-kubernetes-list-type"),
        schema.field("x-kubernetes-list-map-keys"),
    );
    if !kind.is_set() {
        if !keys.is_empty() {
            let detail = "must be map if x-kubernetes-list-map-keys is non-empty";
            causes.required(&kind.path, detail);
        }
        return;
    }
    causes.one_of(&kind, &["atomic", "map", "set"]);
    if kind.text() != "map" {
        return;
    }
    if keys.is_empty() {
        let detail = "must not be empty if x-kubernetes-list-type is map";
        causes.required(&keys.path, detail);
    }
    let items = schema.field("items");
    let properties = items.field("properties");
    for key in keys.items() {
        if properties.value.get(key.text()).is_none() {
            let detail = "entries must all be names of item properties";
            causes.invalid(&key.path, key.text(), detail);
        }
    }
}

/// A default must have the type of its field.
fn default(schema: &At<'_>, causes: &mut Causes) {
    let default = schema.field("default");
    if !default.is_set() {
        return;
    }
    let found = match default.value {
        Value::String(_) => "string",
        Value::Bool(_) => "boolean",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
        Value::Number(number) if number.is_f64() => "number",
        _ => "integer",
    };
    let wanted = schema.field("type").text();
    let fits = wanted.is_empty() || wanted == found || (wanted == "number" && found == "integer");
    if !fits {
        let detail = format!(" in body must be of type {wanted}: \"{found}\"");
        causes.push(
            super::Reason::TypeInvalid,
            &default.path,
            Some(Bad::from(found)),
            &detail,
        );
    }
}
