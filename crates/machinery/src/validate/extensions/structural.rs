//! Whether a schema is structural: every field is typed outside of the logical
//! junctors, and inside of them only values are judged.
//!
//! <https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#specifying-a-structural-schema>

use regex::Regex;
use serde_json::{Value, json};

use super::schema::{DEPTH_MAX, flag_of};
use crate::path::Path;
use crate::validate::{At, Causes};

/// What a junctor must not say, besides types and further properties.
const FORBIDDEN_NESTED: &[(&str, &str)] = &[
    ("type", "must be empty to be structural"),
    ("additionalProperties", "must be undefined to be structural"),
    ("default", "must be undefined to be structural"),
    ("title", "must be empty to be structural"),
    ("description", "must be empty to be structural"),
    ("nullable", "must be false to be structural"),
    (
        "x-kubernetes-preserve-unknown-fields",
        "must be false to be structural",
    ),
    (
        "x-kubernetes-embedded-resource",
        "must be false to be structural",
    ),
    (
        "x-kubernetes-int-or-string",
        "must be false to be structural",
    ),
    (
        "x-kubernetes-list-map-keys",
        "must be empty to be structural",
    ),
    (
        "x-kubernetes-list-type",
        "must be undefined to be structural",
    ),
    (
        "x-kubernetes-map-type",
        "must be undefined to be structural",
    ),
    ("x-kubernetes-validations", "must be empty to be structural"),
];

/// Where a schema stands.
#[derive(Clone, Copy, PartialEq)]
enum Level {
    Root,
    Item,
    Field,
}

/// Judges the schema of a version; faults come in the order of their texts.
pub(super) fn check(root: &At<'_>, causes: &mut Causes) {
    let mut found = Causes::default();
    invariants(root, Level::Root, 0, &mut found);
    clauses_complete(root, root, 0, &mut found);
    found
        .list
        .sort_by_key(|cause| format!("{}: {}", cause.field, cause.message));
    causes.list.append(&mut found.list);
}

fn invariants(schema: &At<'_>, level: Level, depth: usize, causes: &mut Causes) {
    if depth > DEPTH_MAX {
        return;
    }
    let items = schema.field("items");
    if items.is_set() {
        invariants(&items, Level::Item, depth + 1, causes);
    } else if schema.field("type").text() == "array" {
        causes.required(&items.path, "must be specified");
    }
    let properties = schema.field("properties");
    for (name, value) in properties.entries() {
        let path = properties.path.key(name);
        invariants(&At { value, path }, Level::Field, depth + 1, causes);
    }
    let others = schema.field("additionalProperties");
    if others.is_set() && level == Level::Root {
        causes.forbidden(&others.path, "must not be used at the root");
    }
    if others.value.is_object() {
        invariants(&others, Level::Field, depth + 1, causes);
    }
    let first = &schema.value["allOf"][0]["anyOf"];
    let skip = Skip {
        any_of: is_int_or_string(&schema.value["anyOf"]),
        first_any_of: is_int_or_string(first),
    };
    clauses(schema, skip, depth, causes);
    int_or_string(schema, causes);
    typed(schema, level, causes);
    resource(schema, level, causes);
}

/// What stands beside `x-kubernetes-int-or-string`.
fn int_or_string(schema: &At<'_>, causes: &mut Causes) {
    if !flag_of(schema, "x-kubernetes-int-or-string") {
        return;
    }
    for name in [
        "x-kubernetes-preserve-unknown-fields",
        "x-kubernetes-embedded-resource",
    ] {
        if flag_of(schema, name) {
            let detail = "must be false if x-kubernetes-int-or-string is true";
            causes.invalid(&schema.field(name).path, true, detail);
        }
    }
}

fn typed(schema: &At<'_>, level: Level, causes: &mut Causes) {
    let kind = schema.field("type");
    let free = flag_of(schema, "x-kubernetes-int-or-string")
        || flag_of(schema, "x-kubernetes-preserve-unknown-fields");
    if flag_of(schema, "x-kubernetes-embedded-resource") && kind.text() != "object" {
        let detail = "must be object if x-kubernetes-embedded-resource is true";
        match kind.text() {
            "" => causes.required(&kind.path, detail),
            other => causes.invalid(&kind.path, other, detail),
        }
    } else if kind.is_empty() && !free {
        let detail = match level {
            Level::Root => "must not be empty at the root",
            Level::Item => "must not be empty for specified array items",
            Level::Field => "must not be empty for specified object fields",
        };
        causes.required(&kind.path, detail);
    }
    if level == Level::Root && !kind.is_empty() && kind.text() != "object" {
        causes.invalid(&kind.path, kind.text(), "must be object at the root");
    }
}

/// Fields of whole resources: the object itself, and what is embedded.
fn resource(schema: &At<'_>, level: Level, causes: &mut Causes) {
    let embedded = flag_of(schema, "x-kubernetes-embedded-resource");
    let whole = level == Level::Root || embedded;
    let others = schema.field("additionalProperties");
    if embedded && others.is_set() {
        let detail = "must not be used if x-kubernetes-embedded-resource is set";
        causes.forbidden(&others.path, detail);
    }
    let properties = schema.field("properties");
    for name in ["kind", "apiVersion"] {
        let path = properties.path.key(name);
        let Some(value) = properties.value.get(name).filter(|_| whole) else {
            continue;
        };
        let field = At { value, path };
        let kind = field.field("type");
        if kind.text() != "string" {
            causes.invalid(&kind.path, kind.text(), "must be string");
        }
    }
    if let Some(value) = properties.value.get("metadata") {
        let path = properties.path.key("metadata");
        metadata(&At { value, path }, whole, level, causes);
    }
    let free = flag_of(schema, "x-kubernetes-preserve-unknown-fields");
    if embedded && !free && properties.is_empty() {
        let detail = "must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields";
        causes.required(&properties.path, detail);
    }
}

/// A schema may say of the object's metadata only how it is named.
fn metadata(metadata: &At<'_>, whole: bool, level: Level, causes: &mut Causes) {
    let kind = metadata.field("type");
    if whole && kind.text() != "object" {
        causes.invalid(&kind.path, kind.text(), "must be object");
    }
    if level != Level::Root {
        return;
    }
    let mut names = metadata.value["properties"]
        .as_object()
        .into_iter()
        .flatten();
    let named = names.all(|(name, _)| matches!(&**name, "name" | "generateName"));
    let mut keys = metadata.value.as_object().into_iter().flatten();
    let bare = keys.all(|(key, _)| matches!(&**key, "type" | "properties" | "default"));
    if !named || !bare {
        let detail = "must not specify anything other than name and generateName, but metadata is implicitly specified";
        causes.forbidden(&metadata.path, detail);
    }
}

/// The two ways to write "integer or string" in clauses, which may name types.
#[derive(Clone, Copy, Default)]
struct Skip {
    any_of: bool,
    first_any_of: bool,
}

fn is_int_or_string(any_of: &Value) -> bool {
    *any_of == json!([{"type": "integer"}, {"type": "string"}])
}

fn clauses(schema: &At<'_>, skip: Skip, depth: usize, causes: &mut Causes) {
    for name in ["anyOf", "allOf", "oneOf"] {
        if name == "anyOf" && skip.any_of {
            continue;
        }
        let list = schema.field(name);
        for (index, clause) in list.items().enumerate() {
            let any_of = name == "allOf" && index == 0 && skip.first_any_of;
            nested(&clause, any_of, depth + 1, causes);
        }
    }
    let not = schema.field("not");
    if not.is_set() {
        nested(&not, false, depth + 1, causes);
    }
    let pattern = schema.field("pattern");
    if let Err(error) = Regex::new(pattern.text()) {
        let reason = error.to_string();
        let reason = reason.lines().last().unwrap_or_default();
        let reason = reason.trim_start_matches("error: ");
        let detail = format!(
            "must be a valid regular expression, but isn't: error parsing regexp: {reason}: `{}`",
            pattern.text()
        );
        causes.invalid(&pattern.path, pattern.text(), &detail);
    }
}

fn nested(clause: &At<'_>, skip_any_of: bool, depth: usize, causes: &mut Causes) {
    if depth > DEPTH_MAX {
        return;
    }
    let skip = Skip {
        any_of: skip_any_of,
        first_any_of: false,
    };
    clauses(clause, skip, depth, causes);
    let items = clause.field("items");
    if items.is_set() {
        nested(&items, false, depth + 1, causes);
    }
    let properties = clause.field("properties");
    for (name, value) in properties.entries() {
        let path = properties.path.key(name);
        nested(&At { value, path }, false, depth + 1, causes);
    }
    for (name, detail) in FORBIDDEN_NESTED {
        let field = clause.field(name);
        let given = match (*name, field.value) {
            (_, Value::Null) => false,
            ("default" | "additionalProperties", _) => true,
            (_, Value::Bool(flag)) => *flag,
            _ => !field.is_empty(),
        };
        if given {
            causes.forbidden(&field.path, detail);
        }
    }
    if properties.value.get("metadata").is_some() {
        let detail = "must not be specified in a nested context";
        causes.forbidden(&properties.path.key("metadata"), detail);
    }
}

/// What clauses judge must be typed outside of them.
fn clauses_complete(clause: &At<'_>, schema: &At<'_>, depth: usize, causes: &mut Causes) {
    let not = clause.field("not");
    if not.is_set() {
        complete(&not, schema, depth + 1, causes);
    }
    for name in ["allOf", "anyOf", "oneOf"] {
        let list = clause.field(name);
        for clause in list.items() {
            complete(&clause, schema, depth + 1, causes);
        }
    }
}

fn complete(clause: &At<'_>, schema: &At<'_>, depth: usize, causes: &mut Causes) {
    if depth > DEPTH_MAX {
        return;
    }
    if !schema.is_set() {
        missing(&schema.path, &clause.path, causes);
        return;
    }
    clauses_complete(clause, schema, depth, causes);
    let items = clause.field("items");
    if items.is_set() {
        complete(&items, &schema.field("items"), depth + 1, causes);
    }
    let properties = clause.field("properties");
    let typed = schema.field("properties");
    for (name, value) in properties.entries() {
        let path = properties.path.key(name);
        let child = At {
            value: &typed.value[name],
            path: typed.path.key(name),
        };
        complete(&At { value, path }, &child, depth + 1, causes);
    }
}

fn missing(path: &Path<'_>, clause: &Path<'_>, causes: &mut Causes) {
    causes.required(path, &format!("because it is defined in {clause}"));
}
