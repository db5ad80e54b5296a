//! DaemonSets: one pod on every node that fits
//! (upstream: pkg/controller/daemon).
//!
//! `nodes` decides where, `ended` how soon a pod that failed is replaced, `plan`
//! what comes and goes, the rolling update included; here is the loop.

mod ended;
mod nodes;
mod plan;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use coracle_client::{Cache, Key, Outcome, Queue, Recorder, Severity, key_of};
use futures::future::join_all;
use k8s_openapi::api::apps::v1::{ControllerRevision, DaemonSet, DaemonSetStatus};
use k8s_openapi::api::core::v1::{Node, Pod};
use k8s_openapi::jiff::Timestamp;
use kube::api::{DeleteParams, PostParams, Preconditions};
use kube::core::{Selector, SelectorExt};
use kube::{Api, Client, ResourceExt};
use tokio::time::Instant;

use crate::context::Context;
use crate::expectations::{Expectations, PATIENCE};
use crate::history::{self, History, Naming};
use crate::owner::{Claim, controller_name};
use crate::pods;
use crate::template::{message, pod_from};
use ended::Failures;
use nodes::Place;
use plan::{ByNode, Plan, min_ready_seconds};

/// Label with the hash of the revision that a pod was made from.
const REVISION: &str = "controller-revision-hash";

struct Controller {
    client: Client,
    sets: Cache<DaemonSet>,
    pods: Cache<Pod>,
    nodes: Cache<Node>,
    revisions: Cache<ControllerRevision>,
    recorder: Recorder,
    expectations: Arc<Expectations>,
    failures: Failures,
}

/// Runs the controller for ever.
pub async fn run(context: Context) {
    let client = context.client("daemon-set-controller");
    let controller = Arc::new(Controller {
        sets: context.caches.of(),
        pods: context.caches.of(),
        nodes: context.caches.of(),
        revisions: context.caches.of(),
        recorder: Recorder::new(client.clone(), "daemonset-controller"),
        client,
        expectations: Arc::default(),
        failures: Failures::default(),
    });
    controller.sets.ready().await;
    controller.pods.ready().await;
    controller.nodes.ready().await;
    controller.revisions.ready().await;
    let queue: Queue<Key> = Queue::default();
    let own = queue.clone();
    controller
        .sets
        .on_change(move |set| own.add(key_of(&**set)));
    let (own, sets) = (queue.clone(), controller.sets.clone());
    controller
        .nodes
        .on_change(move |_| sets.all().iter().for_each(|set| own.add(key_of(&**set))));
    let (own, expectations) = (queue.clone(), controller.expectations.clone());
    controller.pods.on_transition(move |pod| {
        expectations.seen(&**pod);
        if let Some(name) = controller_name(&**pod, "DaemonSet") {
            own.add(Key::new(pod.namespace().unwrap_or_default(), name));
        }
    });
    coracle_client::run("daemonset", queue, 2, move |key| {
        let controller = controller.clone();
        async move { controller.reconcile(&key).await }
    })
    .await;
}

impl Controller {
    async fn reconcile(&self, key: &Key) -> Result<Outcome, kube::Error> {
        let Some(set) = self.sets.of(key) else {
            return Ok(Outcome::Done);
        };
        // Asked before the pods are counted: what comes after is counted as well.
        let find = |name: &str| self.pods.get(&key.namespace, name);
        let is_current = self.expectations.are_met(&*set, find);
        let owned = self.claim(&set).await?;
        let history = self.history(&set).await?;
        let revision = history.update.labels().get(REVISION).cloned();
        let revision = revision.unwrap_or_default();
        let places: BTreeMap<String, Place> = self
            .nodes
            .all()
            .iter()
            .map(|node| (node.name_any(), nodes::place(&set, node)))
            .collect();
        let mut by_node = ByNode::new();
        for pod in &owned {
            if let Some(node) = nodes::node_of(pod) {
                by_node.entry(node).or_default().push(pod.clone());
            }
        }
        let now = Timestamp::now();
        let (mut result, mut held) = (Ok(()), None);
        if set.metadata.deletion_timestamp.is_none() && is_current {
            let mut plan = plan::plan(&set, &places, &by_node, &revision, now);
            held = self.hold_back(&set, &mut plan);
            result = self.perform(&set, plan, &revision).await;
        }
        let status = status(&set, &places, &by_node, &revision, now);
        self.write_status(&set, status).await?;
        self.forget(&set, &history, &owned).await?;
        result?;
        let unseen = (!is_current).then_some(PATIENCE);
        let later = next_availability(&set, &owned, now).into_iter();
        let later = later.chain(held).chain(unseen);
        Ok(later.min().map_or(Outcome::Done, Outcome::Again))
    }

    /// Keeps pods that failed again too soon; returns when the first may go.
    fn hold_back(&self, set: &DaemonSet, plan: &mut Plan) -> Option<Duration> {
        let (now, mut first) = (Instant::now(), None);
        plan.ended.retain(|pod| {
            let node = nodes::node_of(pod).unwrap_or_default();
            if !ended::has_failed(pod) {
                return true;
            }
            let delay = self.failures.delay(set, &node, now);
            if !delay.is_zero() {
                first = Some(first.map_or(delay, |first: Duration| first.min(delay)));
            }
            delay.is_zero()
        });
        first
    }

    /// Returns the pods of the set.
    async fn claim(&self, set: &DaemonSet) -> Result<Vec<Arc<Pod>>, kube::Error> {
        let selector = set.spec.as_ref().map(|spec| spec.selector.clone());
        let selector = selector
            .and_then(|selector| Selector::try_from(selector).ok())
            .filter(|selector| !selector.selects_all());
        let claim = Claim {
            api: self.pod_api(set),
            cache: &self.pods,
            owner: set,
            finalizer: None,
        };
        let selected = |pod: &Pod| {
            let labels = pod.labels();
            selector.as_ref().is_some_and(|own| own.matches(labels))
        };
        claim.children(selected, |_| true).await
    }

    async fn history(&self, set: &DaemonSet) -> Result<History, kube::Error> {
        let spec = set.spec.clone().unwrap_or_default();
        let status = set.status.clone().unwrap_or_default();
        let known = self.revisions.controlled_by(&set.uid().unwrap_or_default());
        history::find(
            &self.client,
            set,
            Naming::Template,
            &spec.template,
            known,
            None,
            status.collision_count,
        )
        .await
    }

    async fn forget(
        &self,
        set: &DaemonSet,
        history: &History,
        owned: &[Arc<Pod>],
    ) -> Result<(), kube::Error> {
        let limit = set
            .spec
            .as_ref()
            .and_then(|spec| spec.revision_history_limit);
        let live = |revision: &ControllerRevision| {
            let hash = revision.labels().get(REVISION);
            owned.iter().any(|pod| pod.labels().get(REVISION) == hash)
        };
        history
            .forget(&self.client, limit.unwrap_or(10), live)
            .await
    }

    fn pod_api(&self, set: &DaemonSet) -> Api<Pod> {
        Api::namespaced(self.client.clone(), &set.namespace().unwrap_or_default())
    }

    async fn perform(
        &self,
        set: &DaemonSet,
        plan: Plan,
        revision: &str,
    ) -> Result<(), kube::Error> {
        for pod in &plan.ended {
            let node = nodes::node_of(pod).unwrap_or_default();
            let (severity, reason, text) = ended::event(pod, &node);
            self.recorder.event(set, severity, reason, text);
        }
        let gone = plan.delete.iter().chain(&plan.ended);
        let deletions = gone.map(|pod| self.delete(set, pod));
        let deleted: Result<Vec<()>, _> = join_all(deletions).await.into_iter().collect();
        let creations = plan
            .create
            .iter()
            .map(|node| self.create(set, node, revision));
        let created: Result<Vec<()>, _> = join_all(creations).await.into_iter().collect();
        deleted.and(created).map(drop)
    }

    async fn create(&self, set: &DaemonSet, node: &str, revision: &str) -> Result<(), kube::Error> {
        let template = set.spec.clone().unwrap_or_default().template;
        let mut pod = pod_from(&template, set);
        pod.labels_mut().insert(REVISION.into(), revision.into());
        if let Some(generation) = set.annotations().get(TEMPLATE_GENERATION) {
            pod.labels_mut()
                .insert("pod-template-generation".into(), generation.clone());
        }
        let spec = pod.spec.get_or_insert_default();
        nodes::tolerate(spec);
        nodes::pin(spec, node);
        match self.pod_api(set).create(&PostParams::default(), &pod).await {
            Ok(pod) => {
                let name = pod.name_any();
                self.expectations.created(set, &name);
                let text = format!("Created pod: {name}");
                self.recorder
                    .event(set, Severity::Normal, "SuccessfulCreate", text);
                Ok(())
            }
            Err(error) => {
                let text = format!("Error creating: {}", message(&error));
                self.recorder
                    .event(set, Severity::Warning, "FailedCreate", text);
                Err(error)
            }
        }
    }

    async fn delete(&self, set: &DaemonSet, pod: &Pod) -> Result<(), kube::Error> {
        let name = pod.name_any();
        let params = DeleteParams::default().preconditions(Preconditions {
            uid: pod.uid(),
            resource_version: None,
        });
        match self.pod_api(set).delete(&name, &params).await {
            Err(error) if !coracle_client::is_not_found(&error) => Err(error),
            _ => {
                self.expectations.deleted(set, &name);
                let text = format!("Deleted pod: {name}");
                self.recorder
                    .event(set, Severity::Normal, "SuccessfulDelete", text);
                Ok(())
            }
        }
    }

    async fn write_status(
        &self,
        set: &DaemonSet,
        status: DaemonSetStatus,
    ) -> Result<(), kube::Error> {
        if set.status.as_ref() == Some(&status) {
            return Ok(());
        }
        let mut changed = set.clone();
        changed.status = Some(status);
        let api: Api<DaemonSet> =
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

const TEMPLATE_GENERATION: &str = "deprecated.daemonset.template.generation";

/// Returns the status that nodes and pods amount to (upstream: updateDaemonSetStatus).
fn status(
    set: &DaemonSet,
    places: &BTreeMap<String, Place>,
    by_node: &ByNode,
    revision: &str,
    now: Timestamp,
) -> DaemonSetStatus {
    let old = set.status.clone().unwrap_or_default();
    let (mut desired, mut current, mut misplaced) = (0, 0, 0);
    let (mut ready, mut available, mut updated) = (0, 0, 0);
    for (node, place) in places {
        let pods = by_node.get(node).map(Vec::as_slice).unwrap_or_default();
        if *place != Place::Wanted {
            misplaced += i32::from(!pods.is_empty());
            continue;
        }
        desired += 1;
        let Some(pod) = pods
            .iter()
            .min_by_key(|pod| pod.metadata.creation_timestamp.clone())
        else {
            continue;
        };
        current += 1;
        ready += i32::from(pods::is_ready(pod));
        available += i32::from(pods::is_available(pod, min_ready_seconds(set), now));
        let of_revision = pod.labels().get(REVISION).map(String::as_str) == Some(revision);
        updated += i32::from(of_revision);
    }
    let nonzero = |count: i32| (count != 0).then_some(count);
    DaemonSetStatus {
        current_number_scheduled: current,
        desired_number_scheduled: desired,
        number_misscheduled: misplaced,
        number_ready: ready,
        number_available: nonzero(available),
        number_unavailable: nonzero(desired - available),
        updated_number_scheduled: nonzero(updated),
        observed_generation: set.metadata.generation,
        collision_count: old.collision_count,
        conditions: old.conditions,
    }
}

/// Returns when a ready pod becomes available, if one has yet to.
fn next_availability(set: &DaemonSet, owned: &[Arc<Pod>], now: Timestamp) -> Option<Duration> {
    let seconds = min_ready_seconds(set);
    let waiting = owned
        .iter()
        .any(|pod| pods::is_ready(pod) && !pods::is_available(pod, seconds, now));
    waiting.then(|| Duration::from_secs(seconds.unsigned_abs().into()))
}
