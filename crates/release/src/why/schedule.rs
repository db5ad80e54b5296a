//! Why a pod has no node.

use serde_json::Value;

use super::words::{items, text};
use super::{Cause, Facts, claim};
use crate::ReleaseError;

/// Explains what the scheduler said.
pub async fn causes(facts: &Facts, pod: &Value, message: &str) -> Result<Vec<Cause>, ReleaseError> {
    let title = format!("pod/{}", text(&pod["metadata"]["name"]));
    let cause = Cause::new(title, format!("no node takes it: {message}"));
    if message.contains("PersistentVolumeClaim") || message.contains("persistentvolumeclaim") {
        let mut behind = Vec::new();
        for name in claims(pod) {
            match facts.get("PersistentVolumeClaim", name).await? {
                Some(live) => behind.extend(claim::causes(facts, &live).await?),
                None => behind.push(claim::missing(facts, name).await?),
            }
        }
        return Ok(vec![cause.because(behind)]);
    }
    let node = facts.nodes().await?.first().cloned().unwrap_or_default();
    Ok(vec![match remedy(pod, &node, message) {
        Some(remedy) => cause.remedy(remedy),
        None => cause,
    }])
}

/// Returns the claims that the pod's volumes name.
pub fn claims(pod: &Value) -> impl Iterator<Item = &str> {
    items(&pod["spec"]["volumes"])
        .filter_map(|volume| volume["persistentVolumeClaim"]["claimName"].as_str())
}

fn remedy(pod: &Value, node: &Value, message: &str) -> Option<String> {
    let node_name = text(&node["metadata"]["name"]);
    for (word, resource) in [("memory", "memory"), ("cpu", "cpu"), ("pods", "pods")] {
        if !message.contains(&format!("Insufficient {word}")) && !message.contains("Too many pods")
        {
            continue;
        }
        let offered = text(&node["status"]["allocatable"][resource]);
        let asked: Vec<String> = items(&pod["spec"]["containers"])
            .filter_map(|container| {
                let asked = container["resources"]["requests"][resource].as_str()?;
                Some(format!("{} asks for {asked}", text(&container["name"])))
            })
            .collect();
        if !asked.is_empty() {
            return Some(format!(
                "lower resources.requests.{resource}: {}, node {node_name} has {offered} in all",
                asked.join(", ")
            ));
        }
    }
    if message.contains("node affinity") || message.contains("node selector") {
        let wanted = super::words::labels(&pod["spec"]["nodeSelector"]);
        return Some(if wanted.is_empty() {
            "change the pod's nodeSelector or affinity, or label the node: kubectl label node NODE KEY=VALUE".into()
        } else {
            format!(
                "kubectl label node {node_name} {}",
                wanted.replace(',', " ")
            )
        });
    }
    if message.contains("taint") {
        return Some(
            "give the pod a toleration, or take the taint away: kubectl taint node NODE KEY-"
                .into(),
        );
    }
    if message.contains("unschedulable") {
        return Some(format!("kubectl uncordon {node_name}"));
    }
    if message.contains("ports") {
        return Some("another pod has the hostPort; change it, or delete that pod".into());
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn each_refusal_has_its_remedy() {
        let pod = json!({"spec": {"nodeSelector": {"disk": "ssd"},
            "containers": [{"name": "c", "resources": {"requests": {"memory": "64Gi"}}}]}});
        let node = json!({"metadata": {"name": "n"}, "status": {"allocatable": {"memory": "8Gi"}}});
        let check = |message: &str, expected: &str| {
            let said = remedy(&pod, &node, message).unwrap_or_default();
            assert!(said.contains(expected), "{message}: {said}");
        };
        check(
            "0/1 nodes are available: 1 Insufficient memory.",
            "c asks for 64Gi, node n has 8Gi",
        );
        check(
            "1 node(s) didn't match Pod's node affinity/selector.",
            "kubectl label node n disk=ssd",
        );
        check("1 node(s) had untolerated taint(s)", "toleration");
        check("1 node(s) were unschedulable.", "kubectl uncordon n");
        check("something else", "");
    }
}
