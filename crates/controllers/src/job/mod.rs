//! Jobs: pods that run to their end, counted until there are enough
//! (upstream: pkg/controller/job).
//!
//! `tally` counts, `failure` judges failed pods, `finish` decides the end;
//! here is the loop that makes and removes pods.

mod failure;
mod finish;
mod indexes;
mod make;
mod tally;
mod ttl;

use std::sync::Arc;
use std::time::Duration;

use coracle_client::{Cache, Key, Outcome, Queue, Recorder, Severity, key_of};
use futures::future::join_all;
use k8s_openapi::api::batch::v1::{Job, JobStatus};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::Timestamp;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::core::{Selector, SelectorExt};
use kube::{Api, Client, ResourceExt};
use serde_json::json;

use crate::context::Context;
use crate::expectations::{Expectations, OwnWrites, PATIENCE};
use crate::owner::{Claim, controller_of};
use crate::pods;
use crate::template::message;
use finish::End;
use tally::Tally;

struct Controller {
    client: Client,
    jobs: Cache<Job>,
    pods: Cache<Pod>,
    recorder: Recorder,
    expectations: Arc<Expectations>,
    writes: OwnWrites,
}

/// Runs the controllers of jobs for ever.
pub async fn run(context: Context) {
    let client = context.client("job-controller");
    let controller = Arc::new(Controller {
        jobs: context.caches.of(),
        pods: context.caches.of(),
        recorder: Recorder::new(client.clone(), "job-controller"),
        client,
        expectations: Arc::default(),
        writes: OwnWrites::default(),
    });
    controller.jobs.ready().await;
    controller.pods.ready().await;
    let (queue, orphans) = (Queue::default(), Queue::default());
    subscribe(&controller, &queue, &orphans);
    let own = controller.clone();
    let working = coracle_client::run("job", queue, 5, move |key| {
        let controller = own.clone();
        async move { controller.reconcile(&key).await }
    });
    let releasing = coracle_client::run("job-orphans", orphans, 1, move |key| {
        let controller = controller.clone();
        async move { controller.release_orphan(&key).await }
    });
    tokio::join!(working, releasing, ttl::run(context));
}

fn subscribe(controller: &Controller, queue: &Queue<Key>, orphans: &Queue<Key>) {
    let (own, pods, lost) = (queue.clone(), controller.pods.clone(), orphans.clone());
    let jobs = controller.jobs.clone();
    controller.jobs.on_change(move |job| {
        own.add(key_of(&**job));
        if jobs.of(&key_of(&**job)).is_none() {
            for pod in pods.controlled_by(&job.uid().unwrap_or_default()) {
                if tally::is_tracked(&pod) {
                    lost.add(key_of(&*pod));
                }
            }
        }
    });
    let (own, lost) = (queue.clone(), orphans.clone());
    let (jobs, expectations) = (controller.jobs.clone(), controller.expectations.clone());
    controller.pods.on_transition(move |pod| {
        expectations.seen(&**pod);
        let namespace = pod.namespace().unwrap_or_default();
        let owner = controller_of(&**pod).filter(|owner| owner.kind == "Job");
        match owner.and_then(|owner| jobs.get(&namespace, &owner.name)) {
            Some(job) => own.add(key_of(&*job)),
            None if tally::is_tracked(pod) => lost.add(key_of(&**pod)),
            None => {}
        }
    });
}

/// Returns whether this controller is to look after a job (KEP-4368).
fn is_own(job: &Job) -> bool {
    let manager = job
        .spec
        .as_ref()
        .and_then(|spec| spec.managed_by.as_deref());
    manager.is_none_or(|manager| manager == "kubernetes.io/job-controller")
}

/// The pods of a job after a reconciliation made or removed some.
struct Managed {
    active: i32,
    again: Option<Duration>,
}

impl Controller {
    async fn reconcile(&self, key: &Key) -> Result<Outcome, kube::Error> {
        let Some(job) = self.jobs.of(key).filter(|job| is_own(job)) else {
            return Ok(Outcome::Done);
        };
        if !self.writes.are_in(key, &*job) {
            return Ok(Outcome::Done);
        }
        // Asked before the pods are counted: what comes after is counted as well.
        let find = |name: &str| self.pods.get(&key.namespace, name);
        let is_current = self.expectations.are_met(&*job, find);
        let mut status = job.status.clone().unwrap_or_default();
        let owned = self.claim(&job).await?;
        if finish::ended(&status).is_some() {
            self.release(&owned).await?;
            return Ok(Outcome::Done);
        }
        let at = Timestamp::now();
        let told = finish::suspension(&job, &mut status);
        let tally = tally::count(&job, &mut status, &owned);
        let end = finish::decide(&job, &status, &tally, at);
        let managed = match &end {
            Some(end) => {
                finish::target(&mut status, end);
                self.delete(&job, &tally.active).await?;
                Some(Managed {
                    active: 0,
                    again: None,
                })
            }
            None if is_current => Some(self.manage(&job, &tally, &owned, at).await?),
            // The last counts are truer than those without the newest pods.
            None => None,
        };
        let gone = is_current && tally.active.is_empty() && tally.terminating == 0;
        let over = gone && tally.counted.is_empty() && tally::is_settled(&status);
        let ended = end.filter(|_| over);
        if let Some(end) = &ended {
            finish::end(&mut status, end);
        }
        if let Some(managed) = &managed {
            counts(&mut status, &tally, managed.active);
        }
        self.write_status(&job, status.clone()).await?;
        let succeeded = status.succeeded.unwrap_or(0);
        self.tell(&job, told, ended.as_ref(), succeeded);
        self.release(&tally.counted).await?;
        let deadline = finish::until_deadline(&job, &status, at).filter(|_| ended.is_none());
        let again = managed.and_then(|managed| managed.again);
        let unseen = (!is_current).then_some(PATIENCE);
        let again = again.into_iter().chain(deadline).chain(unseen).min();
        Ok(again.map_or(Outcome::Done, Outcome::Again))
    }

    fn tell(&self, job: &Job, told: Option<(&str, &str)>, ended: Option<&End>, succeeded: i32) {
        if let Some((reason, text)) = told {
            self.recorder.event(job, Severity::Normal, reason, text);
        }
        match ended {
            Some(end) if end.success => {
                let wanted = job.spec.as_ref().and_then(|spec| spec.completions);
                if wanted.is_some_and(|wanted| succeeded > wanted) {
                    let text = "Too many succeeded pods running after completion count reached";
                    self.recorder
                        .event(job, Severity::Warning, "TooManySucceededPods", text);
                }
                self.recorder
                    .event(job, Severity::Normal, "Completed", "Job completed");
            }
            Some(end) => {
                self.recorder
                    .event(job, Severity::Warning, &end.reason, end.message.clone());
            }
            None => {}
        }
    }

    /// Returns the pods of the job.
    async fn claim(&self, job: &Job) -> Result<Vec<Arc<Pod>>, kube::Error> {
        let selector = job.spec.as_ref().and_then(|spec| spec.selector.clone());
        let selector = selector
            .and_then(|selector| Selector::try_from(selector).ok())
            .filter(|selector| !selector.selects_all());
        let claim = Claim {
            api: self.pod_api(job.namespace()),
            cache: &self.pods,
            owner: job,
            finalizer: Some(tally::FINALIZER),
        };
        let selected = |pod: &Pod| {
            let labels = pod.labels();
            selector.as_ref().is_some_and(|own| own.matches(labels))
        };
        claim.children(selected, |_| true).await
    }

    fn pod_api(&self, namespace: Option<String>) -> Api<Pod> {
        Api::namespaced(self.client.clone(), &namespace.unwrap_or_default())
    }

    async fn patch(&self, pod: &Pod, patch: &serde_json::Value) -> Result<(), kube::Error> {
        let result = self
            .pod_api(pod.namespace())
            .patch(
                &pod.name_any(),
                &PatchParams::default(),
                &Patch::Merge(patch),
            )
            .await;
        match result {
            Err(error) if !coracle_client::is_not_found(&error) => Err(error),
            _ => Ok(()),
        }
    }

    /// Takes the finalizer off pods; the status has counted them.
    async fn release(&self, pods: &[Arc<Pod>]) -> Result<(), kube::Error> {
        let tracked = pods.iter().filter(|pod| tally::is_tracked(pod));
        let releases = tracked.map(|pod| async {
            let left: Vec<&String> = pod
                .finalizers()
                .iter()
                .filter(|one| *one != tally::FINALIZER)
                .collect();
            let patch = json!({"metadata": {
                "uid": pod.uid(), "resourceVersion": pod.resource_version(), "finalizers": left,
            }});
            self.patch(pod, &patch).await
        });
        join_all(releases).await.into_iter().collect()
    }

    /// Lets a pod go whose job is gone.
    async fn release_orphan(&self, key: &Key) -> Result<Outcome, kube::Error> {
        let Some(pod) = self.pods.of(key).filter(|pod| tally::is_tracked(pod)) else {
            return Ok(Outcome::Done);
        };
        if let Some(owner) = controller_of(&*pod)
            && owner.kind == "Job"
        {
            let api: Api<Job> = Api::namespaced(self.client.clone(), &key.namespace);
            let job = api.get_opt(&owner.name).await?;
            if job.is_some_and(|job| job.metadata.uid.as_ref() == Some(&owner.uid)) {
                return Ok(Outcome::Done);
            }
        }
        self.release(&[pod]).await?;
        Ok(Outcome::Done)
    }

    async fn delete(&self, job: &Job, pods: &[Arc<Pod>]) -> Result<(), kube::Error> {
        let api = self.pod_api(job.namespace());
        let deletions = pods.iter().map(|pod| async {
            let name = pod.name_any();
            let params = DeleteParams::default().preconditions(Preconditions {
                uid: pod.uid(),
                resource_version: None,
            });
            match api.delete(&name, &params).await {
                Ok(_) => {
                    self.expectations.deleted(job, &name);
                    let text = format!("Deleted pod: {name}");
                    self.recorder
                        .event(job, Severity::Normal, "SuccessfulDelete", text);
                    Ok(())
                }
                Err(error) if coracle_client::is_not_found(&error) => {
                    self.expectations.deleted(job, &name);
                    Ok(())
                }
                Err(error) => {
                    let text = format!("Error deleting: {}", message(&error));
                    self.recorder
                        .event(job, Severity::Warning, "FailedDelete", text);
                    Err(error)
                }
            }
        });
        join_all(deletions).await.into_iter().collect()
    }

    async fn write_status(&self, job: &Job, status: JobStatus) -> Result<(), kube::Error> {
        if job.status.as_ref() == Some(&status) {
            return Ok(());
        }
        let mut changed = job.clone();
        changed.status = Some(status);
        let api: Api<Job> =
            Api::namespaced(self.client.clone(), &job.namespace().unwrap_or_default());
        match api
            .replace_status(&job.name_any(), &PostParams::default(), &changed)
            .await
        {
            Ok(written) => {
                self.writes.note(&key_of(job), &written);
                Ok(())
            }
            Err(error) if coracle_client::is_not_found(&error) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// Puts the counts of pods that have not ended into the status.
fn counts(status: &mut JobStatus, tally: &Tally, active: i32) {
    let ready = tally
        .active
        .iter()
        .filter(|pod| pods::is_ready(pod))
        .count() as i32;
    status.active = (active != 0).then_some(active);
    status.ready = Some(ready.min(active));
    status.terminating = Some(tally.terminating);
}
