//! Deployments: rolls pods from one template to the next by way of
//! ReplicaSets (upstream: pkg/controller/deployment).

mod conditions;
mod revision;
mod rolling;
mod scaling;
mod template;

use std::sync::Arc;

use coracle_client::{Cache, Key, Outcome, Queue, Recorder, Severity, key_of};
use k8s_openapi::api::apps::v1::{Deployment, DeploymentStatus, ReplicaSet};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, PostParams};
use kube::core::{Selector, SelectorExt};
use kube::{Api, Client, ResourceExt};

use crate::context::Context;
use crate::owner::{Claim, controller_name, is_controlled_by};
use crate::pods;
use crate::template::message;

struct Controller {
    client: Client,
    deployments: Cache<Deployment>,
    replica_sets: Cache<ReplicaSet>,
    pods: Cache<Pod>,
    recorder: Recorder,
}

/// Runs the controller for ever.
pub async fn run(context: Context) {
    let client = context.client("deployment-controller");
    let controller = Arc::new(Controller {
        deployments: context.caches.of(),
        replica_sets: context.caches.of(),
        pods: context.caches.of(),
        recorder: Recorder::new(client.clone(), "deployment-controller"),
        client,
    });
    controller.deployments.ready().await;
    controller.replica_sets.ready().await;
    controller.pods.ready().await;
    let queue = Queue::default();
    subscribe(&controller, &queue);
    coracle_client::run("deployment", queue, 5, move |key| {
        let controller = controller.clone();
        async move { controller.reconcile(&key).await }
    })
    .await;
}

fn subscribe(controller: &Controller, queue: &Queue<Key>) {
    let own = queue.clone();
    controller
        .deployments
        .on_change(move |deployment| own.add(key_of(&**deployment)));
    let own = queue.clone();
    controller.replica_sets.on_transition(move |set| {
        if let Some(name) = controller_name(&**set, "Deployment") {
            own.add(Key::new(set.namespace().unwrap_or_default(), name));
        }
    });
    // Recreate waits until no old pod is left, which no ReplicaSet tells.
    let own = queue.clone();
    let sets = controller.replica_sets.clone();
    controller.pods.on_change(move |pod| {
        let namespace = pod.namespace().unwrap_or_default();
        let Some(set) = controller_name(&**pod, "ReplicaSet") else {
            return;
        };
        if let Some(set) = sets.get(&namespace, set)
            && let Some(name) = controller_name(&*set, "Deployment")
        {
            own.add(Key::new(namespace, name));
        }
    });
}

/// The ReplicaSets of a deployment: the one of its present template, if there
/// is one, and the others.
struct Sets {
    new: Option<ReplicaSet>,
    old: Vec<ReplicaSet>,
    /// Whether the new one was made just now.
    made: bool,
}

impl Sets {
    fn all(&self) -> impl Iterator<Item = &ReplicaSet> {
        self.new.iter().chain(&self.old)
    }
}

/// How many replicas a set is asked for.
fn replicas(set: &ReplicaSet) -> i32 {
    set.spec
        .as_ref()
        .and_then(|spec| spec.replicas)
        .unwrap_or(1)
}

fn wanted(deployment: &Deployment) -> i32 {
    deployment
        .spec
        .as_ref()
        .and_then(|spec| spec.replicas)
        .unwrap_or(1)
}

/// Sums a count of the status over sets.
fn sum<'a>(
    sets: impl IntoIterator<Item = &'a ReplicaSet>,
    count: impl Fn(&k8s_openapi::api::apps::v1::ReplicaSetStatus) -> Option<i32>,
) -> i32 {
    sets.into_iter()
        .filter_map(|set| count(set.status.as_ref()?))
        .sum()
}

fn available<'a>(sets: impl IntoIterator<Item = &'a ReplicaSet>) -> i32 {
    sum(sets, |status| status.available_replicas)
}

impl Controller {
    async fn reconcile(&self, key: &Key) -> Result<Outcome, kube::Error> {
        let Some(deployment) = self.deployments.of(key) else {
            return Ok(Outcome::Done);
        };
        let deployment = &*deployment;
        let spec = deployment.spec.clone().unwrap_or_default();
        let Ok(selector) = Selector::try_from(spec.selector.clone()) else {
            return Ok(Outcome::Done);
        };
        if selector.selects_all() {
            self.recorder.event(
                deployment,
                Severity::Warning,
                "SelectingAll",
                "This deployment is selecting all pods. A non-empty selector is required.",
            );
            return Ok(Outcome::Done);
        }
        let mut sets = self.sets(deployment, &selector).await?;
        if deployment.metadata.deletion_timestamp.is_some() {
            return self.write_status(deployment, &sets).await;
        }
        let paused = spec.paused == Some(true);
        if paused || scaling::is_scaling(deployment, &sets) {
            self.number(deployment, &mut sets).await?;
            self.scale_proportionally(deployment, &mut sets).await?;
            if paused {
                self.clean_up(deployment, &sets).await?;
            }
            return self.write_status(deployment, &sets).await;
        }
        match spec
            .strategy
            .as_ref()
            .and_then(|strategy| strategy.type_.as_deref())
        {
            Some("Recreate") => self.recreate(deployment, &mut sets).await?,
            _ => self.roll(deployment, &mut sets).await?,
        }
        if conditions::is_complete(deployment, &self.status_of(deployment, &sets)) {
            self.clean_up(deployment, &sets).await?;
        }
        self.write_status(deployment, &sets).await
    }

    /// Finds the deployment's sets.
    async fn sets(
        &self,
        deployment: &Deployment,
        selector: &Selector,
    ) -> Result<Sets, kube::Error> {
        let claim = Claim {
            api: self.set_api(deployment),
            cache: &self.replica_sets,
            owner: deployment,
            finalizer: None,
        };
        let selected = |set: &ReplicaSet| selector.matches(set.labels());
        let owned = claim.children(selected, |_| true).await?;
        let mut owned: Vec<ReplicaSet> = owned.iter().map(|set| (**set).clone()).collect();
        owned.sort_by_key(|set| (set.metadata.creation_timestamp.clone(), set.name_any()));
        let position = owned
            .iter()
            .position(|set| template::is_of(set, deployment));
        let new = position.map(|position| owned.remove(position));
        Ok(Sets {
            new,
            old: owned,
            made: false,
        })
    }

    fn set_api(&self, deployment: &Deployment) -> Api<ReplicaSet> {
        Api::namespaced(
            self.client.clone(),
            &deployment.namespace().unwrap_or_default(),
        )
    }

    fn api(&self, deployment: &Deployment) -> Api<Deployment> {
        Api::namespaced(
            self.client.clone(),
            &deployment.namespace().unwrap_or_default(),
        )
    }

    /// Recreate: no pod of the new template before the last old one is gone.
    async fn recreate(&self, deployment: &Deployment, sets: &mut Sets) -> Result<(), kube::Error> {
        self.number(deployment, sets).await?;
        let mut scaled = false;
        for set in &mut sets.old {
            if replicas(set) > 0 {
                *set = self.scale_to(deployment, set, 0).await?;
                scaled = true;
            }
        }
        if scaled || self.old_pods_run(sets) {
            return Ok(());
        }
        self.make_new(deployment, sets).await?;
        if let Some(set) = &mut sets.new
            && replicas(set) != wanted(deployment)
        {
            *set = self.scale_to(deployment, set, wanted(deployment)).await?;
        }
        Ok(())
    }

    /// Returns whether a pod of an old set has not ended yet.
    fn old_pods_run(&self, sets: &Sets) -> bool {
        let pods = |set: &ReplicaSet| self.pods.controlled_by(&set.uid().unwrap_or_default());
        let mut pods = sets.old.iter().flat_map(pods);
        pods.any(|pod| !matches!(pods::phase(&pod), "Succeeded" | "Failed"))
    }

    /// Creates the set of the present template if there is none.
    async fn make_new(&self, deployment: &Deployment, sets: &mut Sets) -> Result<(), kube::Error> {
        if sets.new.is_some() {
            return Ok(());
        }
        let count = rolling::first_size(deployment, sets);
        let revision = revision::next(sets);
        let set = template::new_set(deployment, count, revision);
        match self
            .set_api(deployment)
            .create(&PostParams::default(), &set)
            .await
        {
            Ok(set) => {
                if count > 0 {
                    self.tell_scaling(deployment, &set, 0, count);
                }
                sets.new = Some(set);
                sets.made = true;
                Ok(())
            }
            Err(error) if coracle_client::is_conflict(&error) => {
                self.on_name_taken(deployment, &set, error).await
            }
            Err(error) => {
                let text = format!(
                    "Failed to create new replica set \"{}\": {}",
                    set.name_any(),
                    message(&error)
                );
                self.tell_refusal(deployment, text).await?;
                Err(error)
            }
        }
    }

    /// Says in the status and by an event that the new set cannot be made.
    async fn tell_refusal(&self, deployment: &Deployment, text: String) -> Result<(), kube::Error> {
        if let Some(conditions) = conditions::refused(deployment, &text) {
            let mut changed = deployment.clone();
            changed.status.get_or_insert_default().conditions = Some(conditions);
            let api = self.api(deployment);
            api.replace_status(&deployment.name_any(), &PostParams::default(), &changed)
                .await?;
        }
        self.recorder
            .event(deployment, Severity::Warning, "ReplicaSetCreateError", text);
        Ok(())
    }

    /// The name of the new set is taken: by the set itself, not yet seen, or by
    /// a set whose template has the same hash, which the collision count heals.
    async fn on_name_taken(
        &self,
        deployment: &Deployment,
        set: &ReplicaSet,
        error: kube::Error,
    ) -> Result<(), kube::Error> {
        let existing = self.set_api(deployment).get(&set.name_any()).await?;
        if is_controlled_by(&existing, deployment) && template::is_of(&existing, deployment) {
            return Err(error);
        }
        let count = deployment
            .status
            .as_ref()
            .and_then(|status| status.collision_count)
            .unwrap_or(0);
        let mut changed = deployment.clone();
        changed.status.get_or_insert_default().collision_count = Some(count + 1);
        let api = self.api(deployment);
        api.replace_status(&deployment.name_any(), &PostParams::default(), &changed)
            .await?;
        Err(error)
    }

    /// Sets the number of replicas of a set.
    async fn scale_to(
        &self,
        deployment: &Deployment,
        set: &ReplicaSet,
        count: i32,
    ) -> Result<ReplicaSet, kube::Error> {
        let mut changed = set.clone();
        scaling::annotate(&mut changed, deployment);
        if replicas(set) == count && changed.metadata.annotations == set.metadata.annotations {
            return Ok(changed);
        }
        if let Some(spec) = &mut changed.spec {
            spec.replicas = Some(count);
        }
        let changed = self
            .set_api(deployment)
            .replace(&set.name_any(), &PostParams::default(), &changed)
            .await?;
        if replicas(set) != count {
            self.tell_scaling(deployment, set, replicas(set), count);
        }
        Ok(changed)
    }

    fn tell_scaling(&self, deployment: &Deployment, set: &ReplicaSet, from: i32, to: i32) {
        let direction = if to > from { "up" } else { "down" };
        let text = format!(
            "Scaled {direction} replica set {} from {from} to {to}",
            set.name_any()
        );
        self.recorder
            .event(deployment, Severity::Normal, "ScalingReplicaSet", text);
    }

    /// Removes old, empty sets beyond the history limit.
    async fn clean_up(&self, deployment: &Deployment, sets: &Sets) -> Result<(), kube::Error> {
        for set in revision::beyond_history(deployment, &sets.old) {
            match self
                .set_api(deployment)
                .delete(&set.name_any(), &DeleteParams::background())
                .await
            {
                Err(error) if !coracle_client::is_not_found(&error) => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    fn status_of(&self, deployment: &Deployment, sets: &Sets) -> DeploymentStatus {
        let old = deployment.status.clone().unwrap_or_default();
        let nonzero = |count: i32| (count != 0).then_some(count);
        let total = sum(sets.all(), |status| Some(status.replicas));
        let available = available(sets.all());
        let asked = sets.all().map(replicas).sum::<i32>();
        DeploymentStatus {
            observed_generation: deployment.metadata.generation,
            replicas: nonzero(total),
            updated_replicas: nonzero(sum(&sets.new, |status| Some(status.replicas))),
            ready_replicas: nonzero(sum(sets.all(), |status| status.ready_replicas)),
            available_replicas: nonzero(available),
            unavailable_replicas: nonzero((asked - available).max(0)),
            terminating_replicas: Some(sum(sets.all(), |status| status.terminating_replicas)),
            collision_count: old.collision_count,
            conditions: old.conditions,
        }
    }

    async fn write_status(
        &self,
        deployment: &Deployment,
        sets: &Sets,
    ) -> Result<Outcome, kube::Error> {
        let status = conditions::update(deployment, sets, self.status_of(deployment, sets));
        let mut changed = deployment.clone();
        changed.status = Some(status.clone());
        // The number goes with the status, as upstream writes it: a change of
        // the annotation alone would be a new generation.
        if let Some(new) = &sets.new {
            revision::note(&mut changed, new);
        }
        if changed != *deployment {
            let result = self
                .api(deployment)
                .replace_status(&deployment.name_any(), &PostParams::default(), &changed)
                .await;
            match result {
                Err(error) if !coracle_client::is_not_found(&error) => return Err(error),
                _ => {}
            }
        }
        Ok(conditions::until_deadline(deployment, &status).map_or(Outcome::Done, Outcome::Again))
    }
}
