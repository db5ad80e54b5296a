//! StatefulSets: pods with names, an order and claims of their own
//! (upstream: pkg/controller/statefulset).
//!
//! `plan` decides, `identity` says who a pod is, `write` and `claims` make, mend
//! and remove; here is the loop.

mod claims;
mod identity;
mod plan;
mod write;

use std::sync::Arc;
use std::time::Duration;

use coracle_client::{Cache, Key, Outcome, Queue, Recorder, key_of};
use k8s_openapi::api::apps::v1::{ControllerRevision, StatefulSet, StatefulSetStatus};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use k8s_openapi::jiff::Timestamp;
use kube::api::PostParams;
use kube::core::{Selector, SelectorExt};
use kube::{Api, Client, ResourceExt};

use crate::context::Context;
use crate::history::{self, History, Naming};
use crate::owner::{Claim, controller_name, controller_of};
use plan::Rules;

struct Controller {
    client: Client,
    sets: Cache<StatefulSet>,
    pods: Cache<Pod>,
    claims: Cache<PersistentVolumeClaim>,
    revisions: Cache<ControllerRevision>,
    recorder: Recorder,
}

/// Runs the controller for ever.
pub async fn run(context: Context) {
    let client = context.client("statefulset-controller");
    let controller = Arc::new(Controller {
        sets: context.caches.of(),
        pods: context.caches.of(),
        claims: context.caches.of(),
        revisions: context.caches.of(),
        recorder: Recorder::new(client.clone(), "statefulset-controller"),
        client,
    });
    controller.sets.ready().await;
    controller.pods.ready().await;
    controller.claims.ready().await;
    controller.revisions.ready().await;
    let queue = Queue::default();
    subscribe(&controller, &queue);
    coracle_client::run("statefulset", queue, 5, move |key| {
        let controller = controller.clone();
        async move { controller.reconcile(&key).await }
    })
    .await;
}

fn subscribe(controller: &Controller, queue: &Queue<Key>) {
    let own = queue.clone();
    controller
        .sets
        .on_change(move |set| own.add(key_of(&**set)));
    let (own, sets) = (queue.clone(), controller.sets.clone());
    controller.pods.on_transition(move |pod| {
        let namespace = pod.namespace().unwrap_or_default();
        if let Some(name) = controller_name(&**pod, "StatefulSet") {
            own.add(Key::new(namespace, name));
        } else if controller_of(&**pod).is_none() {
            // An orphan with the name of a pod of a set comes back to it.
            let name = pod.name_any();
            if let Some((set, _)) = name.rsplit_once('-')
                && sets.get(&namespace, set).is_some()
            {
                own.add(Key::new(namespace, set));
            }
        }
    });
    let (own, sets) = (queue.clone(), controller.sets.clone());
    let claims = controller.claims.clone();
    controller.claims.on_change(move |claim| {
        // A pod may wait for the end of the claim before its own, or miss it.
        let namespace = claim.namespace().unwrap_or_default();
        let name = claim.name_any();
        if claims.get(&namespace, &name).is_none() {
            let sets = sets.within(&namespace);
            let losers = sets.iter().filter(|set| identity::names_claim(set, &name));
            losers.for_each(|set| own.add(key_of(&**set)));
        }
    });
}

fn selector(set: &StatefulSet) -> Option<Selector> {
    let selector = Selector::try_from(set.spec.as_ref()?.selector.clone()).ok()?;
    (!selector.selects_all()).then_some(selector)
}

impl Controller {
    async fn reconcile(&self, key: &Key) -> Result<Outcome, kube::Error> {
        let Some(set) = self.sets.of(key) else {
            return Ok(Outcome::Done);
        };
        let Some(selector) = selector(&set) else {
            return Ok(Outcome::Done);
        };
        let owned = self.claim_pods(&set, &selector).await?;
        let revisions = self.history(&set).await?;
        let rules = Rules::of(&set);
        let now = Timestamp::now();
        let by_ordinal = plan::by_ordinal(&key.name, &owned);
        let mut result = Ok(());
        if set.metadata.deletion_timestamp.is_none() {
            let actions = plan::plan(&rules, &by_ordinal, &revisions.update.name_any(), now);
            result = self.perform(&set, &rules, &revisions, actions).await;
            if result.is_ok() {
                let settled = plan::settled(&rules, &by_ordinal, now);
                result = self.repair(&set, &settled).await;
            }
            if result.is_ok() {
                result = self.keep_claims(&set, &rules, &by_ordinal).await;
            }
        }
        self.write_status(&set, &rules, &revisions, &owned, now)
            .await?;
        self.forget(&set, &revisions, &owned).await?;
        result?;
        Ok(next_availability(&rules, &owned, now))
    }

    /// Returns the pods of the set: those that it selects and that carry its name.
    async fn claim_pods(
        &self,
        set: &StatefulSet,
        selector: &Selector,
    ) -> Result<Vec<Arc<Pod>>, kube::Error> {
        let claim = Claim {
            api: self.pod_api(set),
            cache: &self.pods,
            owner: set,
            finalizer: None,
        };
        let name = set.name_any();
        let is_member = |pod: &Pod| {
            selector.matches(pod.labels()) && identity::ordinal(&name, &pod.name_any()).is_some()
        };
        claim.children(is_member, |_| true).await
    }

    async fn history(&self, set: &StatefulSet) -> Result<History, kube::Error> {
        let spec = set.spec.clone().unwrap_or_default();
        let status = set.status.clone().unwrap_or_default();
        let known = self.revisions.controlled_by(&set.uid().unwrap_or_default());
        history::find(
            &self.client,
            set,
            Naming::Data,
            &spec.template,
            known,
            status.current_revision.as_deref(),
            status.collision_count,
        )
        .await
    }

    async fn forget(
        &self,
        set: &StatefulSet,
        history: &History,
        owned: &[Arc<Pod>],
    ) -> Result<(), kube::Error> {
        let limit = set
            .spec
            .as_ref()
            .and_then(|spec| spec.revision_history_limit);
        let live = |revision: &ControllerRevision| {
            let name = revision.name_any();
            owned.iter().any(|pod| identity::revision(pod) == name)
        };
        history
            .forget(&self.client, limit.unwrap_or(10), live)
            .await
    }

    fn pod_api(&self, set: &StatefulSet) -> Api<Pod> {
        Api::namespaced(self.client.clone(), &set.namespace().unwrap_or_default())
    }

    async fn write_status(
        &self,
        set: &StatefulSet,
        rules: &Rules,
        revisions: &History,
        owned: &[Arc<Pod>],
        now: Timestamp,
    ) -> Result<(), kube::Error> {
        let status = status(set, rules, revisions, owned, now);
        if set.status.as_ref() == Some(&status) {
            return Ok(());
        }
        let mut changed = set.clone();
        changed.status = Some(status);
        let api: Api<StatefulSet> =
            Api::namespaced(self.client.clone(), &set.namespace().unwrap_or_default());
        match api
            .replace_status(&set.name_any(), &PostParams::default(), &changed)
            .await
        {
            Err(error) if !coracle_client::is_not_found(&error) => Err(error),
            _ => Ok(()),
        }
    }
}

/// Returns the status that the pods amount to (upstream: updateStatus,
/// completeRollingUpdate).
fn status(
    set: &StatefulSet,
    rules: &Rules,
    revisions: &History,
    owned: &[Arc<Pod>],
    now: Timestamp,
) -> StatefulSetStatus {
    let old = set.status.clone().unwrap_or_default();
    let count = |test: &dyn Fn(&Pod) -> bool| owned.iter().filter(|pod| test(pod)).count() as i32;
    let of = |revision: &ControllerRevision| {
        let name = revision.name_any();
        count(&|pod| identity::revision(pod) == name && pod.metadata.deletion_timestamp.is_none())
    };
    let (mut current, updated) = (of(&revisions.current), of(&revisions.update));
    let ready = count(&plan::is_ready);
    let mut current_revision = revisions.current.name_any();
    let total = owned.len() as i32;
    let whole = |number: i32| number == rules.replicas;
    if !rules.on_delete && whole(updated) && whole(ready) && whole(total) {
        current = updated;
        current_revision = revisions.update.name_any();
    }
    let nonzero = |count: i32| (count != 0).then_some(count);
    StatefulSetStatus {
        replicas: total,
        ready_replicas: nonzero(ready),
        available_replicas: Some(count(&|pod| plan::is_available(pod, rules, now))),
        current_replicas: nonzero(current),
        updated_replicas: nonzero(updated),
        current_revision: Some(current_revision),
        update_revision: Some(revisions.update.name_any()),
        collision_count: Some(revisions.collisions.unwrap_or(0)),
        observed_generation: set.metadata.generation,
        conditions: old.conditions,
    }
}

/// Returns when a ready pod becomes available, if one has yet to.
fn next_availability(rules: &Rules, owned: &[Arc<Pod>], now: Timestamp) -> Outcome {
    let waiting = owned
        .iter()
        .any(|pod| plan::is_ready(pod) && !plan::is_available(pod, rules, now));
    if waiting {
        let seconds = rules.min_ready_seconds.unsigned_abs();
        Outcome::Again(Duration::from_secs(seconds.into()))
    } else {
        Outcome::Done
    }
}
