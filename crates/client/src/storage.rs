//! Questions about claims and volumes that several residents ask alike
//! (upstream: k8s.io/component-helpers/storage/volume).
//!
//! [`find_match`] is the choice of a volume for a claim. Nothing here reads or
//! writes; who binds is decided in `controllers`, on which node in `scheduler`.

use std::sync::Arc;

use coracle_machinery::quantity::Quantity;
use k8s_openapi::api::core::v1::{ObjectReference, PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::api::storage::v1::StorageClass;
use kube::core::{Selector, SelectorExt};
use kube::{Resource, ResourceExt};

/// The provisioner of the cluster's own tree.
pub const PROVISIONER: &str = "coracle.dev/local";
/// The provisioner of classes whose volumes are made by hand.
pub const NO_PROVISIONER: &str = "kubernetes.io/no-provisioner";
/// On a claim that has been bound; from then on losing its volume is a loss.
pub const BIND_COMPLETED: &str = "pv.kubernetes.io/bind-completed";
/// On what was bound by the controller and not by the user.
pub const BOUND_BY_CONTROLLER: &str = "pv.kubernetes.io/bound-by-controller";
/// On a volume: who made it.
pub const PROVISIONED_BY: &str = "pv.kubernetes.io/provisioned-by";
/// On a claim: who is to make its volume.
pub const STORAGE_PROVISIONER: &str = "volume.kubernetes.io/storage-provisioner";
/// The older name of [`STORAGE_PROVISIONER`].
pub const STORAGE_PROVISIONER_BETA: &str = "volume.beta.kubernetes.io/storage-provisioner";
/// On a claim: the node on which its first pod is to run.
pub const SELECTED_NODE: &str = "volume.kubernetes.io/selected-node";
/// The older way to name the class of a claim or volume.
const CLASS_BETA: &str = "volume.beta.kubernetes.io/storage-class";

fn class<'a, K: Resource>(object: &'a K, field: Option<&'a String>) -> &'a str {
    let annotation = object
        .meta()
        .annotations
        .as_ref()
        .and_then(|all| all.get(CLASS_BETA));
    annotation.or(field).map_or("", String::as_str)
}

/// Returns the name of a claim's class, empty if it has none.
pub fn class_of_claim(claim: &PersistentVolumeClaim) -> &str {
    let field = claim
        .spec
        .as_ref()
        .and_then(|spec| spec.storage_class_name.as_ref());
    class(claim, field)
}

/// Returns the name of a volume's class, empty if it has none.
pub fn class_of_volume(volume: &PersistentVolume) -> &str {
    let field = volume
        .spec
        .as_ref()
        .and_then(|spec| spec.storage_class_name.as_ref());
    class(volume, field)
}

/// Returns whether volumes of a class wait for the first pod.
pub fn waits_for_consumer(class: &StorageClass) -> bool {
    class.volume_binding_mode.as_deref() == Some("WaitForFirstConsumer")
}

/// Returns the name of the volume that a claim is, or wants to be, bound to.
pub fn volume_name(claim: &PersistentVolumeClaim) -> Option<&str> {
    let name = claim.spec.as_ref()?.volume_name.as_deref()?;
    (!name.is_empty()).then_some(name)
}

/// Returns the claim that a volume is, or is to be, bound to.
pub fn claim_ref(volume: &PersistentVolume) -> Option<&ObjectReference> {
    volume.spec.as_ref()?.claim_ref.as_ref()
}

/// Returns whether a volume is bound, or reserved, to this very claim.
pub fn is_bound_to(volume: &PersistentVolume, claim: &PersistentVolumeClaim) -> bool {
    claim_ref(volume).is_some_and(|reference| {
        reference.name == claim.metadata.name
            && reference.namespace == claim.metadata.namespace
            && (reference.uid.as_deref().unwrap_or("").is_empty()
                || reference.uid == claim.metadata.uid)
    })
}

/// Returns whether binding of a claim is complete.
pub fn is_bound(claim: &PersistentVolumeClaim) -> bool {
    volume_name(claim).is_some() && claim.annotations().contains_key(BIND_COMPLETED)
}

/// Returns a volume's phase, empty before it has one.
pub fn phase(volume: &PersistentVolume) -> &str {
    let status = volume.status.as_ref();
    status
        .and_then(|status| status.phase.as_deref())
        .unwrap_or("")
}

fn size(
    text: Option<&k8s_openapi::apimachinery::pkg::api::resource::Quantity>,
) -> Option<Quantity> {
    text?.0.parse().ok()
}

/// Returns how much a claim asks for.
pub fn requested(claim: &PersistentVolumeClaim) -> Option<Quantity> {
    let resources = claim.spec.as_ref()?.resources.as_ref()?;
    size(resources.requests.as_ref()?.get("storage"))
}

/// Returns how much a volume holds.
pub fn capacity(volume: &PersistentVolume) -> Option<Quantity> {
    size(volume.spec.as_ref()?.capacity.as_ref()?.get("storage"))
}

fn is_large_enough(volume: &PersistentVolume, claim: &PersistentVolumeClaim) -> bool {
    match (capacity(volume), requested(claim)) {
        (_, None) => true,
        (None, Some(_)) => false,
        (Some(have), Some(want)) => have >= want,
    }
}

fn has_access_modes(volume: &PersistentVolume, claim: &PersistentVolumeClaim) -> bool {
    let have = volume
        .spec
        .as_ref()
        .and_then(|spec| spec.access_modes.clone())
        .unwrap_or_default();
    let want = claim
        .spec
        .as_ref()
        .and_then(|spec| spec.access_modes.as_deref());
    want.unwrap_or_default()
        .iter()
        .all(|mode| have.contains(mode))
}

fn has_mode(volume: &PersistentVolume, claim: &PersistentVolumeClaim) -> bool {
    let default = "Filesystem";
    let have = volume
        .spec
        .as_ref()
        .and_then(|spec| spec.volume_mode.as_deref());
    let want = claim
        .spec
        .as_ref()
        .and_then(|spec| spec.volume_mode.as_deref());
    have.unwrap_or(default) == want.unwrap_or(default)
}

/// Returns why a claim cannot be bound to the volume it names
/// (upstream: checkVolumeSatisfyClaim).
pub fn mismatch(volume: &PersistentVolume, claim: &PersistentVolumeClaim) -> Option<&'static str> {
    if !is_large_enough(volume, claim) {
        Some("requested PV is too small")
    } else if class_of_volume(volume) != class_of_claim(claim) {
        Some("storageClassName does not match")
    } else if !has_mode(volume, claim) {
        Some("incompatible volumeMode")
    } else if !has_access_modes(volume, claim) {
        Some("incompatible accessMode")
    } else {
        None
    }
}

/// How a volume is looked for.
#[derive(Clone, Copy)]
pub enum Search<'a> {
    /// Any volume will do.
    Anywhere,
    /// Only one that is reserved for the claim: a pod decides later.
    Reserved,
    /// One that this says can be used on the pod's node.
    OnNode(&'a dyn Fn(&PersistentVolume) -> bool),
}

/// Chooses the volume for a claim: the one reserved for it, or else the
/// smallest that fits (upstream: FindMatchingVolume).
pub fn find_match<'a>(
    claim: &PersistentVolumeClaim,
    volumes: impl IntoIterator<Item = &'a Arc<PersistentVolume>>,
    search: Search<'_>,
) -> Option<&'a Arc<PersistentVolume>> {
    let selector = claim
        .spec
        .as_ref()
        .and_then(|spec| spec.selector.clone())
        .and_then(|selector| Selector::try_from(selector).ok());
    let mut best: Option<&'a Arc<PersistentVolume>> = None;
    for volume in volumes {
        let reserved = is_bound_to(volume, claim);
        if claim_ref(volume).is_some() && !reserved
            || !is_large_enough(volume, claim)
            || !has_mode(volume, claim)
            || !has_access_modes(volume, claim)
            || volume.metadata.deletion_timestamp.is_some()
        {
            continue;
        }
        let usable = match search {
            Search::OnNode(fits) => fits(volume),
            _ => true,
        };
        if reserved {
            return usable.then_some(volume);
        }
        if !usable
            || matches!(search, Search::Reserved)
            || phase(volume) != "Available"
            || selector
                .as_ref()
                .is_some_and(|selector| !selector.matches(volume.labels()))
            || class_of_volume(volume) != class_of_claim(claim)
        {
            continue;
        }
        if best.is_none_or(|best| capacity(volume) < capacity(best)) {
            best = Some(volume);
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn merged(mut base: Value, more: Value) -> Value {
        for (key, value) in more.as_object().expect("a mapping") {
            base[key.as_str()] = value.clone();
        }
        base
    }

    fn volume(name: &str, size: &str, spec: Value) -> Arc<PersistentVolume> {
        let base = json!({"capacity": {"storage": size}, "accessModes": ["ReadWriteOnce"]});
        let object = json!({
            "metadata": {"name": name, "labels": {"name": name}},
            "spec": merged(base, spec),
            "status": {"phase": "Available"},
        });
        Arc::new(serde_json::from_value(object).expect("a volume"))
    }

    fn claim(spec: Value) -> PersistentVolumeClaim {
        let base = json!({
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "5Gi"}},
        });
        let object = json!({
            "metadata": {"name": "data", "namespace": "ns", "uid": "1"},
            "spec": merged(base, spec),
        });
        serde_json::from_value(object).expect("a claim")
    }

    fn check(claim: Value, volumes: &[Arc<PersistentVolume>], expected: Option<&str>) {
        let found = find_match(&self::claim(claim.clone()), volumes, Search::Anywhere);
        assert_eq!(
            found.map(|volume| volume.name_any()).as_deref(),
            expected,
            "{claim}"
        );
    }

    /// Upstream: pkg/controller/volume/persistentvolume/index_test.go, TestMatchVolume.
    #[test]
    fn the_smallest_volume_that_fits_is_chosen() {
        let all = [
            volume("10g", "10Gi", json!({})),
            volume("8g", "8Gi", json!({})),
            volume("1g", "1Gi", json!({})),
            volume("gold", "5Gi", json!({"storageClassName": "gold"})),
            volume(
                "many",
                "50Gi",
                json!({"accessModes": ["ReadWriteOnce", "ReadOnlyMany"]}),
            ),
            volume("block", "6Gi", json!({"volumeMode": "Block"})),
            volume(
                "taken",
                "5Gi",
                json!({"claimRef": {"name": "data", "namespace": "ns", "uid": "2"}}),
            ),
        ];
        check(json!({}), &all, Some("8g"));
        check(json!({"storageClassName": "gold"}), &all, Some("gold"));
        check(json!({"storageClassName": "silver"}), &all, None);
        check(json!({"accessModes": ["ReadOnlyMany"]}), &all, Some("many"));
        check(json!({"volumeMode": "Block"}), &all, Some("block"));
        check(
            json!({"selector": {"matchLabels": {"name": "10g"}}}),
            &all,
            Some("10g"),
        );
        check(
            json!({"selector": {"matchLabels": {"name": "1g"}}}),
            &all,
            None,
        );
        check(
            json!({"resources": {"requests": {"storage": "60Gi"}}}),
            &all,
            None,
        );
    }

    #[test]
    fn a_reserved_volume_comes_before_a_smaller_one() {
        let reserved = volume(
            "reserved",
            "100Gi",
            json!({"claimRef": {"name": "data", "namespace": "ns"}}),
        );
        let all = [volume("small", "5Gi", json!({})), reserved];
        check(json!({}), &all, Some("reserved"));
        let plain = claim(json!({}));
        assert!(find_match(&plain, &all[..1], Search::Reserved).is_none());
        assert!(find_match(&plain, &all, Search::Reserved).is_some());
        assert!(find_match(&plain, &all, Search::OnNode(&|_| false)).is_none());
    }

    /// Upstream: pv_controller.go, checkVolumeSatisfyClaim.
    #[test]
    fn what_does_not_match_is_named() {
        let check = |spec: Value, expected: Option<&str>| {
            assert_eq!(
                mismatch(&volume("one", "5Gi", spec), &claim(json!({}))),
                expected
            );
        };
        check(json!({}), None);
        check(
            json!({"capacity": {"storage": "4Gi"}}),
            Some("requested PV is too small"),
        );
        check(
            json!({"storageClassName": "gold"}),
            Some("storageClassName does not match"),
        );
        check(
            json!({"volumeMode": "Block"}),
            Some("incompatible volumeMode"),
        );
        check(
            json!({"accessModes": ["ReadOnlyMany"]}),
            Some("incompatible accessMode"),
        );
    }
}
