//! Whether a job is to end, and the conditions that say so, in the order of the
//! API: first the criterion (`SuccessCriteriaMet`, `FailureTarget`), then, when
//! no pod is left, the end (`Complete`, `Failed`).

use std::time::Duration;

use coracle_client::now;
use k8s_openapi::api::batch::v1::{Job, JobCondition, JobStatus};
use k8s_openapi::jiff::{SignedDuration, Timestamp};

use super::failure;
use super::indexes;
use super::tally::{Tally, is_indexed};

/// Why a job is to end.
#[derive(Debug, Clone, PartialEq)]
pub struct End {
    /// Whether it has reached its goal.
    pub success: bool,
    /// The reason of the conditions.
    pub reason: String,
    /// Their message.
    pub message: String,
}

impl End {
    fn success(reason: &str, message: &str) -> Option<End> {
        Some(End {
            success: true,
            reason: reason.into(),
            message: message.into(),
        })
    }

    fn failure(reason: &str, message: &str) -> Option<End> {
        Some(End {
            success: false,
            ..End::success(reason, message)?
        })
    }
}

fn find<'a>(status: &'a JobStatus, type_: &str) -> Option<&'a JobCondition> {
    let conditions = status.conditions.iter().flatten();
    conditions
        .into_iter()
        .find(|one| one.type_ == type_ && one.status == "True")
}

/// Returns the condition that ended the job, if it has ended.
pub fn ended(status: &JobStatus) -> Option<&JobCondition> {
    find(status, "Complete").or_else(|| find(status, "Failed"))
}

/// Returns whether the job is suspended.
pub fn is_suspended(job: &Job) -> bool {
    job.spec.as_ref().and_then(|spec| spec.suspend) == Some(true)
}

/// Returns whether and why the job is to end.
pub fn decide(job: &Job, status: &JobStatus, tally: &Tally, at: Timestamp) -> Option<End> {
    for (type_, success) in [("SuccessCriteriaMet", true), ("FailureTarget", false)] {
        if let Some(condition) = find(status, type_) {
            return Some(End {
                success,
                reason: condition.reason.clone().unwrap_or_default(),
                message: condition.message.clone().unwrap_or_default(),
            });
        }
    }
    if let Some(why) = &tally.fail_job {
        return End::failure("PodFailurePolicy", why);
    }
    if is_beyond_limit(job, tally) {
        return End::failure(
            "BackoffLimitExceeded",
            "Job has reached the specified backoff limit",
        );
    }
    if !is_suspended(job) && until_deadline(job, status, at) == Some(Duration::ZERO) {
        return End::failure(
            "DeadlineExceeded",
            "Job was active longer than specified deadline",
        );
    }
    by_indexes(job, tally).or_else(|| by_completions(job, tally))
}

fn is_beyond_limit(job: &Job, tally: &Tally) -> bool {
    let Some(spec) = &job.spec else {
        return false;
    };
    let limit = spec.backoff_limit.unwrap_or(6);
    if tally.failed > limit {
        return true;
    }
    // Containers that are restarted in place fail without a pod that fails.
    let template = spec.template.spec.as_ref();
    let restarts = template.and_then(|pod| pod.restart_policy.as_deref()) == Some("OnFailure");
    let count = failure::restarts(&tally.active);
    restarts && count > 0 && count >= limit
}

/// Returns how long the job may still run.
pub fn until_deadline(job: &Job, status: &JobStatus, at: Timestamp) -> Option<Duration> {
    let seconds = job.spec.as_ref()?.active_deadline_seconds?;
    let started = status.start_time.as_ref()?.0;
    let left = (started + SignedDuration::from_secs(seconds)).duration_since(at);
    Some(if left.is_positive() {
        left.unsigned_abs()
    } else {
        Duration::ZERO
    })
}

fn by_indexes(job: &Job, tally: &Tally) -> Option<End> {
    let spec = job.spec.as_ref()?;
    if !is_indexed(job) {
        return None;
    }
    let failed = tally.failed_indexes.len() as i32;
    if spec.max_failed_indexes.is_some_and(|most| failed > most) {
        return End::failure(
            "MaxFailedIndexesExceeded",
            "Job has exceeded the specified maximal number of failed indexes",
        );
    }
    if failed > 0 && tally.succeeded + failed >= spec.completions.unwrap_or(0) {
        return End::failure("FailedIndexes", "Job has failed indexes");
    }
    let rules = spec.success_policy.iter().flat_map(|policy| &policy.rules);
    for (index, rule) in rules.enumerate() {
        let wanted = rule
            .succeeded_indexes
            .as_ref()
            .map(|text| indexes::parse(text, spec.completions.unwrap_or(0)));
        let done = match &wanted {
            Some(wanted) => wanted.intersection(&tally.completed).count(),
            None => tally.completed.len(),
        };
        let need = match (rule.succeeded_count, &wanted) {
            (Some(count), _) => usize::try_from(count).unwrap_or(0),
            (None, Some(wanted)) => wanted.len(),
            (None, None) => continue,
        };
        if done >= need {
            return End::success("SuccessPolicy", &format!("Matched rules at index {index}"));
        }
    }
    None
}

fn by_completions(job: &Job, tally: &Tally) -> Option<End> {
    let wanted = job.spec.as_ref()?.completions;
    let reached = match wanted {
        // Without a number, one success ends the work and the others finish.
        None => tally.succeeded > 0,
        Some(wanted) => tally.succeeded >= wanted,
    };
    if reached && tally.active.is_empty() {
        return End::success(
            "CompletionsReached",
            "Reached expected number of succeeded pods",
        );
    }
    None
}

/// Sets a condition; its time is that of the change of its status.
fn set(status: &mut JobStatus, type_: &str, value: &str, reason: &str, message: &str) {
    let conditions = status.conditions.get_or_insert_default();
    let condition = JobCondition {
        type_: type_.into(),
        status: value.into(),
        reason: Some(reason.into()),
        message: Some(message.into()),
        last_probe_time: Some(now()),
        last_transition_time: Some(now()),
    };
    match conditions.iter_mut().find(|one| one.type_ == type_) {
        Some(old) if old.status == value => {}
        Some(old) => *old = condition,
        None => conditions.push(condition),
    }
}

/// Says that the job is to end.
pub fn target(status: &mut JobStatus, end: &End) {
    let type_ = if end.success {
        "SuccessCriteriaMet"
    } else {
        "FailureTarget"
    };
    set(status, type_, "True", &end.reason, &end.message);
}

/// Says that the job has ended.
pub fn end(status: &mut JobStatus, end: &End) {
    let type_ = if end.success { "Complete" } else { "Failed" };
    set(status, type_, "True", &end.reason, &end.message);
    if end.success {
        status.completion_time = Some(now());
    }
}

/// Says that the job is suspended or goes on; returns the word of the event, if
/// that is new.
pub fn suspension(job: &Job, status: &mut JobStatus) -> Option<(&'static str, &'static str)> {
    let was = find(status, "Suspended").is_some();
    let is = is_suspended(job);
    if is && !was {
        set(status, "Suspended", "True", "JobSuspended", "Job suspended");
        status.start_time = None;
        return Some(("Suspended", "Job suspended"));
    }
    if !is && was {
        set(status, "Suspended", "False", "JobResumed", "Job resumed");
        status.start_time = Some(now());
        return Some(("Resumed", "Job resumed"));
    }
    if !is && status.start_time.is_none() {
        status.start_time = Some(now());
    }
    None
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

    fn check(spec: Value, tally: Tally, expected: Option<&str>) {
        let at: Timestamp = "2026-01-01T12:00:00Z".parse().expect("a time");
        let status: JobStatus =
            serde_json::from_value(json!({"startTime": "2026-01-01T11:59:00Z"})).expect("a status");
        let end = decide(&job(spec.clone()), &status, &tally, at);
        assert_eq!(end.map(|end| end.reason).as_deref(), expected, "{spec}");
    }

    fn counts(succeeded: i32, failed: i32) -> Tally {
        Tally {
            succeeded,
            failed,
            ..Tally::default()
        }
    }

    fn indexes(completed: &[i32], failed: &[i32]) -> Tally {
        Tally {
            succeeded: completed.len() as i32,
            completed: completed.iter().copied().collect(),
            failed_indexes: failed.iter().copied().collect(),
            ..Tally::default()
        }
    }

    /// Upstream: job_controller_test.go, TestControllerSyncJob, TestSyncJobPastDeadline,
    /// TestSyncJobWithJobSuccessPolicy, TestSyncJobWithJobBackoffLimitPerIndex.
    #[test]
    fn a_job_ends_for_the_first_reason_that_applies() {
        check(json!({}), counts(2, 0), None);
        check(json!({}), counts(3, 0), Some("CompletionsReached"));
        check(
            json!({"backoffLimit": 0}),
            counts(0, 1),
            Some("BackoffLimitExceeded"),
        );
        check(json!({"backoffLimit": 6}), counts(0, 6), None);
        check(
            json!({"activeDeadlineSeconds": 60}),
            counts(0, 0),
            Some("DeadlineExceeded"),
        );
        check(json!({"activeDeadlineSeconds": 61}), counts(0, 0), None);
        check(
            json!({"activeDeadlineSeconds": 1, "suspend": true}),
            counts(0, 0),
            None,
        );
        check(
            json!({"completions": null}),
            counts(1, 0),
            Some("CompletionsReached"),
        );
        let policy = Tally {
            fail_job: Some("because".into()),
            ..counts(3, 0)
        };
        check(json!({}), policy, Some("PodFailurePolicy"));
    }

    #[test]
    fn indexes_decide_where_there_are_any() {
        let indexed = |more: Value| {
            let mut spec = json!({"completionMode": "Indexed", "backoffLimitPerIndex": 1, "backoffLimit": 100});
            for (key, value) in more.as_object().expect("a mapping") {
                spec[key.as_str()] = value.clone();
            }
            spec
        };
        check(indexed(json!({})), indexes(&[0, 1], &[]), None);
        check(
            indexed(json!({})),
            indexes(&[0, 1], &[2]),
            Some("FailedIndexes"),
        );
        check(indexed(json!({})), indexes(&[0], &[2]), None);
        check(
            indexed(json!({"maxFailedIndexes": 0})),
            indexes(&[0], &[2]),
            Some("MaxFailedIndexesExceeded"),
        );
        let rules = |rule: Value| indexed(json!({"successPolicy": {"rules": [rule]}}));
        check(
            rules(json!({"succeededCount": 1})),
            indexes(&[2], &[]),
            Some("SuccessPolicy"),
        );
        check(
            rules(json!({"succeededIndexes": "0"})),
            indexes(&[2], &[]),
            None,
        );
        check(
            rules(json!({"succeededIndexes": "0,2"})),
            indexes(&[0, 2], &[]),
            Some("SuccessPolicy"),
        );
    }
}
