//! The conditions of a deployment: `Available`, `Progressing`,
//! `ReplicaFailure`, with upstream's reasons and words
//! (deployment/progress.go, deployment_util.go).

use std::time::Duration;

use coracle_client::now;
use k8s_openapi::api::apps::v1::{Deployment, DeploymentCondition, DeploymentStatus};
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;

use super::{Sets, rolling, wanted};

const TIMED_OUT: &str = "ProgressDeadlineExceeded";
const NEW_AVAILABLE: &str = "NewReplicaSetAvailable";

/// Returns whether every pod is of the present template, available, and alone.
pub fn is_complete(deployment: &Deployment, status: &DeploymentStatus) -> bool {
    status.updated_replicas.unwrap_or(0) == wanted(deployment)
        && status.replicas.unwrap_or(0) == wanted(deployment)
        && status.available_replicas.unwrap_or(0) == wanted(deployment)
        && status.observed_generation >= deployment.metadata.generation
}

/// Returns the status with its conditions brought up to date.
pub fn update(
    deployment: &Deployment,
    sets: &Sets,
    mut status: DeploymentStatus,
) -> DeploymentStatus {
    let mut conditions = status.conditions.take().unwrap_or_default();
    put(&mut conditions, availability(deployment, &status));
    let paused = deployment.spec.as_ref().and_then(|spec| spec.paused) == Some(true);
    if deadline(deployment).is_none() {
        conditions.retain(|condition| condition.type_ != "Progressing");
    } else {
        if let Some(beginning) = beginning(sets, &conditions) {
            put(&mut conditions, beginning);
        }
        let old = conditions
            .iter()
            .find(|condition| condition.type_ == "Progressing")
            .cloned();
        if let Some(condition) = progress(deployment, sets, &status, old.as_ref(), paused) {
            put_progress(&mut conditions, condition);
        }
    }
    conditions.retain(|condition| condition.type_ != "ReplicaFailure");
    if let Some(failure) = replica_failure(sets) {
        conditions.push(failure);
    }
    status.conditions = Some(conditions);
    status
}

fn deadline(deployment: &Deployment) -> Option<i64> {
    let seconds = deployment.spec.as_ref()?.progress_deadline_seconds?;
    (seconds != i32::MAX).then_some(seconds.into())
}

fn condition(type_: &str, status: &str, reason: &str, message: String) -> DeploymentCondition {
    DeploymentCondition {
        type_: type_.into(),
        status: status.into(),
        reason: Some(reason.into()),
        message: Some(message),
        last_update_time: Some(now()),
        last_transition_time: Some(now()),
    }
}

/// Puts a condition, unless one of the same status and reason stands already.
fn put(conditions: &mut Vec<DeploymentCondition>, mut condition: DeploymentCondition) {
    let old = conditions.iter().find(|old| old.type_ == condition.type_);
    if old.is_some_and(|old| old.status == condition.status && old.reason == condition.reason) {
        return;
    }
    keep_transition(old, &mut condition);
    conditions.retain(|old| old.type_ != condition.type_);
    conditions.push(condition);
}

/// Puts a condition of progress, which is renewed by each step.
fn put_progress(conditions: &mut Vec<DeploymentCondition>, mut condition: DeploymentCondition) {
    keep_transition(
        conditions.iter().find(|old| old.type_ == condition.type_),
        &mut condition,
    );
    conditions.retain(|old| old.type_ != condition.type_);
    conditions.push(condition);
}

fn keep_transition(old: Option<&DeploymentCondition>, condition: &mut DeploymentCondition) {
    if let Some(old) = old.filter(|old| old.status == condition.status) {
        condition.last_transition_time = old.last_transition_time.clone();
    }
}

fn availability(deployment: &Deployment, status: &DeploymentStatus) -> DeploymentCondition {
    let least = wanted(deployment) - rolling::max_unavailable(deployment);
    if status.available_replicas.unwrap_or(0) >= least {
        condition(
            "Available",
            "True",
            "MinimumReplicasAvailable",
            "Deployment has minimum availability.".into(),
        )
    } else {
        condition(
            "Available",
            "False",
            "MinimumReplicasUnavailable",
            "Deployment does not have minimum availability.".into(),
        )
    }
}

/// Returns what is said of a set that was just made, or found where nothing was
/// said before (upstream: deployment/sync.go, getNewReplicaSet).
fn beginning(sets: &Sets, conditions: &[DeploymentCondition]) -> Option<DeploymentCondition> {
    let name = sets.new.as_ref()?.name_any();
    let (reason, did) = if sets.made {
        ("NewReplicaSetCreated", "Created")
    } else if conditions.iter().any(|old| old.type_ == "Progressing") {
        return None;
    } else {
        ("FoundNewReplicaSet", "Found")
    };
    let text = format!("{did} new replica set {name:?}");
    Some(condition("Progressing", "True", reason, text))
}

/// Returns the condition of a new set that the API refuses.
pub fn refused(deployment: &Deployment, text: &str) -> Option<Vec<DeploymentCondition>> {
    deadline(deployment)?;
    let status = deployment.status.as_ref();
    let mut conditions = status
        .and_then(|status| status.conditions.clone())
        .unwrap_or_default();
    let before = conditions.clone();
    let refused = condition("Progressing", "False", "ReplicaSetCreateError", text.into());
    put(&mut conditions, refused);
    (conditions != before).then_some(conditions)
}

/// Returns the new condition of progress, `None` if the old one stays.
fn progress(
    deployment: &Deployment,
    sets: &Sets,
    status: &DeploymentStatus,
    old: Option<&DeploymentCondition>,
    paused: bool,
) -> Option<DeploymentCondition> {
    let reason = old.and_then(|old| old.reason.as_deref());
    if paused {
        // What was said of a lack of progress stays.
        return (reason != Some(TIMED_OUT) && reason != Some("DeploymentPaused")).then(|| {
            condition(
                "Progressing",
                "Unknown",
                "DeploymentPaused",
                "Deployment is paused".into(),
            )
        });
    }
    if reason == Some("DeploymentPaused") {
        return Some(condition(
            "Progressing",
            "Unknown",
            "DeploymentResumed",
            "Deployment is resumed".into(),
        ));
    }
    let subject = sets.new.as_ref().map_or_else(
        || format!("Deployment {:?}", deployment.name_any()),
        |set| format!("ReplicaSet {:?}", set.name_any()),
    );
    let done_before = status.replicas == status.updated_replicas && reason == Some(NEW_AVAILABLE);
    if is_complete(deployment, status) {
        return (reason != Some(NEW_AVAILABLE)).then(|| {
            condition(
                "Progressing",
                "True",
                NEW_AVAILABLE,
                format!("{subject} has successfully progressed."),
            )
        });
    }
    if done_before {
        return None;
    }
    if is_progressing(deployment, status) {
        return Some(condition(
            "Progressing",
            "True",
            "ReplicaSetUpdated",
            format!("{subject} is progressing."),
        ));
    }
    if reason != Some(TIMED_OUT) && has_timed_out(deployment, old) {
        return Some(condition(
            "Progressing",
            "False",
            TIMED_OUT,
            format!("{subject} has timed out progressing."),
        ));
    }
    None
}

/// Returns whether the new status is a step further than the old one.
fn is_progressing(deployment: &Deployment, status: &DeploymentStatus) -> bool {
    let old = deployment.status.clone().unwrap_or_default();
    let old_rest = old.replicas.unwrap_or(0) - old.updated_replicas.unwrap_or(0);
    let rest = status.replicas.unwrap_or(0) - status.updated_replicas.unwrap_or(0);
    status.updated_replicas > old.updated_replicas
        || rest < old_rest
        || status.ready_replicas > old.ready_replicas
        || status.available_replicas > old.available_replicas
}

fn has_timed_out(deployment: &Deployment, old: Option<&DeploymentCondition>) -> bool {
    let (Some(seconds), Some(old)) = (deadline(deployment), old) else {
        return false;
    };
    if old.reason.as_deref() == Some(NEW_AVAILABLE) {
        return false;
    }
    let since = old
        .last_update_time
        .as_ref()
        .map_or(Timestamp::UNIX_EPOCH, |time| time.0);
    Timestamp::now().as_second() - since.as_second() >= seconds
}

/// Returns how long it takes until the deadline has passed, if it runs.
pub fn until_deadline(deployment: &Deployment, status: &DeploymentStatus) -> Option<Duration> {
    let seconds = deadline(deployment)?;
    let condition = status
        .conditions
        .iter()
        .flatten()
        .find(|condition| condition.type_ == "Progressing")?;
    let reason = condition.reason.as_deref()?;
    if is_complete(deployment, status)
        || matches!(reason, TIMED_OUT | NEW_AVAILABLE | "DeploymentPaused")
    {
        return None;
    }
    let since = condition.last_update_time.as_ref()?.0.as_second();
    let left = (since + seconds - Timestamp::now().as_second()).max(0) + 1;
    Some(Duration::from_secs(left.unsigned_abs()))
}

/// Returns the failure of a set to make or delete pods, the new set's first.
fn replica_failure(sets: &Sets) -> Option<DeploymentCondition> {
    let conditions = sets.all().flat_map(|set| {
        set.status
            .iter()
            .flat_map(|status| status.conditions.iter().flatten())
    });
    let failure = conditions
        .into_iter()
        .find(|condition| condition.type_ == "ReplicaFailure")?;
    Some(DeploymentCondition {
        type_: failure.type_.clone(),
        status: failure.status.clone(),
        reason: failure.reason.clone(),
        message: failure.message.clone(),
        last_update_time: failure.last_transition_time.clone(),
        last_transition_time: failure.last_transition_time.clone(),
    })
}
