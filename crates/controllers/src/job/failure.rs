//! What a failed pod means for its job (upstream: job/pod_failure_policy.go,
//! job/backoff_utils.go).

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::batch::v1::{Job, PodFailurePolicyRule};
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;

use super::indexes;
use crate::pods;

/// The wait after the first failure; it doubles with each further one.
const BACKOFF: Duration = Duration::from_secs(10);
/// The longest wait after a failure.
const BACKOFF_MAX: Duration = Duration::from_secs(600);

/// What a failed pod means.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// It counts towards the limit.
    Count,
    /// It does not count.
    Ignore,
    /// Its index has failed.
    FailIndex,
    /// The job has failed, for this reason.
    FailJob(String),
}

/// Returns whether a pod counts as failed. One that is being deleted does,
/// unless only pods that have really ended are replaced (upstream: isPodFailed).
pub fn is_failed(job: &Job, pod: &Pod) -> bool {
    if pods::phase(pod) == "Failed" {
        return true;
    }
    let spec = job.spec.as_ref();
    let only_ended =
        spec.is_some_and(|spec| spec.pod_replacement_policy.as_deref() == Some("Failed"));
    !only_ended && pod.metadata.deletion_timestamp.is_some() && pods::phase(pod) != "Succeeded"
}

/// Returns what a failed pod means by the job's policy.
pub fn judge(job: &Job, pod: &Pod) -> Verdict {
    let rules = job
        .spec
        .as_ref()
        .and_then(|spec| spec.pod_failure_policy.as_ref())
        .map(|policy| policy.rules.as_slice())
        .unwrap_or_default();
    for (index, rule) in rules.iter().enumerate() {
        let Some(why) = matches(rule, pod) else {
            continue;
        };
        return match rule.action.as_str() {
            "Ignore" => Verdict::Ignore,
            "FailIndex" => Verdict::FailIndex,
            "FailJob" => Verdict::FailJob(format!("{why} matching FailJob rule at index {index}")),
            _ => Verdict::Count,
        };
    }
    Verdict::Count
}

/// Returns what of a pod a rule matches, if it does.
fn matches(rule: &PodFailurePolicyRule, pod: &Pod) -> Option<String> {
    let namespace = pod.namespace().unwrap_or_default();
    let name = pod.name_any();
    if let Some(codes) = &rule.on_exit_codes {
        return ended(pod).find_map(|(container, code)| {
            let asked = codes.container_name.as_ref();
            let listed = codes.values.contains(&code);
            let fits = match codes.operator.as_str() {
                "In" => listed,
                _ => !listed,
            };
            (fits && code != 0 && asked.is_none_or(|asked| *asked == container)).then(|| {
                format!(
                    "Container {container} for pod {namespace}/{name} failed with exit code {code}"
                )
            })
        });
    }
    let status = pod.status.as_ref()?;
    rule.on_pod_conditions.iter().flatten().find_map(|pattern| {
        let conditions = status.conditions.iter().flatten();
        let found = conditions
            .into_iter()
            .find(|condition| condition.type_ == pattern.type_)?;
        let wanted = pattern.status.as_deref().unwrap_or("True");
        (found.status == wanted)
            .then(|| format!("Pod {namespace}/{name} has condition {}", pattern.type_))
    })
}

fn statuses(pod: &Pod) -> impl Iterator<Item = &ContainerStatus> {
    let status = pod.status.iter();
    status.flat_map(|status| {
        let init = status.init_container_statuses.iter().flatten();
        init.chain(status.container_statuses.iter().flatten())
    })
}

/// Returns the containers that have ended, with their exit codes.
fn ended(pod: &Pod) -> impl Iterator<Item = (String, i32)> {
    statuses(pod).filter_map(|status| {
        let ended = status.state.as_ref()?.terminated.as_ref()?;
        Some((status.name.clone(), ended.exit_code))
    })
}

/// Returns how often the containers of pods that restart them have been restarted.
pub fn restarts(active: &[Arc<Pod>]) -> i32 {
    let restarts = active.iter().flat_map(|pod| statuses(pod));
    restarts.map(|status| status.restart_count).sum()
}

/// Returns when a pod ended.
fn ended_at(pod: &Pod) -> Option<Timestamp> {
    let containers = statuses(pod).filter_map(|status| {
        let ended = status.state.as_ref()?.terminated.as_ref()?;
        Some(ended.finished_at.as_ref()?.0)
    });
    let deleted = pod.metadata.deletion_timestamp.as_ref().map(|time| time.0);
    let changed = pod.status.as_ref().and_then(|status| {
        let ready = status
            .conditions
            .as_ref()?
            .iter()
            .find(|one| one.type_ == "Ready")?;
        Some(ready.last_transition_time.as_ref()?.0)
    });
    containers.max().or(deleted).or(changed)
}

/// Returns how long to wait before a failed pod is replaced: twice as long
/// after each failure since the last success.
pub fn backoff(job: &Job, pods: &[Arc<Pod>], now: Timestamp) -> Option<Duration> {
    let success = pods
        .iter()
        .filter(|pod| pods::phase(pod) == "Succeeded")
        .filter_map(|pod| ended_at(pod))
        .max();
    let failures: Vec<Timestamp> = pods
        .iter()
        .filter(|pod| is_failed(job, pod))
        .filter_map(|pod| ended_at(pod))
        .filter(|at| success.is_none_or(|success| *at > success))
        .collect();
    wait_after(*failures.iter().max()?, failures.len() as u32, now)
}

/// Returns how long to wait before a pod of an index is replaced, where each
/// index has a limit of its own; `failures` is how often it has failed
/// (upstream: getRemainingTimePerIndex).
pub fn backoff_of_index(
    job: &Job,
    pods: &[Arc<Pod>],
    index: i32,
    failures: i32,
    now: Timestamp,
) -> Option<Duration> {
    let failed = pods
        .iter()
        .filter(|pod| indexes::of(pod) == Some(index) && is_failed(job, pod));
    let last = failed.filter_map(|pod| ended_at(pod)).max()?;
    wait_after(last, failures.max(1).unsigned_abs(), now)
}

/// Returns what is left of the wait after the last of so many failures.
fn wait_after(last: Timestamp, failures: u32, now: Timestamp) -> Option<Duration> {
    let doublings = failures.saturating_sub(1).min(16);
    let wait = BACKOFF.saturating_mul(1 << doublings).min(BACKOFF_MAX);
    let left = last + SignedDuration::try_from(wait).ok()? - now;
    let left = SignedDuration::try_from(left).ok()?;
    left.is_positive().then(|| left.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn job(spec: Value) -> Job {
        serde_json::from_value(json!({"spec": spec})).expect("a job")
    }

    fn pod(phase: &str, code: i32, at: &str) -> Arc<Pod> {
        let value = json!({
            "metadata": {"name": "p", "namespace": "ns"},
            "status": {"phase": phase,
                "conditions": [{"type": "DisruptionTarget", "status": "True"}],
                "containerStatuses": [{
                    "name": "main", "image": "", "imageID": "", "ready": false, "restartCount": 2,
                    "state": {"terminated": {"exitCode": code, "finishedAt": at}},
                }]},
        });
        Arc::new(serde_json::from_value(value).expect("a pod"))
    }

    /// Upstream: job/pod_failure_policy_test.go.
    #[test]
    fn the_first_rule_that_matches_decides() {
        let check = |rules: Value, code, expected: Verdict| {
            let job = job(json!({"template": {}, "podFailurePolicy": {"rules": rules}}));
            assert_eq!(
                judge(&job, &pod("Failed", code, "2026-01-01T00:00:00Z")),
                expected
            );
        };
        let codes = |action: &str, operator: &str, values: Value| json!({"action": action, "onExitCodes": {"operator": operator, "values": values}});
        check(json!([]), 1, Verdict::Count);
        check(
            json!([codes("Ignore", "In", json!([1, 2]))]),
            2,
            Verdict::Ignore,
        );
        check(
            json!([codes("Ignore", "In", json!([1, 2]))]),
            3,
            Verdict::Count,
        );
        check(
            json!([codes("Ignore", "NotIn", json!([1]))]),
            0,
            Verdict::Count,
        );
        check(
            json!([codes("Count", "In", json!([1])), codes("FailJob", "In", json!([42]))]),
            42,
            Verdict::FailJob(
                "Container main for pod ns/p failed with exit code 42 matching FailJob rule at index 1".into(),
            ),
        );
        check(
            json!([{"action": "FailIndex", "onPodConditions": [{"type": "DisruptionTarget"}]}]),
            1,
            Verdict::FailIndex,
        );
    }

    /// Upstream: job/backoff_utils_test.go.
    #[test]
    fn each_failure_in_a_row_doubles_the_wait() {
        let now: Timestamp = "2026-01-01T12:00:00Z".parse().expect("a time");
        let check = |pods: &[(&str, &str)], expected: Option<u64>| {
            let pods: Vec<_> = pods
                .iter()
                .map(|(phase, at)| pod(phase, 1, &format!("2026-01-01T{at}Z")))
                .collect();
            let wait = backoff(&job(json!({"template": {}})), &pods, now);
            assert_eq!(wait.map(|wait| wait.as_secs()), expected, "{pods:?}");
        };
        check(&[], None);
        check(&[("Failed", "12:00:00")], Some(10));
        check(&[("Failed", "11:59:55")], Some(5));
        check(&[("Failed", "11:59:45")], None);
        check(&[("Failed", "11:59:30"), ("Failed", "11:59:55")], Some(15));
        check(
            &[
                ("Failed", "11:59:30"),
                ("Succeeded", "11:59:40"),
                ("Failed", "11:59:55"),
            ],
            Some(5),
        );
    }

    /// Upstream: job/backoff_utils_test.go, TestGetRemainingTimePerIndex.
    #[test]
    fn each_index_waits_for_itself() {
        let now: Timestamp = "2026-01-01T12:00:00Z".parse().expect("a time");
        let job = job(json!({"template": {}, "backoffLimitPerIndex": 3}));
        let failed = |index: i32, at: &str| {
            let mut pod = (*pod("Failed", 1, &format!("2026-01-01T{at}Z"))).clone();
            let annotations = pod.metadata.annotations.get_or_insert_default();
            annotations.insert(indexes::INDEX.into(), index.to_string());
            Arc::new(pod)
        };
        let pods = [failed(0, "11:59:55"), failed(1, "11:59:55")];
        let check = |index, failures, expected: Option<u64>| {
            let wait = backoff_of_index(&job, &pods, index, failures, now);
            assert_eq!(wait.map(|wait| wait.as_secs()), expected);
        };
        check(0, 1, Some(5));
        check(1, 3, Some(35));
        check(2, 0, None);
    }
}
