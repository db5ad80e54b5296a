//! Whom a pod displaces that fits nowhere
//! (upstream: plugins/defaultpreemption, framework/preemption).
//!
//! Pure: [`choose`] says who has to go and from where; who is told and ended is
//! written elsewhere.

use std::cmp::{Ordering, Reverse};
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Node, Pod};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use kube::core::{Selector, SelectorExt};

use crate::affinity::Peers;
use crate::filter::{Failure, Placement};
use crate::ledger::{Load, Share, nominated_node};
use crate::refusal::{Preemption, Refusal};

/// Why a pod displaces nobody whose class says so.
pub const NEVER: &str = "not eligible due to preemptionPolicy=Never.";
/// Why a pod displaces nobody while those that it displaced still end.
pub const TERMINATING: &str = "not eligible due to a terminating pod on the nominated node.";
/// Why a node whose pods are all as important is of no help.
pub const NO_VICTIMS: &str = "No preemption victims found for incoming pod";
/// The reason of the condition of a pod that is displaced.
pub const REASON: &str = "PreemptionByScheduler";

/// A node, and who has to go there.
#[derive(Debug)]
pub struct Candidate {
    /// The node.
    pub node: Arc<Node>,
    /// Who has to go, the most important first.
    pub victims: Vec<Arc<Pod>>,
    /// How many of them against a disruption budget.
    violations: usize,
}

/// What is known of the nodes.
pub struct Tenancy<'a> {
    /// Returns the pods on a node.
    pub tenants: &'a dyn Fn(&str) -> Vec<Arc<Pod>>,
    /// Returns what a node carries.
    pub load: &'a dyn Fn(&str) -> Load,
    /// All disruption budgets.
    pub budgets: &'a [Arc<PodDisruptionBudget>],
}

/// Returns a pod's priority (upstream: corev1helpers.PodPriority).
pub fn priority(pod: &Pod) -> i32 {
    pod.spec
        .as_ref()
        .and_then(|spec| spec.priority)
        .unwrap_or(0)
}

/// Returns whether a pod ends because another needs its place
/// (upstream: podTerminatingByPreemption).
fn is_displaced(pod: &Pod) -> bool {
    pod.metadata.deletion_timestamp.is_some() && has_condition(pod)
}

/// Returns whether a pod was told that it is displaced.
pub fn has_condition(pod: &Pod) -> bool {
    let conditions = pod
        .status
        .iter()
        .flat_map(|status| status.conditions.iter().flatten());
    let mut targets = conditions.filter(|condition| condition.type_ == "DisruptionTarget");
    targets.next().is_some_and(|condition| {
        condition.status == "True" && condition.reason.as_deref() == Some(REASON)
    })
}

/// Chooses whom the refused pod displaces.
///
/// # Errors
/// Says why nobody is.
pub fn choose(
    placement: &Placement<'_>,
    refusal: &Refusal,
    tenancy: &Tenancy<'_>,
) -> Result<Candidate, Preemption> {
    check_eligible(placement.pod, refusal, tenancy)?;
    let (mut candidates, mut tried) = (Vec::new(), Vec::new());
    for node in placement.nodes {
        if !refusal.is_full(&node.name_any()) {
            continue;
        }
        match select_victims(placement, node, tenancy) {
            Ok(candidate) => candidates.push(candidate),
            Err(reasons) => tried.extend(reasons),
        }
    }
    let best = candidates.into_iter().min_by_key(cost);
    best.ok_or(Preemption::Futile(tried))
}

/// Upstream: PodEligibleToPreemptOthers.
fn check_eligible(pod: &Pod, refusal: &Refusal, tenancy: &Tenancy<'_>) -> Result<(), Preemption> {
    let policy = pod
        .spec
        .as_ref()
        .and_then(|spec| spec.preemption_policy.as_deref());
    if policy == Some("Never") {
        return Err(Preemption::Ineligible(NEVER));
    }
    // A node that no longer fits whoever goes is no longer waited for.
    let Some(node) = nominated_node(pod).filter(|node| refusal.is_full(node)) else {
        return Ok(());
    };
    let mut tenants = (tenancy.tenants)(node).into_iter();
    match tenants.any(|tenant| priority(&tenant) < priority(pod) && is_displaced(&tenant)) {
        true => Err(Preemption::Ineligible(TERMINATING)),
        false => Ok(()),
    }
}

/// What a candidate costs, compared in upstream's order (upstream:
/// pickOneNodeForPreemption). The first of equal ones is taken.
fn cost(candidate: &Candidate) -> impl Ord + use<> {
    let victims = &candidate.victims;
    let highest = victims.first().map_or(0, |victim| priority(victim));
    // Each victim counts, also one of negative priority.
    let sum: i64 = victims
        .iter()
        .map(|victim| i64::from(priority(victim)) + i64::from(i32::MAX) + 1)
        .sum();
    let highest_ones = victims.iter().filter(|victim| priority(victim) == highest);
    let earliest = highest_ones.map(|victim| start_time(victim)).min();
    (
        candidate.violations,
        highest,
        sum,
        victims.len(),
        Reverse(earliest),
    )
}

/// A pod that has not started counts as the latest (upstream: GetPodStartTime).
fn start_time(pod: &Pod) -> Timestamp {
    let started = pod
        .status
        .as_ref()
        .and_then(|status| status.start_time.as_ref());
    started.map_or(Timestamp::MAX, |time| time.0)
}

/// Orders by priority, then by age, the most important first
/// (upstream: util.MoreImportantPod).
fn importance(one: &Arc<Pod>, other: &Arc<Pod>) -> Ordering {
    let key = |pod: &Pod| (Reverse(priority(pod)), start_time(pod));
    key(one).cmp(&key(other))
}

/// A node as it would be without some of its pods.
struct Stage<'a> {
    placement: &'a Placement<'a>,
    node: &'a Arc<Node>,
    load: Load,
    peers: Peers,
}

impl Stage<'_> {
    fn remove(&mut self, pod: &Pod) {
        self.load.remove(&Share::of(pod));
        self.peers.remove(pod);
    }

    fn add(&mut self, pod: &Arc<Pod>) {
        self.load.add(&Share::of(pod));
        self.peers.add(pod, self.node);
    }

    fn failures(&self) -> Vec<Failure> {
        let placement = Placement {
            peers: &self.peers,
            ..*self.placement
        };
        placement.failures(self.node, &self.load)
    }
}

/// Chooses as few and unimportant pods of a node as make the pod fit
/// (upstream: SelectVictimsOnNode).
///
/// # Errors
/// Says why none would.
fn select_victims(
    placement: &Placement<'_>,
    node: &Arc<Node>,
    tenancy: &Tenancy<'_>,
) -> Result<Candidate, Vec<String>> {
    let name = node.name_any();
    let limit = priority(placement.pod);
    let mut potential = (tenancy.tenants)(&name);
    potential.retain(|tenant| priority(tenant) < limit);
    if potential.is_empty() {
        return Err(vec![NO_VICTIMS.to_owned()]);
    }
    let mut stage = Stage {
        placement,
        node,
        load: (tenancy.load)(&name),
        peers: placement.peers.clone(),
    };
    potential.iter().for_each(|victim| stage.remove(victim));
    let failures = stage.failures();
    if !failures.is_empty() {
        return Err(failures.into_iter().map(|(reason, _)| reason).collect());
    }
    potential.sort_by(importance);
    let (violating, others) = split_by_budgets(&potential, tenancy.budgets);
    // Whoever can stay stays, those first whom a budget protects.
    let mut reprieve = |victims: Vec<Arc<Pod>>| -> Vec<Arc<Pod>> {
        let mut gone = Vec::new();
        for victim in victims {
            stage.add(&victim);
            if !stage.failures().is_empty() {
                stage.remove(&victim);
                gone.push(victim);
            }
        }
        gone
    };
    let mut victims = reprieve(violating);
    let violations = victims.len();
    victims.extend(reprieve(others));
    victims.sort_by(importance);
    Ok(Candidate {
        node: node.clone(),
        victims,
        violations,
    })
}

/// Parts those whose end would break a disruption budget from the others
/// (upstream: filterPodsWithPDBViolation).
fn split_by_budgets(
    pods: &[Arc<Pod>],
    budgets: &[Arc<PodDisruptionBudget>],
) -> (Vec<Arc<Pod>>, Vec<Arc<Pod>>) {
    let allowed = |budget: &Arc<PodDisruptionBudget>| budget.status.as_ref()?.disruptions_allowed;
    let mut allowed: Vec<i32> = budgets
        .iter()
        .map(|budget| allowed(budget).unwrap_or(0))
        .collect();
    pods.iter().cloned().partition(|pod| {
        let mut violates = false;
        for (budget, allowed) in budgets.iter().zip(&mut allowed) {
            if covers(budget, pod) {
                *allowed -= 1;
                violates |= *allowed < 0;
            }
        }
        violates
    })
}

/// Returns whether a pod's end is charged to a budget. One that the API has let
/// go already was charged; an empty selector selects nothing here.
fn covers(budget: &PodDisruptionBudget, pod: &Pod) -> bool {
    let selector = budget.spec.as_ref().and_then(|spec| spec.selector.clone());
    let selector = selector.and_then(|selector| Selector::try_from(selector).ok());
    let status = budget.status.as_ref();
    let disrupted = status.and_then(|status| status.disrupted_pods.as_ref());
    budget.metadata.namespace == pod.metadata.namespace
        && !pod.labels().is_empty()
        && selector.is_some_and(|one| !one.selects_all() && one.matches(pod.labels()))
        && !disrupted.is_some_and(|disrupted| disrupted.contains_key(&pod.name_any()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::{Value, json};

    use super::*;
    use crate::volumes::Needs;

    /// A pod as `name priority cpu`, with the hour of its start after an `@`
    /// and labels after that.
    fn pod(text: &str) -> Arc<Pod> {
        let mut words = text.split(' ');
        let mut word = || words.next().unwrap_or_default();
        let (name, priority, cpu) = (word(), word(), word());
        let start = word()
            .strip_prefix('@')
            .map(|hour| format!("2026-01-01T{hour}:00:00Z"));
        let app = word();
        let labels = if app.is_empty() {
            json!({})
        } else {
            json!({"app": app})
        };
        let pod = json!({
            "metadata": {"name": name, "namespace": "ns", "labels": labels},
            "spec": {
                "priority": priority.parse::<i32>().expect("a priority"),
                "containers": [{"name": "c", "resources": {"requests": {"cpu": cpu}}}],
            },
            "status": {"startTime": start},
        });
        Arc::new(serde_json::from_value(pod).expect("a pod"))
    }

    fn with(pod: &Arc<Pod>, path: &str, value: Value) -> Arc<Pod> {
        let mut object = serde_json::to_value(&**pod).expect("an object");
        let mut place = &mut object;
        for name in path.split('.') {
            place = &mut place[name];
        }
        *place = value;
        Arc::new(serde_json::from_value(object).expect("a pod"))
    }

    fn node(name: &str) -> Arc<Node> {
        let node = json!({
            "metadata": {"name": name, "labels": {"node": name}},
            "status": {"allocatable": {"cpu": "1", "pods": "10"}},
        });
        Arc::new(serde_json::from_value(node).expect("a node"))
    }

    fn budget(app: &str, allowed: i32, disrupted: &[&str]) -> Arc<PodDisruptionBudget> {
        let disrupted: BTreeMap<_, _> = disrupted
            .iter()
            .map(|name| (*name, "2026-01-01T00:00:00Z"))
            .collect();
        let budget = json!({
            "metadata": {"name": app, "namespace": "ns"},
            "spec": {"selector": {"matchLabels": {"app": app}}},
            "status": {"disruptionsAllowed": allowed, "disruptedPods": disrupted,
                "currentHealthy": 1, "desiredHealthy": 1, "expectedPods": 1},
        });
        Arc::new(serde_json::from_value(budget).expect("a budget"))
    }

    type Nodes<'a> = &'a [(&'a str, &'a [Arc<Pod>])];

    fn run(
        wanting: &Arc<Pod>,
        nodes: Nodes<'_>,
        budgets: &[Arc<PodDisruptionBudget>],
    ) -> Result<(String, Vec<String>), Preemption> {
        let tenants = |name: &str| {
            let found = nodes.iter().find(|(node, _)| *node == name);
            found.map_or(Vec::new(), |(_, pods)| pods.to_vec())
        };
        let load = |name: &str| {
            let mut load = Load::default();
            tenants(name)
                .iter()
                .for_each(|pod| load.add(&Share::of(pod)));
            load
        };
        let all: Vec<Arc<Node>> = nodes.iter().map(|(name, _)| node(name)).collect();
        let mut peers = Peers::default();
        for (node, (_, pods)) in all.iter().zip(nodes) {
            pods.iter().for_each(|pod| peers.add(pod, node));
        }
        let placement = Placement {
            pod: wanting,
            nodes: &all,
            needs: &Needs::default(),
            peers: &peers,
        };
        let refusal = placement.choose(load).expect_err("a pod that fits nowhere");
        let tenancy = Tenancy {
            tenants: &tenants,
            load: &load,
            budgets,
        };
        let chosen = choose(&placement, &refusal, &tenancy)?;
        let victims = chosen.victims.iter().map(|victim| victim.name_any());
        Ok((chosen.node.name_any(), victims.collect()))
    }

    fn check(
        wanting: &str,
        tenants: &[&str],
        budgets: &[Arc<PodDisruptionBudget>],
        victims: &[&str],
    ) {
        let tenants: Vec<Arc<Pod>> = tenants.iter().map(|text| pod(text)).collect();
        let got = run(&pod(wanting), &[("one", &tenants)], budgets);
        let expected = victims.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(got, Ok(("one".to_owned(), expected)), "{wanting}");
    }

    /// Upstream: defaultpreemption/default_preemption_test.go, TestDryRunPreemption.
    #[test]
    fn as_few_and_unimportant_pods_as_possible_go() {
        check("p 10 1", &["a 0 500m", "b 0 500m"], &[], &["a", "b"]);
        check("p 10 500m", &["a 0 500m", "b 5 500m"], &[], &["a"]);
        check(
            "p 10 500m",
            &["a 0 300m", "b 5 600m", "c 20 100m"],
            &[],
            &["b"],
        );
        // Pods as important stay.
        check("p 10 400m", &["a 10 600m", "b 9 400m"], &[], &["b"]);
        // Of equals the one that has run the longest stays.
        check("p 10 500m", &["a 0 500m @02", "b 0 500m @01"], &[], &["a"]);
        check("p 10 500m", &["a 0 500m @01", "b 0 500m"], &[], &["b"]);
        // The most important comes first.
        check(
            "p 10 1",
            &["a 1 200m", "b 3 200m", "c 2 600m"],
            &[],
            &["b", "c", "a"],
        );
    }

    /// Upstream: TestDryRunPreemption, the cases of PodDisruptionBudgets.
    #[test]
    fn budgets_are_kept_where_possible() {
        let tenants = ["a 1 500m @01 web", "b 2 500m @01 db"];
        check("p 10 500m", &tenants, &[], &["a"]);
        check("p 10 500m", &tenants, &[budget("web", 0, &[])], &["b"]);
        check("p 10 500m", &tenants, &[budget("web", 1, &[])], &["a"]);
        // The API has charged it already.
        check("p 10 500m", &tenants, &[budget("web", 0, &["a"])], &["a"]);
        // Best effort: where nothing else helps they go all the same.
        check("p 10 1", &tenants, &[budget("web", 0, &[])], &["b", "a"]);
        let both = ["a 1 500m @01 web", "b 2 500m @02 web"];
        // The more important one is charged first, so the other is kept.
        check("p 10 500m", &both, &[budget("web", 1, &[])], &["b"]);
    }

    /// Upstream: TestPodEligibleToPreemptOthers; framework.FitError of the dry run.
    #[test]
    fn the_reason_is_told_where_nobody_goes() {
        let check = |wanting: &Arc<Pod>, tenants: &[Arc<Pod>], expected: Preemption| {
            assert_eq!(run(wanting, &[("one", tenants)], &[]), Err(expected));
        };
        let futile = |reason: &str| Preemption::Futile(vec![reason.to_owned()]);
        let wanting = pod("p 10 1");
        check(&wanting, &[pod("a 10 500m")], futile(NO_VICTIMS));
        check(
            &wanting,
            &[pod("a 10 500m"), pod("b 1 500m")],
            futile("Insufficient cpu"),
        );
        check(
            &pod("p 10 2"),
            &[pod("a 0 500m")],
            Preemption::Futile(Vec::new()),
        );
        let never = with(&wanting, "spec.preemptionPolicy", json!("Never"));
        check(&never, &[pod("a 0 500m")], Preemption::Ineligible(NEVER));
        let nominated = with(&wanting, "status.nominatedNodeName", json!("one"));
        let ending = with(
            &pod("a 0 500m"),
            "metadata.deletionTimestamp",
            json!("2026-01-01T00:00:00Z"),
        );
        let condition = json!([{"type": "DisruptionTarget", "status": "True", "reason": REASON}]);
        let displaced = with(&ending, "status.conditions", condition);
        check(
            &nominated,
            &[displaced],
            Preemption::Ineligible(TERMINATING),
        );
        // Whoever ends for another reason is a victim like others.
        let got = run(&nominated, &[("one", &[ending])], &[]);
        assert_eq!(got, Ok(("one".to_owned(), vec!["a".to_owned()])));
    }

    /// Upstream: default_preemption_test.go, TestSelectBestCandidate.
    #[test]
    fn the_cheapest_node_is_chosen() {
        let check =
            |one: &[&str], other: &[&str], budgets: &[Arc<PodDisruptionBudget>], expected: &str| {
                let pods = |texts: &[&str]| -> Vec<Arc<Pod>> {
                    texts.iter().map(|text| pod(text)).collect()
                };
                let (one, other) = (pods(one), pods(other));
                let got = run(&pod("p 10 1"), &[("one", &one), ("other", &other)], budgets);
                assert_eq!(got.map(|(node, _)| node), Ok(expected.to_owned()));
            };
        let web = [budget("web", 0, &[])];
        check(&["a 1 1 @01 web"], &["b 5 1 @01 db"], &web, "other");
        check(&["a 5 1"], &["b 4 500m", "c 4 500m"], &[], "other");
        check(
            &["a 5 500m", "b 4 500m"],
            &["c 5 500m", "d 3 500m"],
            &[],
            "other",
        );
        check(&["a -5 500m", "b -6 500m"], &["c -5 1"], &[], "other");
        check(&["a 5 1 @01"], &["b 5 1 @02"], &[], "other");
        check(&["a 5 1 @01"], &["b 5 1 @01"], &[], "one");
    }

    #[test]
    fn those_go_that_keep_the_pod_away() {
        let term =
            json!([{"topologyKey": "node", "labelSelector": {"matchLabels": {"app": "web"}}}]);
        let apart =
            json!({"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": term}});
        let wanting = with(&pod("p 10 1m"), "spec.affinity", apart);
        let tenants = [pod("a 0 1m @01 web"), pod("b 0 1m @01 db")];
        let got = run(&wanting, &[("one", &tenants)], &[]);
        assert_eq!(got, Ok(("one".to_owned(), vec!["a".to_owned()])));
        let spread = json!([{"maxSkew": 1, "minDomains": 2, "topologyKey": "node",
            "whenUnsatisfiable": "DoNotSchedule", "labelSelector": {"matchLabels": {"app": "web"}}}]);
        let wanting = with(
            &pod("p 10 1m @01 web"),
            "spec.topologySpreadConstraints",
            spread,
        );
        let got = run(&wanting, &[("one", &tenants)], &[]);
        assert_eq!(got, Ok(("one".to_owned(), vec!["a".to_owned()])));
    }
}
