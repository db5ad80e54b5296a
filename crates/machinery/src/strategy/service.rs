//! What writes of Services do: addresses and ports that were allocated stay
//! when an update leaves them out, fields that another type has no use for go.

use serde_json::{Map, Value};

use super::object_at;

/// Prepares a new Service.
pub(super) fn create(object: &mut Value) {
    normalize_addresses(object, None);
    drop_unused(object);
}

/// `clusterIP` is the first of `clusterIPs`; clients that know only the one
/// need not speak of the other (`NormalizeClusterIPs` upstream).
fn normalize_addresses(object: &mut Value, old: Option<&Value>) {
    let spec = object_at(object, "spec");
    let one = spec.get("clusterIP").cloned().unwrap_or_default();
    let all = spec.get("clusterIPs").cloned().unwrap_or_default();
    let given = one.as_str().is_some_and(|text| !text.is_empty());
    let Some(before) = old.map(|old| &old["spec"]) else {
        if given && length(&all) == 0 {
            spec.insert("clusterIPs".into(), Value::Array(vec![one]));
        }
        return;
    };
    let kept = before.get("clusterIP").unwrap_or(&Value::Null) == &one;
    let all_kept = before.get("clusterIPs").unwrap_or(&Value::Null) == &all;
    if kept && length(&all) == 0 {
        keep(spec, before, "clusterIPs");
    } else if !kept && all_kept {
        match given {
            true => spec.insert("clusterIPs".into(), Value::Array(vec![one])),
            false => spec.remove("clusterIPs"),
        };
    }
}

/// Prepares an update (`patchAllocatedValues` and `dropTypeDependentFields`
/// upstream).
pub(super) fn update(object: &mut Value, old: &Value) {
    keep_allocated(object, old);
    normalize_addresses(object, Some(old));
    drop_dependent(object, old);
    drop_unused(object);
}

fn kind(object: &Value) -> &str {
    object["spec"]["type"].as_str().unwrap_or_default()
}

fn has_cluster_address(object: &Value) -> bool {
    matches!(kind(object), "ClusterIP" | "NodePort" | "LoadBalancer")
}

fn has_node_ports(object: &Value) -> bool {
    match kind(object) {
        "NodePort" => true,
        "LoadBalancer" => object["spec"]["allocateLoadBalancerNodePorts"] != false,
        _ => false,
    }
}

fn has_health_port(object: &Value) -> bool {
    kind(object) == "LoadBalancer" && object["spec"]["externalTrafficPolicy"] == "Local"
}

fn is_unset(value: Option<&Value>) -> bool {
    value.is_none_or(|value| value.is_null() || *value == "" || *value == 0)
}

fn length(value: &Value) -> usize {
    value.as_array().map_or(0, Vec::len)
}

fn keep_allocated(object: &mut Value, old: &Value) {
    if has_cluster_address(object) && has_cluster_address(old) {
        let before = &old["spec"];
        let spec = object_at(object, "spec");
        if is_unset(spec.get("clusterIP")) {
            keep(spec, before, "clusterIP");
        }
        if length(spec.get("clusterIPs").unwrap_or(&Value::Null)) == 0
            && spec.get("clusterIP") == before.get("clusterIP")
        {
            keep(spec, before, "clusterIPs");
        }
    }
    if has_node_ports(object) && has_node_ports(old) {
        keep_node_ports(object, old);
    }
    if has_health_port(object) && has_health_port(old) {
        let spec = object_at(object, "spec");
        if is_unset(spec.get("healthCheckNodePort")) {
            keep(spec, &old["spec"], "healthCheckNodePort");
        }
    }
}

fn keep(spec: &mut Map<String, Value>, before: &Value, name: &str) {
    if let Some(value) = before.get(name) {
        spec.insert(name.to_owned(), value.clone());
    }
}

/// A port without a node port keeps the one its protocol and number had, if no
/// other port of the update took it.
fn keep_node_ports(object: &mut Value, old: &Value) {
    let identity = |port: &Value| (port["protocol"].clone(), port["port"].clone());
    let before = old["spec"]["ports"].as_array().cloned().unwrap_or_default();
    let Some(ports) = object["spec"]["ports"].as_array_mut() else {
        return;
    };
    let mut taken: Vec<(Value, Value)> = ports
        .iter()
        .filter(|port| !is_unset(port.get("nodePort")))
        .map(|port| (port["protocol"].clone(), port["nodePort"].clone()))
        .collect();
    for port in ports
        .iter_mut()
        .filter(|port| is_unset(port.get("nodePort")))
    {
        let found = before.iter().find(|old| identity(old) == identity(port));
        let Some(number) = found.and_then(|old| old.get("nodePort")) else {
            continue;
        };
        let claim = (port["protocol"].clone(), number.clone());
        if !is_unset(Some(number)) && !taken.contains(&claim) {
            port["nodePort"] = number.clone();
            taken.push(claim);
        }
    }
}

/// A field that a client did not touch goes when the type changes to one that
/// has no use for it.
fn drop_dependent(object: &mut Value, old: &Value) {
    let untouched = |object: &Value, name: &str| object["spec"].get(name) == old["spec"].get(name);
    if has_cluster_address(old) && !has_cluster_address(object) {
        for name in ["clusterIP", "clusterIPs"] {
            if untouched(object, name) {
                object_at(object, "spec").remove(name);
            }
        }
        for name in ["ipFamilies", "ipFamilyPolicy"] {
            if untouched(object, name) {
                object_at(object, "spec").remove(name);
            }
        }
    }
    if has_node_ports(old) && !has_node_ports(object) {
        drop_node_ports(object, old);
    }
    if has_health_port(old) && !has_health_port(object) && untouched(object, "healthCheckNodePort")
    {
        object_at(object, "spec").remove("healthCheckNodePort");
    }
    if kind(old) == "LoadBalancer" && kind(object) != "LoadBalancer" {
        for name in ["allocateLoadBalancerNodePorts", "loadBalancerClass"] {
            if untouched(object, name) {
                object_at(object, "spec").remove(name);
            }
        }
    }
    let external = |object: &Value| {
        matches!(kind(object), "NodePort" | "LoadBalancer")
            || (kind(object) == "ClusterIP" && length(&object["spec"]["externalIPs"]) > 0)
    };
    if external(old) && !external(object) && untouched(object, "externalTrafficPolicy") {
        object_at(object, "spec").remove("externalTrafficPolicy");
    }
    if kind(object) == "ExternalName" && untouched(object, "internalTrafficPolicy") {
        object_at(object, "spec").remove("internalTrafficPolicy");
    }
}

/// Node ports go unless the client chose one of them anew.
fn drop_node_ports(object: &mut Value, old: &Value) {
    let numbers = |object: &Value| -> Vec<Value> {
        let ports = object["spec"]["ports"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let numbers = ports
            .iter()
            .filter_map(|port| port.get("nodePort").cloned());
        numbers.filter(|number| *number != 0).collect()
    };
    let before = numbers(old);
    if numbers(object)
        .iter()
        .any(|number| !before.contains(number))
    {
        return;
    }
    for port in object["spec"]["ports"].as_array_mut().into_iter().flatten() {
        if let Some(port) = port.as_object_mut() {
            port.remove("nodePort");
        }
    }
}

/// Client-address affinity has no configuration of another kind.
pub(super) fn drop_unused(object: &mut Value) {
    if object["spec"]["sessionAffinity"] == "None" {
        object_at(object, "spec").remove("sessionAffinityConfig");
    }
}
