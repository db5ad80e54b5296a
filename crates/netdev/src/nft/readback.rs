//! Reads a table back from the kernel, so that a restarted process goes on
//! with it instead of replacing it.
//!
//! Rules and sets carry a mark of what they were made from; only elements are
//! decoded. [`Table::resume`] uses it.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use super::commit::{Kernel, Sink};
use super::diff::{self, Change, Op};
use super::encode;
use super::expr::{Rule, Verdict};
use super::fragment::{Chain, Data, Fragment, Key, SetKind};
use super::table::Table;
use crate::error::Result;
use crate::socket::Netlink;
use crate::wire::{self, Builder};

/// A table as it is in the kernel.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Snapshot {
    /// The marks of each chain's rules, in order.
    pub chains: BTreeMap<String, Vec<String>>,
    /// The mark of each set.
    pub sets: BTreeMap<String, String>,
    /// The elements of each set.
    pub elements: BTreeMap<String, BTreeMap<Key, Data>>,
}

impl Table<Kernel> {
    /// Goes on with a table that may be in the kernel already, and makes it
    /// hold exactly what is wanted. Returns the number of edits.
    pub fn resume(&mut self, wanted: BTreeMap<String, Fragment>) -> Result<usize> {
        let name = self.name().to_owned();
        let found = read(self.sink().netlink(), &name)?;
        let whole = merge(wanted.values());
        let groups = match &found {
            Some(snapshot) if snapshot.fits(&whole) => {
                let old = snapshot.as_fragment(&whole);
                diff::difference(&[Change {
                    old: Some(&old),
                    new: Some(&whole),
                }])
            }
            // Sets of another form, from another version: nothing to keep.
            _ => {
                let mut groups = vec![vec![Op::AddTable, Op::DeleteTable, Op::AddTable]];
                groups.extend(diff::difference(&[Change {
                    old: None,
                    new: Some(&whole),
                }]));
                groups
            }
        };
        let edits = groups.iter().map(Vec::len).sum();
        if edits > 0 {
            self.sink()
                .commit(&name, &groups)
                .map_err(|failure| failure.error)?;
        }
        self.adopt(wanted);
        Ok(edits)
    }
}

impl Snapshot {
    /// Tells whether every set that is wanted and there has the wanted form.
    fn fits(&self, wanted: &Fragment) -> bool {
        wanted.sets.iter().all(|(name, set)| {
            self.sets
                .get(name)
                .is_none_or(|mark| *mark == encode::set_fingerprint(set))
        })
    }

    /// Returns it as the fragment that would have led to it; a chain whose
    /// rules are not the wanted ones gets a rule that is none.
    fn as_fragment(&self, wanted: &Fragment) -> Fragment {
        let mut old = Fragment::default();
        for (name, marks) in &self.chains {
            let chain = wanted.chains.get(name);
            let same = chain.filter(|chain| {
                chain
                    .rules
                    .iter()
                    .map(encode::fingerprint)
                    .eq(marks.iter().cloned())
            });
            let stranger = || Chain {
                base: None,
                rules: vec![Rule::default(); marks.len()],
            };
            old.chains
                .insert(name.clone(), same.cloned().unwrap_or_else(stranger));
        }
        for name in self.sets.keys() {
            let set = wanted.sets.get(name);
            let expiring = matches!(set.map(|set| &set.kind), Some(SetKind::Expiring(_)));
            let stranger = || super::fragment::Set {
                key: Vec::new(),
                kind: SetKind::Plain,
            };
            old.sets
                .insert(name.clone(), set.cloned().unwrap_or_else(stranger));
            // What rules put into a set is theirs.
            if let Some(elements) = self.elements.get(name).filter(|_| !expiring) {
                old.elements.insert(name.clone(), elements.clone());
            }
        }
        old
    }
}

fn merge<'a>(fragments: impl Iterator<Item = &'a Fragment>) -> Fragment {
    let mut whole = Fragment::default();
    for fragment in fragments {
        whole.chains.extend(fragment.chains.clone());
        whole.sets.extend(fragment.sets.clone());
        for (set, elements) in &fragment.elements {
            whole
                .elements
                .entry(set.clone())
                .or_default()
                .extend(elements.clone());
        }
    }
    whole
}

/// Reads a table; `None` when there is none.
pub fn read(netlink: &mut Netlink, table: &str) -> Result<Option<Snapshot>> {
    let mut snapshot = Snapshot::default();
    let sets = match dump(netlink, encode::GETSET, table, None) {
        Err(error) if error.is_missing() => return Ok(None),
        result => result?,
    };
    for (kind, body) in &sets {
        if let Some((name, mark)) = parse_set(*kind, body, table) {
            snapshot.sets.insert(name, mark);
        }
    }
    for (kind, body) in dump(netlink, encode::GETCHAIN, table, None)? {
        if let Some(name) = parse_chain(kind, &body, table) {
            snapshot.chains.insert(name, Vec::new());
        }
    }
    if snapshot.sets.is_empty() && snapshot.chains.is_empty() {
        return Ok(None);
    }
    for (kind, body) in dump(netlink, encode::GETRULE, table, None)? {
        if let Some((chain, mark)) = parse_rule(kind, &body, table) {
            snapshot.chains.entry(chain).or_default().push(mark);
        }
    }
    for name in snapshot.sets.keys() {
        let mut found = Vec::new();
        for (kind, body) in dump(netlink, encode::GETSETELEM, table, Some(name))? {
            parse_elements(kind, &body, &mut found);
        }
        snapshot.elements.insert(name.clone(), pair(found));
    }
    Ok(Some(snapshot))
}

fn dump(
    netlink: &mut Netlink,
    message: u16,
    table: &str,
    set: Option<&str>,
) -> Result<Vec<(u16, Vec<u8>)>> {
    let mut builder = Builder::new(encode::kind(message), wire::DUMP);
    builder
        .fixed(&encode::generic(encode::FAMILY, 0))
        .put_str(1, table);
    if let Some(set) = set {
        builder.put_str(2, set);
    }
    netlink.dump(builder, &format!("contents of table {table}"))
}

fn parse_set(kind: u16, body: &[u8], table: &str) -> Option<(String, String)> {
    let all = ours(kind, encode::NEWSET, body, table)?;
    let mark = all.get(13).map(wire::text).unwrap_or_default();
    Some((wire::text(all.get(2)?), mark))
}

fn parse_chain(kind: u16, body: &[u8], table: &str) -> Option<String> {
    let all = ours(kind, encode::NEWCHAIN, body, table)?;
    all.get(3).map(wire::text)
}

fn parse_rule(kind: u16, body: &[u8], table: &str) -> Option<(String, String)> {
    let all = ours(kind, encode::NEWRULE, body, table)?;
    // A comment: type, length, text.
    let mark = all.get(7).and_then(|comment| comment.get(2..));
    Some((
        wire::text(all.get(2)?),
        mark.map(wire::text).unwrap_or_default(),
    ))
}

fn ours<'a>(kind: u16, expected: u16, body: &'a [u8], table: &str) -> Option<wire::Attributes<'a>> {
    if kind != encode::kind(expected) {
        return None;
    }
    let all = wire::attributes(body.get(4..)?);
    (wire::text(all.get(1)?) == table).then_some(all)
}

/// An element, and whether it only ends a range.
type Found = (Key, Data, bool);

fn parse_elements(kind: u16, body: &[u8], found: &mut Vec<Found>) {
    if kind != encode::kind(encode::NEWSETELEM) {
        return;
    }
    let list = body
        .get(4..)
        .and_then(|rest| wire::attributes(rest).get(3))
        .unwrap_or(&[]);
    let elements = wire::attributes(list).filter_map(|(_, element)| parse_element(element));
    found.extend(elements);
}

fn parse_element(element: &[u8]) -> Option<Found> {
    let all = wire::attributes(element);
    let key = wire::attributes(all.get(1)?).get(1)?;
    let data = all.get(2).and_then(parse_data).unwrap_or(Data::None);
    let ends = all.get(3).and_then(wire::be_u32).unwrap_or(0) & 1 != 0;
    Some((Key(key.to_vec()), data, ends))
}

fn parse_data(value: &[u8]) -> Option<Data> {
    let all = wire::attributes(value);
    if let Some(value) = all.get(1) {
        return Some(Data::Value(Key(value.to_vec())));
    }
    let verdict = wire::attributes(all.get(2)?);
    let chain = || verdict.get(2).map(wire::text);
    Some(Data::Verdict(
        match verdict.get(1).and_then(wire::be_u32)? as i32 {
            0 => Verdict::Drop,
            1 => Verdict::Accept,
            -3 => Verdict::Jump(chain()?),
            -4 => Verdict::Goto(chain()?),
            _ => Verdict::Return,
        },
    ))
}

/// Joins the first and last elements of ranges; others stay as they are.
fn pair(mut found: Vec<Found>) -> BTreeMap<Key, Data> {
    if !found.iter().any(|(.., ends)| *ends) {
        return found
            .into_iter()
            .map(|(key, data, _)| (key, data))
            .collect();
    }
    found.sort_by(|one, other| (&one.0, !one.2).cmp(&(&other.0, !other.2)));
    let mut elements = BTreeMap::new();
    for (at, (key, _, ends)) in found.iter().enumerate() {
        if *ends {
            continue;
        }
        let behind = found.get(at + 1).and_then(|(key, ..)| wire::be_u32(&key.0));
        let last = behind.map_or(u32::MAX, |behind| behind.wrapping_sub(1));
        elements.insert(key.clone(), Data::To(Ipv4Addr::from_bits(last)));
    }
    elements
}
