//! Sets of fields, as a tree: [`Set`], its algebra and its `fieldsV1` form.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;

use serde::de::{Error as _, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use super::element::{Element, FieldPath};
use super::types::Type;

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

    /// Returns the set of these elements, all members, and what is below them.
    /// Of one that stands more than once nothing below is kept.
    pub(super) fn of_members(members: impl Iterator<Item = (Element, Set)>) -> Set {
        let mut entries: Vec<Entry> = members
            .map(|(element, children)| Entry {
                element,
                member: true,
                children,
            })
            .collect();
        entries.sort_unstable_by(|left, right| left.element.cmp(&right.element));
        entries.dedup_by(|second, first| {
            let again = second.element == first.element;
            if again {
                first.children = Set::default();
            }
            again
        });
        Set { entries }
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
        entry.children = std::mem::take(&mut entry.children).union(children);
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
    pub fn union(self, other: Set) -> Set {
        if self.is_empty() {
            return other;
        }
        if other.is_empty() {
            return self;
        }
        let mut entries = Vec::with_capacity(self.entries.len() + other.entries.len());
        let (mut left, mut right) = (
            self.entries.into_iter().peekable(),
            other.entries.into_iter().peekable(),
        );
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
            entries.extend(match (first, second) {
                (Some(first), Some(second)) => Some(Entry {
                    element: first.element,
                    member: first.member || second.member,
                    children: first.children.union(second.children),
                }),
                (first, second) => first.or(second),
            });
        }
    }

    /// The members of both sets.
    #[must_use]
    pub fn intersection(&self, other: &Set) -> Set {
        let mut entries = Vec::new();
        for (left, right) in self.entries.iter().zip(other.beside(self)) {
            let Some(right) = right else { continue };
            let (member, children) = (
                left.member && right.member,
                left.children.intersection(&right.children),
            );
            if member || !children.is_empty() {
                entries.push(Entry {
                    element: left.element.clone(),
                    member,
                    children,
                });
            }
        }
        Set { entries }
    }

    /// The members of this set that are not in `other`.
    #[must_use]
    pub fn difference(self, other: &Set) -> Set {
        self.keep(other, |entry, other| {
            entry.member &= !other.member;
            entry.children = std::mem::take(&mut entry.children).difference(&other.children);
        })
    }

    /// Like [`Set::difference`], and drops what is below the members of `other`.
    #[must_use]
    pub fn recursive_difference(self, other: &Set) -> Set {
        self.keep(other, |entry, other| {
            if other.member {
                (entry.member, entry.children) = (false, Set::default());
            } else {
                entry.children =
                    std::mem::take(&mut entry.children).recursive_difference(&other.children);
            }
        })
    }

    /// Changes the entries that `other` has as well.
    fn keep(mut self, other: &Set, change: impl Fn(&mut Entry, &Entry)) -> Set {
        if other.is_empty() {
            return self;
        }
        let mut others = other.entries.iter().peekable();
        self.entries.retain_mut(|entry| {
            while others
                .next_if(|other| other.element < entry.element)
                .is_some()
            {}
            if let Some(other) = others.next_if(|other| other.element == entry.element) {
                change(entry, other);
            }
            entry.is_some()
        });
        self
    }

    /// The entries of this set beside each entry of another.
    fn beside<'s>(&'s self, other: &'s Set) -> impl Iterator<Item = Option<&'s Entry>> {
        let mut own = self.entries.iter().peekable();
        other.entries.iter().map(move |entry| {
            while own.next_if(|own| own.element < entry.element).is_some() {}
            own.next_if(|own| own.element == entry.element)
        })
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

    /// Follows a type that changed: where something is owned as a whole now,
    /// whoever owned a part of it owns all of it.
    pub(super) fn following(mut self, ty: Type<'_>) -> Set {
        let atoms = ty.resolve();
        for entry in &mut self.entries {
            let child = match &entry.element {
                Element::Field(name) => atoms.map.map_or(Type::None, |map| map.child(name)),
                _ => atoms.list.map_or(Type::None, |list| list.element),
            };
            if matches!(child, Type::Deduced) || entry.children.is_empty() {
                continue;
            }
            if child.resolve().is_whole() {
                (entry.member, entry.children) = (true, Set::default());
            } else {
                entry.children = std::mem::take(&mut entry.children).following(child);
            }
        }
        self
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
        for entry in &self.entries {
            let mut inner = Map::new();
            if entry.member && !entry.children.is_empty() {
                inner.insert(".".to_owned(), Value::Object(Map::new()));
            }
            if let Value::Object(below) = entry.children.to_json() {
                inner.extend(below);
            }
            map.insert(entry.element.encode(), Value::Object(inner));
        }
        Value::Object(map)
    }

    /// Writes the `fieldsV1` form as text.
    pub(super) fn write(&self, out: &mut String) {
        self.write_with_owner(false, out);
    }

    fn write_with_owner(&self, owner_is_member: bool, out: &mut String) {
        out.push('{');
        if owner_is_member && !self.is_empty() {
            out.push_str("\".\":{}");
        }
        for (index, entry) in self.entries.iter().enumerate() {
            if index > 0 || owner_is_member {
                out.push(',');
            }
            entry.element.write(out);
            out.push(':');
            entry.children.write_with_owner(entry.member, out);
        }
        out.push('}');
    }

    /// Reads the `fieldsV1` form.
    ///
    /// # Errors
    /// When a member's name is malformed, or the value is not a tree of objects.
    pub fn from_json(value: &Value) -> Result<Set, String> {
        let tree = Tree::deserialize(value).map_err(|error| error.to_string())?;
        Ok(tree.set)
    }
}

/// A subtree as it is read, and whether its owner is a member. The reader of
/// JSON bounds the depth.
pub(super) struct Tree {
    pub(super) set: Set,
    member: bool,
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Tree, D::Error> {
        deserializer.deserialize_map(TreeVisitor)
    }
}

struct TreeVisitor;

impl<'de> Visitor<'de> for TreeVisitor {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a tree of objects")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tree, A::Error> {
        let (mut set, mut member) = (Set::default(), false);
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            if key == "." {
                member = true;
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            match Element::decode(&key).map_err(A::Error::custom)? {
                Some(element) => {
                    let tree: Tree = map.next_value()?;
                    set.put(element, tree.member, tree.set);
                }
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        let leaf = set.is_empty();
        Ok(Tree {
            set,
            member: member || leaf,
        })
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
        let mut text = String::new();
        found.write(&mut text);
        assert_eq!(text, expected.to_string());
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
            left.clone().union(right.clone()),
            json!({"f:a": {".": {}, "f:b": {}, "f:c": {}}, "f:d": {}, "f:e": {}}),
        );
        check(left.intersection(&right), json!({"f:a": {"f:b": {}}}));
        check(
            left.clone().difference(&right),
            json!({"f:a": {".": {}, "f:c": {}}, "f:d": {}}),
        );
        check(right.clone().difference(&left), json!({"f:e": {}}));
        check(left.clone().difference(&left), json!({}));
        let parent = set(json!({"f:a": {}}));
        check(
            left.clone().difference(&parent),
            json!({"f:a": {"f:b": {}, "f:c": {}}, "f:d": {}}),
        );
        check(
            left.clone().recursive_difference(&parent),
            json!({"f:d": {}}),
        );
        check(parent.clone().difference(&right), json!({"f:a": {}}));
    }

    #[test]
    fn paths_put_members_first() {
        let set = set(json!({"f:a": {"f:b": {}}, "f:c": {}}));
        let paths: Vec<String> = set.paths().iter().map(ToString::to_string).collect();
        assert_eq!(paths, [".c", ".a.b"]);
    }

    #[test]
    fn members_are_sorted_and_stand_once() {
        let field = |name: &str| Element::Field(name.to_owned());
        let below = || set(json!({"f:x": {}}));
        let members = [
            (field("b"), below()),
            (field("c"), Set::default()),
            (field("a"), below()),
            (field("b"), below()),
        ];
        check(
            Set::of_members(members.into_iter()),
            json!({"f:a": {".": {}, "f:x": {}}, "f:b": {}, "f:c": {}}),
        );
    }

    #[test]
    fn dotted() {
        check(
            Set::from_dotted(&["spec", "metadata.labels"]),
            json!({"f:metadata": {"f:labels": {}}, "f:spec": {}}),
        );
    }
}
