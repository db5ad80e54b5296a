//! The ReplicaSet of a deployment's template: how it is found and made.

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet, ReplicaSetSpec};
use k8s_openapi::api::core::v1::PodTemplateSpec;
use kube::ResourceExt;
use kube::api::ObjectMeta;

use super::{revision, scaling};
use crate::hash;
use crate::owner::reference_to;

/// Label that tells the pods of one template from those of another.
pub const HASH: &str = "pod-template-hash";

/// Returns whether `set` has the deployment's present template.
pub fn is_of(set: &ReplicaSet, deployment: &Deployment) -> bool {
    let wanted = deployment.spec.as_ref().map(|spec| spec.template.clone());
    let have = set.spec.as_ref().and_then(|spec| spec.template.clone());
    wanted.map(without_hash) == have.map(without_hash)
}

fn without_hash(mut template: PodTemplateSpec) -> PodTemplateSpec {
    if let Some(labels) = template
        .metadata
        .as_mut()
        .and_then(|meta| meta.labels.as_mut())
    {
        labels.remove(HASH);
    }
    // The API server may add a null time; it is no difference.
    if let Some(meta) = &mut template.metadata {
        meta.creation_timestamp = None;
    }
    template
}

/// Returns the set of the deployment's template with `count` replicas.
pub fn new_set(deployment: &Deployment, count: i32, revision: i64) -> ReplicaSet {
    let spec = deployment.spec.clone().unwrap_or_default();
    let collisions = deployment
        .status
        .as_ref()
        .and_then(|status| status.collision_count);
    let hash = hash::template::of(&spec.template, collisions);
    let mut template = spec.template;
    let meta = template.metadata.get_or_insert_default();
    let labels = meta.labels.get_or_insert_default();
    labels.insert(HASH.into(), hash.clone());
    let labels = labels.clone();
    let mut selector = spec.selector;
    selector
        .match_labels
        .get_or_insert_default()
        .insert(HASH.into(), hash.clone());
    let mut set = ReplicaSet {
        metadata: ObjectMeta {
            name: Some(format!("{}-{hash}", deployment.name_any())),
            namespace: deployment.namespace(),
            labels: Some(labels),
            owner_references: Some(vec![reference_to(deployment)]),
            ..Default::default()
        },
        spec: Some(ReplicaSetSpec {
            replicas: Some(count),
            min_ready_seconds: spec.min_ready_seconds,
            selector,
            template: Some(template),
        }),
        status: None,
    };
    revision::copy_annotations(&mut set, deployment);
    revision::set(&mut set, revision);
    scaling::annotate(&mut set, deployment);
    set
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deployment(image: &str) -> Deployment {
        serde_json::from_value(serde_json::json!({
            "metadata": {"name": "web", "namespace": "default", "uid": "1"},
            "spec": {
                "selector": {"matchLabels": {"app": "web"}},
                "template": {
                    "metadata": {"labels": {"app": "web"}},
                    "spec": {"containers": [{"name": "web", "image": image}]},
                },
            },
        }))
        .expect("a deployment")
    }

    #[test]
    fn a_set_belongs_to_the_template_it_was_made_from() {
        let one = deployment("web:1");
        let set = new_set(&one, 3, 1);
        assert!(is_of(&set, &one));
        assert!(!is_of(&set, &deployment("web:2")));
        let hash = set.labels()[HASH].clone();
        assert_eq!(set.name_any(), format!("web-{hash}"));
        let spec = set.spec.unwrap();
        assert_eq!(spec.selector.match_labels.unwrap()[HASH], hash);
        assert_eq!(
            spec.template.unwrap().metadata.unwrap().labels.unwrap()[HASH],
            hash
        );
    }

    #[test]
    fn a_collision_gives_another_name() {
        let one = deployment("web:1");
        let mut collided = one.clone();
        collided.status = Some(k8s_openapi::api::apps::v1::DeploymentStatus {
            collision_count: Some(1),
            ..Default::default()
        });
        assert_ne!(
            new_set(&one, 1, 1).name_any(),
            new_set(&collided, 1, 1).name_any()
        );
    }
}
