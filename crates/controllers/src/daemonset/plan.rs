//! Which pods of a daemon set come and go now: a pure decision on its nodes and
//! pods (upstream: daemon_controller.go, podsShouldBeOnNode; update.go,
//! rollingUpdate).

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::apps::v1::{DaemonSet, RollingUpdateDaemonSet};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;

use super::REVISION;
use super::nodes::Place;
use crate::pods;

/// What is to be done now.
#[derive(Debug, Default, PartialEq)]
pub struct Plan {
    /// The nodes that get a pod.
    pub create: Vec<String>,
    /// The pods that go.
    pub delete: Vec<Arc<Pod>>,
    /// The pods that have ended and go to be made again.
    pub ended: Vec<Arc<Pod>>,
}

/// The pods of a set by node.
pub type ByNode = BTreeMap<String, Vec<Arc<Pod>>>;

fn rolling(set: &DaemonSet) -> Option<RollingUpdateDaemonSet> {
    let strategy = set.spec.as_ref()?.update_strategy.clone();
    let strategy = strategy.unwrap_or_default();
    if strategy.type_.as_deref() == Some("OnDelete") {
        return None;
    }
    Some(strategy.rolling_update.unwrap_or_default())
}

/// Returns a number or a percentage of the nodes, rounded up.
fn scaled(value: &IntOrString, wanted: usize) -> usize {
    match value {
        IntOrString::Int(number) => usize::try_from(*number).unwrap_or(0),
        IntOrString::String(text) => {
            let percent: usize = text
                .strip_suffix('%')
                .and_then(|number| number.parse().ok())
                .unwrap_or(0);
            (percent * wanted).div_ceil(100)
        }
    }
}

/// Returns how many nodes may have a second pod during an update.
fn max_surge(set: &DaemonSet, wanted: usize) -> usize {
    let surge = rolling(set).and_then(|rolling| rolling.max_surge);
    surge.map_or(0, |surge| scaled(&surge, wanted))
}

/// Returns how many nodes may be without a pod during an update.
fn max_unavailable(rolling: &RollingUpdateDaemonSet, wanted: usize) -> usize {
    let number = rolling.max_unavailable.as_ref();
    number.map_or(1, |number| scaled(number, wanted)).max(1)
}

/// Returns how long a pod of the set is ready before it is available.
pub fn min_ready_seconds(set: &DaemonSet) -> i32 {
    let spec = set.spec.as_ref();
    spec.and_then(|spec| spec.min_ready_seconds).unwrap_or(0)
}

/// What the decision is made on.
struct View<'a> {
    places: &'a BTreeMap<String, Place>,
    by_node: &'a ByNode,
    revision: &'a str,
    min_ready_seconds: i32,
    now: Timestamp,
}

/// Returns what is to be done on the nodes.
pub fn plan(
    set: &DaemonSet,
    places: &BTreeMap<String, Place>,
    by_node: &ByNode,
    revision: &str,
    now: Timestamp,
) -> Plan {
    let view = View {
        places,
        by_node,
        revision,
        min_ready_seconds: min_ready_seconds(set),
        now,
    };
    let wanted = view.wanted().count();
    let surge = max_surge(set, wanted);
    let plan = view.tidy(surge > 0);
    match rolling(set) {
        Some(_) if plan == Plan::default() && surge > 0 => view.surge(surge),
        Some(rolling) if plan == Plan::default() => Plan {
            delete: view.outdated(max_unavailable(&rolling, wanted)),
            ..plan
        },
        _ => plan,
    }
}

fn is_staying(pod: &Pod) -> bool {
    pod.metadata.deletion_timestamp.is_none()
}

impl View<'_> {
    fn wanted(&self) -> impl Iterator<Item = &String> {
        let wanted = self.places.iter();
        let wanted = wanted.filter(|(_, place)| **place == Place::Wanted);
        wanted.map(|(node, _)| node)
    }

    fn is_new(&self, pod: &Pod) -> bool {
        pod.labels().get(REVISION).map(String::as_str) == Some(self.revision)
    }

    fn is_available(&self, pod: &Pod) -> bool {
        is_staying(pod) && pods::is_available(pod, self.min_ready_seconds, self.now)
    }

    /// Returns what gives each node its pod and takes away what is too much.
    fn tidy(&self, surges: bool) -> Plan {
        let mut plan = Plan::default();
        for (node, pods) in self.by_node {
            let place = self.places.get(node);
            let mut alive = Vec::new();
            for pod in pods.iter().filter(|pod| is_staying(pod)) {
                match place {
                    None | Some(Place::Refused) => plan.delete.push(pod.clone()),
                    Some(_) if !pods::is_active(pod) => plan.ended.push(pod.clone()),
                    Some(_) => alive.push(pod.clone()),
                }
            }
            // The oldest stays.
            alive.sort_by_key(|pod| pod.metadata.creation_timestamp.clone());
            if surges {
                plan.delete.extend(self.surplus(alive));
            } else {
                plan.delete.extend(alive.into_iter().skip(1));
            }
        }
        // A pod that is on its way out is replaced before it is gone if two may
        // be there.
        let is_free = |pods: &Vec<Arc<Pod>>| match surges {
            true => !pods.iter().any(|pod| is_staying(pod)),
            false => pods.is_empty(),
        };
        let free = self
            .wanted()
            .filter(|node| self.by_node.get(*node).is_none_or(is_free));
        plan.create.extend(free.cloned());
        plan
    }

    /// Returns the pods of a node that are too many where one of each revision
    /// may be there: the old one as long as it is ready and the new one is not
    /// available.
    fn surplus(&self, alive: Vec<Arc<Pod>>) -> impl Iterator<Item = Arc<Pod>> + use<> {
        let (new, old): (Vec<_>, Vec<_>) = alive.into_iter().partition(|pod| self.is_new(pod));
        let mut keep = usize::from(!old.is_empty());
        if let (Some(new), Some(old)) = (new.first(), old.first())
            && (!pods::is_ready(old) || self.is_available(new))
        {
            keep = 0;
        }
        new.into_iter().skip(1).chain(old.into_iter().skip(keep))
    }

    /// Returns the pods of other revisions that may go now, those that are not
    /// available first.
    fn outdated(&self, most: usize) -> Vec<Arc<Pod>> {
        let (mut free, mut later, mut unavailable) = (Vec::new(), Vec::new(), 0);
        for pod in self.by_node.values().flatten() {
            let is_there = self.is_available(pod);
            if !is_there {
                unavailable += 1;
            }
            match (!self.is_new(pod) && is_staying(pod), is_there) {
                (true, false) => free.push(pod.clone()),
                (true, true) => later.push(pod.clone()),
                _ => {}
            }
        }
        later.truncate(most.saturating_sub(unavailable));
        free.extend(later);
        free
    }

    /// Returns an update's next step where new pods come before the old ones go:
    /// at once where the old one is not available, else on so many nodes at a
    /// time. Old ones go by `surplus`; on nodes that get no new one, when there
    /// are enough elsewhere.
    fn surge(&self, most: usize) -> Plan {
        let (mut plan, mut later, mut leaving) = (Plan::default(), Vec::new(), Vec::new());
        let (mut surging, mut available) = (0, 0);
        for (node, pods) in self.by_node {
            let staying = pods.iter().filter(|pod| is_staying(pod));
            let (new, old): (Vec<_>, Vec<_>) = staying.partition(|pod| self.is_new(pod));
            let is_there = old.iter().chain(&new).take(1);
            let is_there = is_there.filter(|pod| self.is_available(pod)).count();
            available += is_there;
            let is_wanted = self.places.get(node) == Some(&Place::Wanted);
            match (old.first(), new.is_empty(), is_wanted) {
                (None, ..) => {}
                (Some(_), false, _) => surging += 1,
                (Some(_), true, true) if is_there == 0 => plan.create.push(node.clone()),
                (Some(_), true, true) => later.push(node.clone()),
                (Some(old), true, false) if is_there == 0 => plan.delete.push((*old).clone()),
                (Some(old), true, false) => leaving.push((*old).clone()),
            }
        }
        later.truncate(most.saturating_sub(surging));
        plan.create.extend(later);
        leaving.truncate(available.saturating_sub(self.wanted().count()));
        plan.delete.extend(leaving);
        plan
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pod(name: &str, revision: &str, phase: &str) -> Arc<Pod> {
        let ready = if phase == "Running" { "True" } else { "False" };
        let value = json!({
            "metadata": {"name": name, "labels": {REVISION: revision}},
            "status": {"phase": phase, "conditions": [
                {"type": "Ready", "status": ready, "lastTransitionTime": "2026-01-01T00:00:00Z"}]},
        });
        Arc::new(serde_json::from_value(value).expect("a pod"))
    }

    #[track_caller]
    fn check(
        places: &[(&str, Place)],
        pods: &[(&str, &str, &str)],
        created: &[&str],
        deleted: &[&str],
    ) {
        check_with(json!({}), places, pods, created, deleted);
    }

    #[track_caller]
    fn check_with(
        rolling: Value,
        places: &[(&str, Place)],
        pods: &[(&str, &str, &str)],
        created: &[&str],
        deleted: &[&str],
    ) {
        let set: DaemonSet = serde_json::from_value(json!({"spec": {
            "selector": {}, "template": {}, "updateStrategy": {"rollingUpdate": rolling},
        }}))
        .expect("a set");
        let places: BTreeMap<String, Place> = places
            .iter()
            .map(|(node, place)| ((*node).to_owned(), *place))
            .collect();
        let mut by_node = ByNode::new();
        for (node, revision, phase) in pods {
            let pods = by_node.entry((*node).to_owned()).or_default();
            let name = format!("{node}{}", pods.len());
            pods.push(pod(&name, revision, phase));
        }
        let now = "2026-01-01T12:00:00Z".parse().expect("a time");
        let plan = plan(&set, &places, &by_node, "new", now);
        let gone = plan.delete.iter().chain(&plan.ended);
        let gone: Vec<String> = gone.map(|pod| pod.name_any()).collect();
        assert_eq!(plan.create, created);
        assert_eq!(gone, deleted);
    }

    /// Upstream: daemon_controller_test.go, update_test.go.
    #[test]
    fn each_node_that_fits_has_one_pod_of_the_new_revision() {
        let all = [
            ("a", Place::Wanted),
            ("b", Place::Wanted),
            ("c", Place::Kept),
        ];
        check(&all, &[], &["a", "b"], &[]);
        check(
            &all,
            &[("a", "new", "Running"), ("c", "new", "Running")],
            &["b"],
            &[],
        );
        check(
            &all,
            &[
                ("a", "new", "Running"),
                ("a", "new", "Running"),
                ("b", "new", "Running"),
            ],
            &[],
            &["a1"],
        );
        check(
            &all,
            &[("a", "new", "Failed"), ("b", "new", "Running")],
            &[],
            &["a0"],
        );
        check(
            &[("a", Place::Refused)],
            &[("a", "new", "Running"), ("gone", "new", "Running")],
            &[],
            &["a0", "gone0"],
        );
        // An update takes one node at a time, and what does not work first.
        check(
            &all,
            &[("a", "old", "Running"), ("b", "old", "Running")],
            &[],
            &["a0"],
        );
        check(
            &all,
            &[("a", "old", "Running"), ("b", "old", "Pending")],
            &[],
            &["b0"],
        );
        check(
            &all,
            &[("a", "new", "Pending"), ("b", "old", "Running")],
            &[],
            &[],
        );
    }

    /// Upstream: update_test.go, TestDaemonSetUpdatesPodsWithMaxSurge and its kin.
    #[test]
    fn with_surge_the_new_pod_comes_before_the_old_one_goes() {
        let all = [("a", Place::Wanted), ("b", Place::Wanted)];
        let check = |surge: Value, pods: &[(&str, &str, &str)], created: &[&str], gone: &[&str]| {
            let rolling = json!({"maxSurge": surge, "maxUnavailable": 0});
            check_with(rolling, &all, pods, created, gone);
        };
        let (a, b) = (("a", "old", "Running"), ("b", "old", "Running"));
        check(json!(1), &[], &["a", "b"], &[]);
        check(json!(1), &[a, b], &["a"], &[]);
        check(json!(2), &[a, b], &["a", "b"], &[]);
        check(json!("1%"), &[a, b], &["a"], &[]);
        // One that does not work is no loss, and is not waited for.
        check(json!(1), &[a, ("b", "old", "Pending")], &["b", "a"], &[]);
        let new = |phase| ("a", "new", phase);
        check(json!(1), &[a, new("Pending"), b], &[], &[]);
        check(json!(2), &[a, new("Pending"), b], &["b"], &[]);
        check(json!(1), &[a, new("Running"), b], &[], &["a0"]);
        check(
            json!(1),
            &[("a", "old", "Pending"), new("Pending"), b],
            &[],
            &["a0"],
        );
        check(json!(1), &[new("Running"), b], &["b"], &[]);
        check(json!(1), &[new("Running"), new("Pending"), b], &[], &["a1"]);
        check(json!(1), &[("a", "old", "Failed"), b], &[], &["a0"]);
        // A node that is not for new pods loses its own when all others have theirs.
        let places = [("a", Place::Wanted), ("b", Place::Kept)];
        let rolling = json!({"maxSurge": 1, "maxUnavailable": 0});
        check_with(rolling.clone(), &places, &[a, b], &["a"], &["b0"]);
        let pods = [("a", "new", "Pending"), b];
        check_with(rolling, &places, &pods, &[], &[]);
    }
}
