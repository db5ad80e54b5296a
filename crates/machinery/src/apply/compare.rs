//! The fields in which two values of a type differ.

use serde_json::{Map, Value};

use super::element::Element;
use super::items::element_of;
use super::set::Set;
use super::types::{Form, ListAtom, MapAtom, Type};

/// What the right value has that the left has not, and so on. No path is in
/// two of the sets.
#[derive(Debug, Clone, Default)]
pub(super) struct Comparison {
    pub(super) removed: Set,
    pub(super) modified: Set,
    pub(super) added: Set,
}

impl Comparison {
    /// Leaves out these fields and everything below them.
    pub(super) fn without(self, fields: &Set) -> Comparison {
        if fields.is_empty() {
            return self;
        }
        Comparison {
            removed: self.removed.recursive_difference(fields),
            modified: self.modified.recursive_difference(fields),
            added: self.added.recursive_difference(fields),
        }
    }

    fn put(&mut self, element: Element, change: Option<Change>, below: Comparison) {
        let parts = [
            (&mut self.removed, Change::Removed, below.removed),
            (&mut self.modified, Change::Modified, below.modified),
            (&mut self.added, Change::Added, below.added),
        ];
        let mut parts = parts
            .into_iter()
            .map(|(set, wanted, below)| (set, change == Some(wanted), below))
            .filter(|(_, member, below)| *member || !below.is_empty())
            .peekable();
        // Most places are in one set alone, which needs no copy of the element.
        while let Some((set, member, below)) = parts.next() {
            if parts.peek().is_none() {
                return set.put(element, member, below);
            }
            set.put(element.clone(), member, below);
        }
    }
}

/// What became of a place itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    Removed,
    Modified,
    Added,
}

/// Compares two whole objects.
pub(super) fn compare(left: &Value, right: &Value, ty: Type<'_>) -> Comparison {
    let mut below = Comparison::default();
    walk(Some(left), Some(right), ty, &mut below);
    below
}

/// Whether two values are equal; `1` equals `1.0`.
pub(super) fn equal(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => {
            left == right || left.as_f64() == right.as_f64()
        }
        (Value::Array(left), Value::Array(right)) => {
            left.len() == right.len()
                && left
                    .iter()
                    .zip(right)
                    .all(|(left, right)| equal(left, right))
        }
        (Value::Object(left), Value::Object(right)) => {
            left.len() == right.len()
                && left
                    .iter()
                    .all(|(key, left)| right.get(key).is_some_and(|right| equal(left, right)))
        }
        (left, right) => left == right,
    }
}

/// Compares at a place and puts what differs below it into `below`.
fn walk(
    left: Option<&Value>,
    right: Option<&Value>,
    ty: Type<'_>,
    below: &mut Comparison,
) -> Option<Change> {
    if let (None, Some(right)) = (left, right) {
        below.added = added(right, ty);
        return Some(Change::Added);
    }
    let atoms = ty.resolve();
    let (left_forms, right_forms) = (atoms.forms(left), atoms.forms(right));
    let mut pair = Pair { left, right, below };
    let step = if right.is_none() {
        pair.handle(atoms.form(left_forms))
    } else if left_forms == right_forms {
        pair.handle(atoms.form(right_forms))
    } else {
        pair.handle(atoms.form(left_forms));
        pair.handle(atoms.form(right_forms))
    };
    match step {
        Step::Leaf(change) => change,
        Step::Inner if right.is_none() => Some(Change::Removed),
        Step::Inner => None,
    }
}

/// The fields below a place where nothing stood: all of them. Most of what is
/// compared is of this kind, and it needs no comparing.
fn added(value: &Value, ty: Type<'_>) -> Set {
    let atoms = ty.resolve();
    match (atoms.form(atoms.forms(Some(value))), value) {
        (Form::Map(map), Value::Object(members)) if !map.atomic => {
            let members = members.iter();
            Set::of_members(
                members.map(|(name, value)| {
                    (Element::Field(name.clone()), added(value, map.child(name)))
                }),
            )
        }
        (Form::List(list), Value::Array(items)) if !list.relation.is_atomic() => {
            let items = items.iter().filter_map(|item| {
                let element = element_of(&list, item).ok()?;
                Some((element, added(item, list.element)))
            });
            Set::of_members(items)
        }
        _ => Set::default(),
    }
}

enum Step {
    /// The place is owned as a whole.
    Leaf(Option<Change>),
    Inner,
}

struct Pair<'v, 'c> {
    left: Option<&'v Value>,
    right: Option<&'v Value>,
    below: &'c mut Comparison,
}

impl<'v> Pair<'v, '_> {
    fn handle(&mut self, form: Form<'_>) -> Step {
        match form {
            Form::Scalar(_) => self.leaf(),
            Form::Map(map) => {
                let (left, right) = (object(self.left), object(self.right));
                let empty = left.is_none_or(Map::is_empty) && right.is_none_or(Map::is_empty);
                if map.atomic || empty {
                    return self.leaf();
                }
                self.members(&map, left, right);
                Step::Inner
            }
            Form::List(list) => {
                let (left, right) = (array(self.left), array(self.right));
                if list.relation.is_atomic() || (left.is_empty() && right.is_empty()) {
                    return self.leaf();
                }
                self.items(&list, left, right);
                Step::Inner
            }
            Form::None => Step::Inner,
        }
    }

    fn leaf(&self) -> Step {
        Step::Leaf(match (self.left, self.right) {
            (None, _) => Some(Change::Added),
            (_, None) => Some(Change::Removed),
            (Some(left), Some(right)) => (!equal(left, right)).then_some(Change::Modified),
        })
    }

    fn members(
        &mut self,
        map: &MapAtom<'_>,
        left: Option<&'v Map<String, Value>>,
        right: Option<&'v Map<String, Value>>,
    ) {
        for (name, value) in left.into_iter().flatten() {
            let other = right.and_then(|right| right.get(name));
            if other != Some(value) {
                self.child(
                    Element::Field(name.clone()),
                    Some(value),
                    other,
                    map.child(name),
                );
            }
        }
        for (name, value) in right.into_iter().flatten() {
            if left.is_none_or(|left| !left.contains_key(name)) {
                self.child(
                    Element::Field(name.clone()),
                    None,
                    Some(value),
                    map.child(name),
                );
            }
        }
    }

    fn child(
        &mut self,
        element: Element,
        left: Option<&Value>,
        right: Option<&Value>,
        ty: Type<'_>,
    ) {
        let mut below = Comparison::default();
        let change = walk(left, right, ty, &mut below);
        self.below.put(element, change, below);
    }

    fn items(&mut self, list: &ListAtom<'_>, left: &'v [Value], right: &'v [Value]) {
        let mut groups: Vec<(Element, Vec<&Value>, Vec<&Value>)> = Vec::new();
        let sides = left
            .iter()
            .map(|item| (item, true))
            .chain(right.iter().map(|item| (item, false)));
        let mut indexed: Vec<_> = sides
            .filter_map(|(item, is_left)| Some((element_of(list, item).ok()?, item, is_left)))
            .collect();
        indexed.sort_by(|(one, ..), (other, ..)| one.cmp(other));
        for (element, item, is_left) in indexed {
            if groups.last().is_none_or(|(last, ..)| *last != element) {
                groups.push((element, Vec::new(), Vec::new()));
            }
            if let Some((_, lefts, rights)) = groups.last_mut() {
                if is_left {
                    lefts.push(item)
                } else {
                    rights.push(item)
                }
            }
        }
        for (element, lefts, rights) in groups {
            self.item(element, &lefts, &rights, list.element);
        }
    }

    /// Compares the items with one identity. Those that stand more than once
    /// are compared as a whole.
    fn item(&mut self, element: Element, lefts: &[&Value], rights: &[&Value], ty: Type<'_>) {
        let whole = |change| (Some(change), Comparison::default());
        let (change, below) = match (lefts, rights) {
            (lefts, rights) if lefts.len() <= 1 && rights.len() <= 1 => {
                return self.child(element, lefts.first().copied(), rights.first().copied(), ty);
            }
            (lefts, rights) if lefts.len() >= 2 && rights.len() >= 2 => {
                let same = lefts.len() == rights.len()
                    && lefts
                        .iter()
                        .zip(rights)
                        .all(|(left, right)| equal(left, right));
                if same {
                    (None, Comparison::default())
                } else {
                    whole(Change::Modified)
                }
            }
            (lefts, rights) if lefts.len() >= 2 => {
                if let Some(right) = rights.first() {
                    self.child(element.clone(), None, Some(right), ty);
                }
                whole(Change::Removed)
            }
            (lefts, _) => {
                if let Some(left) = lefts.first() {
                    self.child(element.clone(), Some(left), None, ty);
                }
                whole(Change::Added)
            }
        };
        self.below.put(element, change, below);
    }
}

fn object(value: Option<&Value>) -> Option<&Map<String, Value>> {
    value.and_then(Value::as_object)
}

fn array(value: Option<&Value>) -> &[Value] {
    value.and_then(Value::as_array).map_or(&[], Vec::as_slice)
}
