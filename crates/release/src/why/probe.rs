//! Why a container runs and yet is not ready: its probes.

use serde_json::Value;

use super::words::{items, text};
use super::{Cause, Facts};
use crate::ReleaseError;

/// Explains a running container that is not ready.
pub async fn cause(
    facts: &Facts,
    pod: &Value,
    status: &Value,
    title: &str,
) -> Result<Cause, ReleaseError> {
    let pod_name = text(&pod["metadata"]["name"]);
    let said = facts.warning("Pod", pod_name, &["Unhealthy"]).await?;
    let container = items(&pod["spec"]["containers"]).find(|one| one["name"] == status["name"]);
    let text = match &said {
        Some(message) => format!("it runs but is not ready: {message}"),
        None => "it runs but is not ready yet".to_owned(),
    };
    let mut cause = Cause::new(title, text);
    if let (Some(container), Some(message)) = (container, &said) {
        cause.remedy = Some(remedy(container, message, pod_name));
        cause.excerpt = facts
            .log(pod_name, super::words::text(&status["name"]), 3)
            .await;
    }
    Ok(cause)
}

fn remedy(container: &Value, message: &str, pod: &str) -> String {
    let probe = ["startupProbe", "livenessProbe", "readinessProbe"]
        .into_iter()
        .find(|kind| {
            let word = kind.trim_end_matches("Probe");
            message.to_lowercase().starts_with(word)
        })
        .unwrap_or("readinessProbe");
    let spec = &container[probe];
    let port = &spec["httpGet"]["port"];
    let port = if port.is_null() {
        &spec["tcpSocket"]["port"]
    } else {
        port
    };
    if let Some(number) = port.as_i64() {
        let declared: Vec<i64> = items(&container["ports"])
            .filter_map(|port| port["containerPort"].as_i64())
            .collect();
        if !declared.is_empty() && !declared.contains(&number) {
            let declared: Vec<String> = declared.iter().map(i64::to_string).collect();
            return format!(
                "{probe} asks port {number}, the container declares {}; correct the one that is wrong",
                declared.join(", ")
            );
        }
    }
    if message.contains("connection refused") {
        return format!(
            "nothing listens on the port that {probe} asks; compare it with what the program says in its log"
        );
    }
    if message.contains("statuscode: 404") {
        let path = text(&spec["httpGet"]["path"]);
        return format!("the program knows no {path}; correct {probe}.httpGet.path");
    }
    if message.contains("deadline") || message.contains("imeout") {
        return format!("the answer takes longer than {probe}.timeoutSeconds allows");
    }
    format!(
        "see what the program says: kubectl logs {pod} -c {}",
        text(&container["name"])
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn failing_probes_have_remedies() {
        let container = json!({"name": "c", "ports": [{"containerPort": 8000}],
            "readinessProbe": {"httpGet": {"path": "/ready", "port": 8001}},
            "livenessProbe": {"httpGet": {"path": "/live", "port": 8000}}});
        let check = |message: &str, expected: &str| {
            let said = remedy(&container, message, "p");
            assert!(said.contains(expected), "{message}: {said}");
        };
        check(
            "Readiness probe failed: connection refused",
            "asks port 8001, the container declares 8000",
        );
        check(
            "Liveness probe failed: HTTP probe failed with statuscode: 404",
            "knows no /live",
        );
        check(
            "Liveness probe failed: dial tcp: connection refused",
            "nothing listens",
        );
        check(
            "Liveness probe failed: context deadline exceeded",
            "timeoutSeconds",
        );
        check(
            "Liveness probe failed: HTTP probe failed with statuscode: 500",
            "kubectl logs p -c c",
        );
    }
}
