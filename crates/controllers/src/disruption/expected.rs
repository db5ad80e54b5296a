//! How many pods a budget wants healthy, by the controllers of its pods
//! (upstream: disruption.go, getExpectedPodCount).

use std::collections::BTreeMap;
use std::sync::Arc;

use coracle_client::Severity;
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::ResourceExt;

use super::Controller;
use crate::gotext;
use crate::owner::controller_of;

/// How many pods there should be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Expected {
    /// In all.
    pub count: i32,
    /// Healthy at least.
    pub healthy: i32,
}

impl Controller {
    pub(super) fn expected(
        &self,
        budget: &PodDisruptionBudget,
        pods: &[Arc<Pod>],
    ) -> Result<Expected, String> {
        let spec = budget.spec.clone().unwrap_or_default();
        match (&spec.max_unavailable, &spec.min_available) {
            (Some(most), _) => {
                let count = self.scale(budget, pods)?;
                Ok(Expected {
                    count,
                    healthy: (count - scaled(most, count)).max(0),
                })
            }
            (None, Some(IntOrString::Int(least))) => Ok(Expected {
                count: pods.len() as i32,
                healthy: *least,
            }),
            (None, Some(least)) => {
                let count = self.scale(budget, pods)?;
                Ok(Expected {
                    count,
                    healthy: scaled(least, count),
                })
            }
            (None, None) => Ok(Expected {
                count: 0,
                healthy: 0,
            }),
        }
    }

    /// Returns how many pods the controllers of the pods want together.
    fn scale(&self, budget: &PodDisruptionBudget, pods: &[Arc<Pod>]) -> Result<i32, String> {
        let namespace = budget.namespace().unwrap_or_default();
        let mut wanted: BTreeMap<String, i32> = BTreeMap::new();
        let mut unmanaged = false;
        for pod in pods {
            let Some(owner) = controller_of(&**pod) else {
                unmanaged = true;
                continue;
            };
            match owner.kind.as_str() {
                "ReplicaSet" => {
                    let set = self.replica_sets.get(&namespace, &owner.name);
                    let set = set.filter(|set| set.metadata.uid.as_ref() == Some(&owner.uid));
                    if let Some(set) = set {
                        let (uid, replicas) = self.scale_of_set(&namespace, &set);
                        wanted.insert(uid, replicas);
                    }
                }
                "StatefulSet" => {
                    let set = self.stateful_sets.get(&namespace, &owner.name);
                    let replicas = set.and_then(|set| set.spec.as_ref()?.replicas);
                    wanted.insert(owner.uid.clone(), replicas.unwrap_or(0));
                }
                _ => {
                    let resource = resource(owner);
                    return Err(format!(
                        "{resource} does not implement the scale subresource"
                    ));
                }
            }
        }
        if unmanaged {
            let text = unmanaged_text(budget);
            self.recorder
                .event(budget, Severity::Warning, "UnmanagedPods", text);
        }
        Ok(wanted.values().sum())
    }

    fn scale_of_set(&self, namespace: &str, set: &ReplicaSet) -> (String, i32) {
        let own = set.spec.as_ref().and_then(|spec| spec.replicas);
        let by_deployment = controller_of(set)
            .filter(|owner| owner.kind == "Deployment")
            .and_then(|owner| {
                let deployment = self.deployments.get(namespace, &owner.name)?;
                let replicas = deployment.spec.as_ref()?.replicas?;
                Some((owner.uid.clone(), replicas))
            });
        by_deployment.unwrap_or((set.uid().unwrap_or_default(), own.unwrap_or(1)))
    }
}

/// Returns the name and group of an owner's resource, as upstream prints it.
fn resource(owner: &OwnerReference) -> String {
    let group = owner
        .api_version
        .split_once('/')
        .map_or("", |(group, _)| group);
    let plural = format!("{}s", owner.kind.to_lowercase());
    format!("{plural}.{group}").trim_end_matches('.').to_owned()
}

/// Returns upstream's text, with the selector as Go prints it.
fn unmanaged_text(budget: &PodDisruptionBudget) -> String {
    let selector = budget.spec.as_ref().and_then(|spec| spec.selector.as_ref());
    format!(
        "Pods selected by this PodDisruptionBudget (selector: {}) were found to be unmanaged. As a result, the status of the PDB cannot be calculated correctly, which may result in undefined behavior. To account for these pods please set \".spec.minAvailable\" field of the PDB to an integer value.",
        gotext::selector(selector)
    )
}

/// Returns a number, or a percentage of `total` rounded up.
fn scaled(value: &IntOrString, total: i32) -> i32 {
    match value {
        IntOrString::Int(number) => *number,
        IntOrString::String(text) => {
            let percent: i64 = text
                .strip_suffix('%')
                .and_then(|number| number.parse().ok())
                .unwrap_or(0);
            ((percent * i64::from(total) + 99) / 100) as i32
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// Upstream: disruption.go, getScaleController.
    #[test]
    fn an_owner_without_a_scale_is_named_by_its_resource() {
        let check = |api_version: &str, kind: &str, expected: &str| {
            let owner = OwnerReference {
                api_version: api_version.into(),
                kind: kind.into(),
                ..Default::default()
            };
            assert_eq!(resource(&owner), expected);
        };
        check("batch/v1", "Job", "jobs.batch");
        check("apps/v1", "DaemonSet", "daemonsets.apps");
        check("v1", "Node", "nodes");
    }

    #[test]
    fn percentages_round_up() {
        let check = |value: Value, total, expected| {
            let value: IntOrString = serde_json::from_value(value).expect("a number or text");
            assert_eq!(scaled(&value, total), expected);
        };
        check(json!(2), 10, 2);
        check(json!("30%"), 5, 2);
        check(json!("28%"), 7, 2);
        check(json!("100%"), 7, 7);
        check(json!("0%"), 7, 0);
    }
}
