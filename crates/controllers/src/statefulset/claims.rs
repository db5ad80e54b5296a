//! The claims of a set's pods: made before the pod, and given owners where they
//! are to go with the pod or with the set
//! (upstream: stateful_pod_control.go; PersistentVolumeClaimRetentionPolicy).

use coracle_client::{Severity, is_conflict};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::PostParams;
use kube::{Api, Resource, ResourceExt};

use super::write::CREATE;
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

    /// Returns whether a claim still belongs to the pod that had this place
    /// before and goes with it (upstream: PodClaimIsStale).
    pub(super) fn has_stale_claim(&self, set: &StatefulSet, ordinal: i32) -> bool {
        let namespace = set.namespace().unwrap_or_default();
        let pod = format!("{}-{ordinal}", set.name_any());
        let claims = identity::claims(set, ordinal);
        let mut found = claims
            .iter()
            .filter_map(|claim| self.claims.get(&namespace, &claim.name_any()));
        Policy::of(set).with_pod
            && found.any(|claim| {
                let mut owners = claim.owner_references().iter();
                owners.any(|owner| owner.kind == "Pod" && owner.name == pod)
            })
    }

    /// Makes the claims of the pod with this ordinal that are not there; returns
    /// why the pod cannot have them (upstream: createPersistentVolumeClaims).
    pub(super) async fn make_claims(
        &self,
        set: &StatefulSet,
        ordinal: i32,
    ) -> Result<Option<String>, kube::Error> {
        let namespace = set.namespace().unwrap_or_default();
        let mut going = None;
        for claim in identity::claims(set, ordinal) {
            let name = claim.name_any();
            match self.claims.get(&namespace, &name) {
                None => self.make_claim(set, claim, ordinal).await?,
                Some(claim) if claim.metadata.deletion_timestamp.is_some() => {
                    going = Some(format!("pvc {name} is being deleted"));
                }
                Some(_) => {}
            }
        }
        Ok(going)
    }

    async fn make_claim(
        &self,
        set: &StatefulSet,
        mut claim: PersistentVolumeClaim,
        ordinal: i32,
    ) -> Result<(), kube::Error> {
        if Policy::of(set).owners(false).0 {
            claim.owner_references_mut().push(reference_to(set));
        }
        let (name, set_name) = (claim.name_any(), set.name_any());
        let pod = format!("{set_name}-{ordinal}");
        let created = self
            .claim_api(set)
            .create(&PostParams::default(), &claim)
            .await;
        match created {
            Ok(_) => {
                let text =
                    format!("Create Claim {name} Pod {pod} in StatefulSet {set_name} success");
                self.recorder
                    .event(set, Severity::Normal, "SuccessfulCreate", text);
            }
            Err(error) if is_conflict(&error) => {}
            Err(error) => {
                let why = message(&error);
                let text = format!(
                    "Create Claim {name} for Pod {pod} in StatefulSet {set_name} failed error: {why}"
                );
                self.recorder
                    .event(set, Severity::Warning, "FailedCreate", text);
                let text = format!("failed to create PVC {name}: {why}");
                self.tell(set, CREATE, &pod, Some(&text));
                return Err(error);
            }
        }
        Ok(())
    }

    /// Gives the claims of a pod the owners that the policy asks for; returns
    /// whether any had others.
    pub(super) async fn own_claims(
        &self,
        set: &StatefulSet,
        pod: &Pod,
        ordinal: i32,
        surplus: bool,
    ) -> Result<bool, kube::Error> {
        let namespace = set.namespace().unwrap_or_default();
        let (with_set, with_pod) = Policy::of(set).owners(surplus);
        let mut were_others = false;
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
                were_others = true;
            }
        }
        Ok(were_others)
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
