//! Who a pod of a stateful set is: its ordinal, its name, its labels and its
//! claims (upstream: stateful_set_utils.go).

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{
    PersistentVolumeClaim, PersistentVolumeClaimVolumeSource, Pod, PodTemplateSpec, Volume,
};
use kube::ResourceExt;

use crate::template::pod_from;

/// Label with the pod's name, so that a Service can select one pod.
const POD_NAME: &str = "statefulset.kubernetes.io/pod-name";
/// Label with the pod's ordinal.
const POD_INDEX: &str = "apps.kubernetes.io/pod-index";
/// Label with the name of the revision that the pod was made from.
pub const REVISION: &str = "controller-revision-hash";

/// Returns the first ordinal of a set.
pub fn start(set: &StatefulSet) -> i32 {
    let spec = set.spec.as_ref();
    spec.and_then(|spec| spec.ordinals.as_ref()?.start)
        .unwrap_or(0)
}

/// Returns how many pods a set asks for.
pub fn replicas(set: &StatefulSet) -> i32 {
    let spec = set.spec.as_ref();
    spec.and_then(|spec| spec.replicas).unwrap_or(1)
}

/// Returns the ordinal of the pod called `name`, if it is of the set called `set`.
pub fn ordinal(set: &str, name: &str) -> Option<i32> {
    let digits = name.strip_prefix(set)?.strip_prefix('-')?;
    let number: i32 = digits.parse().ok()?;
    (number.to_string() == digits).then_some(number)
}

/// Returns the revision that a pod was made from.
pub fn revision(pod: &Pod) -> &str {
    pod.labels().get(REVISION).map_or("", String::as_str)
}

/// Returns the name of a claim of the pod with this ordinal.
pub fn claim_name(set: &StatefulSet, template: &PersistentVolumeClaim, ordinal: i32) -> String {
    format!("{}-{}-{ordinal}", template.name_any(), set.name_any())
}

/// Returns whether a claim is called as those of the set's pods are.
pub fn names_claim(set: &StatefulSet, name: &str) -> bool {
    claim_templates(set).iter().any(|template| {
        let pod = name.strip_prefix(&template.name_any());
        let pod = pod.and_then(|rest| rest.strip_prefix('-'));
        pod.is_some_and(|pod| ordinal(&set.name_any(), pod).is_some())
    })
}

fn claim_templates(set: &StatefulSet) -> &[PersistentVolumeClaim] {
    let spec = set.spec.as_ref();
    spec.and_then(|spec| spec.volume_claim_templates.as_deref())
        .unwrap_or_default()
}

/// Returns the claims of the pod with this ordinal.
pub fn claims(set: &StatefulSet, ordinal: i32) -> Vec<PersistentVolumeClaim> {
    let selector = set.spec.as_ref().map(|spec| spec.selector.clone());
    let shared: BTreeMap<String, String> = selector
        .and_then(|selector| selector.match_labels)
        .unwrap_or_default();
    let made = claim_templates(set).iter().map(|template| {
        let mut claim = template.clone();
        claim.metadata.name = Some(claim_name(set, template, ordinal));
        claim.metadata.namespace = set.namespace();
        claim.labels_mut().extend(shared.clone());
        claim.status = None;
        claim
    });
    made.collect()
}

/// Returns the pod with this ordinal, made from a revision's template.
pub fn pod(set: &StatefulSet, template: &PodTemplateSpec, revision: &str, ordinal: i32) -> Pod {
    let mut pod = pod_from(template, set);
    let name = format!("{}-{ordinal}", set.name_any());
    pod.metadata.generate_name = None;
    pod.metadata.name = Some(name.clone());
    label(&mut pod, ordinal);
    pod.labels_mut().insert(REVISION.into(), revision.into());
    let service = set
        .spec
        .as_ref()
        .and_then(|spec| spec.service_name.clone())
        .filter(|name| !name.is_empty());
    let spec = pod.spec.get_or_insert_default();
    spec.hostname = Some(name);
    spec.subdomain = service;
    mount_claims(set, ordinal, spec.volumes.get_or_insert_default());
    pod
}

/// Says on a pod which one of its set it is (upstream: updateIdentity).
fn label(pod: &mut Pod, ordinal: i32) {
    let name = pod.name_any();
    let labels = pod.labels_mut();
    labels.insert(POD_NAME.into(), name);
    labels.insert(POD_INDEX.into(), ordinal.to_string());
}

/// Returns the pod with the name and the claims that it should carry; `None`
/// where it does (upstream: identityMatches, storageMatches, UpdateStatefulPod).
/// As there, an index that is missing alone is not missed.
pub fn repaired(set: &StatefulSet, pod: &Pod, ordinal: i32) -> Option<Pod> {
    let is_named = pod.labels().get(POD_NAME) == Some(&pod.name_any());
    let has_claims = mounts_claims(set, pod, ordinal);
    if is_named && has_claims {
        return None;
    }
    let mut repaired = pod.clone();
    if !is_named {
        label(&mut repaired, ordinal);
    }
    if !has_claims {
        let spec = repaired.spec.get_or_insert_default();
        mount_claims(set, ordinal, spec.volumes.get_or_insert_default());
    }
    Some(repaired)
}

fn mounts_claims(set: &StatefulSet, pod: &Pod, ordinal: i32) -> bool {
    let volumes = pod.spec.as_ref().and_then(|spec| spec.volumes.as_deref());
    claim_templates(set).iter().all(|template| {
        let mut volumes = volumes.unwrap_or_default().iter();
        let volume = volumes.find(|volume| volume.name == template.name_any());
        let source = volume.and_then(|volume| volume.persistent_volume_claim.as_ref());
        source.is_some_and(|source| source.claim_name == claim_name(set, template, ordinal))
    })
}

/// Puts the pod's claims before the template's other volumes.
fn mount_claims(set: &StatefulSet, ordinal: i32, volumes: &mut Vec<Volume>) {
    let templates = claim_templates(set);
    let mut all: Vec<Volume> = templates
        .iter()
        .map(|template| Volume {
            name: template.name_any(),
            persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource {
                claim_name: claim_name(set, template, ordinal),
                read_only: None,
            }),
            ..Default::default()
        })
        .collect();
    volumes.retain(|volume| !all.iter().any(|claim| claim.name == volume.name));
    all.append(volumes);
    *volumes = all;
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Upstream: stateful_set_utils_test.go, TestGetParentNameAndOrdinal.
    #[test]
    fn ordinals_are_read_from_names() {
        let check = |name, expected| assert_eq!(ordinal("web", name), expected, "{name}");
        check("web-0", Some(0));
        check("web-12", Some(12));
        check("web-01", None);
        check("web", None);
        check("web-", None);
        check("web-a", None);
        check("webs-1", None);
        check("web-1-1", None);
    }

    fn set() -> StatefulSet {
        serde_json::from_value(json!({
            "metadata": {"name": "web", "namespace": "ns", "uid": "1"},
            "spec": {
                "serviceName": "peers", "selector": {"matchLabels": {"app": "web"}},
                "template": {
                    "metadata": {"labels": {"app": "web"}},
                    "spec": {"containers": [], "volumes": [
                        {"name": "data", "emptyDir": {}}, {"name": "tmp", "emptyDir": {}}]},
                },
                "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": {}}],
            },
        }))
        .expect("a set")
    }

    #[test]
    fn a_pod_carries_its_identity_and_its_claims() {
        let set = set();
        let template = set.spec.clone().unwrap().template;
        let pod = serde_json::to_value(pod(&set, &template, "web-abc", 2)).expect("JSON");
        assert_eq!(pod["metadata"]["name"], "web-2");
        assert_eq!(
            pod["metadata"]["labels"],
            json!({
                "app": "web", "statefulset.kubernetes.io/pod-name": "web-2",
                "apps.kubernetes.io/pod-index": "2", "controller-revision-hash": "web-abc",
            })
        );
        assert_eq!(pod["spec"]["hostname"], "web-2");
        assert_eq!(pod["spec"]["subdomain"], "peers");
        assert_eq!(
            pod["spec"]["volumes"],
            json!([
                {"name": "data", "persistentVolumeClaim": {"claimName": "data-web-2"}},
                {"name": "tmp", "emptyDir": {}},
            ])
        );
        assert!(names_claim(&set, "data-web-2") && !names_claim(&set, "data-webs-2"));
        let claims = claims(&set, 2);
        assert_eq!(claims[0].name_any(), "data-web-2");
        assert_eq!(claims[0].labels()["app"], "web");
    }

    /// Upstream: stateful_pod_control_test.go,
    /// TestStatefulPodControlUpdatesIdentity, TestStatefulPodControlUpdatePodStorage,
    /// TestStatefulPodControlNoOpUpdate.
    #[test]
    fn what_a_pod_has_lost_comes_back() {
        let set = set();
        let template = set.spec.clone().unwrap_or_default().template;
        let whole = pod(&set, &template, "web-abc", 2);
        let check = |break_it: fn(&mut Pod), is_missed: bool| {
            let mut broken = whole.clone();
            break_it(&mut broken);
            let repaired = repaired(&set, &broken, 2);
            assert_eq!(repaired, is_missed.then(|| whole.clone()));
        };
        check(|_| {}, false);
        check(|pod| drop(pod.labels_mut().remove(POD_NAME)), true);
        check(
            |pod| {
                pod.labels_mut().insert(POD_NAME.into(), "web-3".into());
                pod.labels_mut().remove(POD_INDEX);
            },
            true,
        );
        let mut unnumbered = whole.clone();
        unnumbered.labels_mut().remove(POD_INDEX);
        assert_eq!(repaired(&set, &unnumbered, 2), None);
        check(
            |pod| {
                let spec = pod.spec.get_or_insert_default();
                spec.volumes.get_or_insert_default().remove(0);
            },
            true,
        );
    }
}
