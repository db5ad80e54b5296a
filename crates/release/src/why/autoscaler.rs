//! Why a HorizontalPodAutoscaler does not scale.

use serde_json::Value;

use super::words::{condition, items, text};
use super::{Cause, Facts};
use crate::ReleaseError;

/// Returns what keeps the autoscaler from its work.
pub async fn causes(facts: &Facts, scaler: &Value) -> Result<Vec<Cause>, ReleaseError> {
    let title = format!("hpa/{}", text(&scaler["metadata"]["name"]));
    let target = &scaler["spec"]["scaleTargetRef"];
    let (kind, name) = (text(&target["kind"]), text(&target["name"]));
    let live = facts.get(kind, name).await?;
    if live.is_none() && super::resource::is_explained(kind) {
        return Ok(vec![
            Cause::new(
                title,
                format!("its target {}/{name} does not exist", kind.to_lowercase()),
            )
            .remedy("correct spec.scaleTargetRef")
            .finally(),
        ]);
    }
    let mut causes = Vec::new();
    if let Some(live) = &live {
        causes.extend(without_requests(&title, scaler, live));
    }
    for name in ["AbleToScale", "ScalingActive"] {
        let failed = condition(scaler, name).filter(|one| one["status"] == "False");
        if let Some(failed) = failed.filter(|_| causes.is_empty()) {
            causes.push(Cause::new(&title, text(&failed["message"])));
        }
    }
    if causes.is_empty() && items(&scaler["status"]["conditions"]).next().is_none() {
        causes.push(Cause::new(&title, "no controller has looked at it yet"));
    }
    Ok(causes)
}

/// Utilisation is a share of what the containers request; without a request
/// there is no share (autoscaling/v2, Resource metric source).
fn without_requests(title: &str, scaler: &Value, workload: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    for metric in items(&scaler["spec"]["metrics"]) {
        let source = &metric["resource"];
        if metric["type"] != "Resource" || source["target"]["type"] != "Utilization" {
            continue;
        }
        let resource = text(&source["name"]);
        let lacking: Vec<&str> = items(&workload["spec"]["template"]["spec"]["containers"])
            .filter(|container| container["resources"]["requests"][resource].is_null())
            .map(|container| text(&container["name"]))
            .collect();
        if !lacking.is_empty() {
            causes.push(
                Cause::new(
                    title,
                    format!(
                        "it scales by the share of requested {resource}, and container {} requests none",
                        lacking.join(", ")
                    ),
                )
                .remedy(format!(
                    "set resources.requests.{resource}: kubectl set resources {}/{} -c {} --requests={resource}=AMOUNT",
                    text(&workload["kind"]).to_lowercase(),
                    text(&workload["metadata"]["name"]),
                    lacking[0]
                ))
                .finally(),
            );
        }
    }
    causes
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn containers_without_requests_are_named() {
        let scaler = json!({"spec": {"metrics": [{"type": "Resource",
            "resource": {"name": "cpu", "target": {"type": "Utilization"}}}]}});
        let workload = |requests: Value| {
            json!({"kind": "Deployment", "metadata": {"name": "web"},
                "spec": {"template": {"spec": {"containers": [{"name": "c", "resources": {"requests": requests}}]}}}})
        };
        assert!(without_requests("hpa/a", &scaler, &workload(json!({"cpu": "1"}))).is_empty());
        let causes = without_requests("hpa/a", &scaler, &workload(json!({})));
        assert!(
            causes[0].text.contains("container c requests none"),
            "{causes:?}"
        );
    }
}
