//! The row of a pod: readiness, restarts, and the one word that tells how it
//! goes (`printPod` upstream).

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Row, age, at, flag, length, list, name, number, since, text, text_or};

/// Cells of a `Pod`.
pub(super) fn pod(pod: &Value, now: Timestamp) -> Row {
    let summary = summarize(pod);
    let cells = vec![
        name(pod),
        format!("{}/{}", summary.ready, total(pod)).into(),
        reason(pod, summary.reason).into(),
        restarts(&summary.restarts, now).into(),
        age(pod, now),
        first_address(pod).into(),
        text_or(pod, "spec.nodeName", "<none>").into(),
        text_or(pod, "status.nominatedNodeName", "<none>").into(),
        readiness_gates(pod).into(),
    ];
    Row {
        cells,
        conditions: conditions(text(pod, "status.phase")),
    }
}

/// What the container statuses tell.
struct Summary {
    ready: usize,
    reason: String,
    restarts: Restarts,
}

#[derive(Clone, Default)]
struct Restarts {
    count: i64,
    /// When a container last ended before it was restarted.
    last: Option<String>,
}

impl Restarts {
    fn add(&mut self, status: &Value) {
        self.count += number(status, "restartCount");
        let finished = text(status, "lastState.terminated.finishedAt");
        // Canonical times compare as text.
        if !finished.is_empty() && self.last.as_deref().is_none_or(|last| last < finished) {
            self.last = Some(finished.to_owned());
        }
    }
}

fn summarize(pod: &Value) -> Summary {
    let mut summary = Summary {
        ready: 0,
        reason: first_reason(pod),
        restarts: Restarts::default(),
    };
    let mut sidecars = Restarts::default();
    let initializing = init_containers(pod, &mut summary, &mut sidecars);
    if !initializing || condition(pod, "Initialized") == Some("True") {
        summary.restarts = sidecars;
        main_containers(pod, &mut summary);
    }
    summary
}

fn first_reason(pod: &Value) -> String {
    let gated = list(pod, "status.conditions").iter().any(|condition| {
        condition["type"] == "PodScheduled" && condition["reason"] == "SchedulingGated"
    });
    if gated {
        return "SchedulingGated".into();
    }
    let phase = text(pod, "status.phase");
    text_or(pod, "status.reason", phase).to_owned()
}

/// Returns whether initialization is still going on.
fn init_containers(pod: &Value, summary: &mut Summary, sidecars: &mut Restarts) -> bool {
    let statuses = list(pod, "status.initContainerStatuses");
    for (index, status) in statuses.iter().enumerate() {
        let sidecar = is_sidecar(pod, text(status, "name"));
        summary.restarts.add(status);
        if sidecar {
            sidecars.add(status);
        }
        let terminated = at(status, "state.terminated");
        let waiting = text(status, "state.waiting.reason");
        if terminated.is_object() && number(terminated, "exitCode") == 0 {
            continue;
        }
        if sidecar && flag(status, "started") {
            summary.ready += usize::from(flag(status, "ready"));
            continue;
        }
        summary.reason = if terminated.is_object() {
            format!("Init:{}", ending(terminated))
        } else if !waiting.is_empty() && waiting != "PodInitializing" {
            format!("Init:{waiting}")
        } else {
            format!("Init:{index}/{}", length(pod, "spec.initContainers"))
        };
        return true;
    }
    false
}

fn main_containers(pod: &Value, summary: &mut Summary) {
    let mut running = false;
    for status in list(pod, "status.containerStatuses").iter().rev() {
        summary.restarts.add(status);
        let waiting = text(status, "state.waiting.reason");
        let terminated = at(status, "state.terminated");
        if !waiting.is_empty() {
            summary.reason = waiting.to_owned();
        } else if terminated.is_object() {
            summary.reason = ending(terminated);
        } else if flag(status, "ready") && at(status, "state.running").is_object() {
            running = true;
            summary.ready += 1;
        }
    }
    // One container is done, another still runs.
    if summary.reason == "Completed" && running {
        let ready = condition(pod, "Ready") == Some("True");
        summary.reason = if ready { "Running" } else { "NotReady" }.into();
    }
}

fn ending(terminated: &Value) -> String {
    let reason = text(terminated, "reason");
    let signal = number(terminated, "signal");
    if !reason.is_empty() {
        reason.to_owned()
    } else if signal != 0 {
        format!("Signal:{signal}")
    } else {
        format!("ExitCode:{}", number(terminated, "exitCode"))
    }
}

fn reason(pod: &Value, reason: String) -> String {
    if at(pod, "metadata.deletionTimestamp").is_null() {
        return reason;
    }
    let finished = matches!(text(pod, "status.phase"), "Succeeded" | "Failed");
    if text(pod, "status.reason") == "NodeLost" {
        "Unknown".into()
    } else if !finished {
        "Terminating".into()
    } else {
        reason
    }
}

fn restarts(restarts: &Restarts, now: Timestamp) -> String {
    match &restarts.last {
        Some(last) if restarts.count != 0 => {
            let last = Value::from(last.as_str());
            format!("{} ({} ago)", restarts.count, since(Some(&last), now))
        }
        _ => restarts.count.to_string(),
    }
}

fn total(pod: &Value) -> usize {
    let sidecars = list(pod, "spec.initContainers")
        .iter()
        .filter(|container| container["restartPolicy"] == "Always");
    length(pod, "spec.containers") + sidecars.count()
}

fn is_sidecar(pod: &Value, name: &str) -> bool {
    list(pod, "spec.initContainers")
        .iter()
        .any(|container| container["name"] == name && container["restartPolicy"] == "Always")
}

fn condition<'a>(pod: &'a Value, kind: &str) -> Option<&'a str> {
    list(pod, "status.conditions")
        .iter()
        .find(|condition| condition["type"] == kind)?["status"]
        .as_str()
}

fn first_address(pod: &Value) -> String {
    let first = list(pod, "status.podIPs").first().map(|ip| text(ip, "ip"));
    match first {
        Some(ip) if !ip.is_empty() => ip.to_owned(),
        _ => text_or(pod, "status.podIP", "<none>").to_owned(),
    }
}

fn readiness_gates(pod: &Value) -> String {
    let gates = list(pod, "spec.readinessGates");
    if gates.is_empty() {
        return "<none>".into();
    }
    let open = gates
        .iter()
        .filter(|gate| condition(pod, text(gate, "conditionType")) == Some("True"));
    format!("{}/{}", open.count(), gates.len())
}

fn conditions(phase: &str) -> Vec<Value> {
    let (reason, message) = match phase {
        "Succeeded" => ("Succeeded", "The pod has completed successfully."),
        "Failed" => ("Failed", "The pod failed."),
        _ => return Vec::new(),
    };
    vec![json!({"type": "Completed", "status": "True", "reason": reason, "message": message})]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pod_value: Value, ready: &str, status: &str, restarts: &str) {
        let now = "2024-01-01T01:00:00Z".parse().expect("a time");
        let row = pod(&pod_value, now);
        assert_eq!(row.cells[1..4], [ready, status, restarts], "{pod_value}");
    }

    #[test]
    fn one_word_tells_how_a_pod_goes() {
        let spec = json!({"containers": [{"name": "a"}, {"name": "b"}]});
        check(
            json!({"spec": spec, "status": {"phase": "Pending"}}),
            "0/2",
            "Pending",
            "0",
        );
        let running = json!({"ready": true, "state": {"running": {}}});
        check(
            json!({"spec": spec, "status": {"phase": "Running", "containerStatuses": [
                running,
                {"restartCount": 3, "state": {"waiting": {"reason": "CrashLoopBackOff"}},
                 "lastState": {"terminated": {"finishedAt": "2024-01-01T00:58:00Z"}}}
            ]}}),
            "1/2",
            "CrashLoopBackOff",
            "3 (2m ago)",
        );
        check(
            json!({"spec": spec, "status": {"phase": "Running", "containerStatuses": [
                running, {"state": {"terminated": {"reason": "Completed"}}}
            ]}}),
            "1/2",
            "NotReady",
            "0",
        );
        check(
            json!({"spec": spec, "status": {"phase": "Failed", "containerStatuses": [
                {"state": {"terminated": {"exitCode": 3}}}
            ]}}),
            "0/2",
            "ExitCode:3",
            "0",
        );
        check(
            json!({"metadata": {"deletionTimestamp": "x"}, "spec": spec, "status": {"phase": "Running"}}),
            "0/2",
            "Terminating",
            "0",
        );
        check(
            json!({"spec": spec, "status": {"phase": "Pending", "conditions": [
                {"type": "PodScheduled", "reason": "SchedulingGated"}
            ]}}),
            "0/2",
            "SchedulingGated",
            "0",
        );
    }

    #[test]
    fn initialization_is_shown_while_it_lasts() {
        let spec = json!({"containers": [{}], "initContainers": [
            {"name": "side", "restartPolicy": "Always"}, {"name": "two"}
        ]});
        let side =
            json!({"name": "side", "started": true, "ready": true, "state": {"running": {}}});
        check(
            json!({"spec": spec, "status": {"phase": "Pending", "initContainerStatuses": [
                side, {"name": "two", "state": {"waiting": {"reason": "PodInitializing"}}}
            ]}}),
            "1/2",
            "Init:1/2",
            "0",
        );
        check(
            json!({"spec": spec, "status": {"phase": "Pending", "initContainerStatuses": [
                side, {"name": "two", "restartCount": 1, "state": {"terminated": {"exitCode": 1}}}
            ]}}),
            "1/2",
            "Init:ExitCode:1",
            "1",
        );
    }
}
