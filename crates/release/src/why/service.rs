//! Why a Service leads nowhere.

use serde_json::Value;

use super::words::{condition, items, labels, similar, text};
use super::{Cause, Facts, pod, workload};
use crate::ReleaseError;

/// What to do about a port of the host that a program has.
pub const PORT_TAKEN: &str =
    "end the program that has the port, or choose another nodePort in the values";

/// Returns what keeps the Service from answering.
pub async fn causes(facts: &Facts, service: &Value) -> Result<Vec<Cause>, ReleaseError> {
    let name = text(&service["metadata"]["name"]);
    let title = format!("service/{name}");
    let spec = &service["spec"];
    if spec["type"] == "ExternalName" {
        return Ok(Vec::new());
    }
    let Some(selector) = spec["selector"].as_object().filter(|map| !map.is_empty()) else {
        return without_selector(facts, name, &title).await;
    };
    let pods = facts.pods().await?;
    let selected: Vec<&Value> = pods
        .iter()
        .filter(|pod| {
            selector
                .iter()
                .all(|(key, value)| &pod["metadata"]["labels"][key] == value)
        })
        .collect();
    if selected.is_empty() {
        return Ok(vec![nobody(&title, &spec["selector"], pods)]);
    }
    let mut causes: Vec<Cause> = items(&spec["ports"])
        .filter_map(|port| wrong_port(&title, port, &selected))
        .collect();
    let is_ready =
        |pod: &&&Value| condition(pod, "Ready").is_some_and(|one| one["status"] == "True");
    let ready = selected.iter().filter(is_ready).count();
    if ready == 0 && spec["publishNotReadyAddresses"] != true {
        let mut behind = Vec::new();
        for pod in &selected {
            behind.extend(pod::causes(facts, pod).await?);
        }
        causes.push(
            Cause::new(
                &title,
                format!("none of its {} pods is ready", selected.len()),
            )
            .because(behind),
        );
    }
    let on_host = ["PortTaken", "PortNotPermitted", "PortNotBound"];
    if let Some(message) = facts.warning("Service", name, &on_host).await? {
        causes.push(Cause::new(&title, message).remedy(PORT_TAKEN));
    }
    if spec["type"] == "LoadBalancer"
        && items(&service["status"]["loadBalancer"]["ingress"])
            .next()
            .is_none()
    {
        let said = facts.warning("Service", name, &[]).await?;
        causes.push(match said {
            Some(message) => Cause::new(&title, format!("it has no address of its own: {message}")),
            None => Cause::new(&title, "it has no address of its own yet"),
        });
    }
    Ok(causes)
}

async fn without_selector(
    facts: &Facts,
    name: &str,
    title: &str,
) -> Result<Vec<Cause>, ReleaseError> {
    let path = format!(
        "/apis/discovery.k8s.io/v1/namespaces/{}/endpointslices?labelSelector=kubernetes.io/service-name={name}",
        facts.namespace()
    );
    let slices = facts.list(&path).await?;
    let has_addresses = slices
        .iter()
        .any(|slice| items(&slice["endpoints"]).next().is_some());
    if has_addresses {
        return Ok(Vec::new());
    }
    Ok(vec![
        Cause::new(
            title,
            "it has no selector, and nobody has written its endpoints",
        )
        .remedy("give it a selector, or write an EndpointSlice for it")
        .finally(),
    ])
}

/// Explains a selector that fits no pod, by the pod that comes closest.
fn nobody(title: &str, selector: &Value, pods: &[Value]) -> Cause {
    let wanted = selector.as_object().cloned().unwrap_or_default();
    let fitting = |pod: &Value| {
        wanted
            .iter()
            .filter(|(key, value)| &pod["metadata"]["labels"][key.as_str()] == *value)
            .count()
    };
    // How many labels have a value that is like the wanted one, or any.
    let values = |pod: &Value| {
        let pairs = wanted.iter().filter_map(|(key, value)| {
            let has = pod["metadata"]["labels"][key.as_str()].as_str()?;
            Some(similar(text(value), [has]).is_some())
        });
        let alike: Vec<bool> = pairs.collect();
        (alike.iter().filter(|is| **is).count(), alike.len())
    };
    let closest = pods
        .iter()
        .filter(|pod| values(pod).1 > 0)
        .max_by_key(|pod| (fitting(pod), values(pod)));
    let cause = Cause::new(
        title,
        format!(
            "its selector {} fits no pod of the namespace",
            labels(selector)
        ),
    )
    .finally();
    match closest {
        Some(pod) => cause.remedy(format!(
            "pod {} comes closest, it has {}; make selector and labels the same",
            text(&pod["metadata"]["name"]),
            labels(&own_labels(pod))
        )),
        None => cause.remedy(
            "are the pods in another namespace, or scaled to 0? kubectl get pods -A --show-labels",
        ),
    }
}

/// Returns a pod's labels without those that controllers add.
fn own_labels(pod: &Value) -> Value {
    let mut labels = pod["metadata"]["labels"].clone();
    if let Some(labels) = labels.as_object_mut() {
        labels.retain(|key, _| !key.ends_with("-hash") && !key.starts_with("controller-"));
    }
    labels
}

/// Explains a target port that the pods do not have.
fn wrong_port(title: &str, port: &Value, pods: &[&Value]) -> Option<Cause> {
    let target = if port["targetPort"].is_null() {
        &port["port"]
    } else {
        &port["targetPort"]
    };
    let declared: Vec<(String, i64)> = pods.first().map(|pod| workload::ports(pod))?;
    let known = || {
        let all: Vec<String> = declared
            .iter()
            .map(|(name, number)| {
                if name.is_empty() {
                    number.to_string()
                } else {
                    format!("{name} ({number})")
                }
            })
            .collect();
        if all.is_empty() {
            "none".to_owned()
        } else {
            all.join(", ")
        }
    };
    if let Some(name) = target.as_str() {
        if declared.iter().any(|(declared, _)| declared == name) {
            return None;
        }
        return Some(
            Cause::new(
                title,
                format!(
                    "its port {} leads to a port called {name:?}, which the pods do not have",
                    port["port"]
                ),
            )
            .remedy(format!(
                "correct targetPort; the containers declare {}",
                known()
            ))
            .finally(),
        );
    }
    let number = target.as_i64()?;
    if declared.is_empty() || declared.iter().any(|(_, declared)| *declared == number) {
        return None;
    }
    Some(
        Cause::new(
            title,
            format!(
                "its port {} leads to port {number}, which the containers do not declare",
                port["port"]
            ),
        )
        .remedy(format!(
            "correct targetPort if nothing listens there; the containers declare {}",
            known()
        )),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_pod_that_comes_closest_is_named() {
        let pods = [
            json!({"metadata": {"name": "far", "labels": {"x": "y"}}}),
            json!({"metadata": {"name": "near", "labels": {"app": "web1", "tier": "front"}}}),
        ];
        let cause = nobody(
            "service/web",
            &json!({"app": "web", "tier": "front"}),
            &pods,
        );
        assert!(
            cause.text.contains("app=web,tier=front fits no pod"),
            "{}",
            cause.text
        );
        assert!(
            cause
                .remedy
                .expect("there is one")
                .contains("pod near comes closest")
        );
    }

    #[test]
    fn ports_that_lead_nowhere_are_named() {
        let pod =
            json!({"spec": {"containers": [{"ports": [{"name": "http", "containerPort": 8000}]}]}});
        let check = |port: Value, expected: Option<&str>| {
            let said = wrong_port("service/a", &port, &[&pod]).and_then(|cause| cause.remedy);
            match expected {
                Some(expected) => assert!(said.expect("it is wrong").contains(expected)),
                None => assert_eq!(said, None),
            }
        };
        check(json!({"port": 80, "targetPort": "http"}), None);
        check(json!({"port": 80, "targetPort": 8000}), None);
        check(
            json!({"port": 80, "targetPort": "htpt"}),
            Some("http (8000)"),
        );
        check(json!({"port": 80}), Some("http (8000)"));
    }
}
