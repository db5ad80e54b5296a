//! Which nodes fit a pod, and the words for those that do not
//! (upstream: pkg/scheduler/framework/plugins).

use std::sync::Arc;

use coracle_client::matching::{matches_selectors, tolerates};
use k8s_openapi::api::core::v1::{Node, Pod, Taint, Toleration};
use kube::ResourceExt;

use crate::affinity::Peers;
use crate::ledger::{HostPort, Load};
use crate::refusal::Refusal;
use crate::resources::{Amounts, amount, pod_requests};
use crate::score;
use crate::spread;
use crate::volumes::Needs;

/// A reason of one node, and whether fewer pods on the node would help.
pub type Failure = (String, bool);

/// A pod that wants a node, and all that its place depends on but the loads.
#[derive(Clone, Copy)]
pub struct Placement<'a> {
    /// The pod.
    pub pod: &'a Pod,
    /// The nodes there are.
    pub nodes: &'a [Arc<Node>],
    /// What it needs of its claims.
    pub needs: &'a Needs,
    /// The pods that count for it.
    pub peers: &'a Peers,
}

impl Placement<'_> {
    /// Chooses the node that suits the pod best.
    ///
    /// # Errors
    /// Returns the reasons of all nodes.
    pub fn choose(&self, load: impl Fn(&str) -> Load) -> Result<Arc<Node>, Refusal> {
        let mut refusal = Refusal::new(self.nodes.len());
        let mut fitting = Vec::new();
        for node in self.nodes {
            let load = load(&node.name_any());
            let failures = self.failures(node, &load);
            if failures.is_empty() {
                fitting.push((node.clone(), load));
            } else {
                refusal.add(node, failures);
            }
        }
        score::best(self, fitting).ok_or(refusal)
    }

    /// Returns why the pod does not fit a node; empty if it does.
    ///
    /// As upstream's filters, the first kind of reason that applies is the only one told.
    pub fn failures(&self, node: &Node, load: &Load) -> Vec<Failure> {
        let pod = self.pod;
        let checks: [&dyn Fn() -> Vec<Failure>; 8] = [
            &|| unschedulable(pod, node),
            &|| taints(pod, node),
            &|| selectors(pod, node),
            &|| host_ports(pod, load),
            &|| resources(pod, node, load),
            &|| {
                self.needs
                    .failures(node)
                    .into_iter()
                    .map(helpless)
                    .collect()
            },
            &|| spread::failures(pod, node, self.nodes, &self.peers.all),
            &|| self.peers.failures(pod, node),
        ];
        checks
            .iter()
            .map(|check| check())
            .find(|failures| !failures.is_empty())
            .unwrap_or_default()
    }
}

/// A reason that fewer pods on the node would not remove.
fn helpless(reason: impl Into<String>) -> Failure {
    (reason.into(), false)
}

/// Returns which taints a pod bears.
pub(crate) fn tolerations(pod: &Pod) -> &[Toleration] {
    pod.spec
        .as_ref()
        .and_then(|spec| spec.tolerations.as_deref())
        .unwrap_or_default()
}

fn unschedulable(pod: &Pod, node: &Node) -> Vec<Failure> {
    if node.spec.as_ref().and_then(|spec| spec.unschedulable) != Some(true) {
        return Vec::new();
    }
    let taint = Taint {
        key: "node.kubernetes.io/unschedulable".into(),
        effect: "NoSchedule".into(),
        ..Default::default()
    };
    if tolerations(pod)
        .iter()
        .any(|toleration| tolerates(toleration, &taint))
    {
        return Vec::new();
    }
    vec![helpless("node(s) were unschedulable")]
}

fn taints(pod: &Pod, node: &Node) -> Vec<Failure> {
    match has_untolerated_taint(pod, node) {
        true => vec![helpless("node(s) had untolerated taint(s)")],
        false => Vec::new(),
    }
}

/// Returns whether a node keeps the pod away by a taint.
pub(crate) fn has_untolerated_taint(pod: &Pod, node: &Node) -> bool {
    let taints = node
        .spec
        .iter()
        .flat_map(|spec| spec.taints.iter().flatten());
    taints
        .filter(|taint| matches!(taint.effect.as_str(), "NoSchedule" | "NoExecute"))
        .any(|taint| {
            !tolerations(pod)
                .iter()
                .any(|toleration| tolerates(toleration, taint))
        })
}

fn selectors(pod: &Pod, node: &Node) -> Vec<Failure> {
    if pod
        .spec
        .as_ref()
        .is_none_or(|spec| matches_selectors(spec, node))
    {
        return Vec::new();
    }
    vec![helpless(
        "node(s) didn't match Pod's node affinity/selector",
    )]
}

/// Returns the ports of its node that a pod asks for.
pub(crate) fn host_ports_of(pod: &Pod) -> Vec<HostPort> {
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    containers
        .flat_map(|container| container.ports.iter().flatten())
        .filter_map(|port| {
            let number = port.host_port.filter(|number| *number > 0)?;
            let ip = port
                .host_ip
                .clone()
                .filter(|ip| !ip.is_empty())
                .unwrap_or_else(|| "0.0.0.0".into());
            Some((
                number,
                port.protocol.clone().unwrap_or_else(|| "TCP".into()),
                ip,
            ))
        })
        .collect()
}

fn host_ports(pod: &Pod, load: &Load) -> Vec<Failure> {
    let wanted = host_ports_of(pod);
    let clash = wanted.iter().any(|(number, protocol, ip)| {
        load.ports
            .iter()
            .any(|(other_number, other_protocol, other_ip)| {
                number == other_number
                    && protocol == other_protocol
                    && (ip == other_ip || ip == "0.0.0.0" || other_ip == "0.0.0.0")
            })
    });
    if clash {
        let reason = "node(s) didn't have free ports for the requested pod ports";
        vec![(reason.into(), true)]
    } else {
        Vec::new()
    }
}

/// Returns what a node has for pods.
pub(crate) fn allocatable(node: &Node) -> Amounts {
    let quantities = node
        .status
        .as_ref()
        .and_then(|status| status.allocatable.as_ref());
    quantities
        .into_iter()
        .flatten()
        .map(|(name, quantity)| (name.clone(), amount(name, quantity)))
        .collect()
}

fn resources(pod: &Pod, node: &Node, load: &Load) -> Vec<Failure> {
    let have = allocatable(node);
    let get = |amounts: &Amounts, name: &str| amounts.get(name).copied().unwrap_or(0);
    let mut failures = Vec::new();
    if load.pods + 1 > get(&have, "pods") {
        failures.push(("Too many pods".to_owned(), true));
    }
    for (name, wanted) in pod_requests(pod) {
        if wanted > 0 && wanted + get(&load.requested, &name) > get(&have, &name) {
            // What the empty node does not have no other pod gives back.
            let is_full = wanted <= get(&have, &name);
            failures.push((format!("Insufficient {name}"), is_full));
        }
    }
    failures
}

#[cfg(test)]
mod tests {
    use coracle_client::Key;
    use serde_json::{Value, json};

    use super::*;
    use crate::ledger::Ledger;
    use crate::refusal::Preemption;

    fn node(more: Value) -> Arc<Node> {
        let mut node = json!({
            "metadata": {"name": "one", "labels": {"disk": "ssd", "cores": "8"}},
            "spec": {},
            "status": {"allocatable": {"cpu": "1", "memory": "1Gi", "pods": "3"}},
        });
        if let Some(more) = more.as_object() {
            for (key, value) in more {
                node[key.as_str()] = value.clone();
            }
        }
        Arc::new(serde_json::from_value(node).expect("a node"))
    }

    fn pod(spec: Value) -> Pod {
        let mut full = json!({"containers": [{"name": "c"}]});
        for (key, value) in spec.as_object().expect("a mapping") {
            full[key.as_str()] = value.clone();
        }
        serde_json::from_value(json!({"metadata": {"name": "p"}, "spec": full})).expect("a pod")
    }

    fn asking(cpu: &str) -> Value {
        json!({"containers": [{"name": "c", "resources": {"requests": {"cpu": cpu}}}]})
    }

    fn check(pod: &Pod, node: &Arc<Node>, placed: &[Arc<Pod>], expected: Result<(), &str>) {
        let mut ledger = Ledger::default();
        for (index, pod) in placed.iter().enumerate() {
            ledger.place(Key::new("ns", index.to_string()), pod, "one");
        }
        let (needs, peers) = (Needs::default(), Peers::default());
        let placement = Placement {
            pod,
            nodes: std::slice::from_ref(node),
            needs: &needs,
            peers: &peers,
        };
        let result = placement.choose(|name| ledger.load(name, &Key::new("ns", "p"), pod));
        let sentence = |refusal: Refusal| refusal.sentence(&Preemption::Helps);
        let result = result.map(drop).map_err(sentence);
        assert_eq!(result, expected.map_err(String::from));
    }

    #[test]
    fn a_pod_that_fits_is_placed() {
        check(&pod(asking("1")), &node(json!({})), &[], Ok(()));
    }

    #[test]
    fn what_is_missing_is_named() {
        let running = |cpu: &str| {
            let mut spec = asking(cpu);
            spec["nodeName"] = "one".into();
            Arc::new(pod(spec))
        };
        let one = node(json!({}));
        check(
            &pod(asking("600m")),
            &one,
            &[running("500m")],
            Err("0/1 nodes are available: 1 Insufficient cpu."),
        );
        let three = [running("1m"), running("1m"), running("1m")];
        check(
            &pod(json!({})),
            &one,
            &three,
            Err("0/1 nodes are available: 1 Too many pods."),
        );
    }

    #[test]
    fn selectors_and_affinity_must_match() {
        let refused =
            Err("0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector.");
        let one = node(json!({}));
        check(
            &pod(json!({"nodeSelector": {"disk": "ssd"}})),
            &one,
            &[],
            Ok(()),
        );
        check(
            &pod(json!({"nodeSelector": {"disk": "hdd"}})),
            &one,
            &[],
            refused,
        );
        let affinity = |operator: &str, values: Value| {
            pod(
                json!({"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {
                    "nodeSelectorTerms": [{"matchExpressions": [{"key": "cores", "operator": operator, "values": values}]}],
                }}}}),
            )
        };
        check(&affinity("Gt", json!(["4"])), &one, &[], Ok(()));
        check(&affinity("Lt", json!(["4"])), &one, &[], refused);
        check(&affinity("NotIn", json!(["8"])), &one, &[], refused);
    }

    #[test]
    fn taints_need_a_toleration() {
        let tainted = node(
            json!({"spec": {"taints": [{"key": "dedicated", "value": "gpu", "effect": "NoSchedule"}]}}),
        );
        check(
            &pod(json!({})),
            &tainted,
            &[],
            Err("0/1 nodes are available: 1 node(s) had untolerated taint(s)."),
        );
        check(
            &pod(
                json!({"tolerations": [{"key": "dedicated", "operator": "Equal", "value": "gpu"}]}),
            ),
            &tainted,
            &[],
            Ok(()),
        );
        check(
            &pod(json!({"tolerations": [{"operator": "Exists"}]})),
            &tainted,
            &[],
            Ok(()),
        );
        let cordoned = node(json!({"spec": {"unschedulable": true}}));
        check(
            &pod(json!({})),
            &cordoned,
            &[],
            Err("0/1 nodes are available: 1 node(s) were unschedulable."),
        );
    }

    #[test]
    fn host_ports_are_taken_once() {
        let mut spec = json!({"containers": [{"name": "c", "ports": [{"containerPort": 80, "hostPort": 8080}]}]});
        let wanting = pod(spec.clone());
        spec["nodeName"] = "one".into();
        let holding = Arc::new(pod(spec));
        check(
            &wanting,
            &node(json!({})),
            &[holding],
            Err(
                "0/1 nodes are available: 1 node(s) didn't have free ports for the requested pod ports.",
            ),
        );
    }
}
