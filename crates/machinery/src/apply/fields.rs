//! The fields that a value mentions.

use serde_json::Value;

use super::element::Element;
use super::items::element_of;
use super::set::Set;
use super::types::{Form, ListAtom, MapAtom, Type};

/// Returns the set of every leaf and list item that `value` mentions.
pub(super) fn fields_of(value: &Value, ty: Type<'_>) -> Set {
    walk(value, ty).1
}

/// Returns whether the place itself is a member, and the members below it.
fn walk(value: &Value, ty: Type<'_>) -> (bool, Set) {
    let atoms = ty.resolve();
    match atoms.form(atoms.forms(Some(value))) {
        Form::Scalar(_) => (true, Set::default()),
        Form::List(list) if list.relation.is_atomic() => (true, Set::default()),
        Form::List(list) => (false, list_fields(value, &list)),
        Form::Map(map) if map.atomic => (true, Set::default()),
        Form::Map(map) => (false, map_fields(value, &map)),
        Form::None => (false, Set::default()),
    }
}

fn map_fields(value: &Value, map: &MapAtom<'_>) -> Set {
    let mut set = Set::default();
    for (name, child) in value.as_object().into_iter().flatten() {
        let (member, below) = walk(child, map.child(name));
        let empty = child.is_null() || child.as_object().is_some_and(serde_json::Map::is_empty);
        set.put(
            Element::Field(name.clone()),
            member || empty || !map.declares(name),
            below,
        );
    }
    set
}

/// Items are members; of items that stand twice only the fact is kept.
fn list_fields(value: &Value, list: &ListAtom<'_>) -> Set {
    let items = value.as_array().into_iter().flatten();
    let mut items: Vec<_> = items
        .filter_map(|item| Some((element_of(list, item).ok()?, item)))
        .collect();
    items.sort_by(|(left, _), (right, _)| left.cmp(right));
    let mut set = Set::default();
    for run in items.chunk_by(|(left, _), (right, _)| left == right) {
        let (element, item) = &run[0];
        let below = if run.len() == 1 {
            walk(item, list.element).1
        } else {
            Set::default()
        };
        set.put(element.clone(), true, below);
    }
    set
}
