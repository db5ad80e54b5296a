//! What is to be done next for a stateful set: a pure decision on its pods
//! (upstream: stateful_set_control.go, updateStatefulSet).

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;

use super::identity::{self, ordinal};
use crate::pods;

/// One thing to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Make the pod with this ordinal.
    Create(i32),
    /// Remove a pod that is surplus, of an old revision, or has ended; what is
    /// missed is made again.
    Delete(Arc<Pod>),
}

/// What a set says about the order of its changes.
#[derive(Debug, Clone)]
pub struct Rules {
    /// The first ordinal.
    pub start: i32,
    /// How many pods there are to be.
    pub replicas: i32,
    /// Whether one pod waits for the one before it.
    pub ordered: bool,
    /// How long a pod is ready before it counts as available, in seconds.
    pub min_ready_seconds: i32,
    /// Whether pods are replaced only when a user deletes them.
    pub on_delete: bool,
    /// How many pods of the lowest ordinals are left as they are by an update.
    pub partition: i32,
    /// How many pods an update may make unavailable.
    pub max_unavailable: i32,
}

impl Rules {
    /// Returns the rules of a set.
    pub fn of(set: &StatefulSet) -> Rules {
        let spec = set.spec.clone().unwrap_or_default();
        let strategy = spec.update_strategy.unwrap_or_default();
        let rolling = strategy.rolling_update.unwrap_or_default();
        let replicas = identity::replicas(set);
        Rules {
            start: identity::start(set),
            replicas,
            ordered: spec.pod_management_policy.as_deref() != Some("Parallel"),
            min_ready_seconds: spec.min_ready_seconds.unwrap_or(0),
            on_delete: strategy.type_.as_deref() == Some("OnDelete"),
            partition: rolling.partition.unwrap_or(0),
            max_unavailable: at_most(rolling.max_unavailable.as_ref(), replicas),
        }
    }

    /// Returns whether a pod with this ordinal keeps to the current revision.
    pub fn keeps_current(&self, ordinal: i32) -> bool {
        !self.on_delete && ordinal < self.start + self.partition
    }

    fn is_wanted(&self, ordinal: i32) -> bool {
        (self.start..self.start + self.replicas).contains(&ordinal)
    }
}

/// Returns a number or a percentage, rounded up, of at least one
/// (upstream: getStatefulSetMaxUnavailable).
fn at_most(value: Option<&IntOrString>, total: i32) -> i32 {
    let number = match value {
        None => 1,
        Some(IntOrString::Int(number)) => *number,
        Some(IntOrString::String(text)) => {
            let percent: i64 = text
                .strip_suffix('%')
                .and_then(|number| number.parse().ok())
                .unwrap_or(0);
            ((percent * i64::from(total) + 99) / 100) as i32
        }
    };
    number.max(1)
}

/// Returns the pods of a set by ordinal.
pub fn by_ordinal(set: &str, pods: &[Arc<Pod>]) -> BTreeMap<i32, Arc<Pod>> {
    pods.iter()
        .filter_map(|pod| Some((ordinal(set, &pod.name_any())?, pod.clone())))
        .collect()
}

fn has_ended(pod: &Pod) -> bool {
    matches!(pods::phase(pod), "Succeeded" | "Failed")
}

fn is_going(pod: &Pod) -> bool {
    pod.metadata.deletion_timestamp.is_some()
}

/// Returns whether a pod runs and is ready.
pub fn is_ready(pod: &Pod) -> bool {
    pods::phase(pod) == "Running" && pods::is_ready(pod)
}

/// Returns whether a pod runs and has been ready for long enough.
pub fn is_available(pod: &Pod, rules: &Rules, now: Timestamp) -> bool {
    pods::phase(pod) == "Running" && pods::is_available(pod, rules.min_ready_seconds, now)
}

/// Returns what is to be done now.
pub fn plan(
    rules: &Rules,
    pods: &BTreeMap<i32, Arc<Pod>>,
    update_revision: &str,
    now: Timestamp,
) -> Vec<Action> {
    let mut actions = Vec::new();
    if fill(rules, pods, now, &mut actions) || shrink(rules, pods, now, &mut actions) {
        return actions;
    }
    if !rules.on_delete {
        update(rules, pods, update_revision, now, &mut actions);
    }
    actions
}

/// Makes the pods that are missing; returns whether the rest has to wait.
fn fill(
    rules: &Rules,
    pods: &BTreeMap<i32, Arc<Pod>>,
    now: Timestamp,
    actions: &mut Vec<Action>,
) -> bool {
    for ordinal in rules.start..rules.start + rules.replicas {
        let wait = match pods.get(&ordinal) {
            None => {
                actions.push(Action::Create(ordinal));
                true
            }
            Some(pod) if has_ended(pod) => {
                if !is_going(pod) {
                    actions.push(Action::Delete(pod.clone()));
                }
                true
            }
            Some(pod) => is_going(pod) || !is_available(pod, rules, now),
        };
        if wait && rules.ordered {
            return true;
        }
    }
    false
}

/// Returns the pods that are there to stay and whose turn it is: in an ordered
/// set, those before the first that is waited for (upstream: processReplica,
/// what comes before its invariants).
pub fn settled<'a>(
    rules: &Rules,
    pods: &'a BTreeMap<i32, Arc<Pod>>,
    now: Timestamp,
) -> Vec<(i32, &'a Arc<Pod>)> {
    let wanted =
        (rules.start..rules.start + rules.replicas).map(|ordinal| (ordinal, pods.get(&ordinal)));
    let is_waited_for = |pod: Option<&Arc<Pod>>| {
        pod.is_none_or(|pod| is_going(pod) || !is_available(pod, rules, now))
    };
    wanted
        .take_while(|(_, pod)| !(rules.ordered && is_waited_for(*pod)))
        .filter_map(|(ordinal, pod)| Some((ordinal, pod?)))
        .filter(|(_, pod)| !has_ended(pod))
        .collect()
}

/// Removes the pods that are too many, the highest ordinal first; returns
/// whether the rest has to wait.
fn shrink(
    rules: &Rules,
    pods: &BTreeMap<i32, Arc<Pod>>,
    now: Timestamp,
    actions: &mut Vec<Action>,
) -> bool {
    let surplus: Vec<&Arc<Pod>> = pods
        .iter()
        .filter(|(ordinal, _)| !rules.is_wanted(**ordinal))
        .map(|(_, pod)| pod)
        .collect();
    // The lowest pod that is not well may go before it is.
    let unwell = pods
        .iter()
        .filter(|(ordinal, _)| rules.is_wanted(**ordinal))
        .map(|(_, pod)| pod)
        .chain(surplus.iter().copied())
        .find(|pod| !is_ready(pod) || is_going(pod));
    for pod in surplus.into_iter().rev() {
        if is_going(pod) {
            if rules.ordered {
                return true;
            }
            continue;
        }
        let first_unwell = unwell.is_some_and(|unwell| unwell.uid() == pod.uid());
        if rules.ordered && !is_available(pod, rules, now) && !first_unwell {
            return true;
        }
        actions.push(Action::Delete(pod.clone()));
        if rules.ordered {
            return true;
        }
    }
    false
}

/// Replaces pods of other revisions, the highest ordinal first.
fn update(
    rules: &Rules,
    pods: &BTreeMap<i32, Arc<Pod>>,
    revision: &str,
    now: Timestamp,
    actions: &mut Vec<Action>,
) {
    let ordinals = rules.start + rules.partition.max(0)..rules.start + rules.replicas;
    let mut left = rules.max_unavailable;
    for ordinal in ordinals.rev() {
        if left <= 0 {
            return;
        }
        match pods.get(&ordinal) {
            Some(pod) if identity::revision(pod) != revision && !is_going(pod) => {
                actions.push(Action::Delete(pod.clone()));
                left -= 1;
            }
            Some(pod) if is_available(pod, rules, now) && !is_going(pod) => {}
            _ => left -= 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn now() -> Timestamp {
        "2026-01-01T12:00:00Z".parse().expect("a time")
    }

    fn rules(replicas: i32) -> Rules {
        Rules {
            start: 0,
            replicas,
            ordered: true,
            min_ready_seconds: 0,
            on_delete: false,
            partition: 0,
            max_unavailable: 1,
        }
    }

    /// A pod by its letters: `r`eady, `p`ending, `f`ailed, `t`erminating; an
    /// upper-case letter is of the new revision, `-` is no pod.
    fn pods(letters: &str) -> BTreeMap<i32, Arc<Pod>> {
        let pod = |index: usize, letter: char| -> Arc<Pod> {
            let phase = match letter.to_ascii_lowercase() {
                'p' => "Pending",
                'f' => "Failed",
                _ => "Running",
            };
            let going = letter.eq_ignore_ascii_case(&'t');
            let revision = if letter.is_uppercase() { "new" } else { "old" };
            Arc::new(
                serde_json::from_value(json!({
                    "metadata": {
                        "name": format!("web-{index}"), "uid": index.to_string(),
                        "labels": {"controller-revision-hash": revision},
                        "deletionTimestamp": going.then_some("2026-01-01T11:59:59Z"),
                    },
                    "status": {"phase": phase, "conditions": [{
                        "type": "Ready", "status": if phase == "Running" { "True" } else { "False" },
                        "lastTransitionTime": "2026-01-01T11:59:55Z",
                    }]},
                }))
                .expect("a pod"),
            )
        };
        let letters = letters.chars().enumerate();
        letters
            .filter(|(_, letter)| *letter != '-')
            .map(|(index, letter)| (index as i32, pod(index, letter)))
            .collect()
    }

    fn check(rules: &Rules, letters: &str, expected: &[&str]) {
        let actions = plan(rules, &pods(letters), "new", now());
        let words: Vec<String> = actions
            .iter()
            .map(|action| match action {
                Action::Create(ordinal) => format!("+{ordinal}"),
                Action::Delete(pod) => format!("-{}", pod.uid().unwrap_or_default()),
            })
            .collect();
        assert_eq!(words, expected, "{letters} with {rules:?}");
    }

    /// Upstream: stateful_set_control_test.go, CreatesPods, ScalesUp, ScalesDown,
    /// RecreatesFailedPod, UpdateRollingUpdate, …WithPartition, …OnDelete, BurstReplicas.
    #[test]
    fn pods_come_and_go_in_order() {
        check(&rules(3), "", &["+0"]);
        check(&rules(3), "P", &[]);
        check(&rules(3), "R", &["+1"]);
        check(&rules(3), "R-R", &["+1"]);
        check(&rules(3), "RRF", &["-2"]);
        check(&rules(3), "RTR", &[]);
        check(&rules(1), "RRR", &["-2"]);
        check(&rules(1), "RRT", &[]);
        check(&rules(1), "RPR", &["-2"]);
        check(&rules(1), "RRP", &["-2"]);
        check(&rules(0), "PR", &["-1"]);
        check(&rules(1), "PRR", &[]);
    }

    #[test]
    fn in_parallel_nothing_waits() {
        let parallel = |replicas| Rules {
            ordered: false,
            ..rules(replicas)
        };
        check(&parallel(3), "", &["+0", "+1", "+2"]);
        check(&parallel(3), "P", &["+1", "+2"]);
        check(&parallel(1), "PRTR", &["-3", "-1"]);
    }

    #[test]
    fn updates_go_from_the_highest_ordinal_down() {
        check(&rules(3), "rrr", &["-2"]);
        check(&rules(3), "rrR", &["-1"]);
        check(&rules(3), "rrP", &[]);
        check(&rules(3), "RRR", &[]);
        let partition = Rules {
            partition: 2,
            ..rules(3)
        };
        check(&partition, "rrr", &["-2"]);
        check(&partition, "rrR", &[]);
        assert!(partition.keeps_current(1));
        assert!(!partition.keeps_current(2));
        let on_delete = Rules {
            on_delete: true,
            ..rules(3)
        };
        check(&on_delete, "rrr", &[]);
        let two = Rules {
            max_unavailable: 2,
            ..rules(4)
        };
        check(&two, "rrrr", &["-3", "-2"]);
    }

    #[test]
    fn a_pod_is_ready_for_a_while_before_the_next_comes() {
        let slow = Rules {
            min_ready_seconds: 10,
            ..rules(2)
        };
        check(&slow, "R", &[]);
        let quick = Rules {
            min_ready_seconds: 5,
            ..rules(2)
        };
        check(&quick, "R", &["+1"]);
        let later = Rules {
            start: 1,
            ..rules(2)
        };
        check(&later, "-R", &["+2"]);
        check(&later, "RRR", &["-0"]);
    }

    /// Upstream: stateful_set_control.go, processReplica.
    #[test]
    fn pods_are_mended_when_it_is_their_turn() {
        let check = |ordered: bool, letters: &str, expected: &[i32]| {
            let rules = Rules {
                ordered,
                ..rules(3)
            };
            let pods = pods(letters);
            let settled: Vec<i32> = settled(&rules, &pods, now())
                .iter()
                .map(|(ordinal, _)| *ordinal)
                .collect();
            assert_eq!(settled, expected, "{letters}");
        };
        check(true, "RRR", &[0, 1, 2]);
        check(true, "RPR", &[0]);
        check(true, "R-R", &[0]);
        check(false, "RPR", &[0, 1, 2]);
        check(false, "F-R", &[2]);
        check(true, "RRRR", &[0, 1, 2]);
    }
}
