//! Which policy decides a flow.
//!
//! [`decide`] judges a new connection by the resolved policies, as the kernel
//! does by their chains, and says by whose word.

use std::net::Ipv4Addr;

use coracle_client::Key;

use super::resolve::{Allowance, Peers, Policy, Ports};
use crate::plan::AddressPlan;

/// A new connection, after a Service has been resolved to its endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flow {
    /// Who sends.
    pub source: Ipv4Addr,
    /// Who receives.
    pub destination: Ipv4Addr,
    /// The transport protocol's number.
    pub protocol: u8,
    /// The destination's port.
    pub port: u16,
}

/// What becomes of a flow, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// It passes; these policies allow it, none where nothing restricts it.
    Allowed(Vec<Key>),
    /// The sender's policies do not allow it; these restrict the sender.
    RefusedBySender(Vec<Key>),
    /// The receiver's policies do not allow it; these restrict the receiver.
    RefusedByReceiver(Vec<Key>),
}

/// Judges a flow.
pub fn decide(policies: &[Policy], plan: &AddressPlan, flow: Flow) -> Decision {
    if flow.source == flow.destination {
        return Decision::Allowed(Vec::new());
    }
    let mut allowing = Vec::new();
    let sender = judge(policies, flow.source, flow.destination, flow, |policy| {
        policy.egress.as_deref()
    });
    match sender {
        Ok(found) => allowing.extend(found),
        Err(restricting) => return Decision::RefusedBySender(restricting),
    }
    // The node's probes always pass.
    if flow.source == plan.node() {
        return Decision::Allowed(allowing);
    }
    let receiver = judge(policies, flow.destination, flow.source, flow, |policy| {
        policy.ingress.as_deref()
    });
    match receiver {
        Ok(found) => allowing.extend(found),
        Err(restricting) => return Decision::RefusedByReceiver(restricting),
    }
    Decision::Allowed(allowing)
}

/// Returns the policies that allow, or else those that restrict.
fn judge<'a>(
    policies: &'a [Policy],
    subject: Ipv4Addr,
    peer: Ipv4Addr,
    flow: Flow,
    rules: impl Fn(&'a Policy) -> Option<&'a [Allowance]>,
) -> Result<Vec<Key>, Vec<Key>> {
    let restricting: Vec<(&Policy, &[Allowance])> = policies
        .iter()
        .filter(|policy| policy.subjects.contains(&subject))
        .filter_map(|policy| Some((policy, rules(policy)?)))
        .collect();
    let allowing: Vec<Key> = restricting
        .iter()
        .filter(|(_, rules)| rules.iter().any(|rule| allows(rule, peer, flow)))
        .map(|(policy, _)| policy.key.clone())
        .collect();
    if restricting.is_empty() || !allowing.is_empty() {
        return Ok(allowing);
    }
    Err(restricting
        .iter()
        .map(|(policy, _)| policy.key.clone())
        .collect())
}

fn allows(rule: &Allowance, peer: Ipv4Addr, flow: Flow) -> bool {
    let peer_fits = match &rule.peers {
        Peers::All => true,
        Peers::Some { pods, blocks } => {
            pods.contains(&peer)
                || blocks
                    .iter()
                    .any(|(first, last)| (*first..=*last).contains(&peer))
        }
    };
    let port_fits = match &rule.ports {
        Ports::All => true,
        Ports::Some { ranges, named } => {
            named.contains(&(flow.destination, flow.protocol, flow.port))
                || ranges.iter().any(|(protocol, first, last)| {
                    *protocol == flow.protocol && (*first..=*last).contains(&flow.port)
                })
        }
    };
    peer_fits && port_fits
}
