//! Resolved policies as fragments of the table.
//!
//! Each policy has a chain per direction that accepts what it allows. A pod's
//! address leads to a chain of all policies that restrict it, which ends in a
//! refusal; pods restricted by the same policies share it.
//!
//! A pod may send before it is known here that it has its address. While there
//! are policies such an address is held: nothing passes that they would refuse.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use coracle_netdev::cidr;
use coracle_netdev::nft::expr::{Reg, Rule};
use coracle_netdev::nft::{Data, Fragment, Key, SetKind, Type, Verdict};

use super::resolve::{Allowance, Peers, Policy, Ports};
use crate::base::{DENIAL, EGRESS, HELD, INGRESS};
use crate::plan::AddressPlan;

/// The owner of the fragment that tells which pods are restricted.
pub const OWNER: &str = "restrictions";
/// The owner of the fragment that holds unknown pods back.
pub const HELD_OWNER: &str = "held";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    Ingress,
    Egress,
}

impl Direction {
    fn word(self) -> &'static str {
        match self {
            Direction::Ingress => "ingress",
            Direction::Egress => "egress",
        }
    }

    fn rules(self, policy: &Policy) -> Option<&[Allowance]> {
        match self {
            Direction::Ingress => policy.ingress.as_deref(),
            Direction::Egress => policy.egress.as_deref(),
        }
    }
}

/// Returns the fragments of all policies by owner; none without policies.
pub fn fragments(policies: &[Policy], plan: &AddressPlan) -> BTreeMap<String, Fragment> {
    let mut fragments = BTreeMap::new();
    if !policies.is_empty() {
        fragments.insert(HELD_OWNER.to_owned(), held(plan));
    }
    for policy in policies {
        let mut fragment = Fragment::default();
        for direction in [Direction::Ingress, Direction::Egress] {
            if let Some(rules) = direction.rules(policy) {
                allow(&mut fragment, policy, direction, rules);
            }
        }
        fragments.insert(owner(policy), fragment);
    }
    let restrictions = restrictions(policies);
    if !restrictions.is_empty() {
        fragments.insert(OWNER.to_owned(), restrictions);
    }
    fragments
}

/// All addresses of pods but the cluster's own.
fn held(plan: &AddressPlan) -> Fragment {
    let own = plan.local().map(Into::into).to_vec();
    let mut fragment = Fragment::default();
    for (first, last) in cidr::ranges(&[(plan.pods, own)]) {
        fragment.element(HELD, Key::default().address(first), Data::To(last));
    }
    fragment
}

fn owner(policy: &Policy) -> String {
    format!("policy/{}", policy.key)
}

fn chain_name(policy: &Policy, direction: Direction) -> String {
    format!("policy/{}/{}", policy.key, direction.word())
}

fn restrictions(policies: &[Policy]) -> Fragment {
    let mut fragment = Fragment::default();
    for (direction, map) in [(Direction::Ingress, INGRESS), (Direction::Egress, EGRESS)] {
        for (address, chains) in by_pod(policies, direction) {
            let name = shared_name(&chains, direction);
            let jump = |chain: &String| Rule::new().jump(chain);
            let mut rules: Vec<Rule> = chains.iter().map(jump).collect();
            rules.push(Rule::new().reject(DENIAL));
            fragment.chain(&name, None, rules);
            let key = Key::default().address(address);
            fragment.element(map, key, Data::Verdict(Verdict::Goto(name)));
        }
    }
    fragment
}

fn by_pod(policies: &[Policy], direction: Direction) -> BTreeMap<Ipv4Addr, BTreeSet<String>> {
    let mut pods: BTreeMap<Ipv4Addr, BTreeSet<String>> = BTreeMap::new();
    for policy in policies {
        if direction.rules(policy).is_none() {
            continue;
        }
        for address in &policy.subjects {
            pods.entry(*address)
                .or_default()
                .insert(chain_name(policy, direction));
        }
    }
    pods
}

/// A name that depends on the policies alone (FNV-1a, 64 bits).
fn shared_name(chains: &BTreeSet<String>, direction: Direction) -> String {
    let bytes = chains.iter().flat_map(|name| name.bytes().chain([0]));
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("restricted/{}/{hash:016x}", direction.word())
}

fn allow(fragment: &mut Fragment, policy: &Policy, direction: Direction, list: &[Allowance]) {
    let chain = chain_name(policy, direction);
    let mut rules = Vec::new();
    for (number, allowance) in list.iter().enumerate() {
        let prefix = format!("{chain}/{number}");
        let peers = peer_matches(fragment, &prefix, direction, &allowance.peers);
        for rule in peers {
            for rule in port_matches(fragment, &prefix, &rule, &allowance.ports) {
                rules.push(rule.accept());
            }
        }
    }
    fragment.chain(&chain, None, rules);
}

/// Returns a rule for each kind of peer; none when there is no peer at all.
fn peer_matches(
    fragment: &mut Fragment,
    prefix: &str,
    direction: Direction,
    peers: &Peers,
) -> Vec<Rule> {
    let Peers::Some { pods, blocks } = peers else {
        return vec![Rule::new()];
    };
    let other_side = |set: &str| {
        let rule = match direction {
            Direction::Ingress => Rule::new().load_source(Reg(0)),
            Direction::Egress => Rule::new().load_destination(Reg(0)),
        };
        rule.in_set(set, Reg(0))
    };
    let mut rules = Vec::new();
    if !pods.is_empty() {
        let set = format!("{prefix}/pods");
        fragment.set(&set, &[Type::Address], SetKind::Plain);
        for address in pods {
            fragment.element(&set, Key::default().address(*address), Data::None);
        }
        rules.push(other_side(&set));
    }
    if !blocks.is_empty() {
        let set = format!("{prefix}/blocks");
        fragment.set(&set, &[Type::Address], SetKind::Intervals);
        for (first, last) in blocks {
            fragment.element(&set, Key::default().address(*first), Data::To(*last));
        }
        rules.push(other_side(&set));
    }
    rules
}

fn port_matches(fragment: &mut Fragment, prefix: &str, rule: &Rule, ports: &Ports) -> Vec<Rule> {
    let Ports::Some { ranges, named } = ports else {
        return vec![rule.clone()];
    };
    let mut rules: Vec<Rule> = ranges
        .iter()
        .map(|(protocol, first, last)| {
            let rule = rule.clone().protocol(*protocol);
            match (*first, *last) {
                (0, u16::MAX) => rule,
                (first, last) => rule.ports(first, last),
            }
        })
        .collect();
    if !named.is_empty() {
        let set = format!("{prefix}/named-ports");
        let key = [Type::Address, Type::Protocol, Type::Port];
        fragment.set(&set, &key, SetKind::Plain);
        for (address, protocol, number) in named {
            let key = Key::default()
                .address(*address)
                .protocol(*protocol)
                .port(*number);
            fragment.element(&set, key, Data::None);
        }
        rules.push(rule.clone().load_service(Reg(0)).in_set(&set, Reg(0)));
    }
    rules
}
