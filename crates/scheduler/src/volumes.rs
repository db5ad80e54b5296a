//! A pod's claims: on which nodes they can be used, and what must be written
//! before the pod may be bound there (upstream: scheduler plugin VolumeBinding).

use std::sync::Arc;

use coracle_client::matching::matches_term;
use coracle_client::storage::{
    NO_PROVISIONER, SELECTED_NODE, Search, class_of_claim, find_match, is_bound, is_bound_to,
    volume_name, waits_for_consumer,
};
use coracle_client::{Cache, Key};
use k8s_openapi::api::core::v1::{Node, PersistentVolume, PersistentVolumeClaim, Pod};
use k8s_openapi::api::storage::v1::StorageClass;
use kube::ResourceExt;

const NO_MATCH: &str = "node(s) didn't find available persistent volumes to bind";
const OTHER_NODE: &str = "node(s) didn't match PersistentVolume's node affinity";
const NO_VOLUME: &str = "node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)";

/// Where claims, volumes and classes are read.
#[derive(Clone)]
pub struct Storage {
    /// The cache of claims.
    pub claims: Cache<PersistentVolumeClaim>,
    /// The cache of volumes.
    pub volumes: Cache<PersistentVolume>,
    /// The cache of classes.
    pub classes: Cache<StorageClass>,
}

/// What a pod needs of its claims.
#[derive(Default)]
pub struct Needs {
    /// The volumes of claims that are bound; `None` where the volume is gone.
    bound: Vec<Option<Arc<PersistentVolume>>>,
    /// Claims whose volume is chosen together with the node.
    delayed: Vec<(Arc<PersistentVolumeClaim>, Arc<StorageClass>)>,
    /// Every volume, if there is a choice to make.
    volumes: Vec<Arc<PersistentVolume>>,
}

/// What must be written before a pod is bound to a node.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// The volume is reserved for the claim.
    Reserve(Arc<PersistentVolume>, Arc<PersistentVolumeClaim>),
    /// The claim is told the node, so that its volume is made there.
    Select(Arc<PersistentVolumeClaim>),
    /// It is written; the claim's controller or provisioner is at work.
    Wait,
}

/// Returns the names of the claims that a pod uses.
pub fn claims_of(pod: &Pod) -> impl Iterator<Item = &str> {
    let volumes = pod
        .spec
        .iter()
        .flat_map(|spec| spec.volumes.iter().flatten());
    volumes.filter_map(|volume| Some(volume.persistent_volume_claim.as_ref()?.claim_name.as_str()))
}

impl Needs {
    /// Returns what the pod needs.
    ///
    /// # Errors
    /// Says in upstream's words why the pod fits no node at all.
    pub fn of(pod: &Pod, storage: &Storage) -> Result<Needs, String> {
        let namespace = pod.namespace().unwrap_or_default();
        let mut needs = Needs::default();
        let mut immediate = false;
        for name in claims_of(pod) {
            let claim = storage
                .claims
                .of(&Key::new(namespace.clone(), name))
                .ok_or_else(|| format!("persistentvolumeclaim \"{name}\" not found"))?;
            check(&claim)?;
            let class = storage.classes.get("", class_of_claim(&claim));
            let waits = class.filter(|class| waits_for_consumer(class));
            match (volume_name(&claim), waits) {
                (Some(volume), _) if is_bound(&claim) => {
                    needs.bound.push(storage.volumes.get("", volume));
                }
                (None, Some(class)) => needs.delayed.push((claim, class)),
                _ => immediate = true,
            }
        }
        if immediate {
            return Err("pod has unbound immediate PersistentVolumeClaims".into());
        }
        if !needs.delayed.is_empty() {
            needs.volumes = storage.volumes.all();
        }
        Ok(needs)
    }

    /// Returns why the pod's claims cannot be used on a node.
    pub fn failures(&self, node: &Node) -> Vec<String> {
        for volume in &self.bound {
            match volume {
                None => return vec![NO_VOLUME.into()],
                Some(volume) if !fits(volume, node) => return vec![OTHER_NODE.into()],
                Some(_) => {}
            }
        }
        match self.steps(node) {
            Some(_) => Vec::new(),
            None => vec![NO_MATCH.into()],
        }
    }

    /// Returns what must be written before the pod is bound to a node; empty if
    /// all claims are bound, `None` if one cannot be.
    pub fn steps(&self, node: &Node) -> Option<Vec<Step>> {
        let mut steps = Vec::new();
        let mut taken: Vec<String> = Vec::new();
        for (claim, class) in &self.delayed {
            let usable = |volume: &PersistentVolume| {
                fits(volume, node) && !taken.contains(&volume.name_any())
            };
            let step = match find_match(claim, &self.volumes, Search::OnNode(&usable)) {
                Some(volume) if is_bound_to(volume, claim) && has_uid(volume) => Step::Wait,
                Some(volume) => Step::Reserve(volume.clone(), claim.clone()),
                None if class.provisioner == NO_PROVISIONER => return None,
                None if claim.annotations().get(SELECTED_NODE) == Some(&node.name_any()) => {
                    Step::Wait
                }
                None => Step::Select(claim.clone()),
            };
            if let Step::Reserve(volume, _) = &step {
                taken.push(volume.name_any());
            }
            steps.push(step);
        }
        Some(steps)
    }
}

fn has_uid(volume: &PersistentVolume) -> bool {
    coracle_client::storage::claim_ref(volume)
        .is_some_and(|reference| !reference.uid.as_deref().unwrap_or("").is_empty())
}

/// Refuses a claim that no pod may use any more.
fn check(claim: &PersistentVolumeClaim) -> Result<(), String> {
    let name = claim.name_any();
    let phase = claim
        .status
        .as_ref()
        .and_then(|status| status.phase.as_deref());
    if phase == Some("Lost") {
        return Err(format!(
            "persistentvolumeclaim \"{name}\" bound to non-existent persistentvolume \"{}\"",
            volume_name(claim).unwrap_or_default()
        ));
    }
    if claim.metadata.deletion_timestamp.is_some() {
        return Err(format!("persistentvolumeclaim \"{name}\" is being deleted"));
    }
    Ok(())
}

/// Returns whether a volume can be used on a node.
fn fits(volume: &PersistentVolume, node: &Node) -> bool {
    let required = volume
        .spec
        .as_ref()
        .and_then(|spec| spec.node_affinity.as_ref()?.required.as_ref());
    required.is_none_or(|required| {
        required
            .node_selector_terms
            .iter()
            .any(|term| matches_term(term, node))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn object<K: serde::de::DeserializeOwned>(value: Value) -> Arc<K> {
        Arc::new(serde_json::from_value(value).expect("an object"))
    }

    fn volume(name: &str, node: &str, spec: Value) -> Arc<PersistentVolume> {
        let mut value = json!({
            "metadata": {"name": name},
            "spec": {
                "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "storageClassName": "c",
                "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [
                    {"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}]}]}},
            },
            "status": {"phase": "Available"},
        });
        for (key, more) in spec.as_object().expect("a mapping") {
            value["spec"][key.as_str()] = more.clone();
        }
        object(value)
    }

    fn claim(name: &str, annotations: Value) -> Arc<PersistentVolumeClaim> {
        object(json!({
            "metadata": {"name": name, "namespace": "ns", "uid": name, "annotations": annotations},
            "spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": "c",
                "resources": {"requests": {"storage": "1Gi"}}},
        }))
    }

    fn needs(
        provisioner: &str,
        claims: &[Arc<PersistentVolumeClaim>],
        volumes: &[Arc<PersistentVolume>],
    ) -> Needs {
        let class: Arc<StorageClass> = object(json!({
            "metadata": {"name": "c"}, "provisioner": provisioner,
            "volumeBindingMode": "WaitForFirstConsumer",
        }));
        Needs {
            bound: Vec::new(),
            delayed: claims
                .iter()
                .map(|claim| (claim.clone(), class.clone()))
                .collect(),
            volumes: volumes.to_vec(),
        }
    }

    fn node(name: &str) -> Arc<Node> {
        object(json!({"metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}}}))
    }

    /// Upstream: pkg/scheduler/framework/plugins/volumebinding/binder_test.go.
    #[test]
    fn volumes_are_reserved_made_or_missing() {
        let (one, two) = (claim("one", json!({})), claim("two", json!({})));
        let here = volume("here", "a", json!({}));
        let both = [one.clone(), two.clone()];
        let steps =
            needs(NO_PROVISIONER, &both[..1], std::slice::from_ref(&here)).steps(&node("a"));
        assert_eq!(steps, Some(vec![Step::Reserve(here.clone(), one.clone())]));
        // One volume serves one claim.
        let wanting = needs(NO_PROVISIONER, &both, std::slice::from_ref(&here));
        assert_eq!(wanting.failures(&node("a")), [NO_MATCH]);
        let wanting = needs("x", &both, std::slice::from_ref(&here));
        let expected = vec![Step::Reserve(here.clone(), one), Step::Select(two)];
        assert_eq!(wanting.steps(&node("a")), Some(expected));
        let elsewhere = needs(NO_PROVISIONER, &both[..1], &[here]);
        assert_eq!(elsewhere.failures(&node("b")), [NO_MATCH]);
    }

    #[test]
    fn what_is_written_is_waited_for() {
        let told = claim("one", json!({SELECTED_NODE: "a"}));
        assert_eq!(
            needs("x", std::slice::from_ref(&told), &[]).steps(&node("a")),
            Some(vec![Step::Wait])
        );
        let reserved = volume(
            "here",
            "a",
            json!({"claimRef": {"namespace": "ns", "name": "one", "uid": "one"}}),
        );
        let wanting = needs("x", &[told], &[reserved]);
        assert_eq!(wanting.steps(&node("a")), Some(vec![Step::Wait]));
    }

    #[test]
    fn bound_volumes_bind_the_pod_to_their_node() {
        let check = |volume, expected: &[&str]| {
            let needs = Needs {
                bound: vec![volume],
                ..Needs::default()
            };
            assert_eq!(needs.failures(&node("a")), expected);
        };
        check(Some(volume("v", "a", json!({}))), &[]);
        check(Some(volume("v", "b", json!({}))), &[OTHER_NODE]);
        check(None, &[NO_VOLUME]);
    }
}
