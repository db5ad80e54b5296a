//! Binding: the four writes that make a claim and a volume one, in upstream's
//! order, so that each can be repeated after a failure.

use coracle_client::storage::{BIND_COMPLETED, BOUND_BY_CONTROLLER, claim_ref, volume_name};
use k8s_openapi::api::core::v1::{
    ObjectReference, PersistentVolume, PersistentVolumeClaim, PersistentVolumeClaimStatus,
};
use kube::ResourceExt;
use kube::api::PostParams;

use super::Controller;

impl Controller {
    /// Binds a volume and a claim; what is done already is not written again.
    pub(super) async fn bind(
        &self,
        volume: &PersistentVolume,
        claim: &PersistentVolumeClaim,
    ) -> Result<(), kube::Error> {
        let volume = self.bind_volume(volume, claim).await?;
        let volume = self.set_phase(&volume, "Bound", None).await?;
        let claim = self.bind_claim(&volume, claim).await?;
        self.set_claim_status(&claim, "Bound", Some(&volume)).await
    }

    async fn bind_volume(
        &self,
        volume: &PersistentVolume,
        claim: &PersistentVolumeClaim,
    ) -> Result<PersistentVolume, kube::Error> {
        let mut changed = volume.clone();
        if claim_ref(volume).is_none() {
            let annotations = changed.annotations_mut();
            annotations.insert(BOUND_BY_CONTROLLER.into(), "yes".into());
        }
        let complete = claim_ref(volume).is_some_and(|reference| {
            reference.uid == claim.metadata.uid && reference.name == claim.metadata.name
        });
        if complete {
            return Ok(changed);
        }
        if let Some(spec) = &mut changed.spec {
            spec.claim_ref = Some(reference_to_claim(claim));
        }
        self.volume_api()
            .replace(&volume.name_any(), &PostParams::default(), &changed)
            .await
    }

    async fn bind_claim(
        &self,
        volume: &PersistentVolume,
        claim: &PersistentVolumeClaim,
    ) -> Result<PersistentVolumeClaim, kube::Error> {
        let mut changed = claim.clone();
        if volume_name(claim) != volume.metadata.name.as_deref() {
            changed.spec.get_or_insert_default().volume_name = volume.metadata.name.clone();
            let annotations = changed.annotations_mut();
            annotations.insert(BOUND_BY_CONTROLLER.into(), "yes".into());
        }
        let annotations = changed.annotations_mut();
        annotations.insert(BIND_COMPLETED.into(), "yes".into());
        if changed == *claim {
            return Ok(changed);
        }
        self.claim_api(&claim.namespace().unwrap_or_default())
            .replace(&claim.name_any(), &PostParams::default(), &changed)
            .await
    }

    /// Writes a volume's phase and why it has it.
    pub(super) async fn set_phase(
        &self,
        volume: &PersistentVolume,
        phase: &str,
        message: Option<String>,
    ) -> Result<PersistentVolume, kube::Error> {
        let mut changed = volume.clone();
        let status = changed.status.get_or_insert_default();
        status.phase = Some(phase.into());
        status.message = message;
        if changed == *volume {
            return Ok(changed);
        }
        self.volume_api()
            .replace_status(&volume.name_any(), &PostParams::default(), &changed)
            .await
    }

    /// Writes a claim's phase, and what its volume offers.
    pub(super) async fn set_claim_status(
        &self,
        claim: &PersistentVolumeClaim,
        phase: &str,
        volume: Option<&PersistentVolume>,
    ) -> Result<(), kube::Error> {
        let status = claim_status(claim, phase, volume);
        if claim.status.as_ref() == Some(&status) {
            return Ok(());
        }
        let mut changed = claim.clone();
        changed.status = Some(status);
        let api = self.claim_api(&claim.namespace().unwrap_or_default());
        match api
            .replace_status(&claim.name_any(), &PostParams::default(), &changed)
            .await
        {
            Err(error) if !coracle_client::is_not_found(&error) => Err(error),
            _ => Ok(()),
        }
    }
}

/// Returns the reference that a volume keeps of its claim.
fn reference_to_claim(claim: &PersistentVolumeClaim) -> ObjectReference {
    ObjectReference {
        kind: Some("PersistentVolumeClaim".into()),
        api_version: Some("v1".into()),
        namespace: claim.metadata.namespace.clone(),
        name: claim.metadata.name.clone(),
        uid: claim.metadata.uid.clone(),
        resource_version: claim.metadata.resource_version.clone(),
        field_path: None,
    }
}

/// Returns a claim's status; the capacity follows the volume only when the claim
/// becomes bound, because expansion changes both later.
fn claim_status(
    claim: &PersistentVolumeClaim,
    phase: &str,
    volume: Option<&PersistentVolume>,
) -> PersistentVolumeClaimStatus {
    let old = claim.status.clone().unwrap_or_default();
    let mut status = PersistentVolumeClaimStatus {
        phase: Some(phase.into()),
        ..old.clone()
    };
    let Some(spec) = volume.and_then(|volume| volume.spec.as_ref()) else {
        status.access_modes = None;
        status.capacity = None;
        return status;
    };
    status.access_modes = spec.access_modes.clone();
    if old.phase.as_deref() != Some(phase) {
        status.capacity = spec.capacity.clone();
    }
    status
}
