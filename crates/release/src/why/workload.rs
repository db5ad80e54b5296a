//! Why a workload has not the pods it should have.

use serde_json::Value;

use super::words::{condition, items, text};
use super::{Cause, Facts, pod};
use crate::ReleaseError;

/// Pods that are explained; the others fail alike.
const PODS_MAX: usize = 3;

/// Returns what holds the workload back.
pub async fn causes(facts: &Facts, live: &Value) -> Result<Vec<Cause>, ReleaseError> {
    let known = known(facts, live).await?;
    if !known.is_empty() || is_fine(live) {
        return Ok(known);
    }
    let text = format!("{}; nothing says that this will not change", shortage(live));
    Ok(vec![Cause::new(title(live), text)])
}

fn title(live: &Value) -> String {
    let kind = text(&live["kind"]).to_lowercase();
    format!("{kind}/{}", text(&live["metadata"]["name"]))
}

/// Returns what is known to hold the workload back.
pub async fn known(facts: &Facts, live: &Value) -> Result<Vec<Cause>, ReleaseError> {
    if is_fine(live) {
        return Ok(Vec::new());
    }
    let kind = text(&live["kind"]);
    let name = text(&live["metadata"]["name"]);
    let title = title(live);
    if kind == "Deployment" && live["spec"]["paused"] == true {
        return Ok(vec![Cause::new(title, "its rollout is paused").remedy(
            format!(
                "kubectl rollout resume deployment/{name} -n {}",
                facts.namespace()
            ),
        )]);
    }
    if kind == "Job"
        && let Some(failed) = condition(live, "Failed").filter(|one| one["status"] == "True")
    {
        let cause = Cause::new(
            &title,
            format!("it has failed: {}", text(&failed["message"])),
        )
        .remedy(format!(
            "mend the cause, then: kubectl delete job {name} -n {}",
            facts.namespace()
        ));
        return Ok(vec![cause.because(of_pods(facts, live).await?).finally()]);
    }
    if let Some(refused) = refused(facts, live, &title).await? {
        return Ok(vec![refused]);
    }
    let behind = of_pods(facts, live).await?;
    if !behind.is_empty() {
        return Ok(vec![Cause::new(title, shortage(live)).because(behind)]);
    }
    let stuck = condition(live, "Progressing").filter(|one| one["status"] == "False");
    let stuck = stuck.map(|stuck| format!("{}: {}", shortage(live), text(&stuck["message"])));
    Ok(stuck
        .map(|said| Cause::new(title, said))
        .into_iter()
        .collect())
}

/// Returns whether the workload has what it should have.
fn is_fine(live: &Value) -> bool {
    let (status, number) = (&live["status"], |value: &Value| value.as_i64().unwrap_or(0));
    let wanted = live["spec"]["replicas"].as_i64().unwrap_or(1);
    let seen = number(&status["observedGeneration"]) >= number(&live["metadata"]["generation"]);
    match text(&live["kind"]) {
        "Deployment" => {
            seen && number(&status["updatedReplicas"]) >= wanted
                && number(&status["availableReplicas"]) >= wanted
                && number(&status["replicas"]) <= number(&status["updatedReplicas"])
        }
        "StatefulSet" => {
            seen && number(&status["readyReplicas"]) >= wanted
                && number(&status["updatedReplicas"]) >= wanted
        }
        "ReplicaSet" => number(&status["readyReplicas"]) >= wanted,
        "DaemonSet" => {
            seen && number(&status["numberReady"]) >= number(&status["desiredNumberScheduled"])
        }
        "Job" => {
            let completions = live["spec"]["completions"].as_i64().unwrap_or(1);
            condition(live, "Complete").is_some_and(|one| one["status"] == "True")
                || number(&status["succeeded"]) >= completions
        }
        _ => true,
    }
}

fn shortage(live: &Value) -> String {
    format!("it has {}", super::words::state(text(&live["kind"]), live))
}

/// A controller that may not make pods says so in a condition or an event.
async fn refused(facts: &Facts, live: &Value, title: &str) -> Result<Option<Cause>, ReleaseError> {
    let in_condition = condition(live, "ReplicaFailure")
        .filter(|one| one["status"] == "True")
        .map(|one| text(&one["message"]).to_owned());
    let message = match in_condition {
        Some(message) => Some(message),
        None if pods(facts, live).await?.is_empty() => {
            let (kind, name) = (text(&live["kind"]), text(&live["metadata"]["name"]));
            facts.warning(kind, name, &["FailedCreate"]).await?
        }
        None => None,
    };
    Ok(message.map(|message| {
        let remedy = remedy(&message);
        let cause = Cause::new(title, format!("its pods are refused: {message}")).finally();
        match remedy {
            Some(remedy) => cause.remedy(remedy),
            None => cause,
        }
    }))
}

fn remedy(message: &str) -> Option<String> {
    let lower = message.to_lowercase();
    let advice = if lower.contains("exceeded quota") {
        "lower the pod's requests, or raise the quota: kubectl get resourcequota -A"
    } else if lower.contains("podsecurity") || lower.contains("pod security") {
        "obey the namespace's level in securityContext, or change its label pod-security.kubernetes.io/enforce"
    } else if lower.contains("serviceaccount") && lower.contains("not found") {
        "create the ServiceAccount that the pod names, or correct serviceAccountName"
    } else if lower.contains("is invalid") {
        "correct the field that is named, in the chart's template or values"
    } else {
        return None;
    };
    Some(advice.into())
}

/// Returns the pods that the workload selects.
async fn pods<'a>(facts: &'a Facts, live: &Value) -> Result<Vec<&'a Value>, ReleaseError> {
    let wanted = &live["spec"]["selector"]["matchLabels"];
    let wanted = wanted.as_object().cloned().unwrap_or_default();
    let fits = |pod: &Value| {
        !wanted.is_empty()
            && wanted
                .iter()
                .all(|(key, value)| &pod["metadata"]["labels"][key] == value)
    };
    Ok(facts.pods().await?.iter().filter(|pod| fits(pod)).collect())
}

/// Explains the workload's pods, the newest first.
async fn of_pods(facts: &Facts, live: &Value) -> Result<Vec<Cause>, ReleaseError> {
    let mut pods = pods(facts, live).await?;
    // One that is being ended is a reason only where nothing else is.
    let is_ending = |pod: &Value| pod["metadata"]["deletionTimestamp"].is_string();
    if pods.iter().any(|pod| !is_ending(pod)) {
        pods.retain(|pod| !is_ending(pod));
    }
    pods.sort_by_key(|pod| std::cmp::Reverse(text(&pod["metadata"]["creationTimestamp"])));
    let mut found: Vec<Cause> = Vec::new();
    for pod in pods {
        for cause in pod::causes(facts, pod).await? {
            // Replicas fail alike; one of them tells it all.
            let same = found
                .iter()
                .any(|known| known.text == cause.text && known.because == cause.because);
            if !same {
                found.push(cause);
            }
        }
        if found.len() >= PODS_MAX {
            break;
        }
    }
    Ok(found)
}

/// Returns the ports that the pods' containers declare: name and number.
pub fn ports(pod: &Value) -> Vec<(String, i64)> {
    items(&pod["spec"]["containers"])
        .chain(items(&pod["spec"]["initContainers"]))
        .flat_map(|container| items(&container["ports"]))
        .filter_map(|port| {
            Some((
                text(&port["name"]).to_owned(),
                port["containerPort"].as_i64()?,
            ))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_workload_is_fine_when_its_controller_has_caught_up() {
        let check = |live: Value, expected: bool| assert_eq!(is_fine(&live), expected, "{live}");
        let deployment = |available: i64, replicas: i64| {
            json!({"kind": "Deployment", "spec": {"replicas": 2},
                "status": {"updatedReplicas": 2, "availableReplicas": available, "replicas": replicas}})
        };
        check(deployment(2, 2), true);
        check(deployment(1, 2), false);
        check(deployment(2, 3), false);
        check(json!({"kind": "Job", "status": {"succeeded": 1}}), true);
        check(json!({"kind": "Job", "status": {"failed": 1}}), false);
    }

    #[test]
    fn refusals_have_remedies() {
        assert!(
            remedy("exceeded quota: q")
                .expect("known")
                .contains("resourcequota")
        );
        assert!(
            remedy("serviceaccount \"x\" not found")
                .expect("known")
                .contains("serviceAccountName")
        );
        assert_eq!(remedy("who knows"), None);
    }
}
