//! What each node carries, and who waits for one: kept up to date by every
//! change of a pod, so that placing one does not look at all the others.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use coracle_client::Key;
use k8s_openapi::api::core::v1::Pod;

use crate::affinity;
use crate::filter::host_ports_of;
use crate::preempt::priority;
use crate::resources::{Amounts, add, pod_requests, pod_requests_or_usual, subtract};
use crate::spread;

/// A port of a node: number, protocol, address.
pub type HostPort = (i32, String, String);

/// What the pods of a node have together.
#[derive(Debug, Clone, Default)]
pub struct Load {
    /// What they ask for.
    pub requested: Amounts,
    /// The same with the usual for those that do not say.
    pub usual: Amounts,
    /// How many they are.
    pub pods: i128,
    /// The ports of the node that they hold.
    pub ports: Vec<HostPort>,
}

/// What one pod takes of its node.
#[derive(Debug, Clone, PartialEq)]
pub struct Share {
    requested: Amounts,
    usual: Amounts,
    ports: Vec<HostPort>,
}

impl Share {
    /// Returns what a pod takes.
    pub fn of(pod: &Pod) -> Share {
        Share {
            requested: pod_requests(pod),
            usual: pod_requests_or_usual(pod),
            ports: host_ports_of(pod),
        }
    }
}

impl Load {
    /// Adds one pod.
    pub fn add(&mut self, share: &Share) {
        self.pods += 1;
        add(&mut self.requested, &share.requested);
        add(&mut self.usual, &share.usual);
        self.ports.extend(share.ports.iter().cloned());
    }

    /// Takes one pod off.
    pub fn remove(&mut self, share: &Share) {
        self.pods -= 1;
        subtract(&mut self.requested, &share.requested);
        subtract(&mut self.usual, &share.usual);
        for port in &share.ports {
            if let Some(position) = self.ports.iter().position(|held| held == port) {
                self.ports.swap_remove(position);
            }
        }
    }
}

struct Placed {
    node: String,
    share: Share,
    /// Whether its affinity has a word in where others go.
    concerned: bool,
    /// Whether the binding may not show in the cache yet.
    assumed: bool,
}

/// All pods that hold resources of a node, and all that wait for one.
#[derive(Default)]
pub struct Ledger {
    loads: HashMap<String, Load>,
    placed: HashMap<Key, Placed>,
    waiting: HashMap<Key, Arc<Pod>>,
    /// Those that wait and whose place depends on where others are.
    dependent: HashSet<Key>,
    /// Those that wait and for whom others make room, with the node.
    nominated: HashMap<Key, String>,
    /// Those on a node that have a word in where others go.
    concerned: HashSet<Key>,
}

impl Ledger {
    /// Returns what a node carries for a pod that wants to go there: its pods,
    /// and those that others make room for and that are no less important
    /// (upstream: RunFilterPluginsWithNominatedPods).
    pub fn load(&self, node: &str, key: &Key, pod: &Pod) -> Load {
        let mut load = self.loads.get(node).cloned().unwrap_or_default();
        for (other, nominated) in self.nominated(node) {
            if other != key && priority(nominated) >= priority(pod) {
                load.add(&Share::of(nominated));
            }
        }
        load
    }

    fn nominated(&self, node: &str) -> impl Iterator<Item = (&Key, &Arc<Pod>)> {
        let here = self.nominated.iter().filter(move |(_, name)| *name == node);
        here.filter(|(key, _)| !self.is_assumed(key))
            .filter_map(|(key, _)| Some((key, self.waiting.get(key)?)))
    }

    /// Returns the pods that others make room for on a node and that are less
    /// important than this.
    pub fn nominated_below(&self, node: &str, limit: i32) -> Vec<(Key, Arc<Pod>)> {
        let below = self.nominated(node);
        below
            .filter(|(_, pod)| priority(pod) < limit)
            .map(|(key, pod)| (key.clone(), pod.clone()))
            .collect()
    }

    /// Notes where others make room for a pod that waits.
    pub fn nominate(&mut self, key: &Key, node: Option<&str>) {
        match node {
            Some(node) => self.nominated.insert(key.clone(), node.to_owned()),
            None => self.nominated.remove(key),
        };
    }

    /// Returns the pods that wait for a node, the most important first and of
    /// those the oldest (upstream: scheduler plugin PrioritySort).
    pub fn waiting(&self) -> Vec<Key> {
        let mut waiting: Vec<_> = self.waiting.iter().collect();
        waiting.sort_by_key(|(key, pod)| {
            let since = pod.metadata.creation_timestamp.as_ref();
            (Reverse(priority(pod)), since.map(|time| time.0), *key)
        });
        waiting.into_iter().map(|(key, _)| key.clone()).collect()
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

    /// Returns the pods on nodes that have a word in where others go, with their
    /// nodes.
    pub fn concerned(&self) -> impl Iterator<Item = (&Key, &str)> {
        let placed = |key| Some((key, self.placed.get(key)?.node.as_str()));
        self.concerned.iter().filter_map(placed)
    }

    /// Returns whether the pod was bound and the cache may not show it yet.
    pub fn is_assumed(&self, key: &Key) -> bool {
        self.placed.get(key).is_some_and(|placed| placed.assumed)
    }

    /// Notes a pod that waits; one that was just bound keeps its place. Returns
    /// whether it is to be tried: a status says nothing new of where it fits.
    pub fn wait(&mut self, key: Key, pod: &Arc<Pod>) -> bool {
        if !self.is_assumed(&key) {
            self.take_off(&key);
        }
        if affinity::depends(pod) || spread::depends(pod) {
            self.dependent.insert(key.clone());
        }
        let before = self.waiting.insert(key.clone(), pod.clone());
        // What was decided here may not show in the status yet.
        let told = nominated_node(pod);
        if before.as_deref().and_then(nominated_node) != told {
            self.nominate(&key, told);
        }
        before.is_none_or(|before| {
            before.metadata.uid != pod.metadata.uid
                || before.metadata.labels != pod.metadata.labels
                || before.spec != pod.spec
        })
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
        let share = Share::of(pod);
        if let Some(placed) = self.placed.get_mut(&key)
            && placed.node == node
            && placed.share == share
        {
            // What a pod asks for hardly ever changes; when it does, count anew.
            placed.assumed = assumed;
            return;
        }
        self.take_off(&key);
        self.loads.entry(node.into()).or_default().add(&share);
        let placed = Placed {
            node: node.into(),
            share,
            concerned: affinity::concerns_others(pod),
            assumed,
        };
        if placed.concerned {
            self.concerned.insert(key.clone());
        }
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
        self.nominated.remove(key);
    }

    fn take_off(&mut self, key: &Key) -> bool {
        let Some(placed) = self.placed.remove(key) else {
            return false;
        };
        if placed.concerned {
            self.concerned.remove(key);
        }
        if let Some(load) = self.loads.get_mut(&placed.node) {
            load.remove(&placed.share);
        }
        true
    }
}

/// Returns the node that a pod's status says it will have.
pub fn nominated_node(pod: &Pod) -> Option<&str> {
    let name = pod.status.as_ref()?.nominated_node_name.as_deref()?;
    (!name.is_empty()).then_some(name)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(cpu: &str, port: i32) -> Arc<Pod> {
        let pod = json!({"spec": {"containers": [{
            "name": "c", "ports": [{"containerPort": 80, "hostPort": port}],
            "resources": {"requests": {"cpu": cpu}},
        }]}});
        Arc::new(serde_json::from_value(pod).expect("a pod"))
    }

    fn important(priority: i32, nominated: Option<&str>) -> Arc<Pod> {
        let mut pod = Arc::unwrap_or_clone(pod("100m", 0));
        pod.spec.get_or_insert_default().priority = Some(priority);
        pod.status.get_or_insert_default().nominated_node_name = nominated.map(str::to_owned);
        Arc::new(pod)
    }

    fn load(ledger: &Ledger) -> Load {
        ledger.load("one", &Key::new("ns", "another"), &pod("1m", 0))
    }

    #[test]
    fn a_node_carries_what_its_pods_ask_for() {
        let mut ledger = Ledger::default();
        let key = |name: &str| Key::new("ns", name);
        ledger.wait(key("a"), &pod("100m", 80));
        ledger.assume(key("a"), &pod("100m", 80), "one");
        // The cache still shows it without a node.
        ledger.wait(key("a"), &pod("100m", 80));
        assert_eq!(load(&ledger).requested["cpu"], 100);
        assert!(ledger.is_assumed(&key("a")));
        ledger.place(key("a"), &pod("100m", 80), "one");
        assert!(!ledger.is_assumed(&key("a")));
        assert_eq!(ledger.waiting().len(), 0);
        ledger.place(key("b"), &pod("50m", 81), "one");
        ledger.place(key("b"), &pod("70m", 81), "one");
        let now = load(&ledger);
        assert_eq!(
            (now.requested["cpu"], now.pods, now.ports.len()),
            (170, 2, 2)
        );
        assert!(ledger.remove(&key("a")));
        assert!(!ledger.remove(&key("a")));
        let now = load(&ledger);
        assert_eq!(
            (now.requested["cpu"], now.pods, now.ports.len()),
            (70, 1, 1)
        );
    }

    /// Upstream: framework/runtime/framework_test.go, TestFilterPluginsWithNominatedPods;
    /// backend/queue/nominator.go.
    #[test]
    fn room_that_is_made_is_kept_for_whom_it_is_made() {
        let (key, other) = (Key::new("ns", "a"), Key::new("ns", "b"));
        let mut ledger = Ledger::default();
        assert!(ledger.wait(key.clone(), &important(10, None)));
        ledger.nominate(&key, Some("one"));
        // The status does not show it yet, and says nothing new when it does.
        assert!(!ledger.wait(key.clone(), &important(10, None)));
        assert!(!ledger.wait(key.clone(), &important(10, Some("one"))));
        let pods = |ledger: &Ledger, key: &Key, priority: i32| {
            ledger.load("one", key, &important(priority, None)).pods
        };
        assert_eq!(pods(&ledger, &other, 9), 1);
        assert_eq!(pods(&ledger, &other, 10), 1);
        assert_eq!(pods(&ledger, &other, 11), 0);
        assert_eq!(pods(&ledger, &key, 10), 0);
        assert_eq!(ledger.nominated_below("one", 11).len(), 1);
        assert_eq!(ledger.nominated_below("one", 10).len(), 0);
        // The status no longer says so.
        ledger.wait(key.clone(), &important(10, None));
        assert_eq!(pods(&ledger, &other, 9), 0);
    }

    #[test]
    fn the_most_important_are_tried_first() {
        let mut ledger = Ledger::default();
        for (name, priority) in [("a", 1), ("b", 3), ("c", 2)] {
            ledger.wait(Key::new("ns", name), &important(priority, None));
        }
        let names: Vec<String> = ledger.waiting().into_iter().map(|key| key.name).collect();
        assert_eq!(names, ["b", "c", "a"]);
    }
}
