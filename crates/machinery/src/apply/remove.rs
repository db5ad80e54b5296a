//! Taking fields out of a value.

use serde_json::{Map, Value};

use super::element::Element;
use super::items::element_of;
use super::set::Set;
use super::types::{Form, ListAtom, MapAtom, Type};

/// Returns `value` without the members of `fields`. Lists and maps owned as a
/// whole, and those that become empty, are null afterwards, which
/// [`without_new_nulls`] clears away.
pub(super) fn remove(value: &Value, fields: &Set, ty: Type<'_>) -> Value {
    let atoms = ty.resolve();
    match atoms.form(atoms.forms(Some(value))) {
        Form::Scalar(_) => value.clone(),
        Form::Map(map) if !map.atomic => value
            .as_object()
            .map_or(Value::Null, |members| from_map(members, fields, &map)),
        Form::List(list) if !list.relation.is_atomic() => value
            .as_array()
            .map_or(Value::Null, |items| from_list(items, fields, &list)),
        _ => Value::Null,
    }
}

fn from_map(members: &Map<String, Value>, fields: &Set, map: &MapAtom<'_>) -> Value {
    let mut kept = Map::new();
    for (name, value) in members {
        let element = Element::Field(name.clone());
        if fields.has_child(&element) {
            continue;
        }
        let value = match fields.below(&element) {
            Some(below) => remove(value, below, map.child(name)),
            None => value.clone(),
        };
        kept.insert(name.clone(), value);
    }
    if kept.is_empty() {
        Value::Null
    } else {
        Value::Object(kept)
    }
}

fn from_list(items: &[Value], fields: &Set, list: &ListAtom<'_>) -> Value {
    let mut kept = Vec::new();
    for item in items {
        let Ok(element) = element_of(list, item) else {
            kept.push(item.clone());
            continue;
        };
        if fields.has_child(&element) {
            continue;
        }
        kept.push(match fields.below(&element) {
            Some(below) => remove(item, below, list.element),
            None => item.clone(),
        });
    }
    if kept.is_empty() {
        Value::Null
    } else {
        Value::Array(kept)
    }
}

/// Drops the null members of `value` that were something else in `before`.
pub(super) fn without_new_nulls(value: Value, before: &Value) -> Value {
    match (value, before) {
        (Value::Object(map), Value::Object(before)) => {
            let members = map.into_iter().filter_map(|(name, value)| {
                let Some(before) = before.get(&name) else {
                    return Some((name, value));
                };
                if value.is_null() && !before.is_null() {
                    return None;
                }
                Some((name, without_new_nulls(value, before)))
            });
            Value::Object(members.collect())
        }
        // Items move when others are removed, so each is cleaned by itself:
        // what stands in a list by keys holds no null that has a meaning.
        (Value::Array(items), Value::Array(before)) if items != *before => {
            Value::Array(items.into_iter().map(without_nulls).collect())
        }
        (value, _) => value,
    }
}

fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let members = map.into_iter().filter(|(_, value)| !value.is_null());
            Value::Object(
                members
                    .map(|(name, value)| (name, without_nulls(value)))
                    .collect(),
            )
        }
        other => other,
    }
}
