//! The words for a pod that fits no node: [`Refusal`]
//! (upstream: framework.FitError, framework/preemption).

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::Node;
use kube::ResourceExt;

use crate::filter::Failure;

/// Why a pod fits no node: the reasons of the filters, counted over the nodes.
#[derive(Debug, Default)]
pub struct Refusal {
    nodes: usize,
    reasons: BTreeMap<String, usize>,
    everywhere: Option<String>,
    /// Nodes on which fewer pods would help.
    full: BTreeSet<String>,
}

/// What the displacement of other pods came to.
#[derive(Debug, PartialEq, Eq)]
pub enum Preemption {
    /// Others make room.
    Helps,
    /// The pod may not displace others; why.
    Ineligible(&'static str),
    /// It would not help; the reasons of the nodes where it was tried.
    Futile(Vec<String>),
}

impl Refusal {
    /// Returns a refusal by this many nodes.
    pub fn new(nodes: usize) -> Refusal {
        Refusal {
            nodes,
            ..Refusal::default()
        }
    }

    /// Returns the refusal of a pod that fits no node whatever the nodes are.
    pub fn everywhere(nodes: usize, reason: String) -> Refusal {
        Refusal {
            everywhere: Some(reason),
            ..Refusal::new(nodes)
        }
    }

    /// Adds the reasons of one node.
    pub fn add(&mut self, node: &Node, failures: Vec<Failure>) {
        if failures.iter().all(|(_, is_full)| *is_full) {
            self.full.insert(node.name_any());
        }
        for (reason, _) in failures {
            *self.reasons.entry(reason).or_default() += 1;
        }
    }

    /// Returns whether fewer pods on a node would help.
    pub fn is_full(&self, node: &str) -> bool {
        self.full.contains(node)
    }

    /// Returns upstream's sentence.
    pub fn sentence(&self, preemption: &Preemption) -> String {
        if self.nodes == 0 {
            return "no nodes available to schedule pods".into();
        }
        let intro = format!("0/{} nodes are available", self.nodes);
        let reasons = match &self.everywhere {
            Some(reason) => reason.clone(),
            None => joined(&self.reasons),
        };
        let outcome = match preemption {
            Preemption::Helps => return format!("{intro}: {reasons}."),
            Preemption::Ineligible(why) => (*why).to_owned(),
            Preemption::Futile(tried) => {
                let mut counts = BTreeMap::new();
                for reason in tried {
                    *counts.entry(reason.clone()).or_default() += 1;
                }
                let helpless = self.nodes - self.full.len().min(self.nodes);
                if helpless > 0 {
                    counts.insert("Preemption is not helpful for scheduling".into(), helpless);
                }
                format!("{intro}: {}.", joined(&counts))
            }
        };
        format!("{intro}: {reasons}. no new claims to deallocate, preemption: {outcome}")
    }
}

/// Joins reasons with their counts, ordered as texts.
fn joined(counts: &BTreeMap<String, usize>) -> String {
    let mut parts: Vec<String> = counts
        .iter()
        .map(|(reason, count)| format!("{count} {reason}"))
        .collect();
    parts.sort();
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::preempt::{NEVER, NO_VICTIMS};

    fn node(name: usize) -> Node {
        let mut node = Node::default();
        node.metadata.name = Some(name.to_string());
        node
    }

    /// Texts of Kubernetes 1.35 and 1.36, as its users have shown them.
    #[test]
    fn the_sentence_tells_what_preemption_would_bring() {
        let full = |reason: &str| vec![(reason.to_owned(), true)];
        let check = |failures: &[Vec<Failure>], preemption: Preemption, expected: &str| {
            let mut refusal = Refusal::new(failures.len());
            for (number, one) in failures.iter().enumerate() {
                refusal.add(&node(number), one.clone());
            }
            assert_eq!(refusal.sentence(&preemption), expected);
        };
        let futile = |tried: &[&str]| {
            Preemption::Futile(tried.iter().map(|reason| (*reason).to_owned()).collect())
        };
        let taint = vec![("node(s) had untolerated taint(s)".to_owned(), false)];
        check(
            &[
                taint.clone(),
                full("Insufficient cpu"),
                full("Insufficient cpu"),
            ],
            futile(&[NO_VICTIMS, NO_VICTIMS]),
            "0/3 nodes are available: 1 node(s) had untolerated taint(s), 2 Insufficient cpu. no new claims to deallocate, \
             preemption: 0/3 nodes are available: 1 Preemption is not helpful for scheduling, 2 No preemption victims found for incoming pod.",
        );
        check(
            &[taint],
            futile(&[]),
            "0/1 nodes are available: 1 node(s) had untolerated taint(s). no new claims to deallocate, \
             preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling.",
        );
        check(
            &[full("Insufficient cpu")],
            futile(&["Insufficient cpu"]),
            "0/1 nodes are available: 1 Insufficient cpu. no new claims to deallocate, \
             preemption: 0/1 nodes are available: 1 Insufficient cpu.",
        );
        check(
            &[full("Too many pods")],
            Preemption::Ineligible(NEVER),
            "0/1 nodes are available: 1 Too many pods. no new claims to deallocate, \
             preemption: not eligible due to preemptionPolicy=Never.",
        );
        check(
            &[full("Too many pods")],
            Preemption::Helps,
            "0/1 nodes are available: 1 Too many pods.",
        );
        check(&[], futile(&[]), "no nodes available to schedule pods");
    }
}
