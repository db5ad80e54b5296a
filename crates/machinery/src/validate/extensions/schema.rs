//! The `openAPIV3Schema` of a version: what of JSON schema is understood, and
//! how the parts fit together.

use serde_json::Value;

use super::{defaults, lists, structural};
use crate::validate::{At, Bad, Causes, go_json};

/// Deepest nesting of a schema that is judged.
pub(super) const DEPTH_MAX: usize = 128;
/// Fields of every object, which have types of their own.
pub(super) const META_FIELDS: &[&str] = &["metadata", "kind", "apiVersion"];

const TYPES: &[&str] = &["array", "boolean", "integer", "number", "object", "string"];
/// Parts of JSON schema that are refused.
const UNSUPPORTED: &[&str] = &[
    "id",
    "additionalItems",
    "patternProperties",
    "definitions",
    "dependencies",
    "$ref",
];
/// What may stand at the root beside a status subresource, in upstream's names.
const AT_ROOT: &[&str] = &[
    "Description",
    "Type",
    "Format",
    "Title",
    "Maximum",
    "ExclusiveMaximum",
    "Minimum",
    "ExclusiveMinimum",
    "MaxLength",
    "MinLength",
    "Pattern",
    "MaxItems",
    "MinItems",
    "UniqueItems",
    "MultipleOf",
    "Required",
    "Items",
    "Properties",
    "ExternalDocs",
    "Example",
    "XPreserveUnknownFields",
    "XValidations",
];

/// Whether a truth value of a schema is set.
pub(super) fn flag_of(schema: &At<'_>, name: &str) -> bool {
    schema.value[name] == true
}

/// Judges the schema of a version, whose root is not empty.
pub(super) fn check(root: &At<'_>, has_status: bool, causes: &mut Causes) {
    let before = causes.len();
    if has_status {
        beside_status(root, causes);
    }
    if flag_of(root, "nullable") {
        let path = root.path.field("nullable");
        causes.forbidden(&path, "nullable cannot be true at the root");
    }
    if !is_unsupported(root.value, 0) {
        let found = causes.len();
        structural::check(root, causes);
        if causes.len() == found {
            defaults::check(root, causes);
        }
    }
    Open { causes }.node(root, Place::default(), 0);
    if causes.len() == before && root.field("$schema").is_set() {
        let detail = "OpenAPIV3Schema 'schema' is not supported";
        causes.invalid(&root.path, "", detail);
    }
}

/// The status is judged by its own part of the schema, so the root may hold no
/// rule that is about both.
fn beside_status(root: &At<'_>, causes: &mut Causes) {
    let kind = root.field("type");
    if !kind.is_empty() && kind.text() != "object" {
        let detail = "only \"object\" is allowed as the type at the root of the schema if the status subresource is enabled";
        causes.invalid(&kind.path, kind.text(), detail);
        return;
    }
    let mut given = root.value.as_object().into_iter().flatten();
    let is_known = |name: &str| AT_ROOT.iter().any(|known| json_name(known) == name);
    let is_zero = |value: &Value| value.is_null() || *value == false || *value == "";
    if given.any(|(name, value)| !is_known(name) && !is_zero(value)) {
        let detail = format!(
            "only [{}] fields are allowed at the root of the schema if the status subresource is enabled",
            AT_ROOT.join(" ")
        );
        causes.invalid(&root.path, Bad::raw(go_json(root.value)), &detail);
    }
}

fn json_name(go: &str) -> String {
    match go {
        "XPreserveUnknownFields" => "x-kubernetes-preserve-unknown-fields".to_owned(),
        "XValidations" => "x-kubernetes-validations".to_owned(),
        other => {
            let mut chars = other.chars();
            let first = chars.next().map(|letter| letter.to_ascii_lowercase());
            first.into_iter().chain(chars).collect()
        }
    }
}

/// Whether a part stands anywhere that no structural schema can hold.
fn is_unsupported(schema: &Value, depth: usize) -> bool {
    if depth > DEPTH_MAX {
        return true;
    }
    let Some(map) = schema.as_object() else {
        return false;
    };
    let lists = ["allOf", "anyOf", "oneOf"].into_iter();
    let lists = lists.filter_map(|name| map.get(name)?.as_array());
    let single = ["items", "additionalProperties", "not"].into_iter();
    let single = single.filter_map(|name| map.get(name));
    let properties = map.get("properties").and_then(Value::as_object);
    let mut children = lists
        .flatten()
        .chain(single)
        .chain(properties.into_iter().flat_map(|map| map.values()));
    let has = |name: &str| map.get(name).is_some_and(|value| !value.is_null());
    UNSUPPORTED.iter().any(|name| has(name))
        || has("$schema")
        || map.get("items").is_some_and(Value::is_array)
        || children.any(|child| is_unsupported(child, depth + 1))
}

/// What is known of the place of a schema.
#[derive(Clone, Default)]
struct Place {
    /// Inside of the type or metadata of an object.
    in_meta: bool,
    /// Why no default may stand there.
    no_default: Option<String>,
    /// Below the root or an embedded resource, so that metadata is a child.
    below_root: bool,
}

struct Open<'c> {
    causes: &'c mut Causes,
}

impl Open<'_> {
    fn node(&mut self, schema: &At<'_>, place: Place, depth: usize) {
        if depth > DEPTH_MAX || !schema.value.is_object() {
            return;
        }
        self.understood(schema, &place);
        self.additional(schema, &place, depth);
        self.properties(schema, &place, depth);
        let inner = Place {
            below_root: true,
            ..place
        };
        let not = schema.field("not");
        self.node(&not, inner.clone(), depth + 1);
        for name in ["allOf", "oneOf", "anyOf"] {
            let list = schema.field(name);
            for clause in list.items() {
                self.node(&clause, inner.clone(), depth + 1);
            }
        }
        let items = schema.field("items");
        self.node(&items, inner, depth + 1);
        let free = schema.field("x-kubernetes-preserve-unknown-fields");
        if *free.value == false {
            self.causes
                .invalid(&free.path, false, "must be true or undefined");
        }
        lists::check(schema, self.causes);
        self.rules(&schema.field("x-kubernetes-validations"));
    }

    fn understood(&mut self, schema: &At<'_>, place: &Place) {
        let kind = schema.field("type");
        if !kind.is_empty() {
            self.causes.one_of(&kind, TYPES);
        }
        let default = schema.field("default");
        if let Some(reason) = place.no_default.as_ref().filter(|_| default.is_set()) {
            let detail = format!("must not be set {reason}");
            self.causes.forbidden(&default.path, &detail);
        }
        for name in UNSUPPORTED {
            let field = schema.field(name);
            if field.is_set() {
                let detail = format!("{name} is not supported");
                self.causes.forbidden(&field.path, &detail);
            }
        }
        if kind.text() == "null" {
            let detail = "type cannot be set to null, use nullable as an alternative";
            self.causes.forbidden(&kind.path, detail);
        }
        let items = schema.field("items");
        if items.value.is_array() {
            let detail = "items must be a schema object and not an array";
            self.causes.forbidden(&items.path, detail);
        }
        if place.in_meta && flag_of(schema, "x-kubernetes-embedded-resource") {
            let path = schema.path.field("x-kubernetes-embedded-resource");
            let detail = "must not be used inside of resource meta";
            self.causes.forbidden(&path, detail);
        }
        if flag_of(schema, "uniqueItems") {
            let detail =
                "uniqueItems cannot be set to true since the runtime complexity becomes quadratic";
            let path = schema.path.field("uniqueItems");
            self.causes.forbidden(&path, detail);
        }
    }

    fn additional(&mut self, schema: &At<'_>, place: &Place, depth: usize) {
        let others = schema.field("additionalProperties");
        if !others.is_set() {
            return;
        }
        if !schema.field("properties").is_empty() && *others.value != true {
            let detail = "additionalProperties and properties are mutual exclusive";
            self.causes.forbidden(&others.path, detail);
        }
        let mut inner = Place {
            below_root: true,
            ..place.clone()
        };
        if inner.in_meta {
            let reason = "inside additionalProperties applying to object metadata";
            inner.no_default = Some(reason.to_owned());
        }
        self.node(&others, inner, depth + 1);
    }

    fn properties(&mut self, schema: &At<'_>, place: &Place, depth: usize) {
        let is_root = !place.below_root;
        let whole = is_root || flag_of(schema, "x-kubernetes-embedded-resource");
        let properties = schema.field("properties");
        for (name, value) in properties.entries() {
            let mut inner = Place {
                below_root: true,
                ..place.clone()
            };
            if whole && META_FIELDS.contains(&name) {
                inner.in_meta = true;
                if is_root {
                    inner.no_default = Some(format!("in top-level {name}"));
                }
            }
            let path = properties.path.key(name);
            self.node(&At { value, path }, inner, depth + 1);
        }
    }

    /// What is said around a rule in CEL; the rule itself is not compiled.
    fn rules(&mut self, rules: &At<'_>) {
        const REASONS: &[&str] = &[
            "FieldValueDuplicate",
            "FieldValueForbidden",
            "FieldValueInvalid",
            "FieldValueRequired",
        ];
        let is_broken = |text: &str| text.trim().contains(['\n', '\r']);
        for rule in rules.items() {
            let (text, message) = (rule.field("rule"), rule.field("message"));
            let is_blank = |at: &At<'_>| !at.is_empty() && at.text().trim().is_empty();
            if text.text().trim().is_empty() {
                self.causes.required(&text.path, "rule is not specified");
            } else if is_blank(&message) {
                let detail = "must be non-empty if specified";
                self.causes.invalid(&message.path, message.text(), detail);
            } else if is_broken(message.text()) {
                let detail = "must not contain line breaks";
                self.causes.invalid(&message.path, message.text(), detail);
            } else if is_broken(text.text()) && message.is_empty() {
                let detail = "message must be specified if rule contains line breaks";
                self.causes.required(&message.path, detail);
            }
            let expression = rule.field("messageExpression");
            if is_blank(&expression) {
                let detail = "messageExpression must be non-empty if specified";
                self.causes.required(&expression.path, detail);
            }
            let reason = rule.field("reason");
            if reason.is_set() {
                self.causes.one_of(&reason, REASONS);
            }
        }
    }
}
