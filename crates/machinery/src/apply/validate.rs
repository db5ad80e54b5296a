//! Whether an applied configuration fits its type, in upstream's words.

use std::collections::BTreeSet;

use serde_json::Value;

use super::element::Element;
use super::items::element_of;
use super::types::{Form, ListAtom, MapAtom, Scalar, Type};

/// Checks a value against a type.
///
/// # Errors
/// When something does not fit; the text lists every finding.
pub(super) fn validate(value: &Value, ty: Type<'_>) -> Result<(), String> {
    let mut findings = Vec::new();
    walk(value, ty, &mut String::new(), &mut findings);
    match &mut findings[..] {
        [] => Ok(()),
        [one] => Err(std::mem::take(one)),
        many => Err(format!("errors:\n  {}", many.join("\n  "))),
    }
}

fn walk(value: &Value, ty: Type<'_>, path: &mut String, findings: &mut Vec<String>) {
    let atoms = ty.resolve();
    match atoms.form(atoms.forms(Some(value))) {
        Form::Scalar(scalar) => {
            findings.extend(scalar_finding(value, scalar).map(|text| at(path, &text)))
        }
        Form::Map(map) => match value {
            Value::Null => {}
            Value::Object(_) => walk_map(value, &map, path, findings),
            _ => findings.push(at(
                path,
                &format!("expected map, got &{{{}}}", plain(value)),
            )),
        },
        Form::List(list) => match value {
            Value::Null => {}
            Value::Array(items) => walk_list(items, &list, path, findings),
            _ => findings.push(at(
                path,
                &format!("expected list, got &{{{}}}", plain(value)),
            )),
        },
        Form::None => findings.push(at(path, "schema error: invalid atom: inlined")),
    }
}

fn at(path: &str, text: &str) -> String {
    if path.is_empty() {
        text.to_owned()
    } else {
        format!("{path}: {text}")
    }
}

fn plain(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

fn scalar_finding(value: &Value, scalar: Scalar) -> Option<String> {
    let fits = match scalar {
        Scalar::Numeric => value.is_number(),
        Scalar::Text => value.is_string(),
        Scalar::Boolean => value.is_boolean(),
        Scalar::Any => !value.is_object() && !value.is_array(),
    };
    if fits || value.is_null() {
        return None;
    }
    Some(match scalar {
        Scalar::Numeric => format!("expected numeric (int or float), got {}", go_type(value)),
        Scalar::Text => format!(
            "expected string, got &value.valueUnstructured{{Value:{}}}",
            go_syntax(value)
        ),
        Scalar::Boolean => format!("expected boolean, got &{{{}}}", plain(value)),
        Scalar::Any => format!("expected any scalar, got &{{{}}}", plain(value)),
    })
}

fn go_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "<nil>",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_i64() => "int64",
        Value::Number(_) => "float64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}

fn go_syntax(value: &Value) -> String {
    match value {
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(go_syntax).collect();
            format!("[]interface {{}}{{{}}}", items.join(", "))
        }
        Value::Object(map) => {
            let mut members: Vec<_> = map.iter().collect();
            members.sort_by_key(|(name, _)| *name);
            let members: Vec<String> = members
                .into_iter()
                .map(|(name, value)| format!("{name:?}:{}", go_syntax(value)))
                .collect();
            format!("map[string]interface {{}}{{{}}}", members.join(", "))
        }
        Value::Null => "interface {}(nil)".to_owned(),
        scalar => scalar.to_string(),
    }
}

fn walk_map(value: &Value, map: &MapAtom<'_>, path: &mut String, findings: &mut Vec<String>) {
    for (name, child) in value.as_object().into_iter().flatten() {
        let length = path.len();
        path.push('.');
        path.push_str(name);
        match map.child(name) {
            Type::None => findings.push(at(path, "field not declared in schema")),
            ty => walk(child, ty, path, findings),
        }
        path.truncate(length);
    }
}

fn walk_list(items: &[Value], list: &ListAtom<'_>, path: &mut String, findings: &mut Vec<String>) {
    let mut seen = BTreeSet::new();
    for (index, item) in items.iter().enumerate() {
        let element = if list.relation.is_atomic() {
            Element::Index(index as i64)
        } else {
            match element_of(list, item) {
                Ok(element) => element,
                Err(text) => {
                    findings.push(at(path, &format!("element {index}: {text}")));
                    return;
                }
            }
        };
        if seen.contains(&element) {
            findings.push(at(path, &format!("duplicate entries for key {element}")));
        }
        let length = path.len();
        path.push_str(&element.to_string());
        walk(item, list.element, path, findings);
        path.truncate(length);
        if !list.relation.is_atomic() {
            seen.insert(element);
        }
    }
}
