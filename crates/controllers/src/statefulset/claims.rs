//! The claims of a set's pods: made before the pod, and given owners where they
//! are to go with the pod or with the set
//! (upstream: stateful_pod_control.go; PersistentVolumeClaimRetentionPolicy).

use coracle_client::{Severity, is_conflict};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::PostParams;
use kube::{Api, Resource, ResourceExt};

use super::{Controller, identity};
use crate::owner::reference_to;
use crate::template::message;

/// When claims are removed.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Policy {
    with_set: bool,
    with_pod: bool,
}

impl Policy {
    fn of(set: &StatefulSet) -> Policy {
        let policy = set
            .spec
            .as_ref()
            .and_then(|spec| spec.persistent_volume_claim_retention_policy.clone())
            .unwrap_or_default();
        Policy {
            with_set: policy.when_deleted.as_deref() == Some("Delete"),
            with_pod: policy.when_scaled.as_deref() == Some("Delete"),
        }
    }

    /// Returns whether the set, and whether the pod, is to own a claim.
    fn owners(self, surplus: bool) -> (bool, bool) {
        let pod = self.with_pod && surplus;
        (self.with_set && !pod, pod)
    }
}

fn owns<O: Resource>(claim: &PersistentVolumeClaim, owner: &O) -> bool {
    claim
        .owner_references()
        .iter()
        .any(|one| Some(&one.uid) == owner.meta().uid.as_ref())
}

/// Adds or removes an owner; returns whether that changed anything.
fn set_owner<O: Resource>(
    claim: &mut PersistentVolumeClaim,
    owner: &O,
    reference: OwnerReference,
    wanted: bool,
) -> bool {
    if owns(claim, owner) == wanted {
        return false;
    }
    let owners = claim.owner_references_mut();
    if wanted {
        owners.push(reference);
    } else {
        owners.retain(|one| Some(&one.uid) != owner.meta().uid.as_ref());
    }
    true
}

impl Controller {
    fn claim_api(&self, set: &StatefulSet) -> Api<PersistentVolumeClaim> {
        Api::namespaced(self.client.clone(), &set.namespace().unwrap_or_default())
    }

    /// Makes the claims of the pod with this ordinal that are not there.
    pub(super) async fn make_claims(
        &self,
        set: &StatefulSet,
        ordinal: i32,
    ) -> Result<(), kube::Error> {
        let namespace = set.namespace().unwrap_or_default();
        let pod = format!("{}-{ordinal}", set.name_any());
        for mut claim in identity::claims(set, ordinal) {
            let name = claim.name_any();
            if self.claims.get(&namespace, &name).is_some() {
                continue;
            }
            if Policy::of(set).owners(false).0 {
                claim.owner_references_mut().push(reference_to(set));
            }
            let what = format!(
                "create Claim {name} Pod {pod} in StatefulSet {}",
                set.name_any()
            );
            match self
                .claim_api(set)
                .create(&PostParams::default(), &claim)
                .await
            {
                Ok(_) => self.recorder.event(
                    set,
                    Severity::Normal,
                    "SuccessfulCreate",
                    format!("{what} success"),
                ),
                Err(error) if is_conflict(&error) => {}
                Err(error) => {
                    let text = format!("{what} failed error: {}", message(&error));
                    self.recorder
                        .event(set, Severity::Warning, "FailedCreate", text);
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Gives the claims of a pod the owners that the policy asks for.
    pub(super) async fn own_claims(
        &self,
        set: &StatefulSet,
        pod: &Pod,
        ordinal: i32,
        surplus: bool,
    ) -> Result<(), kube::Error> {
        let namespace = set.namespace().unwrap_or_default();
        let (with_set, with_pod) = Policy::of(set).owners(surplus);
        for template in identity::claims(set, ordinal) {
            let Some(claim) = self.claims.get(&namespace, &template.name_any()) else {
                continue;
            };
            let mut changed = (*claim).clone();
            let by_set = set_owner(&mut changed, set, reference_to(set), with_set);
            let by_pod = set_owner(&mut changed, pod, reference_to(pod), with_pod);
            if by_set || by_pod {
                self.claim_api(set)
                    .replace(&claim.name_any(), &PostParams::default(), &changed)
                    .await?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Upstream: stateful_set_utils.go, updateClaimOwnerRefForSetAndPod.
    #[test]
    fn the_policy_names_the_owner() {
        let check = |with_set, with_pod, surplus, expected| {
            let policy = Policy { with_set, with_pod };
            assert_eq!(policy.owners(surplus), expected);
        };
        check(false, false, true, (false, false));
        check(true, false, false, (true, false));
        check(true, false, true, (true, false));
        check(false, true, false, (false, false));
        check(false, true, true, (false, true));
        check(true, true, false, (true, false));
        check(true, true, true, (false, true));
    }
}
