//! The wanted state of a table, in parts with one owner each.
//!
//! Main type: [`Fragment`]. Plain data, comparable, built anew from the world
//! and compared with what was there before.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use super::expr::{Rule, Verdict};

/// Where a base chain hangs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum Hook {
    /// Before the routing decision.
    Prerouting = 0,
    /// For this machine.
    Input = 1,
    /// From one interface to another.
    Forward = 2,
    /// From this machine.
    Output = 3,
    /// About to leave.
    Postrouting = 4,
}

/// What a base chain may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ChainType {
    /// Judge packets.
    Filter,
    /// Rewrite the first packet of a connection, and with it all others.
    Nat,
    /// Change what routing depends on.
    Route,
}

/// A base chain's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Base {
    /// What it may do.
    pub kind: ChainType,
    /// Where it hangs.
    pub hook: Hook,
    /// Its order among others there, lowest first.
    pub priority: i32,
}

/// A chain: a base chain hangs in a hook, a regular one is jumped to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Chain {
    /// Its place; `None` for a regular chain.
    pub base: Option<Base>,
    /// Its rules in order.
    pub rules: Vec<Rule>,
}

/// The type of one field of a key or value; names the printed form only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Type {
    /// An IPv4 address.
    Address,
    /// A transport protocol.
    Protocol,
    /// A port in network byte order.
    Port,
    /// A number in the machine's byte order.
    Number,
}

/// What a set holds beside its keys.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum SetKind {
    /// Nothing.
    Plain,
    /// Nothing; each key stands for an inclusive range of addresses.
    Intervals,
    /// Nothing; rules add keys, which vanish after this time unless refreshed.
    Expiring(Duration),
    /// A value of these fields.
    Map(Vec<Type>),
    /// A verdict.
    VerdictMap,
}

/// The form of a set.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Set {
    /// The fields of its keys.
    pub key: Vec<Type>,
    /// What it holds beside them.
    pub kind: SetKind,
}

/// A key or value: its fields, each padded to four bytes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Key(pub Vec<u8>);

/// What an element holds beside its key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Data {
    /// Nothing.
    None,
    /// The last address of the range that begins with the key.
    To(Ipv4Addr),
    /// A value.
    Value(Key),
    /// A verdict.
    Verdict(Verdict),
}

/// A part of the wanted state with one owner.
///
/// An owner may add elements to another's set. Chains and sets have one owner
/// each.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Fragment {
    /// Chains by name.
    pub chains: BTreeMap<String, Chain>,
    /// Sets by name.
    pub sets: BTreeMap<String, Set>,
    /// Elements by set name and key.
    pub elements: BTreeMap<String, BTreeMap<Key, Data>>,
}

impl Key {
    /// Appends an address.
    pub fn address(mut self, address: Ipv4Addr) -> Self {
        self.0.extend_from_slice(&address.octets());
        self
    }

    /// Appends a transport protocol.
    pub fn protocol(mut self, protocol: u8) -> Self {
        self.0.extend_from_slice(&[protocol, 0, 0, 0]);
        self
    }

    /// Appends a port.
    pub fn port(mut self, port: u16) -> Self {
        self.0.extend_from_slice(&port.to_be_bytes());
        self.0.extend_from_slice(&[0; 2]);
        self
    }

    /// Appends a number in the machine's byte order.
    pub fn number(mut self, number: u32) -> Self {
        self.0.extend_from_slice(&number.to_ne_bytes());
        self
    }
}

impl Fragment {
    /// Adds a chain.
    pub fn chain(&mut self, name: &str, base: Option<Base>, rules: Vec<Rule>) -> &mut Self {
        self.chains.insert(name.to_owned(), Chain { base, rules });
        self
    }

    /// Adds a set.
    pub fn set(&mut self, name: &str, key: &[Type], kind: SetKind) -> &mut Self {
        let key = key.to_vec();
        self.sets.insert(name.to_owned(), Set { key, kind });
        self
    }

    /// Adds an element to a set of this or another fragment.
    pub fn element(&mut self, set: &str, key: Key, data: Data) -> &mut Self {
        self.elements
            .entry(set.to_owned())
            .or_default()
            .insert(key, data);
        self
    }

    /// Tells whether it wants nothing.
    pub fn is_empty(&self) -> bool {
        self.chains.is_empty() && self.sets.is_empty() && self.elements.is_empty()
    }
}
