//! Scaling a deployment that is paused or in the middle of a rollout: the
//! change is spread over its sets in proportion to their size
//! (upstream: deployment/sync.go, scale; GetReplicaSetProportion).

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use kube::ResourceExt;

use super::rolling::{is_rolling, max_surge};
use super::{Controller, Sets, replicas, wanted};

/// Annotation with the deployment's replicas when the set was last scaled.
pub const DESIRED: &str = "deployment.kubernetes.io/desired-replicas";
/// Annotation with the most replicas that a rollout may have had then.
pub const MAX: &str = "deployment.kubernetes.io/max-replicas";

/// Notes on a set what the deployment asks for now.
pub fn annotate(set: &mut ReplicaSet, deployment: &Deployment) {
    let wanted = wanted(deployment);
    let annotations = set.annotations_mut();
    annotations.insert(DESIRED.into(), wanted.to_string());
    annotations.insert(MAX.into(), (wanted + max_surge(deployment)).to_string());
}

fn annotation(set: &ReplicaSet, name: &str) -> Option<i32> {
    set.annotations().get(name)?.parse().ok()
}

/// Returns whether the deployment's replicas changed since its sets were scaled.
pub fn is_scaling(deployment: &Deployment, sets: &Sets) -> bool {
    sets.all()
        .filter(|set| replicas(set) > 0)
        .filter_map(|set| annotation(set, DESIRED))
        .any(|desired| desired != wanted(deployment))
}

impl Controller {
    /// Spreads a change of the deployment's replicas over its sets.
    pub(super) async fn scale_proportionally(
        &self,
        deployment: &Deployment,
        sets: &mut Sets,
    ) -> Result<(), kube::Error> {
        if let Some(only) = active_or_latest(sets) {
            if replicas(only) != wanted(deployment) {
                *only = self.scale_to(deployment, only, wanted(deployment)).await?;
            }
            return Ok(());
        }
        if new_is_saturated(deployment, sets) {
            for set in sets.old.iter_mut().filter(|set| replicas(set) > 0) {
                *set = self.scale_to(deployment, set, 0).await?;
            }
            return Ok(());
        }
        if !is_rolling(deployment) {
            return Ok(());
        }
        let sizes = proportions(deployment, sets);
        for (set, size) in sets.new.iter_mut().chain(&mut sets.old).zip(sizes) {
            if let Some(size) = size {
                *set = self.scale_to(deployment, set, size).await?;
            }
        }
        Ok(())
    }
}

/// Returns the only set with replicas, or the newest where none has any.
fn active_or_latest(sets: &mut Sets) -> Option<&mut ReplicaSet> {
    match sets.all().filter(|set| replicas(set) > 0).count() {
        0 if sets.new.is_some() => sets.new.as_mut(),
        0 => sets.old.last_mut(),
        1 => sets
            .new
            .iter_mut()
            .chain(&mut sets.old)
            .find(|set| replicas(set) > 0),
        _ => None,
    }
}

/// Returns whether the new set alone has all the replicas, all of them available.
fn new_is_saturated(deployment: &Deployment, sets: &Sets) -> bool {
    sets.new.as_ref().is_some_and(|new| {
        replicas(new) == wanted(deployment)
            && annotation(new, DESIRED) == Some(wanted(deployment))
            && new
                .status
                .as_ref()
                .and_then(|status| status.available_replicas)
                == Some(wanted(deployment))
    })
}

/// Returns the new size of each set, the new one first; `None` for empty sets.
fn proportions(deployment: &Deployment, sets: &Sets) -> Vec<Option<i32>> {
    let all: Vec<&ReplicaSet> = sets.all().collect();
    let total: i32 = all.iter().map(|set| replicas(set)).sum();
    let allowed = if wanted(deployment) > 0 {
        wanted(deployment) + max_surge(deployment)
    } else {
        0
    };
    let to_add = allowed - total;
    // Bigger sets first; of equal ones the newest when growing, the oldest when shrinking.
    let mut order: Vec<usize> = (0..all.len())
        .filter(|&index| replicas(all[index]) > 0)
        .collect();
    order.sort_by(|&a, &b| {
        let age = |index: usize| all[index].metadata.creation_timestamp.clone();
        let by_age = if to_add > 0 {
            age(b).cmp(&age(a))
        } else {
            age(a).cmp(&age(b))
        };
        replicas(all[b]).cmp(&replicas(all[a])).then(by_age)
    });
    let mut sizes: Vec<Option<i32>> = vec![None; all.len()];
    let mut added = 0;
    for &index in &order {
        let share = if to_add == 0 {
            0
        } else {
            proportion(deployment, all[index], to_add, added)
        };
        sizes[index] = Some(replicas(all[index]) + share);
        added += share;
    }
    // What rounding left goes to the biggest.
    if let Some(&first) = order.first() {
        let size = sizes[first].get_or_insert(0);
        *size = (*size + to_add - added).max(0);
    }
    sizes
}

/// Returns a set's share of the replicas to add (or remove, if negative).
fn proportion(deployment: &Deployment, set: &ReplicaSet, to_add: i32, added: i32) -> i32 {
    let size = replicas(set);
    let before = annotation(set, MAX)
        .filter(|max| *max > 0)
        .unwrap_or_else(|| {
            deployment
                .status
                .as_ref()
                .and_then(|status| status.replicas)
                .unwrap_or(size)
                .max(1)
        });
    let after = wanted(deployment) + max_surge(deployment);
    let fraction = if wanted(deployment) == 0 {
        -size
    } else {
        (f64::from(size) * f64::from(after) / f64::from(before)).round() as i32 - size
    };
    let left = to_add - added;
    if to_add > 0 {
        fraction.min(left)
    } else {
        fraction.max(left)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn set(name: &str, size: i32, max: i32, created: &str) -> ReplicaSet {
        serde_json::from_value(json!({
            "metadata": {"name": name, "creationTimestamp": created, "annotations": {MAX: max.to_string()}},
            "spec": {"replicas": size, "selector": {}},
        }))
        .expect("a replica set")
    }

    fn deployment(count: i32, surge: i32) -> Deployment {
        serde_json::from_value(json!({
            "metadata": {"name": "web"},
            "spec": {"replicas": count, "selector": {}, "template": {},
                "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": surge, "maxUnavailable": 1}}},
        }))
        .expect("a deployment")
    }

    /// Upstream: pkg/controller/deployment/sync_test.go, TestScale.
    #[test]
    fn a_change_is_spread_in_proportion() {
        let check = |count, surge, max, new: i32, old: &[i32], expected: &[i32]| {
            let sets = Sets {
                new: Some(set("new", new, max, "2026-01-02T00:00:00Z")),
                old: old
                    .iter()
                    .enumerate()
                    .map(|(index, size)| {
                        set(
                            "old",
                            *size,
                            max,
                            &format!("2026-01-01T00:00:0{}Z", 9 - index),
                        )
                    })
                    .collect(),
                made: false,
            };
            let sizes: Vec<i32> = proportions(&deployment(count, surge), &sets)
                .into_iter()
                .map(Option::unwrap_or_default)
                .collect();
            assert_eq!(sizes, expected, "to {count} from {new} and {old:?}");
        };
        check(12, 0, 10, 5, &[5], &[6, 6]);
        check(6, 0, 10, 5, &[5], &[3, 3]);
        check(20, 0, 10, 5, &[3, 2], &[10, 6, 4]);
        check(5, 0, 10, 5, &[3, 2], &[2, 2, 1]);
        check(0, 0, 10, 3, &[3, 4], &[0, 0, 0]);
    }
}
