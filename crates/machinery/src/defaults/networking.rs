//! Defaults of services, network policies, ingress classes and endpoint slices.

use serde_json::{Value, json};

use super::{Object, child, each, text};
use crate::default::{child_or_new, get_text, is_absent, value};

/// How long a client stays with a pod under session affinity: three hours.
const AFFINITY_SECONDS: i64 = 10_800;

/// Defaults of a `Service`. Addresses, families and node ports are allocated
/// by the server.
pub fn service(object: &mut Object) {
    if let Some(spec) = child_or_new(object, "spec") {
        session_affinity(spec);
        text(spec, "type", "ClusterIP");
        for port in each(spec, "ports") {
            service_port(port);
        }
        traffic_policies(spec);
    }
    let ingress = child(object, "status").and_then(|status| child(status, "loadBalancer"));
    if let Some(ingress) = ingress {
        for entry in each(ingress, "ingress") {
            if !get_text(entry, "ip").is_empty() {
                value(entry, "ipMode", || "VIP");
            }
        }
    }
}

fn session_affinity(spec: &mut Object) {
    text(spec, "sessionAffinity", "None");
    match get_text(spec, "sessionAffinity") {
        "None" => {
            spec.remove("sessionAffinityConfig");
        }
        "ClientIP" => {
            let config = child_or_new(spec, "sessionAffinityConfig");
            if let Some(client) = config.and_then(|config| child_or_new(config, "clientIP")) {
                value(client, "timeoutSeconds", || AFFINITY_SECONDS);
            }
        }
        _ => {}
    }
}

fn service_port(port: &mut Object) {
    text(port, "protocol", "TCP");
    let target = port.get("targetPort");
    if target.is_none_or(|target| target.is_null() || *target == 0 || *target == "") {
        let number = port.get("port").cloned().unwrap_or(json!(0));
        port.insert("targetPort".into(), number);
    }
}

fn traffic_policies(spec: &mut Object) {
    let kind = get_text(spec, "type").to_owned();
    let has_external = spec
        .get("externalIPs")
        .and_then(Value::as_array)
        .is_some_and(|list| !list.is_empty());
    let is_external = match &*kind {
        "NodePort" | "LoadBalancer" => true,
        "ClusterIP" => has_external,
        _ => false,
    };
    if is_external {
        text(spec, "externalTrafficPolicy", "Cluster");
    }
    if matches!(&*kind, "ClusterIP" | "NodePort" | "LoadBalancer") {
        value(spec, "internalTrafficPolicy", || "Cluster");
    }
    if kind == "LoadBalancer" {
        value(spec, "allocateLoadBalancerNodePorts", || true);
    }
}

/// Defaults of a `NetworkPolicy`.
pub fn network_policy(object: &mut Object) {
    let Some(spec) = child_or_new(object, "spec") else {
        return;
    };
    for direction in ["ingress", "egress"] {
        for rule in each(spec, direction) {
            for port in each(rule, "ports") {
                value(port, "protocol", || "TCP");
            }
        }
    }
    let length = |name: &str| spec.get(name).and_then(Value::as_array).map_or(0, Vec::len);
    if length("policyTypes") == 0 {
        let types = match length("egress") {
            0 => json!(["Ingress"]),
            _ => json!(["Ingress", "Egress"]),
        };
        spec.insert("policyTypes".into(), types);
    }
}

/// Defaults of an `IngressClass`.
pub fn ingress_class(object: &mut Object) {
    let parameters = child(object, "spec").and_then(|spec| child(spec, "parameters"));
    if let Some(parameters) = parameters {
        value(parameters, "scope", || "Cluster");
    }
}

/// Defaults of an `EndpointSlice`.
pub fn endpoint_slice(object: &mut Object) {
    for port in each(object, "ports") {
        value(port, "name", || "");
        if is_absent(port, "protocol") {
            text(port, "protocol", "TCP");
        }
    }
}
