//! A new image under an old name: the workloads that name it roll, because
//! their template is the same and nothing else would tell them (DESIGN: images).

use std::collections::BTreeSet;
use std::fmt::Debug;

use coracle_image::reference::Reference;
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::core::v1::PodTemplateSpec;
use kube::api::{ListParams, Patch, PatchParams};
use kube::core::NamespaceResourceScope;
use kube::{Api, Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use serde_json::json;

use super::progress::Progress;
use super::target::Target;
use super::{Global, block_on};
use crate::failure::Outcome;

/// The annotation of a pod template whose change makes its workload roll.
const STAMP: &str = "coracle.dev/image-changed";
/// Who writes it.
const MANAGER: &str = "coracle-image";

/// Rolls the workloads of the cluster that name one of `images`; does nothing
/// if the cluster does not run.
pub fn roll(global: &Global, target: &Target, images: &BTreeSet<String>) -> Outcome {
    let Some(record) = target.running().filter(|_| !images.is_empty()) else {
        return Ok(());
    };
    block_on(async {
        let client = target.client(&record).await?;
        roll_with(&client, images, &Progress::new(global)).await
    })
}

/// Rolls the workloads that name one of `images`.
pub async fn roll_with(client: &Client, images: &BTreeSet<String>, progress: &Progress) -> Outcome {
    if images.is_empty() {
        return Ok(());
    }
    roll_kind::<Deployment>(client, images, progress, |deployment| {
        deployment.spec.as_ref().map(|spec| &spec.template)
    })
    .await?;
    roll_kind::<StatefulSet>(client, images, progress, |set| {
        set.spec.as_ref().map(|spec| &spec.template)
    })
    .await
}

async fn roll_kind<K>(
    client: &Client,
    images: &BTreeSet<String>,
    progress: &Progress,
    template: impl Fn(&K) -> Option<&PodTemplateSpec>,
) -> Outcome
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + Debug
        + DeserializeOwned,
{
    for object in Api::<K>::all(client.clone())
        .list(&ListParams::default())
        .await?
    {
        if !template(&object).is_some_and(|template| names(template, images)) {
            continue;
        }
        let title = format!("{}/{}", K::kind(&()), object.name_any());
        let step = progress.step("Roll");
        let stamp = k8s_openapi::jiff::Timestamp::now().to_string();
        let patch = json!({"spec": {"template": {"metadata": {"annotations": {STAMP: stamp}}}}});
        let params = PatchParams {
            field_manager: Some(MANAGER.into()),
            ..Default::default()
        };
        let api: Api<K> = Api::namespaced(client.clone(), &object.namespace().unwrap_or_default());
        api.patch(&object.name_any(), &params, &Patch::Strategic(&patch))
            .await?;
        step.done(&format!("{title} runs the new image"));
    }
    Ok(())
}

/// Returns whether a container of the template names one of the images.
fn names(template: &PodTemplateSpec, images: &BTreeSet<String>) -> bool {
    let containers = template.spec.iter().flat_map(|spec| {
        spec.containers
            .iter()
            .chain(spec.init_containers.iter().flatten())
    });
    containers
        .filter_map(|container| container.image.as_deref())
        .any(|image| {
            Reference::parse(image).is_ok_and(|reference| images.contains(&reference.familiar()))
        })
}
