//! The history of a template, kept as ControllerRevisions by the controllers
//! that have no ReplicaSets (upstream: pkg/controller/history).

use std::sync::Arc;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::ControllerRevision;
use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::runtime::RawExtension;
use kube::api::{DeleteParams, ObjectMeta, PostParams};
use kube::{Api, Client, Resource, ResourceExt};
use serde_json::{Value, json};

use crate::hash::{fnv32a, safe_encode};
use crate::owner::{is_controlled_by, reference_to};

/// Label of a revision with the hash in its name.
pub const HASH: &str = "controller.kubernetes.io/hash";

/// The revision that pods have and the one that they are to have.
pub struct History {
    /// The revision before the update that goes on, or the same as `update`.
    pub current: ControllerRevision,
    /// The revision of the present template.
    pub update: ControllerRevision,
    /// How often a new revision's name was taken by another.
    pub collisions: i32,
    all: Vec<ControllerRevision>,
    namespace: String,
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

fn new_revision<O: Resource<DynamicType = ()>>(
    owner: &O,
    template: &PodTemplateSpec,
    number: i64,
    collisions: i32,
) -> ControllerRevision {
    let data = data_of(template);
    let more = if collisions == 0 {
        Vec::new()
    } else {
        collisions.to_le_bytes().to_vec()
    };
    let hash = safe_encode(fnv32a(
        data.to_string().into_bytes().into_iter().chain(more),
    ));
    let labels = template
        .metadata
        .as_ref()
        .and_then(|meta| meta.labels.clone());
    let mut labels = labels.unwrap_or_default();
    labels.insert(HASH.into(), hash.clone());
    ControllerRevision {
        metadata: ObjectMeta {
            name: Some(format!("{}-{hash}", owner.name_any())),
            namespace: owner.namespace(),
            labels: Some(labels),
            annotations: owner.meta().annotations.clone(),
            owner_references: Some(vec![reference_to(owner)]),
            ..Default::default()
        },
        data: Some(RawExtension(data)),
        revision: number,
    }
}

fn api(client: &Client, namespace: &str) -> Api<ControllerRevision> {
    Api::namespaced(client.clone(), namespace)
}

/// Finds the revisions of `owner` among those that it controls; makes that of
/// its present template if there is none. `current` names the revision that
/// its pods had before.
///
/// # Errors
/// What the API refuses.
pub async fn find<O>(
    client: &Client,
    owner: &O,
    template: &PodTemplateSpec,
    known: Vec<Arc<ControllerRevision>>,
    current: Option<&str>,
    mut collisions: i32,
) -> Result<History, kube::Error>
where
    O: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
{
    let namespace = owner.namespace().unwrap_or_default();
    let api = api(client, &namespace);
    let mut all: Vec<ControllerRevision> = known.iter().map(|one| (**one).clone()).collect();
    all.sort_by_key(|revision| {
        let created = revision.metadata.creation_timestamp.clone();
        (revision.revision, created, revision.name_any())
    });
    let next = all.last().map_or(1, |last| last.revision + 1);
    let data = data_of(template);
    let found = all
        .iter()
        .rposition(|one| one.data.as_ref().map(|data| &data.0) == Some(&data));
    let update = match found {
        Some(index) if index + 1 == all.len() => all[index].clone(),
        Some(index) => {
            // A template that comes back gets a new number.
            let mut changed = all.remove(index);
            changed.revision = next;
            let name = changed.name_any();
            let changed = api.replace(&name, &PostParams::default(), &changed).await?;
            all.push(changed.clone());
            changed
        }
        None => {
            let made = make(&api, owner, template, next, &mut collisions).await?;
            all.push(made.clone());
            made
        }
    };
    let current = all
        .iter()
        .find(|one| Some(one.name_any().as_str()) == current)
        .unwrap_or(&update)
        .clone();
    Ok(History {
        current,
        update,
        collisions,
        all,
        namespace,
    })
}

async fn make<O: Resource<DynamicType = ()>>(
    api: &Api<ControllerRevision>,
    owner: &O,
    template: &PodTemplateSpec,
    number: i64,
    collisions: &mut i32,
) -> Result<ControllerRevision, kube::Error> {
    loop {
        let revision = new_revision(owner, template, number, *collisions);
        match api.create(&PostParams::default(), &revision).await {
            Err(error) if coracle_client::is_conflict(&error) => {
                let existing = api.get(&revision.name_any()).await?;
                if existing.data == revision.data && is_controlled_by(&existing, owner) {
                    return Ok(existing);
                }
                *collisions += 1;
            }
            result => return result,
        }
    }
}

impl History {
    /// Removes the oldest revisions beyond `limit` that are not `live`.
    ///
    /// # Errors
    /// What the API refuses.
    pub async fn forget(
        &self,
        client: &Client,
        limit: i32,
        live: impl Fn(&ControllerRevision) -> bool,
    ) -> Result<(), kube::Error> {
        let limit = usize::try_from(limit).unwrap_or(0);
        let kept = |one: &ControllerRevision| {
            let name = one.name_any();
            name == self.current.name_any() || name == self.update.name_any() || live(one)
        };
        let dead: Vec<&ControllerRevision> = self.all.iter().filter(|one| !kept(one)).collect();
        let api = api(client, &self.namespace);
        for revision in dead.iter().take(dead.len().saturating_sub(limit)) {
            let name = revision.name_any();
            match api.delete(&name, &DeleteParams::default()).await {
                Err(error) if !coracle_client::is_not_found(&error) => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::apps::v1::StatefulSet;

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
        let template = set.spec.clone().unwrap_or_default().template;
        let revision = new_revision(&set, &template, 3, 0);
        assert_eq!(template_of(&revision), Some(template.clone()));
        assert_eq!(revision.revision, 3);
        let hash = revision.labels()[HASH].clone();
        assert_eq!(revision.name_any(), format!("web-{hash}"));
        assert_eq!(revision.labels()["app"], "web");
        assert_ne!(
            new_revision(&set, &template, 3, 1).name_any(),
            revision.name_any()
        );
    }
}
