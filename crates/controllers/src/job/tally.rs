//! The count of a job's pods. Each finished pod is counted once: it is first
//! written down by uid, then let go by its finalizer, then moved into the sum
//! (Kubernetes: Jobs, job tracking with finalizers).

use std::collections::BTreeSet;
use std::sync::Arc;

use k8s_openapi::api::batch::v1::{Job, JobStatus};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;

use super::failure::{self, Verdict};
use super::indexes::{self, Indexes};
use crate::pods;

/// Holds a pod until it is counted.
pub const FINALIZER: &str = "batch.kubernetes.io/job-tracking";
/// Annotation with how often the pods of an index have failed before this one.
pub const INDEX_FAILURES: &str = "batch.kubernetes.io/job-index-failure-count";

/// What a job's pods amount to.
#[derive(Debug, Default)]
pub struct Tally {
    /// Pods that have not ended and are not being deleted.
    pub active: Vec<Arc<Pod>>,
    /// How many are being deleted and have not ended.
    pub terminating: i32,
    /// How many have succeeded in all.
    pub succeeded: i32,
    /// How many have failed in all.
    pub failed: i32,
    /// The indexes that are done.
    pub completed: Indexes,
    /// The indexes that have failed for good.
    pub failed_indexes: Indexes,
    /// Why the job has failed by its policy.
    pub fail_job: Option<String>,
    /// Pods that the status counts and whose finalizer can go.
    pub counted: Vec<Arc<Pod>>,
}

/// Returns whether the job's pods have indexes.
pub fn is_indexed(job: &Job) -> bool {
    let spec = job.spec.as_ref();
    spec.is_some_and(|spec| spec.completion_mode.as_deref() == Some("Indexed"))
}

/// Returns whether a pod is still to be counted.
pub fn is_tracked(pod: &Pod) -> bool {
    pod.finalizers().iter().any(|one| one == FINALIZER)
}

fn completions(job: &Job) -> Option<i32> {
    job.spec.as_ref()?.completions
}

/// Counts the pods and brings the job's status up to it.
pub fn count(job: &Job, status: &mut JobStatus, pods: &[Arc<Pod>]) -> Tally {
    settle(status, pods);
    let mut tally = Tally::default();
    let indexed = is_indexed(job);
    let most = completions(job).unwrap_or(0);
    let known = status.uncounted_terminated_pods.get_or_insert_default();
    let mut succeeded: BTreeSet<String> = known.succeeded.take().into_iter().flatten().collect();
    let mut failed: BTreeSet<String> = known.failed.take().into_iter().flatten().collect();
    tally.completed = indexes::parse(status.completed_indexes.as_deref().unwrap_or(""), most);
    tally.failed_indexes = indexes::parse(status.failed_indexes.as_deref().unwrap_or(""), most);
    for pod in pods {
        let uid = pod.uid().unwrap_or_default();
        if pods::is_active(pod) {
            tally.active.push(pod.clone());
            continue;
        }
        if pods::is_terminating(pod) {
            tally.terminating += 1;
        }
        if !is_tracked(pod) {
            continue;
        }
        if pods::phase(pod) == "Succeeded" {
            if !indexed {
                succeeded.insert(uid);
            } else if let Some(index) = indexes::of(pod).filter(|index| *index < most) {
                tally.completed.insert(index);
            }
            tally.counted.push(pod.clone());
        } else if failure::is_failed(job, pod) {
            let verdict = failure::judge(job, pod);
            fail_index(job, &mut tally, pod, &verdict);
            if let Verdict::FailJob(why) = &verdict {
                tally.fail_job.get_or_insert_with(|| why.clone());
            }
            if verdict != Verdict::Ignore {
                failed.insert(uid);
            }
            tally.counted.push(pod.clone());
        }
    }
    // What succeeded after all has not failed.
    tally.failed_indexes = &tally.failed_indexes - &tally.completed;
    tally.succeeded = if indexed {
        tally.completed.len() as i32
    } else {
        status.succeeded.unwrap_or(0) + succeeded.len() as i32
    };
    tally.failed = status.failed.unwrap_or(0) + failed.len() as i32;
    let some = |uids: BTreeSet<String>| (!uids.is_empty()).then(|| uids.into_iter().collect());
    known.succeeded = some(succeeded);
    known.failed = some(failed);
    if indexed {
        let done = &tally.completed;
        status.completed_indexes = (!done.is_empty()).then(|| indexes::format(done));
        status.succeeded = (tally.succeeded != 0).then_some(tally.succeeded);
        if limit_per_index(job).is_some() {
            status.failed_indexes = Some(indexes::format(&tally.failed_indexes));
        }
    }
    tally
}

/// Returns how often an index may fail, where each has a limit of its own.
pub fn limit_per_index(job: &Job) -> Option<i32> {
    job.spec.as_ref()?.backoff_limit_per_index
}

/// Returns how often the pods of this pod's index failed before it.
fn failures_before(pod: &Pod) -> i32 {
    let count = pod.annotations().get(INDEX_FAILURES);
    count.and_then(|count| count.parse().ok()).unwrap_or(0)
}

fn fail_index(job: &Job, tally: &mut Tally, pod: &Pod, verdict: &Verdict) {
    let (Some(limit), Some(index)) = (limit_per_index(job), indexes::of(pod)) else {
        return;
    };
    let exhausted = *verdict != Verdict::Ignore && failures_before(pod) >= limit;
    if *verdict == Verdict::FailIndex || exhausted {
        tally.failed_indexes.insert(index);
    }
}

/// Returns how often the pods of an index have failed, the ignored ones left out.
pub fn failures_of_index(job: &Job, pods: &[Arc<Pod>], index: i32) -> i32 {
    let of_index = pods.iter().filter(|pod| indexes::of(pod) == Some(index));
    of_index
        .filter(|pod| failure::is_failed(job, pod))
        .map(|pod| {
            let counts = failure::judge(job, pod) != Verdict::Ignore;
            failures_before(pod) + i32::from(counts)
        })
        .max()
        .unwrap_or(0)
}

/// Moves pods that were written down and let go into the sums.
fn settle(status: &mut JobStatus, pods: &[Arc<Pod>]) {
    let Some(known) = &mut status.uncounted_terminated_pods else {
        return;
    };
    let held = |uid: &String| {
        pods.iter()
            .any(|pod| pod.metadata.uid.as_ref() == Some(uid) && is_tracked(pod))
    };
    let move_into = |uids: &mut Option<Vec<String>>, sum: &mut Option<i32>| {
        let before = uids.take().unwrap_or_default();
        let total = before.len();
        let left: Vec<String> = before.into_iter().filter(|uid| held(uid)).collect();
        let moved = (total - left.len()) as i32;
        if moved > 0 {
            *sum = Some(sum.unwrap_or(0) + moved);
        }
        *uids = (!left.is_empty()).then_some(left);
    };
    move_into(&mut known.succeeded, &mut status.succeeded);
    move_into(&mut known.failed, &mut status.failed);
}

/// Returns whether every pod that was written down is in the sums.
pub fn is_settled(status: &JobStatus) -> bool {
    status
        .uncounted_terminated_pods
        .as_ref()
        .is_none_or(|known| known.succeeded.is_none() && known.failed.is_none())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn job(spec: Value) -> Job {
        let mut full = json!({"completions": 3, "template": {}});
        for (key, value) in spec.as_object().expect("a mapping") {
            full[key.as_str()] = value.clone();
        }
        serde_json::from_value(json!({"spec": full})).expect("a job")
    }

    fn pod(uid: &str, phase: &str, tracked: bool, index: Option<i32>) -> Arc<Pod> {
        let finalizers: &[&str] = if tracked { &[FINALIZER] } else { &[] };
        let annotations = match index {
            Some(index) => json!({indexes::INDEX: index.to_string()}),
            None => json!({}),
        };
        let value = json!({
            "metadata": {"name": uid, "uid": uid, "finalizers": finalizers, "annotations": annotations},
            "status": {"phase": phase},
        });
        Arc::new(serde_json::from_value(value).expect("a pod"))
    }

    #[test]
    fn a_pod_is_counted_once() {
        let job = job(json!({}));
        let mut status = JobStatus::default();
        let done = |tracked| {
            [
                pod("a", "Succeeded", tracked, None),
                pod("b", "Failed", tracked, None),
            ]
        };
        for _ in 0..2 {
            let tally = count(&job, &mut status, &done(true));
            assert_eq!(
                (tally.succeeded, tally.failed, tally.counted.len()),
                (1, 1, 2)
            );
            assert!(!is_settled(&status));
            assert_eq!(status.succeeded, None);
        }
        for pods in [done(false).to_vec(), Vec::new()] {
            let tally = count(&job, &mut status, &pods);
            assert_eq!(
                (tally.succeeded, tally.failed, tally.counted.len()),
                (1, 1, 0)
            );
            assert!(is_settled(&status));
            assert_eq!((status.succeeded, status.failed), (Some(1), Some(1)));
        }
    }

    #[test]
    fn indexes_count_once_however_many_pods_succeed() {
        let job = job(json!({"completionMode": "Indexed", "backoffLimitPerIndex": 0}));
        let mut status = JobStatus::default();
        let pods = [
            pod("a", "Succeeded", true, Some(1)),
            pod("b", "Succeeded", true, Some(1)),
            pod("c", "Failed", true, Some(2)),
            pod("d", "Succeeded", true, Some(7)),
        ];
        let tally = count(&job, &mut status, &pods);
        assert_eq!((tally.succeeded, tally.failed), (1, 1));
        assert_eq!(status.completed_indexes.as_deref(), Some("1"));
        assert_eq!(status.failed_indexes.as_deref(), Some("2"));
        assert_eq!(failures_of_index(&job, &pods, 2), 1);
        assert_eq!(failures_of_index(&job, &pods, 0), 0);
    }
}
