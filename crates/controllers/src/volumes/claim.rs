//! What a claim needs: a volume, or a word on why it has none
//! (upstream: pv_controller.go, syncClaim).

use std::sync::Arc;

use coracle_client::Severity::{Normal, Warning};
use coracle_client::storage::{
    BIND_COMPLETED, BOUND_BY_CONTROLLER, NO_PROVISIONER, SELECTED_NODE, STORAGE_PROVISIONER,
    STORAGE_PROVISIONER_BETA, Search, claim_ref, class_of_claim, find_match, is_bound_to, mismatch,
    volume_name, waits_for_consumer,
};
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, Pod};
use k8s_openapi::api::storage::v1::StorageClass;
use kube::ResourceExt;
use kube::api::PostParams;

use super::Controller;

const DEFAULT_CLASS: &str = "storageclass.kubernetes.io/is-default-class";

impl Controller {
    /// Brings a claim a step further.
    pub(super) async fn sync_claim(
        &self,
        claim: &PersistentVolumeClaim,
    ) -> Result<(), kube::Error> {
        if claim.annotations().contains_key(BIND_COMPLETED) {
            return self.sync_bound(claim).await;
        }
        if claim.metadata.deletion_timestamp.is_some() {
            return Ok(());
        }
        match volume_name(claim) {
            Some(name) => self.sync_naming(claim, self.volumes.get("", name)).await,
            None => self.sync_unbound(claim).await,
        }
    }

    /// A claim that leaves the choice of its volume to the controller.
    async fn sync_unbound(&self, claim: &PersistentVolumeClaim) -> Result<(), kube::Error> {
        let class = self.classes.get("", class_of_claim(claim));
        let delayed = class.as_deref().is_some_and(waits_for_consumer);
        let waits = delayed && !claim.annotations().contains_key(SELECTED_NODE);
        let search = if delayed {
            Search::Reserved
        } else {
            Search::Anywhere
        };
        let volumes = self.volumes.all();
        if let Some(volume) = find_match(claim, &volumes, search) {
            return self.bind(volume, claim).await;
        }
        if self.take_default_class(claim).await? {
            return Ok(());
        }
        if waits {
            self.tell_waiting(claim);
        } else if class_of_claim(claim).is_empty() {
            let text = "no persistent volumes available for this claim and no storage class is set";
            self.recorder.event(claim, Normal, "FailedBinding", text);
        } else {
            self.ask_for_volume(claim, class.as_deref()).await?;
        }
        self.set_claim_status(claim, "Pending", None).await
    }

    /// Gives a claim that was made before there was a default class that class
    /// (upstream: retroactive default StorageClass assignment).
    async fn take_default_class(&self, claim: &PersistentVolumeClaim) -> Result<bool, kube::Error> {
        let unset = claim
            .spec
            .as_ref()
            .is_none_or(|spec| spec.storage_class_name.is_none());
        if !unset || !class_of_claim(claim).is_empty() {
            return Ok(false);
        }
        let Some(class) = default_class(&self.classes.all()) else {
            return Ok(false);
        };
        let mut changed = claim.clone();
        changed.spec.get_or_insert_default().storage_class_name = Some(class);
        self.claim_api(&claim.namespace().unwrap_or_default())
            .replace(&claim.name_any(), &PostParams::default(), &changed)
            .await?;
        Ok(true)
    }

    fn tell_waiting(&self, claim: &PersistentVolumeClaim) {
        let namespace = claim.namespace().unwrap_or_default();
        let name = claim.name_any();
        let pods = self.pods.within(&namespace);
        let waiting: Vec<String> = pods
            .iter()
            .filter(|pod| is_unplaced_user(pod, &name))
            .map(|pod| pod.name_any())
            .collect();
        match waiting.as_slice() {
            [] => self.recorder.event(
                claim,
                Normal,
                "WaitForFirstConsumer",
                "waiting for first consumer to be created before binding",
            ),
            pods => {
                let word = if pods.len() == 1 { "pod" } else { "pods" };
                let text = format!("waiting for {word} {} to be scheduled", pods.join(","));
                self.recorder
                    .event(claim, Normal, "WaitForPodScheduled", text);
            }
        }
    }

    /// Asks the class's provisioner for a volume.
    async fn ask_for_volume(
        &self,
        claim: &PersistentVolumeClaim,
        class: Option<&StorageClass>,
    ) -> Result<(), kube::Error> {
        let failed = |text: String| {
            self.recorder
                .event(claim, Warning, "ProvisioningFailed", text);
        };
        let Some(class) = class else {
            failed(format!(
                "storageclass.storage.k8s.io \"{}\" not found",
                class_of_claim(claim)
            ));
            return Ok(());
        };
        if class.provisioner == NO_PROVISIONER {
            failed(format!("no volume plugin matched name: {NO_PROVISIONER}"));
            return Ok(());
        }
        let mut changed = claim.clone();
        for annotation in [STORAGE_PROVISIONER, STORAGE_PROVISIONER_BETA] {
            changed
                .annotations_mut()
                .insert(annotation.into(), class.provisioner.clone());
        }
        if changed == *claim {
            return Ok(());
        }
        self.claim_api(&claim.namespace().unwrap_or_default())
            .replace(&claim.name_any(), &PostParams::default(), &changed)
            .await?;
        let text = format!(
            "Waiting for a volume to be created either by the external provisioner '{}' or manually by the system administrator. If volume creation is delayed, please verify that the provisioner is running and correctly registered.",
            class.provisioner
        );
        self.recorder
            .event(claim, Normal, "ExternalProvisioning", text);
        Ok(())
    }

    /// A claim that names its volume.
    async fn sync_naming(
        &self,
        claim: &PersistentVolumeClaim,
        volume: Option<Arc<PersistentVolume>>,
    ) -> Result<(), kube::Error> {
        let Some(volume) = volume else {
            return self.set_claim_status(claim, "Pending", None).await;
        };
        if claim_ref(&volume).is_none() {
            let Some(reason) = mismatch(&volume, claim) else {
                return self.bind(&volume, claim).await;
            };
            let text = format!(
                "Cannot bind to requested volume \"{}\": {reason}",
                volume.name_any()
            );
            self.recorder.event(claim, Warning, "VolumeMismatch", text);
        } else if is_bound_to(&volume, claim) {
            return self.bind(&volume, claim).await;
        } else if !claim.annotations().contains_key(BOUND_BY_CONTROLLER) {
            let text = format!(
                "volume \"{}\" already bound to a different claim.",
                volume.name_any()
            );
            self.recorder.event(claim, Warning, "FailedBinding", text);
        }
        self.set_claim_status(claim, "Pending", None).await
    }

    /// A claim whose binding was complete once.
    async fn sync_bound(&self, claim: &PersistentVolumeClaim) -> Result<(), kube::Error> {
        let Some(name) = volume_name(claim) else {
            let text =
                "Bound claim has lost reference to PersistentVolume. Data on the volume is lost!";
            return self.lose(claim, "ClaimLost", text).await;
        };
        let Some(volume) = self.volumes.get("", name) else {
            let text = "Bound claim has lost its PersistentVolume. Data on the volume is lost!";
            return self.lose(claim, "ClaimLost", text).await;
        };
        let owner = claim_ref(&volume).and_then(|reference| reference.uid.clone());
        if claim_ref(&volume).is_none() || owner == claim.metadata.uid {
            return self.bind(&volume, claim).await;
        }
        let text = "Two claims are bound to the same volume, this one is bound incorrectly";
        self.lose(claim, "ClaimMisbound", text).await
    }

    async fn lose(
        &self,
        claim: &PersistentVolumeClaim,
        reason: &str,
        text: &str,
    ) -> Result<(), kube::Error> {
        let phase = claim
            .status
            .as_ref()
            .and_then(|status| status.phase.as_deref());
        if phase != Some("Lost") {
            self.recorder.event(claim, Warning, reason, text);
        }
        self.set_claim_status(claim, "Lost", None).await
    }
}

/// Returns the name of the newest class that is marked as the default one.
fn default_class(classes: &[Arc<StorageClass>]) -> Option<String> {
    classes
        .iter()
        .filter(|class| class.annotations().get(DEFAULT_CLASS).map(String::as_str) == Some("true"))
        .max_by_key(|class| {
            let created = class.metadata.creation_timestamp.clone();
            (created, std::cmp::Reverse(class.name_any()))
        })
        .map(|class| class.name_any())
}

/// Returns whether a pod without a node uses the claim.
fn is_unplaced_user(pod: &Pod, claim: &str) -> bool {
    pod.spec.as_ref().is_some_and(|spec| {
        spec.node_name.is_none()
            && spec.volumes.iter().flatten().any(|volume| {
                volume
                    .persistent_volume_claim
                    .as_ref()
                    .is_some_and(|source| source.claim_name == claim)
            })
    })
}
