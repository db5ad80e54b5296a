//! What a volume is: free, reserved, bound or left behind
//! (upstream: pv_controller.go, syncVolume).

use coracle_client::Severity::Warning;
use coracle_client::storage::{BOUND_BY_CONTROLLER, PROVISIONED_BY, claim_ref, phase, volume_name};
use coracle_client::{Key, key_of};
use k8s_openapi::api::core::v1::{ObjectReference, PersistentVolume, PersistentVolumeClaim};
use kube::ResourceExt;
use kube::api::PostParams;

use super::Controller;

impl Controller {
    /// Brings a volume's phase up to date and reclaims it when its claim is gone.
    pub(super) async fn sync_volume(&self, volume: &PersistentVolume) -> Result<(), kube::Error> {
        let Some(reference) = claim_ref(volume) else {
            return self.set_phase(volume, "Available", None).await.map(drop);
        };
        if reference.uid.as_deref().unwrap_or("").is_empty() {
            // Reserved by a user: the claim itself completes the binding.
            return self.set_phase(volume, "Available", None).await.map(drop);
        }
        let Some(claim) = self.find_claim(reference).await? else {
            return self.release(volume).await;
        };
        match volume_name(&claim) {
            None => {
                self.queue.add(key_of(&claim));
                Ok(())
            }
            name if name == volume.metadata.name.as_deref() => {
                self.set_phase(volume, "Bound", None).await.map(drop)
            }
            Some(_) => self.give_back(volume).await,
        }
    }

    /// Returns the claim that a reference means, by its uid; what the cache
    /// lacks is asked of the API, because data may be lost by a wrong answer.
    async fn find_claim(
        &self,
        reference: &ObjectReference,
    ) -> Result<Option<PersistentVolumeClaim>, kube::Error> {
        let key = Key::new(
            reference.namespace.clone().unwrap_or_default(),
            reference.name.clone().unwrap_or_default(),
        );
        let cached = self.claims.of(&key);
        if let Some(claim) = cached.filter(|claim| claim.metadata.uid == reference.uid) {
            return Ok(Some((*claim).clone()));
        }
        let live = self.claim_api(&key.namespace).get_opt(&key.name).await?;
        Ok(live.filter(|claim| claim.metadata.uid == reference.uid))
    }

    /// The volume's claim is gone.
    async fn release(&self, volume: &PersistentVolume) -> Result<(), kube::Error> {
        if matches!(phase(volume), "Released" | "Failed") {
            return Ok(());
        }
        let volume = self.set_phase(volume, "Released", None).await?;
        if let Some((reason, text)) = obstacle(&volume) {
            self.set_phase(&volume, "Failed", Some(text.clone()))
                .await?;
            self.recorder.event(&volume, Warning, reason, text);
        }
        Ok(())
    }

    /// The volume was meant for a claim that has another one.
    async fn give_back(&self, volume: &PersistentVolume) -> Result<(), kube::Error> {
        if volume.annotations().contains_key(PROVISIONED_BY) && policy(volume) == "Delete" {
            return self.release(volume).await;
        }
        let mut changed = volume.clone();
        let by_controller = changed
            .annotations_mut()
            .remove(BOUND_BY_CONTROLLER)
            .is_some();
        if let Some(spec) = &mut changed.spec {
            if by_controller {
                spec.claim_ref = None;
            } else if let Some(reference) = &mut spec.claim_ref {
                reference.uid = None;
            }
        }
        let changed = self
            .volume_api()
            .replace(&volume.name_any(), &PostParams::default(), &changed)
            .await?;
        self.set_phase(&changed, "Available", None).await.map(drop)
    }
}

fn policy(volume: &PersistentVolume) -> &str {
    let spec = volume.spec.as_ref();
    spec.and_then(|spec| spec.persistent_volume_reclaim_policy.as_deref())
        .unwrap_or("Retain")
}

/// Returns why nobody will reclaim the volume as its policy asks. What the
/// cluster provisioned, and host paths below `/tmp`, the node empties
/// (upstream: host_path.go, hostPathDeleter).
fn obstacle(volume: &PersistentVolume) -> Option<(&'static str, String)> {
    match policy(volume) {
        "Recycle" => Some((
            "VolumeFailedRecycle",
            "No recycler plugin found for the volume!".into(),
        )),
        "Delete" if !volume.annotations().contains_key(PROVISIONED_BY) => {
            let path = volume.spec.as_ref()?.host_path.as_ref();
            let text = match path {
                Some(source) if source.path.starts_with("/tmp/") => return None,
                Some(source) => format!(
                    "host_path deleter only supports /tmp/.+ but received provided {}",
                    source.path
                ),
                None => format!(
                    "error getting deleter volume plugin for volume \"{}\": no deletable volume plugin matched",
                    volume.name_any()
                ),
            };
            Some(("VolumeFailedDelete", text))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// Upstream: pkg/volume/hostpath/host_path.go; pv_controller.go, reclaimVolume.
    #[test]
    fn a_policy_that_nobody_can_follow_is_a_failure() {
        let check = |spec: Value, annotations: Value, expected: Option<&str>| {
            let volume: PersistentVolume = serde_json::from_value(json!({
                "metadata": {"name": "one", "annotations": annotations}, "spec": spec,
            }))
            .expect("a volume");
            let found = obstacle(&volume).map(|(_, text)| text);
            assert_eq!(found.as_deref(), expected, "{spec}");
        };
        let policy = |policy: &str, path: &str| json!({"persistentVolumeReclaimPolicy": policy, "hostPath": {"path": path}});
        check(policy("Retain", "/mnt"), json!({}), None);
        check(policy("Delete", "/tmp/one"), json!({}), None);
        check(
            policy("Delete", "/mnt"),
            json!({}),
            Some("host_path deleter only supports /tmp/.+ but received provided /mnt"),
        );
        check(policy("Delete", "/mnt"), json!({PROVISIONED_BY: "x"}), None);
        check(
            json!({"persistentVolumeReclaimPolicy": "Delete", "local": {"path": "/mnt"}}),
            json!({}),
            Some(
                "error getting deleter volume plugin for volume \"one\": no deletable volume plugin matched",
            ),
        );
        check(
            policy("Recycle", "/tmp/one"),
            json!({}),
            Some("No recycler plugin found for the volume!"),
        );
    }
}
