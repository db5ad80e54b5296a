//! Judging custom objects against their structural schema, in the words of
//! `kube-openapi`'s validator. What an update leaves as it was is not judged
//! again ("ratcheting").

use std::collections::HashMap;
use std::sync::{Mutex, OnceLock, PoisonError};

use regex::Regex;
use serde_json::{Value, json};

use super::format;
use crate::kind::Kind;
use crate::path::Path;
use crate::schema::{Definitions, GroupVersionKind, ListType, Node, Shape};
use crate::validate::{Bad, Cause, Causes, Reason};

/// Most patterns that are kept compiled.
const PATTERNS_MAX: usize = 512;

/// Judges a new custom object below its metadata.
pub(crate) fn create(kind: &Kind, object: &Value, causes: &mut Causes) {
    check(kind, object, None, causes);
}

/// Judges an update below the metadata.
pub(crate) fn update(kind: &Kind, object: &Value, old: &Value, causes: &mut Causes) {
    check(kind, object, Some(old), causes);
}

/// Judges a value against a schema of its own, as the default of a field is;
/// paths start at the value.
pub(crate) fn judge_value(schema: &Value, value: &Value) -> Vec<Cause> {
    let holder = json!({"type": "object", "properties": {"value": schema}});
    let kind = GroupVersionKind {
        group: String::new(),
        version: String::new(),
        kind: String::new(),
    };
    let mut causes = Causes::default();
    // What cannot be read as a schema is told of as such.
    if let Ok(definitions) = Definitions::from_structural(kind, &holder)
        && let Some(node) = definitions.root().and_then(|root| root.field("value"))
    {
        let mut check = Check {
            causes: &mut causes,
        };
        check.node(node, value, None, &Path::ROOT);
    }
    causes.into_list()
}

fn check(kind: &Kind, object: &Value, old: Option<&Value>, causes: &mut Causes) {
    if object["kind"] != kind.kind {
        let detail = format!("must be {}", kind.kind);
        causes.invalid(&Path::new("kind"), &object["kind"], &detail);
    }
    let version = kind.api_version();
    if object["apiVersion"] != *version {
        let detail = format!("must be {version}");
        causes.invalid(&Path::new("apiVersion"), &object["apiVersion"], &detail);
    }
    Check { causes }.node(kind.schema(), object, old, &Path::ROOT);
    if let Some(scale) = kind.scale {
        replicas(object, scale.spec_replicas, causes);
        replicas(object, scale.status_replicas, causes);
        let shown = format!(".{}", scale.selector);
        let selector = at(object, scale.selector);
        if !scale.selector.is_empty() && !selector.is_null() && !selector.is_string() {
            let detail = accessor_error(&shown, selector, "string");
            causes.invalid(&Path::new(&shown), "", &detail);
        }
    }
}

fn at<'a>(object: &'a Value, path: &str) -> &'a Value {
    path.split('.').fold(object, |value, name| &value[name])
}

/// What upstream says of a field that is read as another type than it has.
fn accessor_error(path: &str, value: &Value, wanted: &str) -> String {
    let (shown, found) = match value {
        Value::String(text) => (text.clone(), "string"),
        Value::Bool(flag) => (flag.to_string(), "bool"),
        Value::Number(number) => (number.to_string(), "float64"),
        Value::Array(_) => (value.to_string(), "[]interface {}"),
        _ => (value.to_string(), "map[string]interface {}"),
    };
    format!("{path} accessor error: {shown} is of the type {found}, expected {wanted}")
}

/// What a scale shows must fit its type.
fn replicas(object: &Value, path: &str, causes: &mut Causes) {
    let value = at(object, path);
    if value.is_null() {
        return;
    }
    let max = i64::from(i32::MAX);
    let shown = format!(".{path}");
    let path = Path::new(&shown);
    let Some(number) = value.as_i64() else {
        causes.invalid(&path, 0, &accessor_error(&shown, value, "int64"));
        return;
    };
    if number < 0 {
        causes.invalid(&path, number, "should be a non-negative integer");
    } else if number > max {
        let detail = format!("should be less than or equal to {max}");
        causes.invalid(&path, number, &detail);
    }
}

struct Check<'c> {
    causes: &'c mut Causes,
}

impl Check<'_> {
    fn node(&mut self, node: Node<'_>, value: &Value, old: Option<&Value>, path: &Path<'_>) {
        // The standard fields have types of their own and are judged elsewhere.
        let Some(raw) = node.raw() else {
            return;
        };
        if old == Some(value) || (value.is_null() && node.is_nullable()) {
            return;
        }
        if !self.has_type(node, raw, value, path) {
            return;
        }
        self.scalar(raw, value, path);
        match value {
            Value::Object(map) => {
                self.required(node, map, path);
                self.sizes(raw, map.len(), "properties", path);
                for (name, child) in map {
                    let old = old.and_then(|old| old.get(name));
                    match (node.field(name), node.element()) {
                        (Some(field), _) => self.node(field, child, old, &path.field(name)),
                        (None, Some(element)) => {
                            self.node(element, child, old, &path.entry(name));
                        }
                        (None, None) => {}
                    }
                }
            }
            Value::Array(list) => {
                self.sizes(raw, list.len(), "items", path);
                self.list(node, list, old, path);
            }
            _ => {}
        }
        self.combinations(raw, value, path);
    }

    fn has_type(&mut self, node: Node<'_>, raw: &Value, value: &Value, path: &Path<'_>) -> bool {
        let found = type_name(value);
        let expected = match node.shape() {
            Shape::Any => return true,
            Shape::IntOrString => "integer,string",
            Shape::Object | Shape::Map => "object",
            Shape::List => "array",
            Shape::String => "string",
            Shape::Integer => "integer",
            Shape::Number => "number",
            Shape::Boolean => "boolean",
            _ => return true,
        };
        let fits = expected.split(',').any(|expected| expected == found)
            || (expected == "number" && found == "integer");
        if !fits {
            let detail = format!("{path} in body must be of type {expected}: \"{found}\"");
            self.type_invalid(path, found, &detail);
            return false;
        }
        if let (Value::String(text), Some(format)) = (value, raw["format"].as_str())
            && !format::fits(format, text)
        {
            let quoted = crate::validate::quote(text);
            let detail = format!("{path} in body must be of type {format}: {quoted}");
            self.type_invalid(path, text, &detail);
        }
        true
    }

    fn type_invalid(&mut self, path: &Path<'_>, bad: &str, detail: &str) {
        let bad = Some(Bad::from(bad));
        self.causes.push(Reason::TypeInvalid, path, bad, detail);
    }

    /// Rules of single values: enumerations, ranges, lengths, patterns.
    fn scalar(&mut self, raw: &Value, value: &Value, path: &Path<'_>) {
        if let Some(known) = raw["enum"].as_array()
            && !known.contains(value)
        {
            let known: Vec<String> = known.iter().map(plain).collect();
            let known: Vec<&str> = known.iter().map(String::as_str).collect();
            self.causes.not_supported(path, value, &known);
        }
        match value {
            Value::Number(number) => self.number(raw, value, number.as_f64().unwrap_or(0.0), path),
            Value::String(text) => self.text(raw, text, path),
            _ => {}
        }
    }

    fn number(&mut self, raw: &Value, value: &Value, number: f64, path: &Path<'_>) {
        let mut fault = |rule: String| {
            self.causes
                .invalid(path, value, &format!("{path} in body {rule}"));
        };
        if let Some(max) = raw["maximum"].as_f64() {
            let exclusive = raw["exclusiveMaximum"] == true;
            if number > max || (exclusive && number == max) {
                let or_equal = if exclusive { "" } else { " or equal to" };
                fault(format!("should be less than{or_equal} {}", raw["maximum"]));
            }
        }
        if let Some(min) = raw["minimum"].as_f64() {
            let exclusive = raw["exclusiveMinimum"] == true;
            if number < min || (exclusive && number == min) {
                let or_equal = if exclusive { "" } else { " or equal to" };
                fault(format!(
                    "should be greater than{or_equal} {}",
                    raw["minimum"]
                ));
            }
        }
        if let Some(factor) = raw["multipleOf"].as_f64().filter(|factor| *factor > 0.0)
            && (number / factor).fract() != 0.0
        {
            fault(format!("should be a multiple of {}", raw["multipleOf"]));
        }
    }

    /// The first fault of a text is the only one told.
    fn text(&mut self, raw: &Value, text: &str, path: &Path<'_>) {
        let length = text.chars().count() as u64;
        if let Some(max) = raw["maxLength"].as_u64().filter(|max| length > *max) {
            self.causes.too_long(path, max as usize);
        } else if let Some(min) = raw["minLength"].as_u64().filter(|min| length < *min) {
            let detail = format!("{path} in body should be at least {min} chars long");
            self.causes.invalid(path, text, &detail);
        } else if let Some(pattern) = raw["pattern"].as_str()
            && !matches_pattern(pattern, text)
        {
            let detail = format!("{path} in body should match '{pattern}'");
            self.causes.invalid(path, text, &detail);
        }
    }

    fn required(&mut self, node: Node<'_>, map: &serde_json::Map<String, Value>, path: &Path<'_>) {
        for name in required_names(node) {
            if !map.contains_key(name) {
                self.causes.required(&path.field(name), "");
            }
        }
    }

    fn sizes(&mut self, raw: &Value, length: usize, what: &str, path: &Path<'_>) {
        let (max, min) = match what {
            "items" => ("maxItems", "minItems"),
            _ => ("maxProperties", "minProperties"),
        };
        if let Some(max) = raw[max].as_u64().filter(|max| length as u64 > *max) {
            self.causes.too_many(path, length, max as usize);
        }
        if let Some(min) = raw[min].as_u64().filter(|min| (length as u64) < *min) {
            let detail = format!("{path} in body should have at least {min} {what}");
            self.causes.invalid(path, length as i64, &detail);
        }
    }

    fn list(&mut self, node: Node<'_>, list: &[Value], old: Option<&Value>, path: &Path<'_>) {
        let keys = match node.list_type() {
            ListType::Map { keys } => Some(keys),
            _ => None,
        };
        let identity = |item: &Value| -> Option<Value> {
            match (node.list_type(), keys) {
                (ListType::Set, _) => Some(item.clone()),
                (_, Some(keys)) => {
                    let pairs = keys
                        .iter()
                        .map(|key| (key.to_string(), item[&**key].clone()))
                        .filter(|(_, value)| !value.is_null());
                    Some(Value::Object(pairs.collect()))
                }
                _ => None,
            }
        };
        let mut seen: Vec<Value> = Vec::new();
        let element = node.element();
        for (index, item) in list.iter().enumerate() {
            let at = path.index(index);
            let key = identity(item);
            if let Some(element) = element {
                let before = match &key {
                    Some(key) => old
                        .and_then(Value::as_array)
                        .and_then(|old| old.iter().find(|old| identity(old).as_ref() == Some(key))),
                    None => old.and_then(|old| old.get(index)),
                };
                self.node(element, item, before, &at);
            }
            if let Some(key) = key {
                if seen.contains(&key) {
                    self.causes.duplicate(&at, &key);
                }
                seen.push(key);
            }
        }
    }

    /// `allOf`, `anyOf`, `oneOf` and `not`.
    fn combinations(&mut self, raw: &Value, value: &Value, path: &Path<'_>) {
        let count = |name: &str| {
            let schemas = raw[name].as_array()?;
            Some((
                schemas.iter().filter(|s| accepts(s, value)).count(),
                schemas.len(),
            ))
        };
        let mut fault = |rule: String| {
            self.causes
                .invalid(path, "", &format!("{path} in body {rule}"));
        };
        if let Some((valid, all)) = count("allOf")
            && valid < all
        {
            fault("must validate all the schemas (allOf)".into());
        }
        if let Some((0, _)) = count("anyOf") {
            fault("must validate at least one schema (anyOf)".into());
        }
        match count("oneOf") {
            None | Some((1, _)) => {}
            Some((0, _)) => {
                fault("must validate one and only one schema (oneOf). Found none valid".into());
            }
            Some((valid, _)) => fault(format!(
                "must validate one and only one schema (oneOf). Found {valid} valid alternatives"
            )),
        }
        if raw["not"].is_object() && accepts(&raw["not"], value) {
            fault("must not validate the schema (not)".into());
        }
    }
}

/// The names a schema requires, those it has no field for among them.
fn required_names(node: Node<'_>) -> impl Iterator<Item = &str> {
    let names = node.raw().and_then(|raw| raw["required"].as_array());
    names.into_iter().flatten().filter_map(Value::as_str)
}

/// Whether a plain JSON schema, as it stands inside combinations, accepts a value.
fn accepts(schema: &Value, value: &Value) -> bool {
    let mut causes = Causes::default();
    accepts_at(schema, value, &mut causes, 0);
    causes.len() == 0
}

fn accepts_at(schema: &Value, value: &Value, causes: &mut Causes, depth: usize) {
    // Validation of the definition bounds the nesting; this is a second lock.
    if depth > 64 {
        return;
    }
    let path = Path::ROOT;
    if let Some(kind) = schema["type"].as_str() {
        let found = type_name(value);
        if kind != found && !(kind == "number" && found == "integer") {
            causes.required(&path, "");
            return;
        }
    }
    let mut check = Check { causes };
    check.scalar(schema, value, &path);
    match value {
        Value::Object(map) => {
            for name in schema["required"].as_array().into_iter().flatten() {
                if name.as_str().is_some_and(|name| !map.contains_key(name)) {
                    check.causes.required(&path, "");
                }
            }
            check.sizes(schema, map.len(), "properties", &path);
            for (name, child) in schema["properties"].as_object().into_iter().flatten() {
                if let Some(value) = map.get(name) {
                    accepts_at(child, value, check.causes, depth + 1);
                }
            }
            let known = |name: &str| schema["properties"].get(name).is_some();
            if schema["additionalProperties"].is_object() {
                for (_, value) in map.iter().filter(|(name, _)| !known(name)) {
                    accepts_at(
                        &schema["additionalProperties"],
                        value,
                        check.causes,
                        depth + 1,
                    );
                }
            }
        }
        Value::Array(list) => {
            check.sizes(schema, list.len(), "items", &path);
            if schema["items"].is_object() {
                for value in list {
                    accepts_at(&schema["items"], value, check.causes, depth + 1);
                }
            }
        }
        _ => {}
    }
    check.combinations(schema, value, &path);
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
        Value::Number(number) => match number.as_f64() {
            Some(float) if number.is_f64() && float.fract() != 0.0 => "number",
            _ => "integer",
        },
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Whether a text matches; a pattern that cannot be read (validation of the
/// definition refuses those) matches nothing.
fn matches_pattern(pattern: &str, text: &str) -> bool {
    type Cache = Mutex<HashMap<String, Option<Regex>>>;
    static CACHE: OnceLock<Cache> = OnceLock::new();
    let cache = CACHE.get_or_init(Cache::default);
    let mut cache = cache.lock().unwrap_or_else(PoisonError::into_inner);
    if !cache.contains_key(pattern) {
        if cache.len() >= PATTERNS_MAX {
            cache.clear();
        }
        cache.insert(pattern.to_owned(), Regex::new(pattern).ok());
    }
    let compiled = cache.get(pattern).and_then(Option::as_ref);
    compiled.is_some_and(|regex| regex.is_match(text))
}
