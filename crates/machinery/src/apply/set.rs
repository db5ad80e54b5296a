//! Sets of fields, as a tree: [`Set`], its algebra and its `fieldsV1` form.

use std::cmp::Ordering;

use serde_json::{Map, Value};

use super::element::{Element, FieldPath};
use super::types::Type;

/// Sets nest at most this deep when read.
const DEPTH_MAX: usize = 128;

/// A set of field paths. Parents are only in it when they were put there.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Set {
    /// Sorted by element; every entry is a member or has members below it.
    entries: Vec<Entry>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    element: Element,
    member: bool,
    children: Set,
}

impl Entry {
    fn is_some(&self) -> bool {
        self.member || !self.children.is_empty()
    }
}

impl Set {
    /// Returns the set of these dotted paths.
    pub fn from_dotted(paths: &[&str]) -> Set {
        let mut set = Set::default();
        for path in paths {
            set.insert_names(path.split('.'));
        }
        set
    }

    fn insert_names<'n>(&mut self, mut names: impl Iterator<Item = &'n str>) {
        let mut set = self;
        let Some(mut name) = names.next() else { return };
        loop {
            let entry = set.entry(Element::Field(name.to_owned()));
            match names.next() {
                Some(next) => name = next,
                None => {
                    entry.member = true;
                    return;
                }
            }
            set = &mut entry.children;
        }
    }

    /// Adds a path; the empty path is the whole object and never a member.
    pub fn insert(&mut self, path: &[Element]) {
        match path {
            [] => {}
            [last] => self.entry(last.clone()).member = true,
            [first, rest @ ..] => self.entry(first.clone()).children.insert(rest),
        }
    }

    /// Adds one child with what is below it, if there is anything to add.
    pub(super) fn put(&mut self, element: Element, member: bool, children: Set) {
        if !member && children.is_empty() {
            return;
        }
        let entry = self.entry(element);
        entry.member |= member;
        entry.children = if entry.children.is_empty() {
            children
        } else {
            entry.children.union(&children)
        };
    }

    fn entry(&mut self, element: Element) -> &mut Entry {
        let index = match self.entries.last() {
            Some(last) if last.element < element => self.entries.len(),
            _ => match self.position(&element) {
                Ok(index) => return &mut self.entries[index],
                Err(index) => index,
            },
        };
        self.entries.insert(
            index,
            Entry {
                element,
                member: false,
                children: Set::default(),
            },
        );
        &mut self.entries[index]
    }

    fn position(&self, element: &Element) -> Result<usize, usize> {
        self.entries
            .binary_search_by(|entry| entry.element.cmp(element))
    }

    fn get(&self, element: &Element) -> Option<&Entry> {
        Some(&self.entries[self.position(element).ok()?])
    }

    /// Whether there is no member.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether the child itself is a member.
    pub(super) fn has_child(&self, element: &Element) -> bool {
        self.get(element).is_some_and(|entry| entry.member)
    }

    /// The members below a child, as a set of their own.
    pub(super) fn below(&self, element: &Element) -> Option<&Set> {
        self.get(element)
            .map(|entry| &entry.children)
            .filter(|children| !children.is_empty())
    }

    /// Whether the path is a member.
    pub fn has(&self, path: &[Element]) -> bool {
        match path {
            [] => false,
            [last] => self.has_child(last),
            [first, rest @ ..] => self
                .get(first)
                .is_some_and(|entry| entry.children.has(rest)),
        }
    }

    /// The members of either set.
    #[must_use]
    pub fn union(&self, other: &Set) -> Set {
        self.zip(other, |left, right| match (left, right) {
            (Some(left), Some(right)) => Some(Entry {
                element: left.element.clone(),
                member: left.member || right.member,
                children: left.children.union(&right.children),
            }),
            (left, right) => left.or(right).cloned(),
        })
    }

    /// The members of both sets.
    #[must_use]
    pub fn intersection(&self, other: &Set) -> Set {
        self.zip(other, |left, right| {
            let (left, right) = (left?, right?);
            Some(Entry {
                element: left.element.clone(),
                member: left.member && right.member,
                children: left.children.intersection(&right.children),
            })
        })
    }

    /// The members of this set that are not in `other`.
    #[must_use]
    pub fn difference(&self, other: &Set) -> Set {
        self.zip(other, |left, right| {
            let left = left?;
            let Some(right) = right else {
                return Some(left.clone());
            };
            Some(Entry {
                element: left.element.clone(),
                member: left.member && !right.member,
                children: left.children.difference(&right.children),
            })
        })
    }

    /// Like [`Set::difference`], and drops what is below the members of `other`.
    #[must_use]
    pub fn recursive_difference(&self, other: &Set) -> Set {
        self.zip(other, |left, right| {
            let left = left?;
            match right {
                None => Some(left.clone()),
                Some(right) if right.member => None,
                Some(right) => Some(Entry {
                    element: left.element.clone(),
                    member: left.member,
                    children: left.children.recursive_difference(&right.children),
                }),
            }
        })
    }

    /// Walks both sets in order and keeps the entries that `choose` makes.
    fn zip(
        &self,
        other: &Set,
        choose: impl Fn(Option<&Entry>, Option<&Entry>) -> Option<Entry>,
    ) -> Set {
        let (mut left, mut right) = (
            self.entries.iter().peekable(),
            other.entries.iter().peekable(),
        );
        let mut entries = Vec::new();
        loop {
            let order = match (left.peek(), right.peek()) {
                (Some(left), Some(right)) => left.element.cmp(&right.element),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (None, None) => return Set { entries },
            };
            let first = if order == Ordering::Greater {
                None
            } else {
                left.next()
            };
            let second = if order == Ordering::Less {
                None
            } else {
                right.next()
            };
            entries.extend(choose(first, second).filter(Entry::is_some));
        }
    }

    /// Adds the declared fields on the way to members: what was made of
    /// `spec.replicas` then has `spec` as well, but a map's key `a` above
    /// `a.b` is not added.
    pub(super) fn with_named_fields(&self, ty: Type<'_>) -> Set {
        let atoms = ty.resolve();
        let entries = self.entries.iter().map(|entry| {
            let mut named = false;
            let child = match &entry.element {
                Element::Field(name) => atoms.map.map_or(Type::None, |map| {
                    named = map.declares(name);
                    map.child(name)
                }),
                Element::Key(_) => atoms.list.map_or(Type::None, |list| list.element),
                _ => Type::None,
            };
            Entry {
                element: entry.element.clone(),
                member: entry.member || (named && !entry.children.is_empty()),
                children: entry.children.with_named_fields(child),
            }
        });
        Set {
            entries: entries.collect(),
        }
    }

    /// Returns every member's path; at each level the members come before
    /// what is below them.
    pub fn paths(&self) -> Vec<FieldPath> {
        let (mut paths, mut prefix) = (Vec::new(), Vec::new());
        self.collect(&mut prefix, &mut paths);
        paths
    }

    fn collect(&self, prefix: &mut Vec<Element>, paths: &mut Vec<FieldPath>) {
        for entry in self.entries.iter().filter(|entry| entry.member) {
            let mut path = prefix.clone();
            path.push(entry.element.clone());
            paths.push(FieldPath(path));
        }
        for entry in &self.entries {
            prefix.push(entry.element.clone());
            entry.children.collect(prefix, paths);
            prefix.pop();
        }
    }

    /// Returns the `fieldsV1` form.
    pub fn to_json(&self) -> Value {
        let mut map = Map::new();
        self.write(&mut map);
        Value::Object(map)
    }

    fn write(&self, map: &mut Map<String, Value>) {
        for entry in &self.entries {
            let mut inner = Map::new();
            if entry.member && !entry.children.is_empty() {
                inner.insert(".".to_owned(), Value::Object(Map::new()));
            }
            entry.children.write(&mut inner);
            map.insert(entry.element.encode(), Value::Object(inner));
        }
    }

    /// Reads the `fieldsV1` form.
    ///
    /// # Errors
    /// When a member's name is malformed, or the value is not a tree of objects.
    pub fn from_json(value: &Value) -> Result<Set, String> {
        Ok(Set::read(value, 0)?.0)
    }

    /// Reads a subtree; also tells whether its owner is a member.
    fn read(value: &Value, depth: usize) -> Result<(Set, bool), String> {
        let Value::Object(map) = value else {
            return Err("fields must be objects".to_owned());
        };
        if depth > DEPTH_MAX {
            return Err("fields nest too deep".to_owned());
        }
        let (mut set, mut member) = (Set::default(), false);
        for (key, value) in map {
            if key == "." {
                member = true;
            } else if let Some(element) = Element::decode(key)? {
                let (children, is_member) = Set::read(value, depth + 1)?;
                set.put(element, is_member, children);
            }
        }
        let leaf = set.is_empty();
        Ok((set, member || leaf))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn set(value: Value) -> Set {
        Set::from_json(&value).expect("a set")
    }

    #[track_caller]
    fn check(found: Set, expected: Value) {
        assert_eq!(found.to_json().to_string(), expected.to_string());
    }

    #[test]
    fn reads_and_writes() {
        let text = json!({"f:a": {".": {}, "f:b": {}, "k:{\"name\":\"x\"}": {".": {}, "f:c": {}}}, "f:d": {"v:1": {}}});
        check(set(text.clone()), text);
        check(
            set(json!({"f:b": {}, "f:a": {}, "x:new": {}})),
            json!({"f:a": {}, "f:b": {}}),
        );
        check(set(json!({"f:a": {".": {}}})), json!({"f:a": {}}));
        assert!(Set::from_json(&json!([])).is_err());
        assert!(Set::from_json(&json!({"a": {}})).is_err());
        assert!(Set::from_json(&json!({"f:a": 1})).is_err());
    }

    #[test]
    fn algebra() {
        let left = set(json!({"f:a": {".": {}, "f:b": {}, "f:c": {}}, "f:d": {}}));
        let right = set(json!({"f:a": {"f:b": {}}, "f:e": {}}));
        check(
            left.union(&right),
            json!({"f:a": {".": {}, "f:b": {}, "f:c": {}}, "f:d": {}, "f:e": {}}),
        );
        check(left.intersection(&right), json!({"f:a": {"f:b": {}}}));
        check(
            left.difference(&right),
            json!({"f:a": {".": {}, "f:c": {}}, "f:d": {}}),
        );
        check(right.difference(&left), json!({"f:e": {}}));
        check(left.difference(&left), json!({}));
        let parent = set(json!({"f:a": {}}));
        check(
            left.difference(&parent),
            json!({"f:a": {"f:b": {}, "f:c": {}}, "f:d": {}}),
        );
        check(left.recursive_difference(&parent), json!({"f:d": {}}));
        check(parent.difference(&right), json!({"f:a": {}}));
    }

    #[test]
    fn paths_put_members_first() {
        let set = set(json!({"f:a": {"f:b": {}}, "f:c": {}}));
        let paths: Vec<String> = set.paths().iter().map(ToString::to_string).collect();
        assert_eq!(paths, [".c", ".a.b"]);
    }

    #[test]
    fn dotted() {
        check(
            Set::from_dotted(&["spec", "metadata.labels"]),
            json!({"f:metadata": {"f:labels": {}}, "f:spec": {}}),
        );
    }
}
