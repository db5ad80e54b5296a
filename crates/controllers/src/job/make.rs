//! How many pods a job has now, and the making of one
//! (upstream: job_controller.go, manageJob).

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use coracle_client::Severity;
use futures::future::join_all;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{EnvVar, EnvVarSource, ObjectFieldSelector, Pod};
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use kube::api::PostParams;

use super::indexes::{self, INDEX, Indexes};
use super::tally::{self, FINALIZER, INDEX_FAILURES, Tally, is_indexed};
use super::{Controller, Managed, failure, finish};
use crate::pods;
use crate::template::{message, pod_from};

/// How many pods are made or removed in one reconciliation at most.
const BURST: usize = 500;

/// Returns how many pods are to be active now.
fn wanted(job: &Job, tally: &Tally) -> usize {
    if finish::is_suspended(job) {
        return 0;
    }
    let Some(spec) = &job.spec else {
        return 0;
    };
    let parallelism = spec.parallelism.unwrap_or(1);
    let count = match spec.completions {
        // The first success says that the work is done; the others finish.
        None if tally.succeeded > 0 => tally.active.len() as i32,
        None => parallelism,
        Some(completions) => {
            let failed = tally.failed_indexes.len() as i32;
            parallelism.min(completions - tally.succeeded - failed)
        }
    };
    usize::try_from(count).unwrap_or(0)
}

/// Returns the lowest indexes that nobody works on.
fn free_indexes(job: &Job, tally: &Tally, pods: &[Arc<Pod>], count: usize) -> Vec<i32> {
    let total = job
        .spec
        .as_ref()
        .and_then(|spec| spec.completions)
        .unwrap_or(0);
    let busy: Indexes = pods
        .iter()
        .filter(|pod| {
            pods::is_active(pod) || pods::is_terminating(pod) && !failure::is_failed(job, pod)
        })
        .filter_map(|pod| indexes::of(pod))
        .collect();
    let free = |index: &i32| {
        !busy.contains(index)
            && !tally.completed.contains(index)
            && !tally.failed_indexes.contains(index)
    };
    (0..total).filter(free).take(count).collect()
}

/// Returns the active pods that are too many: those above the number, and those
/// that work on the same index as another or on one that is done.
fn surplus(job: &Job, tally: &Tally, wanted: usize) -> Vec<Arc<Pod>> {
    let mut active = tally.active.clone();
    active.sort_by_key(|pod| pods::deletion_rank(pod));
    let mut gone: Vec<Arc<Pod>> = Vec::new();
    if is_indexed(job) {
        let mut seen = BTreeSet::new();
        let mut keep = Vec::new();
        // The last in the order of deletion is the one worth keeping.
        for pod in active.into_iter().rev() {
            let fresh = indexes::of(&pod)
                .is_some_and(|index| !tally.completed.contains(&index) && seen.insert(index));
            if fresh {
                keep.push(pod);
            } else {
                gone.push(pod);
            }
        }
        keep.reverse();
        active = keep;
    }
    let more = active.len().saturating_sub(wanted);
    gone.extend(active.into_iter().take(more));
    gone.truncate(BURST);
    gone
}

/// Returns the pod that the job's template describes.
fn pod_of(job: &Job, index: Option<(i32, i32)>) -> Pod {
    let template = job.spec.clone().unwrap_or_default().template;
    let mut pod = pod_from(&template, job);
    pod.finalizers_mut().push(FINALIZER.into());
    let Some((index, failures)) = index else {
        return pod;
    };
    let base = format!("{}-{index}", job.name_any());
    pod.metadata.generate_name = Some(format!("{base}-"));
    pod.labels_mut().insert(INDEX.into(), index.to_string());
    let annotations = pod.annotations_mut();
    annotations.insert(INDEX.into(), index.to_string());
    if tally::limit_per_index(job).is_some() {
        annotations.insert(INDEX_FAILURES.into(), failures.to_string());
    }
    let spec = pod.spec.get_or_insert_default();
    spec.hostname.get_or_insert(base);
    let init = spec.init_containers.iter_mut().flatten();
    for container in init.chain(&mut spec.containers) {
        let env = container.env.get_or_insert_default();
        if !env.iter().any(|one| one.name == "JOB_COMPLETION_INDEX") {
            env.push(index_variable());
        }
    }
    pod
}

/// Returns the pods to be made now, and when to look again if some have to wait
/// after a failure.
fn due(
    job: &Job,
    tally: &Tally,
    pods: &[Arc<Pod>],
    missing: usize,
    at: Timestamp,
) -> (Vec<Pod>, Option<Duration>) {
    let per_index = tally::limit_per_index(job).is_some();
    if !per_index && let Some(wait) = failure::backoff(job, pods, at) {
        return (Vec::new(), Some(wait));
    }
    if !is_indexed(job) {
        return (vec![pod_of(job, None); missing], None);
    }
    let (mut new, mut waits) = (Vec::new(), Vec::new());
    for index in free_indexes(job, tally, pods, missing) {
        let failures = tally::failures_of_index(job, pods, index);
        let wait = failure::backoff_of_index(job, pods, index, failures, at);
        match wait.filter(|_| per_index) {
            Some(wait) => waits.push(wait),
            None => new.push(pod_of(job, Some((index, failures)))),
        }
    }
    (new, waits.into_iter().min())
}

fn index_variable() -> EnvVar {
    EnvVar {
        name: "JOB_COMPLETION_INDEX".into(),
        value: None,
        value_from: Some(EnvVarSource {
            field_ref: Some(ObjectFieldSelector {
                api_version: None,
                field_path: format!("metadata.labels['{INDEX}']"),
            }),
            ..Default::default()
        }),
    }
}

impl Controller {
    /// Makes or removes pods until as many are active as there are to be.
    pub(super) async fn manage(
        &self,
        job: &Job,
        tally: &Tally,
        pods: &[Arc<Pod>],
        at: Timestamp,
    ) -> Result<Managed, kube::Error> {
        let active = tally.active.len();
        let unchanged = |again| Managed {
            active: active as i32,
            again,
        };
        if job.metadata.deletion_timestamp.is_some() {
            return Ok(unchanged(None));
        }
        let wanted = wanted(job, tally);
        let surplus = surplus(job, tally, wanted);
        if !surplus.is_empty() {
            // Without the finalizer they are not counted: to be too many is no
            // failure (upstream: deleteJobPods).
            self.release(&surplus).await?;
            self.delete(job, &surplus).await?;
            return Ok(Managed {
                active: (active - surplus.len()) as i32,
                again: None,
            });
        }
        // Only pods that have really ended are replaced, if the policy says so.
        let only_ended = job
            .spec
            .as_ref()
            .is_some_and(|spec| spec.pod_replacement_policy.as_deref() == Some("Failed"));
        let going = if only_ended {
            usize::try_from(tally.terminating).unwrap_or(0)
        } else {
            0
        };
        let missing = wanted.saturating_sub(active + going).min(BURST);
        if missing == 0 {
            return Ok(unchanged(None));
        }
        let (new, again) = due(job, tally, pods, missing, at);
        self.create(job, &new).await?;
        Ok(Managed {
            active: (active + new.len()) as i32,
            again,
        })
    }

    /// Makes pods in batches that double, so that a template which the API
    /// refuses costs few requests.
    async fn create(&self, job: &Job, new: &[Pod]) -> Result<(), kube::Error> {
        let (mut rest, mut batch) = (new, 1);
        while !rest.is_empty() {
            let (now, later) = rest.split_at(batch.min(rest.len()));
            let results = join_all(now.iter().map(|pod| self.create_one(job, pod))).await;
            results.into_iter().collect::<Result<Vec<()>, _>>()?;
            (rest, batch) = (later, batch * 2);
        }
        Ok(())
    }

    async fn create_one(&self, job: &Job, pod: &Pod) -> Result<(), kube::Error> {
        let api = self.pod_api(job.namespace());
        match api.create(&PostParams::default(), pod).await {
            Ok(pod) => {
                let name = pod.name_any();
                self.expectations.created(job, &name);
                let text = format!("Created pod: {name}");
                self.recorder
                    .event(job, Severity::Normal, "SuccessfulCreate", text);
                Ok(())
            }
            Err(error) => {
                let text = format!("Error creating: {}", message(&error));
                self.recorder
                    .event(job, Severity::Warning, "FailedCreate", text);
                Err(error)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn job(spec: Value) -> Job {
        let mut full = json!({"template": {"spec": {"containers": [{"name": "c"}]}}});
        for (key, value) in spec.as_object().expect("a mapping") {
            full[key.as_str()] = value.clone();
        }
        serde_json::from_value(json!({"metadata": {"name": "work", "uid": "1"}, "spec": full}))
            .expect("a job")
    }

    fn active(indexes: &[i32]) -> Vec<Arc<Pod>> {
        let pod = |(place, index): (usize, &i32)| {
            let value = json!({"metadata": {
                "name": format!("p{place}"), "annotations": {INDEX: index.to_string()},
            }});
            Arc::new(serde_json::from_value(value).expect("a pod"))
        };
        indexes.iter().enumerate().map(pod).collect()
    }

    /// Upstream: job_controller_test.go, TestControllerSyncJob.
    #[test]
    fn as_many_pods_run_as_are_left_to_do() {
        let check = |spec: Value, succeeded, running: usize, expected| {
            let tally = Tally {
                succeeded,
                active: active(&vec![0; running]),
                ..Tally::default()
            };
            assert_eq!(wanted(&job(spec.clone()), &tally), expected, "{spec}");
        };
        check(json!({"parallelism": 2, "completions": 5}), 0, 0, 2);
        check(json!({"parallelism": 2, "completions": 5}), 4, 0, 1);
        check(json!({"parallelism": 2, "completions": 5}), 5, 0, 0);
        check(json!({"parallelism": 2}), 0, 0, 2);
        check(json!({"parallelism": 2}), 1, 1, 1);
        check(json!({"parallelism": 2, "suspend": true}), 0, 2, 0);
    }

    #[test]
    fn an_index_has_one_pod() {
        let indexed = job(json!({"completionMode": "Indexed", "completions": 6, "parallelism": 4}));
        let tally = Tally {
            active: active(&[0, 2, 2, 3]),
            completed: Indexes::from([1, 3]),
            ..Tally::default()
        };
        let gone: Vec<Option<i32>> = surplus(&indexed, &tally, 4)
            .iter()
            .map(|pod| indexes::of(pod))
            .collect();
        assert_eq!(gone, [Some(3), Some(2)]);
        assert_eq!(free_indexes(&indexed, &tally, &tally.active, 2), [4, 5]);
    }

    #[test]
    fn a_pod_knows_its_index() {
        let indexed =
            job(json!({"completionMode": "Indexed", "completions": 2, "backoffLimitPerIndex": 1}));
        let pod = serde_json::to_value(pod_of(&indexed, Some((1, 2)))).expect("JSON");
        assert_eq!(pod["metadata"]["generateName"], "work-1-");
        assert_eq!(pod["metadata"]["labels"][INDEX], "1");
        assert_eq!(pod["metadata"]["annotations"][INDEX_FAILURES], "2");
        assert_eq!(pod["metadata"]["finalizers"], json!([FINALIZER]));
        assert_eq!(pod["spec"]["hostname"], "work-1");
        assert_eq!(
            pod["spec"]["containers"][0]["env"][0]["name"],
            "JOB_COMPLETION_INDEX"
        );
    }
}
