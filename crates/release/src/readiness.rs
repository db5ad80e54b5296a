//! Whether an object is ready, read from what it says of itself.
//!
//! Main function: [`judge`]. The rules are those of kstatus
//! (kubernetes-sigs/cli-utils `pkg/kstatus/status`) and `kubectl rollout
//! status`; nothing here asks the cluster.

use serde_json::Value;

use crate::options::Wait;

/// How far an object is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Readiness {
    /// It is what it should be.
    Ready,
    /// It is on the way; in a few words, how far.
    Waiting(String),
    /// It says that it will not get there.
    Failed(String),
}

/// How to judge.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// Which of Helm's ways.
    pub wait: Wait,
    /// Whether a Job is ready only when it is complete.
    pub jobs: bool,
}

/// Judges an object; `None` is one that is not there.
pub fn judge(live: Option<&Value>, rules: Rules) -> Readiness {
    let Some(live) = live else {
        return Readiness::Waiting("not there yet".into());
    };
    if live["metadata"]["deletionTimestamp"].is_string() {
        return Readiness::Waiting("being deleted".into());
    }
    match live["kind"].as_str().unwrap_or_default() {
        "Deployment" => deployment(live),
        "StatefulSet" => stateful_set(live),
        "DaemonSet" => daemon_set(live),
        "ReplicaSet" | "ReplicationController" => replicas(live),
        "Pod" => pod(live),
        "Job" => job(live, rules.jobs),
        "PersistentVolumeClaim" => claim(live),
        "Service" => service(live),
        "CustomResourceDefinition" => definition(live),
        "APIService" => by_condition(live, "Available"),
        _ if rules.wait == Wait::Legacy => Readiness::Ready,
        _ => generic(live),
    }
}

/// Judges an object that runs to its end: a hook or a test.
pub fn judge_run(live: Option<&Value>) -> Readiness {
    match live {
        None => Readiness::Waiting("not there yet".into()),
        Some(live) => match live["kind"].as_str().unwrap_or_default() {
            "Job" => job(live, true),
            "Pod" => pod_run(live),
            _ => Readiness::Ready,
        },
    }
}

fn number(live: &Value, path: &str) -> i64 {
    live.pointer(path).and_then(Value::as_i64).unwrap_or(0)
}

fn wanted(live: &Value) -> i64 {
    live["spec"]["replicas"].as_i64().unwrap_or(1)
}

/// Returns a condition: its status, reason and message.
fn condition<'v>(live: &'v Value, kind: &str) -> Option<&'v Value> {
    let conditions = live["status"]["conditions"].as_array()?;
    conditions.iter().find(|one| one["type"] == kind)
}

fn said(condition: &Value) -> String {
    let text = |key: &str| condition[key].as_str().unwrap_or_default();
    match (text("reason"), text("message")) {
        ("", message) => message.to_owned(),
        (reason, "") => reason.to_owned(),
        (reason, message) => format!("{reason}: {message}"),
    }
}

fn is_observed(live: &Value) -> bool {
    number(live, "/status/observedGeneration") >= number(live, "/metadata/generation")
}

fn deployment(live: &Value) -> Readiness {
    if !is_observed(live) {
        return Readiness::Waiting("not noticed yet".into());
    }
    if live["spec"]["paused"] == true {
        return Readiness::Ready;
    }
    if let Some(failure) = condition(live, "Progressing")
        && failure["reason"] == "ProgressDeadlineExceeded"
    {
        return Readiness::Failed(said(failure));
    }
    let wanted = wanted(live);
    let updated = number(live, "/status/updatedReplicas");
    let all = number(live, "/status/replicas");
    let available = number(live, "/status/availableReplicas");
    if updated < wanted {
        return Readiness::Waiting(format!("{updated}/{wanted} updated"));
    }
    if all > updated {
        return Readiness::Waiting(format!("{} old to go", all - updated));
    }
    if available < wanted {
        return Readiness::Waiting(format!("{available}/{wanted} available"));
    }
    Readiness::Ready
}

fn stateful_set(live: &Value) -> Readiness {
    if !is_observed(live) {
        return Readiness::Waiting("not noticed yet".into());
    }
    let wanted = wanted(live);
    let ready = number(live, "/status/readyReplicas");
    if ready < wanted {
        return Readiness::Waiting(format!("{ready}/{wanted} ready"));
    }
    let strategy = &live["spec"]["updateStrategy"];
    if strategy["type"] == "OnDelete" {
        return Readiness::Ready;
    }
    let partition = number(strategy, "/rollingUpdate/partition");
    let updated = number(live, "/status/updatedReplicas");
    if updated < wanted - partition {
        return Readiness::Waiting(format!("{updated}/{} updated", wanted - partition));
    }
    Readiness::Ready
}

fn daemon_set(live: &Value) -> Readiness {
    if !is_observed(live) {
        return Readiness::Waiting("not noticed yet".into());
    }
    let wanted = number(live, "/status/desiredNumberScheduled");
    let updated = number(live, "/status/updatedNumberScheduled");
    let available = number(live, "/status/numberAvailable");
    if live["spec"]["updateStrategy"]["type"] != "OnDelete" && updated < wanted {
        return Readiness::Waiting(format!("{updated}/{wanted} updated"));
    }
    if available < wanted {
        return Readiness::Waiting(format!("{available}/{wanted} available"));
    }
    Readiness::Ready
}

fn replicas(live: &Value) -> Readiness {
    if !is_observed(live) {
        return Readiness::Waiting("not noticed yet".into());
    }
    let wanted = wanted(live);
    let ready = number(live, "/status/readyReplicas");
    if ready < wanted {
        return Readiness::Waiting(format!("{ready}/{wanted} ready"));
    }
    Readiness::Ready
}

fn pod(live: &Value) -> Readiness {
    match live["status"]["phase"].as_str().unwrap_or_default() {
        "Succeeded" => Readiness::Ready,
        "Failed" => Readiness::Failed(ended_badly(live)),
        _ if condition(live, "Ready").is_some_and(|ready| ready["status"] == "True") => {
            Readiness::Ready
        }
        phase => Readiness::Waiting(phase.to_lowercase()),
    }
}

fn pod_run(live: &Value) -> Readiness {
    match live["status"]["phase"].as_str().unwrap_or_default() {
        "Succeeded" => Readiness::Ready,
        "Failed" => Readiness::Failed(ended_badly(live)),
        phase => Readiness::Waiting(phase.to_lowercase()),
    }
}

/// Names the container of a failed pod and its exit code.
fn ended_badly(live: &Value) -> String {
    let status = &live["status"];
    let statuses = ["initContainerStatuses", "containerStatuses"]
        .into_iter()
        .flat_map(|list| status[list].as_array().into_iter().flatten());
    for one in statuses {
        let ended = &one["state"]["terminated"];
        if let Some(code) = ended["exitCode"].as_i64().filter(|code| *code != 0) {
            let name = one["name"].as_str().unwrap_or_default();
            return format!("container {name} ended with exit code {code}");
        }
    }
    match said(status) {
        text if text.is_empty() => "it failed".into(),
        text => text,
    }
}

fn job(live: &Value, complete: bool) -> Readiness {
    if let Some(failed) = condition(live, "Failed").filter(|one| one["status"] == "True") {
        return Readiness::Failed(said(failed));
    }
    let is_complete = condition(live, "Complete").is_some_and(|one| one["status"] == "True");
    let is_started = live["status"]["startTime"].is_string();
    if is_complete || (!complete && is_started) || live["spec"]["suspend"] == true {
        return Readiness::Ready;
    }
    let done = number(live, "/status/succeeded");
    let wanted = live["spec"]["completions"].as_i64().unwrap_or(1);
    Readiness::Waiting(format!("{done}/{wanted} completed"))
}

fn claim(live: &Value) -> Readiness {
    match live["status"]["phase"].as_str().unwrap_or("Pending") {
        "Bound" => Readiness::Ready,
        "Lost" => Readiness::Failed("its volume is lost".into()),
        phase => Readiness::Waiting(phase.to_lowercase()),
    }
}

fn service(live: &Value) -> Readiness {
    let spec = &live["spec"];
    if spec["type"] != "LoadBalancer"
        || spec["externalIPs"]
            .as_array()
            .is_some_and(|ips| !ips.is_empty())
    {
        return Readiness::Ready;
    }
    let ingress = live["status"]["loadBalancer"]["ingress"].as_array();
    if ingress.is_some_and(|ingress| !ingress.is_empty()) {
        return Readiness::Ready;
    }
    Readiness::Waiting("no external address yet".into())
}

fn definition(live: &Value) -> Readiness {
    if let Some(accepted) = condition(live, "NamesAccepted")
        && accepted["status"] == "False"
        && accepted["reason"]
            .as_str()
            .is_some_and(|reason| reason.ends_with("Conflict"))
    {
        return Readiness::Failed(said(accepted));
    }
    by_condition(live, "Established")
}

fn by_condition(live: &Value, kind: &str) -> Readiness {
    match condition(live, kind) {
        Some(one) if one["status"] == "True" => Readiness::Ready,
        Some(one) => Readiness::Waiting(said(one)),
        None => Readiness::Waiting(format!("not {} yet", kind.to_lowercase())),
    }
}

/// Any kind that follows the API conventions for conditions.
fn generic(live: &Value) -> Readiness {
    let status = &live["status"];
    if status["observedGeneration"].is_i64() && !is_observed(live) {
        return Readiness::Waiting("not noticed yet".into());
    }
    let holds = |kind: &str| condition(live, kind).filter(|one| one["status"] == "True");
    if let Some(stalled) = holds("Stalled") {
        return Readiness::Failed(said(stalled));
    }
    if let Some(going) = holds("Reconciling") {
        return Readiness::Waiting(said(going));
    }
    match condition(live, "Ready") {
        Some(ready) if ready["status"] != "True" => Readiness::Waiting(said(ready)),
        _ => Readiness::Ready,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check_with(live: Value, jobs: bool, expected: &str) {
        let rules = Rules {
            wait: Wait::Watcher,
            jobs,
        };
        let found = match judge(Some(&live), rules) {
            Readiness::Ready => "ready".to_owned(),
            Readiness::Waiting(how) => how,
            Readiness::Failed(why) => format!("failed: {why}"),
        };
        assert_eq!(found, expected, "{live}");
    }

    fn check(live: Value, expected: &str) {
        check_with(live, false, expected);
    }

    #[test]
    fn workloads() {
        let deployment = |status: Value| json!({"kind": "Deployment", "metadata": {"generation": 2}, "spec": {"replicas": 2}, "status": status});
        check(
            deployment(json!({"observedGeneration": 1})),
            "not noticed yet",
        );
        check(
            deployment(json!({"observedGeneration": 2, "updatedReplicas": 1})),
            "1/2 updated",
        );
        check(
            deployment(
                json!({"observedGeneration": 2, "updatedReplicas": 2, "replicas": 3, "availableReplicas": 2}),
            ),
            "1 old to go",
        );
        check(
            deployment(
                json!({"observedGeneration": 2, "updatedReplicas": 2, "replicas": 2, "availableReplicas": 2}),
            ),
            "ready",
        );
        check(
            deployment(
                json!({"observedGeneration": 2, "conditions": [{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": "late"}]}),
            ),
            "failed: ProgressDeadlineExceeded: late",
        );
        check(
            json!({"kind": "StatefulSet", "spec": {"replicas": 3, "updateStrategy": {"rollingUpdate": {"partition": 2}}}, "status": {"readyReplicas": 3, "updatedReplicas": 1}}),
            "ready",
        );
        check(
            json!({"kind": "DaemonSet", "status": {"desiredNumberScheduled": 2, "updatedNumberScheduled": 2, "numberAvailable": 1}}),
            "1/2 available",
        );
    }

    #[test]
    fn what_runs_to_its_end() {
        let job = |status: Value| json!({"kind": "Job", "status": status});
        check(job(json!({"startTime": "2026-01-01T00:00:00Z"})), "ready");
        check_with(
            job(json!({"startTime": "2026-01-01T00:00:00Z"})),
            true,
            "0/1 completed",
        );
        check_with(
            job(json!({"conditions": [{"type": "Complete", "status": "True"}]})),
            true,
            "ready",
        );
        check(
            job(
                json!({"conditions": [{"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded"}]}),
            ),
            "failed: BackoffLimitExceeded",
        );
        check(
            json!({"kind": "Pod", "status": {"phase": "Failed", "containerStatuses": [{"name": "a", "state": {"terminated": {"exitCode": 3}}}]}}),
            "failed: container a ended with exit code 3",
        );
        assert_eq!(
            judge_run(Some(
                &json!({"kind": "Pod", "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}})
            )),
            Readiness::Waiting("running".into())
        );
        assert_eq!(
            judge_run(Some(&json!({"kind": "ConfigMap"}))),
            Readiness::Ready
        );
    }

    #[test]
    fn the_others() {
        check(json!({"kind": "ConfigMap"}), "ready");
        check(
            json!({"kind": "Service", "spec": {"type": "LoadBalancer"}}),
            "no external address yet",
        );
        check(
            json!({"kind": "PersistentVolumeClaim", "status": {"phase": "Pending"}}),
            "pending",
        );
        check(
            json!({"kind": "CustomResourceDefinition"}),
            "not established yet",
        );
        check(
            json!({"kind": "Widget", "status": {"conditions": [{"type": "Ready", "status": "False", "message": "soon"}]}}),
            "soon",
        );
        check(
            json!({"kind": "ConfigMap", "metadata": {"deletionTimestamp": "x"}}),
            "being deleted",
        );
    }
}
