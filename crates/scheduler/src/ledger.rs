//! What each node carries: kept up to date by every change of a pod, so that
//! placing one does not look at all the others.

use std::collections::{HashMap, HashSet};

use coracle_client::Key;
use k8s_openapi::api::core::v1::Pod;

use crate::affinity;
use crate::filter::host_ports_of;
use crate::resources::{Amounts, pod_requests};

/// A port of a node: number, protocol, address.
pub type HostPort = (i32, String, String);

/// What the pods of a node have together.
#[derive(Debug, Clone, Default)]
pub struct Load {
    /// What they ask for.
    pub requested: Amounts,
    /// How many they are.
    pub pods: i128,
    /// The ports of the node that they hold.
    pub ports: Vec<HostPort>,
}

struct Placed {
    node: String,
    requested: Amounts,
    ports: Vec<HostPort>,
    /// Whether it keeps others away.
    guarded: bool,
    /// Whether the binding may not show in the cache yet.
    assumed: bool,
}

/// All pods that hold resources of a node, and all that wait for one.
#[derive(Default)]
pub struct Ledger {
    loads: HashMap<String, Load>,
    placed: HashMap<Key, Placed>,
    waiting: HashSet<Key>,
    /// Those that wait and whose place depends on where others are.
    dependent: HashSet<Key>,
    /// Those on a node that keep others away.
    guarded: HashSet<Key>,
}

impl Ledger {
    /// Returns what a node carries.
    pub fn load(&self, node: &str) -> Load {
        self.loads.get(node).cloned().unwrap_or_default()
    }

    /// Returns the pods that wait for a node.
    pub fn waiting(&self) -> impl Iterator<Item = &Key> {
        self.waiting.iter()
    }

    /// Returns the pods that wait and whose place depends on where others are.
    pub fn dependent(&self) -> impl Iterator<Item = &Key> {
        self.dependent.iter()
    }

    /// Returns the pods on nodes with their nodes.
    pub fn placed(&self) -> impl Iterator<Item = (&Key, &str)> {
        let placed = self.placed.iter();
        placed.map(|(key, placed)| (key, placed.node.as_str()))
    }

    /// Returns the pods on nodes that keep others away, with their nodes.
    pub fn guarded(&self) -> impl Iterator<Item = (&Key, &str)> {
        let placed = |key| Some((key, self.placed.get(key)?.node.as_str()));
        self.guarded.iter().filter_map(placed)
    }

    /// Returns whether the pod was bound and the cache may not show it yet.
    pub fn is_assumed(&self, key: &Key) -> bool {
        self.placed.get(key).is_some_and(|placed| placed.assumed)
    }

    /// Notes a pod that waits; one that was just bound keeps its place.
    pub fn wait(&mut self, key: Key, pod: &Pod) {
        if !self.is_assumed(&key) {
            self.remove(&key);
        }
        if affinity::depends(pod) {
            self.dependent.insert(key.clone());
        }
        self.waiting.insert(key);
    }

    /// Notes a pod on its node.
    pub fn place(&mut self, key: Key, pod: &Pod, node: &str) {
        self.put(key.clone(), pod, node, false);
        self.forget_waiting(&key);
    }

    /// Notes a pod that is being bound to a node.
    pub fn assume(&mut self, key: Key, pod: &Pod, node: &str) {
        self.put(key, pod, node, true);
    }

    fn put(&mut self, key: Key, pod: &Pod, node: &str, assumed: bool) {
        if let Some(placed) = self.placed.get_mut(&key)
            && placed.node == node
        {
            // What a pod asks for hardly ever changes; when it does, count anew.
            let requested = pod_requests(pod);
            if placed.requested == requested {
                placed.assumed = assumed;
                return;
            }
        }
        self.take_off(&key);
        let placed = Placed {
            node: node.into(),
            requested: pod_requests(pod),
            ports: host_ports_of(pod),
            guarded: !affinity::repelled(pod).is_empty(),
            assumed,
        };
        if placed.guarded {
            self.guarded.insert(key.clone());
        }
        let load = self.loads.entry(node.into()).or_default();
        load.pods += 1;
        for (name, value) in &placed.requested {
            *load.requested.entry(name.clone()).or_default() += value;
        }
        load.ports.extend(placed.ports.iter().cloned());
        self.placed.insert(key, placed);
    }

    /// Takes back the place of a pod whose binding failed; it waits on.
    pub fn refuse(&mut self, key: &Key) {
        self.take_off(key);
    }

    /// Forgets a pod that has ended or is gone; returns whether it held anything.
    pub fn remove(&mut self, key: &Key) -> bool {
        self.forget_waiting(key);
        self.take_off(key)
    }

    fn forget_waiting(&mut self, key: &Key) {
        self.waiting.remove(key);
        self.dependent.remove(key);
    }

    fn take_off(&mut self, key: &Key) -> bool {
        let Some(placed) = self.placed.remove(key) else {
            return false;
        };
        if placed.guarded {
            self.guarded.remove(key);
        }
        if let Some(load) = self.loads.get_mut(&placed.node) {
            load.pods -= 1;
            for (name, value) in &placed.requested {
                *load.requested.entry(name.clone()).or_default() -= value;
            }
            for port in &placed.ports {
                if let Some(position) = load.ports.iter().position(|held| held == port) {
                    load.ports.swap_remove(position);
                }
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(cpu: &str, port: i32) -> Pod {
        serde_json::from_value(json!({"spec": {"containers": [{
            "name": "c", "ports": [{"containerPort": 80, "hostPort": port}],
            "resources": {"requests": {"cpu": cpu}},
        }]}}))
        .expect("a pod")
    }

    #[test]
    fn a_node_carries_what_its_pods_ask_for() {
        let mut ledger = Ledger::default();
        let key = |name: &str| Key::new("ns", name);
        ledger.wait(key("a"), &pod("100m", 80));
        ledger.assume(key("a"), &pod("100m", 80), "one");
        // The cache still shows it without a node.
        ledger.wait(key("a"), &pod("100m", 80));
        assert_eq!(ledger.load("one").requested["cpu"], 100);
        assert!(ledger.is_assumed(&key("a")));
        ledger.place(key("a"), &pod("100m", 80), "one");
        assert!(!ledger.is_assumed(&key("a")));
        assert_eq!(ledger.waiting().count(), 0);
        ledger.place(key("b"), &pod("50m", 81), "one");
        ledger.place(key("b"), &pod("70m", 81), "one");
        let load = ledger.load("one");
        assert_eq!(
            (load.requested["cpu"], load.pods, load.ports.len()),
            (170, 2, 2)
        );
        assert!(ledger.remove(&key("a")));
        assert!(!ledger.remove(&key("a")));
        let load = ledger.load("one");
        assert_eq!(
            (load.requested["cpu"], load.pods, load.ports.len()),
            (70, 1, 1)
        );
    }
}
