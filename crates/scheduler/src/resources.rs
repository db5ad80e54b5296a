//! What pods ask for and nodes have, in millicores, bytes and counts.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, Pod};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

/// Amounts by resource name; cpu in millicores, everything else in units.
pub type Amounts = BTreeMap<String, i128>;

/// Returns a quantity in thousandths for cpu and in units for the rest,
/// rounded up; an unreadable one counts as nothing.
pub fn amount(resource: &str, quantity: &Quantity) -> i128 {
    let parsed = quantity.0.parse::<coracle_machinery::quantity::Quantity>();
    parsed.map_or(0, |value| {
        i128::from(if resource == "cpu" {
            value.milli_value()
        } else {
            value.value()
        })
    })
}

/// What a container is thought to ask for that does not say (upstream:
/// pkg/scheduler/util/pod_resources.go).
fn usual() -> Amounts {
    Amounts::from([("cpu".into(), 100), ("memory".into(), 200 << 20)])
}

fn requests(container: &Container) -> Amounts {
    let requests = container
        .resources
        .as_ref()
        .and_then(|resources| resources.requests.clone());
    requests
        .into_iter()
        .flatten()
        .map(|(name, quantity)| (name.clone(), amount(&name, &quantity)))
        .collect()
}

/// Adds amounts.
pub fn add(into: &mut Amounts, more: &Amounts) {
    for (name, value) in more {
        *into.entry(name.clone()).or_default() += value;
    }
}

/// Takes amounts off.
pub fn subtract(from: &mut Amounts, less: &Amounts) {
    for (name, value) in less {
        *from.entry(name.clone()).or_default() -= value;
    }
}

fn raise(into: &mut Amounts, floor: &Amounts) {
    for (name, value) in floor {
        let have = into.entry(name.clone()).or_default();
        *have = (*have).max(*value);
    }
}

/// Returns what a pod asks for: its containers together, or its hungriest init
/// container beside the sidecars before it, and the overhead
/// (Kubernetes: Init Containers, resource sharing).
pub fn pod_requests(pod: &Pod) -> Amounts {
    together(pod, requests)
}

/// Returns the same, with the usual where a container does not say.
pub fn pod_requests_or_usual(pod: &Pod) -> Amounts {
    together(pod, |container| {
        let mut amounts = usual();
        amounts.extend(requests(container));
        amounts
    })
}

fn together(pod: &Pod, requests: impl Fn(&Container) -> Amounts) -> Amounts {
    let Some(spec) = &pod.spec else {
        return Amounts::new();
    };
    let (mut sidecars, mut init) = (Amounts::new(), Amounts::new());
    for container in spec.init_containers.iter().flatten() {
        let mut together = sidecars.clone();
        add(&mut together, &requests(container));
        if container.restart_policy.as_deref() == Some("Always") {
            sidecars = together.clone();
        }
        raise(&mut init, &together);
    }
    let mut total = sidecars;
    for container in &spec.containers {
        add(&mut total, &requests(container));
    }
    raise(&mut total, &init);
    for (name, quantity) in spec.overhead.iter().flatten() {
        *total.entry(name.clone()).or_default() += amount(name, quantity);
    }
    total
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_read_in_every_notation() {
        let check = |resource: &str, text: &str, expected: i128| {
            assert_eq!(amount(resource, &Quantity(text.into())), expected, "{text}");
        };
        check("cpu", "250m", 250);
        check("cpu", "0.1", 100);
        check("cpu", "2", 2000);
        check("memory", "128Mi", 134_217_728);
        check("memory", "1e3", 1000);
        check("memory", "1.5Gi", 1_610_612_736);
        check("memory", "nonsense", 0);
    }

    #[test]
    fn init_containers_count_by_the_largest() {
        let container =
            |cpu: &str| serde_json::json!({"name": "c", "resources": {"requests": {"cpu": cpu}}});
        let mut sidecar = container("50m");
        sidecar["restartPolicy"] = "Always".into();
        let pod: Pod = serde_json::from_value(serde_json::json!({
            "spec": {
                "initContainers": [container("300m"), sidecar, container("100m")],
                "containers": [container("100m"), container("100m")],
            },
        }))
        .expect("a pod");
        assert_eq!(pod_requests(&pod)["cpu"], 300);
    }
}
