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

use crate::hash;
use crate::owner::{is_controlled_by, reference_to};

/// The revision that pods have and the one that they are to have.
pub struct History {
    /// The revision before the update that goes on, or the same as `update`.
    pub current: ControllerRevision,
    /// The revision of the present template.
    pub update: ControllerRevision,
    /// How often a new revision's name was taken by another; `None`: never said.
    pub collisions: Option<i32>,
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

/// Under which label, and how, a controller names the templates it keeps.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Naming {
    /// As StatefulSets do: by what is kept (upstream: history.HashControllerRevision).
    Data,
    /// As DaemonSets do: by the template alone (upstream: controller.ComputeHash).
    Template,
}

impl Naming {
    /// Returns the label of a revision with the hash in its name.
    pub fn label(self) -> &'static str {
        match self {
            Naming::Data => "controller.kubernetes.io/hash",
            Naming::Template => "controller-revision-hash",
        }
    }

    fn hash(self, template: &PodTemplateSpec, data: &Value, collisions: Option<i32>) -> String {
        match self {
            Naming::Template => hash::template::of(template, collisions),
            Naming::Data => {
                // A StatefulSet always says how often names collided.
                let more = collisions.unwrap_or(0).to_string();
                let text = go_json(data);
                hash::safe_encode(hash::fnv32(text.bytes().chain(more.bytes())))
            }
        }
    }
}

/// Writes JSON as Go writes a map: members by name, and what could end a script escaped.
fn go_json(value: &Value) -> String {
    let mut sorted = value.clone();
    sorted.sort_all_objects();
    let text = sorted.to_string();
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                out.push_str(&format!("\\u{:04x}", u32::from(letter)));
            }
            _ => out.push(letter),
        }
    }
    out
}

fn new_revision<O: Resource<DynamicType = ()>>(
    owner: &O,
    naming: Naming,
    template: &PodTemplateSpec,
    number: i64,
    collisions: Option<i32>,
) -> ControllerRevision {
    let data = data_of(template);
    let hash = naming.hash(template, &data, collisions);
    let labels = template
        .metadata
        .as_ref()
        .and_then(|meta| meta.labels.clone());
    let mut labels = labels.unwrap_or_default();
    labels.insert(naming.label().into(), hash.clone());
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
    naming: Naming,
    template: &PodTemplateSpec,
    known: Vec<Arc<ControllerRevision>>,
    current: Option<&str>,
    mut collisions: Option<i32>,
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
            let made = make(&api, owner, naming, template, next, &mut collisions).await?;
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
    naming: Naming,
    template: &PodTemplateSpec,
    number: i64,
    collisions: &mut Option<i32>,
) -> Result<ControllerRevision, kube::Error> {
    loop {
        let revision = new_revision(owner, naming, template, number, *collisions);
        match api.create(&PostParams::default(), &revision).await {
            Err(error) if coracle_client::is_conflict(&error) => {
                let existing = api.get(&revision.name_any()).await?;
                if existing.data == revision.data && is_controlled_by(&existing, owner) {
                    return Ok(existing);
                }
                *collisions = Some(collisions.unwrap_or(0) + 1);
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
        let revision = new_revision(&set, Naming::Data, &template, 3, None);
        assert_eq!(template_of(&revision), Some(template.clone()));
        assert_eq!(revision.revision, 3);
        let hash = revision.labels()[Naming::Data.label()].clone();
        assert_eq!(revision.name_any(), format!("web-{hash}"));
        assert_eq!(revision.labels()["app"], "web");
        assert_ne!(
            new_revision(&set, Naming::Data, &template, 3, Some(1)).name_any(),
            revision.name_any()
        );
    }
}
