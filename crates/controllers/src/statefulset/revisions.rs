//! The history of a set's template, kept as ControllerRevisions
//! (upstream: pkg/controller/history, stateful_set_control.go).

use std::sync::Arc;

use k8s_openapi::api::apps::v1::{ControllerRevision, StatefulSet};
use k8s_openapi::api::core::v1::{Pod, PodTemplateSpec};
use k8s_openapi::apimachinery::pkg::runtime::RawExtension;
use kube::api::{DeleteParams, ObjectMeta, PostParams};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};

use super::{Controller, identity};
use crate::hash::{fnv32a, safe_encode};
use crate::owner::{is_controlled_by, reference_to};

const HASH: &str = "controller.kubernetes.io/hash";

/// The revision that pods have and the one that they are to have.
pub struct Revisions {
    /// The revision before the update that goes on, or the same as `update`.
    pub current: ControllerRevision,
    /// The revision of the set's present template.
    pub update: ControllerRevision,
    /// How often a new revision's name was taken by another.
    pub collisions: i32,
    /// All of them, oldest first.
    pub all: Vec<ControllerRevision>,
}

/// Returns what a revision keeps of a template: a patch that restores it.
fn data_of(template: &PodTemplateSpec) -> Value {
    let mut template = serde_json::to_value(template).unwrap_or_default();
    template["$patch"] = "replace".into();
    json!({"spec": {"template": template}})
}

/// Returns the template that a revision keeps.
pub fn template_of(revision: &ControllerRevision) -> Option<PodTemplateSpec> {
    let mut template = revision.data.as_ref()?.0["spec"]["template"].clone();
    template.as_object_mut()?.remove("$patch");
    serde_json::from_value(template).ok()
}

fn new_revision(set: &StatefulSet, number: i64, collisions: i32) -> ControllerRevision {
    let template = set.spec.clone().unwrap_or_default().template;
    let data = data_of(&template);
    let more = if collisions == 0 {
        Vec::new()
    } else {
        collisions.to_le_bytes().to_vec()
    };
    let hash = safe_encode(fnv32a(
        data.to_string().into_bytes().into_iter().chain(more),
    ));
    let mut labels = template
        .metadata
        .and_then(|meta| meta.labels)
        .unwrap_or_default();
    labels.insert(HASH.into(), hash.clone());
    ControllerRevision {
        metadata: ObjectMeta {
            name: Some(format!("{}-{hash}", set.name_any())),
            namespace: set.namespace(),
            labels: Some(labels),
            annotations: set.metadata.annotations.clone(),
            owner_references: Some(vec![reference_to(set)]),
            ..Default::default()
        },
        data: Some(RawExtension(data)),
        revision: number,
    }
}

impl Controller {
    fn revision_api(&self, set: &StatefulSet) -> Api<ControllerRevision> {
        Api::namespaced(self.client.clone(), &set.namespace().unwrap_or_default())
    }

    /// Finds the set's revisions; makes that of its present template if there is none.
    pub(super) async fn revisions(&self, set: &StatefulSet) -> Result<Revisions, kube::Error> {
        let status = set.status.clone().unwrap_or_default();
        let namespace = set.namespace().unwrap_or_default();
        let mut all: Vec<ControllerRevision> = self
            .revisions
            .within(&namespace)
            .iter()
            .filter(|revision| is_controlled_by(&***revision, set))
            .map(|revision| (**revision).clone())
            .collect();
        all.sort_by_key(|revision| {
            (
                revision.revision,
                revision.metadata.creation_timestamp.clone(),
                revision.name_any(),
            )
        });
        let mut collisions = status.collision_count.unwrap_or(0);
        let next = all.last().map_or(1, |last| last.revision + 1);
        let data = data_of(&set.spec.clone().unwrap_or_default().template);
        let known = all
            .iter()
            .rposition(|one| one.data.as_ref().map(|data| &data.0) == Some(&data));
        let update = match known {
            Some(index) if index + 1 == all.len() => all[index].clone(),
            Some(index) => {
                // A template that comes back gets a new number.
                let mut changed = all.remove(index);
                changed.revision = next;
                let api = self.revision_api(set);
                let changed = api
                    .replace(&changed.name_any(), &PostParams::default(), &changed)
                    .await?;
                all.push(changed.clone());
                changed
            }
            None => {
                let made = self.make_revision(set, next, &mut collisions).await?;
                all.push(made.clone());
                made
            }
        };
        let current = all
            .iter()
            .find(|one| Some(one.name_any()) == status.current_revision)
            .unwrap_or(&update)
            .clone();
        Ok(Revisions {
            current,
            update,
            collisions,
            all,
        })
    }

    async fn make_revision(
        &self,
        set: &StatefulSet,
        number: i64,
        collisions: &mut i32,
    ) -> Result<ControllerRevision, kube::Error> {
        let api = self.revision_api(set);
        loop {
            let revision = new_revision(set, number, *collisions);
            match api.create(&PostParams::default(), &revision).await {
                Err(error) if coracle_client::is_conflict(&error) => {
                    let existing = api.get(&revision.name_any()).await?;
                    if existing.data == revision.data && is_controlled_by(&existing, set) {
                        return Ok(existing);
                    }
                    *collisions += 1;
                }
                result => return result,
            }
        }
    }

    /// Removes the oldest revisions beyond the limit that no pod has.
    pub(super) async fn forget_revisions(
        &self,
        set: &StatefulSet,
        revisions: &Revisions,
        pods: &[Arc<Pod>],
    ) -> Result<(), kube::Error> {
        let limit = set
            .spec
            .as_ref()
            .and_then(|spec| spec.revision_history_limit);
        let limit = usize::try_from(limit.unwrap_or(10)).unwrap_or(0);
        let live = |name: &str| {
            name == revisions.current.name_any()
                || name == revisions.update.name_any()
                || pods.iter().any(|pod| identity::revision(pod) == name)
        };
        let dead: Vec<&ControllerRevision> = revisions
            .all
            .iter()
            .filter(|one| !live(&one.name_any()))
            .collect();
        let api = self.revision_api(set);
        for revision in dead.iter().take(dead.len().saturating_sub(limit)) {
            match api
                .delete(&revision.name_any(), &DeleteParams::default())
                .await
            {
                Err(error) if !coracle_client::is_not_found(&error) => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_revision_restores_its_template() {
        let set: StatefulSet = serde_json::from_value(json!({
            "metadata": {"name": "web", "uid": "1"},
            "spec": {"selector": {}, "template": {
                "metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": "i"}]},
            }},
        }))
        .expect("a set");
        let revision = new_revision(&set, 3, 0);
        assert_eq!(
            template_of(&revision),
            Some(set.spec.clone().unwrap().template)
        );
        assert_eq!(revision.revision, 3);
        let hash = revision.labels()[HASH].clone();
        assert_eq!(revision.name_any(), format!("web-{hash}"));
        assert_eq!(revision.labels()["app"], "web");
        assert_ne!(new_revision(&set, 3, 1).name_any(), revision.name_any());
    }
}
