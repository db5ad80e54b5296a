//! What must be done to a table so that it becomes the wanted one.
//!
//! [`difference`] is pure. Its result is a list of groups: the list in order is
//! right at every boundary between groups, so a transaction too large for the
//! socket may be cut there and nowhere else.

use std::collections::{BTreeMap, HashSet};

use super::expr::Rule;
use super::fragment::{Base, Chain, Data, Fragment, Key, Set, SetKind};

/// Elements of one set.
pub type Elements = Vec<(Key, Data)>;

/// One edit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    /// Makes the table; one that exists stays as it is.
    AddTable,
    /// Deletes the table with all in it.
    DeleteTable,
    /// Makes a chain.
    AddChain(String, Option<Base>),
    /// Deletes a chain without rules.
    DeleteChain(String),
    /// Deletes the rules of a chain.
    FlushChain(String),
    /// Appends a rule to a chain.
    AddRule(String, Rule),
    /// Makes a set.
    AddSet(String, Set),
    /// Deletes a set.
    DeleteSet(String),
    /// Deletes the elements of a set.
    FlushSet(String),
    /// Adds elements to a set.
    AddElements(String, Elements),
    /// Deletes elements of a set.
    DeleteElements(String, Elements),
}

/// Edits that must be seen together or not at all.
pub type Group = Vec<Op>;

/// One owner's fragment before and after; `None` stands for nothing.
#[derive(Debug, Clone, Copy)]
pub struct Change<'a> {
    /// What was wanted before.
    pub old: Option<&'a Fragment>,
    /// What is wanted now.
    pub new: Option<&'a Fragment>,
}

/// Returns the edits that turn the old fragments into the new ones.
///
/// First come new chains and sets, so that anything may refer to them; then
/// each owner's edits; last goes what nobody refers to any more.
pub fn difference(changes: &[Change<'_>]) -> Vec<Group> {
    let nothing = Fragment::default();
    let pairs: Vec<_> = changes
        .iter()
        .map(|c| (c.old.unwrap_or(&nothing), c.new.unwrap_or(&nothing)))
        .collect();
    let mut groups = Vec::new();
    for (old, new) in &pairs {
        groups.push(births(old, new));
    }
    groups.extend(untangle(
        pairs.iter().map(|(old, new)| edits(old, new)).collect(),
    ));
    let mut flushes = Vec::new();
    let mut deaths = Vec::new();
    for (old, new) in &pairs {
        for name in gone(&old.chains, &new.chains) {
            flushes.push(Op::FlushChain(name.clone()));
            deaths.push(Op::DeleteChain(name.clone()));
        }
    }
    // A set goes before the chains: its elements may still name them.
    for (old, new) in &pairs {
        flushes.extend(gone(&old.sets, &new.sets).map(|name| Op::DeleteSet(name.clone())));
    }
    flushes.extend(deaths);
    groups.push(flushes);
    groups.retain(|group| !group.is_empty());
    groups
}

/// Where one owner takes a key over from another, its addition must not come
/// before the other's deletion: then all owners' edits become one group, with
/// the deletions first.
fn untangle(edits: Vec<Group>) -> Vec<Group> {
    let mut deleted: HashSet<(&str, &Key)> = HashSet::new();
    let mut tangled = false;
    // Later groups first, so that only deletions behind an addition count.
    for group in edits.iter().rev() {
        let added = group.iter().filter_map(|op| match op {
            Op::AddElements(set, list) => Some((set.as_str(), list)),
            _ => None,
        });
        tangled |= added
            .flat_map(|(set, list)| list.iter().map(move |(key, _)| (set, key)))
            .any(|element| deleted.contains(&element));
        for op in group {
            if let Op::DeleteElements(set, list) = op {
                deleted.extend(list.iter().map(|(key, _)| (set.as_str(), key)));
            }
        }
    }
    if !tangled {
        return edits;
    }
    let is_deletion = |op: &Op| matches!(op, Op::DeleteElements(..));
    let (mut first, rest): (Group, Group) = edits.into_iter().flatten().partition(is_deletion);
    first.extend(rest);
    vec![first]
}

fn gone<'a, T>(
    old: &'a BTreeMap<String, T>,
    new: &'a BTreeMap<String, T>,
) -> impl Iterator<Item = &'a String> {
    old.keys().filter(|name| !new.contains_key(*name))
}

fn births(old: &Fragment, new: &Fragment) -> Group {
    let mut group = Vec::new();
    for (name, set) in &new.sets {
        if !old.sets.contains_key(name) {
            group.push(Op::AddSet(name.clone(), set.clone()));
        }
    }
    for (name, chain) in &new.chains {
        if !old.chains.contains_key(name) {
            group.push(Op::AddChain(name.clone(), chain.base));
        }
    }
    group
}

fn edits(old: &Fragment, new: &Fragment) -> Group {
    let mut group = Vec::new();
    let (mut removed, mut added) = (Vec::new(), Vec::new());
    let names: std::collections::BTreeSet<_> =
        old.elements.keys().chain(new.elements.keys()).collect();
    for name in names {
        // The elements of a set that goes go with it.
        if old.sets.contains_key(name) && !new.sets.contains_key(name) {
            continue;
        }
        let intervals = new
            .sets
            .get(name)
            .is_some_and(|set| set.kind == SetKind::Intervals);
        element_edits(
            name,
            old.elements.get(name),
            new.elements.get(name),
            intervals,
            &mut removed,
            &mut added,
        );
    }
    group.extend(removed);
    let rules = changed_chains(old, new);
    for (name, _) in &rules {
        if old.chains.contains_key(*name) {
            group.push(Op::FlushChain((*name).clone()));
        }
    }
    group.extend(added);
    for (name, chain) in rules {
        let add = |rule: &Rule| Op::AddRule(name.clone(), rule.clone());
        group.extend(chain.rules.iter().map(add));
    }
    group
}

fn changed_chains<'a>(old: &Fragment, new: &'a Fragment) -> Vec<(&'a String, &'a Chain)> {
    new.chains
        .iter()
        .filter(|(name, chain)| match old.chains.get(*name) {
            Some(before) => before.rules != chain.rules,
            None => !chain.rules.is_empty(),
        })
        .collect()
}

fn element_edits(
    name: &str,
    old: Option<&BTreeMap<Key, Data>>,
    new: Option<&BTreeMap<Key, Data>>,
    intervals: bool,
    removed: &mut Vec<Op>,
    added: &mut Vec<Op>,
) {
    let empty = BTreeMap::new();
    let (old, new) = (old.unwrap_or(&empty), new.unwrap_or(&empty));
    if old == new {
        return;
    }
    if intervals {
        // Neighbouring ranges depend on each other: write them all anew.
        if !old.is_empty() {
            removed.push(Op::FlushSet(name.to_owned()));
        }
        let all: Elements = new.iter().map(|(k, d)| (k.clone(), d.clone())).collect();
        if !all.is_empty() {
            added.push(Op::AddElements(name.to_owned(), all));
        }
        return;
    }
    let missing_in = |from: &BTreeMap<Key, Data>, other: &BTreeMap<Key, Data>| -> Elements {
        from.iter()
            .filter(|(key, data)| other.get(*key) != Some(*data))
            .map(|(key, data)| (key.clone(), data.clone()))
            .collect()
    };
    let (out, fresh) = (missing_in(old, new), missing_in(new, old));
    if !out.is_empty() {
        removed.push(Op::DeleteElements(name.to_owned(), out));
    }
    if !fresh.is_empty() {
        added.push(Op::AddElements(name.to_owned(), fresh));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nft::fragment::Type;

    fn map_of(values: &[(u32, u16)]) -> Fragment {
        let mut fragment = Fragment::default();
        fragment.set("m", &[Type::Number], SetKind::Map(vec![Type::Port]));
        for (key, port) in values {
            fragment.element(
                "m",
                Key::default().number(*key),
                Data::Value(Key::default().port(*port)),
            );
        }
        fragment.chain("c", None, vec![Rule::new().accept(); values.len()]);
        fragment
    }

    fn names(groups: &[Group]) -> Vec<Vec<&'static str>> {
        let name = |op: &Op| match op {
            Op::AddTable => "add table",
            Op::DeleteTable => "delete table",
            Op::AddChain(..) => "add chain",
            Op::DeleteChain(..) => "delete chain",
            Op::FlushChain(..) => "flush chain",
            Op::AddRule(..) => "add rule",
            Op::AddSet(..) => "add set",
            Op::DeleteSet(..) => "delete set",
            Op::FlushSet(..) => "flush set",
            Op::AddElements(..) => "add elements",
            Op::DeleteElements(..) => "delete elements",
        };
        groups
            .iter()
            .map(|group| group.iter().map(name).collect())
            .collect()
    }

    /// One service is deleted, and its address given to another at once.
    #[test]
    fn a_key_changes_hands_without_being_lost() {
        let with_key = || {
            let mut fragment = Fragment::default();
            fragment.element("s", Key::default().number(1), Data::None);
            fragment
        };
        let (one, nothing) = (with_key(), Fragment::default());
        let check = |changes: &[(&Fragment, &Fragment)], expected: &[&[&str]]| {
            let changes: Vec<_> = changes
                .iter()
                .map(|(old, new)| Change {
                    old: Some(old),
                    new: Some(new),
                })
                .collect();
            assert_eq!(names(&difference(&changes)), expected);
        };
        check(
            &[(&nothing, &one), (&one, &nothing)],
            &[&["delete elements", "add elements"]],
        );
        check(
            &[(&one, &nothing), (&nothing, &one)],
            &[&["delete elements"], &["add elements"]],
        );
    }

    #[test]
    fn edits_come_in_a_safe_order() {
        let check = |old: Option<&Fragment>, new: Option<&Fragment>, expected: &[&[&str]]| {
            let got = difference(&[Change { old, new }]);
            assert_eq!(names(&got), expected);
        };
        let (one, two) = (map_of(&[(0, 80)]), map_of(&[(0, 81), (1, 80)]));
        check(
            None,
            Some(&one),
            &[&["add set", "add chain"], &["add elements", "add rule"]],
        );
        check(Some(&one), Some(&one), &[]);
        check(
            Some(&one),
            Some(&two),
            &[&[
                "delete elements",
                "flush chain",
                "add elements",
                "add rule",
                "add rule",
            ]],
        );
        check(
            Some(&one),
            None,
            &[&["flush chain", "delete set", "delete chain"]],
        );
    }
}
