//! Sums of resources: what a pod asks for in all.
//!
//! <https://kubernetes.io/docs/concepts/workloads/pods/init-containers/#resource-sharing-within-containers>

use std::collections::BTreeMap;

use serde_json::Value;

use crate::quantity::Quantity;

/// Amounts by resource name.
pub type Amounts = BTreeMap<String, Quantity>;

/// Reads a map of quantities; what cannot be read is left out.
pub fn read(map: &Value) -> Amounts {
    map.as_object()
        .into_iter()
        .flatten()
        .filter_map(|(name, amount)| Some((name.clone(), Quantity::from_json(amount).ok()?)))
        .collect()
}

/// Adds amounts.
pub fn add(total: &mut Amounts, more: &Amounts) {
    for (name, amount) in more {
        let sum = total
            .get(name)
            .map_or(*amount, |sum| sum.saturating_add(*amount));
        total.insert(name.clone(), sum);
    }
}

fn raise(total: &mut Amounts, other: &Amounts) {
    for (name, amount) in other {
        if total.get(name).is_none_or(|sum| sum < amount) {
            total.insert(name.clone(), *amount);
        }
    }
}

/// Returns what `now` has beyond `before`; less is nothing.
pub fn beyond(now: &Amounts, before: &Amounts) -> Amounts {
    let mut growth = now.clone();
    for (name, amount) in &mut growth {
        let Some(before) = before.get(name) else {
            continue;
        };
        *amount = match *before < *amount {
            true => amount.saturating_sub(*before),
            false => amount.saturating_sub(*amount),
        };
    }
    growth
}

/// Whether a pod as a whole may ask for a resource, beside its containers.
pub fn is_of_pods(name: &str) -> bool {
    matches!(name, "cpu" | "memory") || name.starts_with("hugepages-")
}

/// Returns the `requests` or `limits` of a pod's containers: of containers and
/// sidecars together, or of the hungriest moment of the start.
pub fn of_containers(spec: &Value, part: &str) -> Amounts {
    let mut total = Amounts::new();
    for container in spec["containers"].as_array().into_iter().flatten() {
        add(&mut total, &read(&container["resources"][part]));
    }
    let mut sidecars = Amounts::new();
    let mut start = Amounts::new();
    for container in spec["initContainers"].as_array().into_iter().flatten() {
        let own = read(&container["resources"][part]);
        if container["restartPolicy"] == "Always" {
            add(&mut total, &own);
            add(&mut sidecars, &own);
            raise(&mut start, &sidecars);
        } else {
            let mut moment = own;
            add(&mut moment, &sidecars);
            raise(&mut start, &moment);
        }
    }
    raise(&mut total, &start);
    total
}

/// Returns the `requests` or `limits` of a whole pod: what its containers or it
/// itself ask for, and the overhead.
pub fn of_pod(spec: &Value, part: &str) -> Amounts {
    let mut total = of_containers(spec, part);
    // Amounts of the pod itself stand above those of its containers.
    for (name, amount) in read(&spec["resources"][part]) {
        if is_of_pods(&name) {
            total.insert(name, amount);
        }
    }
    if !(part == "limits" && total.is_empty()) {
        let overhead = read(&spec["overhead"]);
        for (name, amount) in &overhead {
            if part == "requests" || total.contains_key(name) {
                add(&mut total, &Amounts::from([(name.clone(), *amount)]));
            }
        }
    }
    total
}
