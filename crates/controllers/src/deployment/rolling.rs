//! The rolling update: never more pods than surge allows, never fewer
//! available ones than asked for (upstream: deployment/rolling.go, util).

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet, RollingUpdateDeployment};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::{Controller, Sets, available, replicas, wanted};

/// Returns whether the deployment rolls instead of recreating.
pub fn is_rolling(deployment: &Deployment) -> bool {
    let strategy = deployment
        .spec
        .as_ref()
        .and_then(|spec| spec.strategy.as_ref());
    strategy.and_then(|strategy| strategy.type_.as_deref()) != Some("Recreate")
}

fn parameters(deployment: &Deployment) -> RollingUpdateDeployment {
    let strategy = deployment
        .spec
        .as_ref()
        .and_then(|spec| spec.strategy.as_ref());
    strategy
        .and_then(|strategy| strategy.rolling_update.clone())
        .unwrap_or_default()
}

/// Returns a number or a percentage of `total`, rounded as told; the default is 25 %.
fn scaled(value: Option<&IntOrString>, total: i32, up: bool) -> i32 {
    let percent = match value {
        Some(IntOrString::Int(number)) => return *number,
        Some(IntOrString::String(text)) => text
            .strip_suffix('%')
            .and_then(|number| number.parse().ok())
            .unwrap_or(0),
        None => 25,
    };
    let product = i64::from(percent) * i64::from(total);
    let rounded = if up {
        (product + 99) / 100
    } else {
        product / 100
    };
    rounded as i32
}

/// Returns surge and unavailable as numbers. Surge rounds up, unavailable
/// rounds down, and if both come to nothing one pod may be unavailable
/// (upstream: ResolveFenceposts).
fn fenceposts(deployment: &Deployment) -> (i32, i32) {
    let parameters = parameters(deployment);
    let surge = scaled(parameters.max_surge.as_ref(), wanted(deployment), true);
    let unavailable = scaled(
        parameters.max_unavailable.as_ref(),
        wanted(deployment),
        false,
    );
    if surge == 0 && unavailable == 0 {
        (0, 1)
    } else {
        (surge, unavailable)
    }
}

/// Returns how many pods a rollout may have above the number asked for.
pub fn max_surge(deployment: &Deployment) -> i32 {
    if is_rolling(deployment) {
        fenceposts(deployment).0
    } else {
        0
    }
}

/// Returns how many pods may be missing during a rollout.
pub fn max_unavailable(deployment: &Deployment) -> i32 {
    if !is_rolling(deployment) || wanted(deployment) == 0 {
        return 0;
    }
    fenceposts(deployment).1.min(wanted(deployment))
}

/// Returns the size that the new set may have now (upstream: NewRSNewReplicas).
fn new_size(deployment: &Deployment, new: i32, total: i32) -> i32 {
    if !is_rolling(deployment) {
        return wanted(deployment);
    }
    let max = wanted(deployment) + max_surge(deployment);
    if total >= max {
        return new;
    }
    new + (max - total).min(wanted(deployment) - new)
}

/// Returns the size with which the set of a new template is made.
pub fn first_size(deployment: &Deployment, sets: &Sets) -> i32 {
    new_size(deployment, 0, sets.all().map(replicas).sum())
}

impl Controller {
    /// Takes one step of the rolling update.
    pub(super) async fn roll(
        &self,
        deployment: &Deployment,
        sets: &mut Sets,
    ) -> Result<(), kube::Error> {
        self.number(deployment, sets).await?;
        self.make_new(deployment, sets).await?;
        let total: i32 = sets.all().map(replicas).sum();
        if let Some(new) = &mut sets.new {
            let size = match replicas(new) {
                have if have > wanted(deployment) => wanted(deployment),
                have if have < wanted(deployment) => new_size(deployment, have, total),
                have => have,
            };
            if size != replicas(new) {
                *new = self.scale_to(deployment, new, size).await?;
                return Ok(());
            }
        }
        let sizes = old_sizes(deployment, sets);
        for (set, size) in sets.old.iter_mut().zip(sizes) {
            if size != replicas(set) {
                *set = self.scale_to(deployment, set, size).await?;
            }
        }
        Ok(())
    }
}

/// Returns the sizes that the old sets may shrink to: unavailable pods first,
/// then as many available ones as the new set's leave free.
fn old_sizes(deployment: &Deployment, sets: &Sets) -> Vec<i32> {
    let mut sizes: Vec<i32> = sets.old.iter().map(replicas).collect();
    let (Some(new), true) = (&sets.new, sizes.iter().any(|size| *size > 0)) else {
        return sizes;
    };
    let min_available = wanted(deployment) - max_unavailable(deployment);
    let new_unavailable = replicas(new) - available([new]);
    let total: i32 = sets.all().map(replicas).sum();
    let mut left = total - min_available - new_unavailable;
    if left <= 0 {
        return sizes;
    }
    let mut order: Vec<usize> = (0..sizes.len()).collect();
    order.sort_by_key(|&index| sets.old[index].metadata.creation_timestamp.clone());
    let unavailable = |set: &ReplicaSet| (replicas(set) - available([set])).max(0);
    for &index in &order {
        let step = unavailable(&sets.old[index]).min(left);
        sizes[index] -= step;
        left -= step;
    }
    let mut free = (available(sets.all()) - min_available).max(0);
    for &index in &order {
        let step = sizes[index].min(free);
        sizes[index] -= step;
        free -= step;
    }
    sizes
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn deployment(
        count: i32,
        surge: serde_json::Value,
        unavailable: serde_json::Value,
    ) -> Deployment {
        serde_json::from_value(json!({
            "metadata": {"name": "web"},
            "spec": {"replicas": count, "selector": {}, "template": {},
                "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}}},
        }))
        .expect("a deployment")
    }

    /// Upstream: pkg/controller/deployment/util/deployment_util_test.go, TestResolveFenceposts.
    #[test]
    fn surge_rounds_up_and_unavailable_down() {
        let check = |count, surge, unavailable, expected| {
            assert_eq!(fenceposts(&deployment(count, surge, unavailable)), expected);
        };
        check(0, json!("0%"), json!("0%"), (0, 1));
        check(0, json!("39%"), json!("0%"), (0, 1));
        check(10, json!("10%"), json!("10%"), (1, 1));
        check(10, json!("25%"), json!("25%"), (3, 2));
        check(2, json!("25%"), json!("25%"), (1, 0));
        check(10, json!(5), json!(0), (5, 0));
        check(10, json!("1%"), json!("1%"), (1, 0));
        check(10, json!(0), json!(0), (0, 1));
    }

    fn set(size: i32, available: i32) -> ReplicaSet {
        serde_json::from_value(json!({
            "metadata": {"name": "web"},
            "spec": {"replicas": size, "selector": {}},
            "status": {"replicas": size, "availableReplicas": available},
        }))
        .expect("a replica set")
    }

    /// Upstream: pkg/controller/deployment/rolling_test.go, TestDeploymentController_reconcileNewReplicaSet.
    #[test]
    fn the_new_set_grows_within_the_surge() {
        let check = |count, surge, new: i32, old: i32, expected| {
            let deployment = deployment(count, json!(surge), json!(0));
            assert_eq!(
                new_size(&deployment, new, new + old),
                expected,
                "{new} new, {old} old"
            );
        };
        check(10, 0, 0, 10, 0);
        check(10, 2, 0, 10, 2);
        check(10, 2, 0, 5, 7);
        check(10, 2, 10, 0, 10);
        check(1, 1, 0, 1, 1);
    }

    /// Upstream: pkg/controller/deployment/rolling_test.go, TestDeploymentController_reconcileOldReplicaSets.
    #[test]
    fn old_sets_shrink_only_by_what_may_be_missing() {
        let check = |unavailable: i32, new: (i32, i32), old: (i32, i32), expected: i32| {
            let sets = Sets {
                new: Some(set(new.0, new.1)),
                old: vec![set(old.0, old.1)],
                made: false,
            };
            assert_eq!(
                old_sizes(&deployment(10, json!(3), json!(unavailable)), &sets),
                [expected]
            );
        };
        check(0, (0, 0), (10, 10), 10);
        check(2, (0, 0), (10, 10), 8);
        check(2, (5, 0), (5, 5), 5);
        check(2, (5, 5), (10, 5), 3);
        check(0, (3, 3), (10, 10), 7);
        check(0, (3, 0), (10, 10), 10);
    }
}
