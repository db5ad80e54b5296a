//! Merging an applied configuration into the live object.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::element::Element;
use super::items::element_of;
use super::types::{Form, ListAtom, MapAtom, Type};

/// Returns `live` with everything that `config` mentions taken from it.
/// Nothing is removed.
pub(super) fn merge(live: &Value, config: &Value, ty: Type<'_>) -> Value {
    walk(Some(live), Some(config), ty).unwrap_or_default()
}

fn walk(left: Option<&Value>, right: Option<&Value>, ty: Type<'_>) -> Option<Value> {
    let atoms = ty.resolve();
    let forms = if right.is_none() {
        atoms.forms(left)
    } else {
        atoms.forms(right)
    };
    match atoms.form(forms) {
        Form::Map(map) => {
            let (one, other) = (
                left.and_then(Value::as_object),
                right.and_then(Value::as_object),
            );
            let empty = one.is_none_or(Map::is_empty) && other.is_none_or(Map::is_empty);
            if map.atomic || empty {
                keep_right(left, right)
            } else {
                merge_maps(&map, one, other)
            }
        }
        Form::List(list) => {
            let (one, other) = (
                left.and_then(Value::as_array),
                right.and_then(Value::as_array),
            );
            let empty = one.is_none_or(Vec::is_empty) && other.is_none_or(Vec::is_empty);
            if list.relation.is_atomic() || empty {
                return keep_right(left, right);
            }
            merge_lists(
                &list,
                one.map_or(&[], Vec::as_slice),
                other.map_or(&[], Vec::as_slice),
            )
        }
        Form::Scalar(_) | Form::None => keep_right(left, right),
    }
}

fn keep_right(left: Option<&Value>, right: Option<&Value>) -> Option<Value> {
    right.or(left).cloned()
}

fn merge_maps(
    map: &MapAtom<'_>,
    left: Option<&Map<String, Value>>,
    right: Option<&Map<String, Value>>,
) -> Option<Value> {
    let mut out = Map::new();
    for (name, value) in left.into_iter().flatten() {
        let other = right.and_then(|right| right.get(name));
        let merged = match other {
            None => Some(value.clone()),
            Some(_) => walk(Some(value), other, map.child(name)),
        };
        out.extend(merged.map(|merged| (name.clone(), merged)));
    }
    for (name, value) in right.into_iter().flatten() {
        if left.is_none_or(|left| !left.contains_key(name)) {
            let merged = walk(None, Some(value), map.child(name));
            out.extend(merged.map(|merged| (name.clone(), merged)));
        }
    }
    (!out.is_empty()).then_some(Value::Object(out))
}

/// The items of one list with their identities.
struct Indexed<'v> {
    items: Vec<(Element, &'v Value)>,
    /// The item of an identity; null if it stands more than once, as such
    /// items are not merged with a new value.
    by_element: BTreeMap<Element, &'v Value>,
}

impl<'v> Indexed<'v> {
    fn new(list: &ListAtom<'_>, values: &'v [Value]) -> Indexed<'v> {
        let items = values
            .iter()
            .filter_map(|item| Some((element_of(list, item).ok()?, item)));
        let items: Vec<_> = items.collect();
        let mut by_element = BTreeMap::new();
        for (element, item) in &items {
            by_element
                .entry(element.clone())
                .and_modify(|known| *known = &Value::Null)
                .or_insert(*item);
        }
        Indexed { items, by_element }
    }

    fn has(&self, element: &Element) -> bool {
        self.by_element.contains_key(element)
    }

    fn get(&self, element: &Element) -> Option<&'v Value> {
        self.by_element.get(element).copied()
    }
}

/// Merges two lists whose items have identities. Items keep the order of the
/// configuration, and items of the live list stay where their neighbours are.
fn merge_lists(
    list: &ListAtom<'_>,
    left_values: &[Value],
    right_values: &[Value],
) -> Option<Value> {
    let (left, right) = (
        Indexed::new(list, left_values),
        Indexed::new(list, right_values),
    );
    let shared = right
        .items
        .iter()
        .map(|(element, _)| element)
        .filter(|element| left.has(element));
    let mut shared = shared.peekable();
    let mut merged: BTreeSet<&Element> = BTreeSet::new();
    let mut out = Vec::new();
    let (mut place, mut next) = (0, 0);
    while place < left.items.len() || next < right.items.len() {
        if let (Some((element, _)), Some((other, item))) =
            (left.items.get(place), right.items.get(next))
        {
            if element == other {
                merged.insert(element);
                out.extend(walk(left.get(element), Some(item), list.element));
                (place, next) = (place + 1, next + 1);
                shared.next();
                continue;
            }
            if right.has(element) && shared.peek().is_some_and(|wanted| *wanted != element) {
                // A shared item, but another one stands first in the configuration.
                place += 1;
                continue;
            }
        }
        if let Some((element, item)) = left.items.get(place) {
            if !right.has(element) {
                out.push((*item).clone());
                place += 1;
                continue;
            }
            if merged.contains(element) {
                place += 1;
            }
        }
        if let Some((element, item)) = right.items.get(next) {
            merged.insert(element);
            out.extend(walk(left.get(element), Some(item), list.element));
            next += 1;
            shared.next_if(|wanted| *wanted == element);
        }
    }
    (!out.is_empty()).then_some(Value::Array(out))
}
