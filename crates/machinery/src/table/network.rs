//! Rows of services, endpoints, ingresses and network policies.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::Value;

use super::{age, at, labels, list, name, number, selector, string, text, text_or, with_more};

/// Most hosts, endpoints and ports that are shown.
const SHOWN_MAX: usize = 3;

/// Cells of a `Service`.
pub(super) fn service(object: &Value, now: Timestamp) -> Vec<Value> {
    let internal = match list(object, "spec.clusterIPs").first() {
        Some(Value::String(address)) => address,
        _ => text_or(object, "spec.clusterIP", "<none>"),
    };
    vec![
        name(object),
        string(object, "spec.type"),
        internal.into(),
        external(object).into(),
        service_ports(object).into(),
        age(object, now),
        labels(at(object, "spec.selector")).into(),
    ]
}

fn external(object: &Value) -> String {
    let given: Vec<&str> = list(object, "spec.externalIPs")
        .iter()
        .filter_map(Value::as_str)
        .collect();
    let given = given.join(",");
    match text(object, "spec.type") {
        "ClusterIP" | "NodePort" => super::none_if_empty(given),
        "LoadBalancer" => {
            let balanced = balancer_addresses(object);
            match (balanced.is_empty(), given.is_empty()) {
                (true, true) => "<pending>".into(),
                (false, false) => format!("{balanced},{given}"),
                (_, true) => balanced,
                (true, _) => given,
            }
        }
        "ExternalName" => text(object, "spec.externalName").to_owned(),
        _ => "<unknown>".into(),
    }
}

/// Addresses (or names) of `status.loadBalancer`, sorted, each once.
fn balancer_addresses(object: &Value) -> String {
    let found: BTreeSet<&str> = list(object, "status.loadBalancer.ingress")
        .iter()
        .map(|ingress| text_or(ingress, "ip", text(ingress, "hostname")))
        .filter(|text| !text.is_empty())
        .collect();
    found.into_iter().collect::<Vec<_>>().join(",")
}

fn service_ports(object: &Value) -> String {
    let ports: Vec<String> = list(object, "spec.ports")
        .iter()
        .map(|port| {
            let (number_, protocol) = (number(port, "port"), text(port, "protocol"));
            match number(port, "nodePort") {
                0 => format!("{number_}/{protocol}"),
                node => format!("{number_}:{node}/{protocol}"),
            }
        })
        .collect();
    super::none_if_empty(ports.join(","))
}

/// Cells of `Endpoints`.
pub(super) fn endpoints(object: &Value, now: Timestamp) -> Vec<Value> {
    let mut all = Vec::new();
    for subset in list(object, "subsets") {
        let addresses = list(subset, "addresses").iter().map(|a| text(a, "ip"));
        let ports = list(subset, "ports");
        if ports.is_empty() {
            all.extend(addresses.map(str::to_owned));
            continue;
        }
        for port in ports {
            let port = number(port, "port");
            all.extend(addresses.clone().map(|ip| host_port(ip, port)));
        }
    }
    let shown = with_more(&all, SHOWN_MAX, ",", "<none>");
    vec![name(object), shown.into(), age(object, now)]
}

fn host_port(ip: &str, port: i64) -> String {
    if ip.contains(':') {
        format!("[{ip}]:{port}")
    } else {
        format!("{ip}:{port}")
    }
}

/// Cells of an `EndpointSlice`.
pub(super) fn endpoint_slice(object: &Value, now: Timestamp) -> Vec<Value> {
    let ports: Vec<String> = list(object, "ports")
        .iter()
        .map(
            |port| match (port["port"].as_i64(), port["name"].as_str()) {
                (Some(number), _) => number.to_string(),
                (None, Some(name)) => name.to_owned(),
                (None, None) => "*".into(),
            },
        )
        .collect();
    let addresses: Vec<String> = list(object, "endpoints")
        .iter()
        .flat_map(|endpoint| list(endpoint, "addresses"))
        .map(super::scalar)
        .collect();
    vec![
        name(object),
        string(object, "addressType"),
        with_more(&ports, SHOWN_MAX, ",", "<unset>").into(),
        with_more(&addresses, SHOWN_MAX, ",", "<unset>").into(),
        age(object, now),
    ]
}

/// Cells of an `Ingress`.
pub(super) fn ingress(object: &Value, now: Timestamp) -> Vec<Value> {
    let ports = match list(object, "spec.tls") {
        [] => "80",
        _ => "80, 443",
    };
    vec![
        name(object),
        text_or(object, "spec.ingressClassName", "<none>").into(),
        hosts(object).into(),
        balancer_addresses(object).into(),
        ports.into(),
        age(object, now),
    ]
}

/// Hosts of the rules. What is left out is counted in rules, host or not.
fn hosts(object: &Value) -> String {
    let rules = list(object, "spec.rules");
    let mut shown: Vec<&str> = Vec::new();
    let mut more = false;
    for rule in rules {
        more |= shown.len() == SHOWN_MAX;
        let host = text(rule, "host");
        if !more && !host.is_empty() {
            shown.push(host);
        }
    }
    if shown.is_empty() {
        return "*".into();
    }
    match more {
        true => format!("{} + {} more...", shown.join(","), rules.len() - SHOWN_MAX),
        false => shown.join(","),
    }
}

/// Cells of an `IngressClass`.
pub(super) fn ingress_class(object: &Value, now: Timestamp) -> Vec<Value> {
    let parameters = at(object, "spec.parameters");
    let shown = if parameters.is_null() {
        "<none>".to_owned()
    } else {
        let (kind, name) = (text(parameters, "kind"), text(parameters, "name"));
        match text(parameters, "apiGroup") {
            "" => format!("{kind}/{name}"),
            group => format!("{kind}.{group}/{name}"),
        }
    };
    vec![
        name(object),
        string(object, "spec.controller"),
        shown.into(),
        age(object, now),
    ]
}

/// Cells of a `NetworkPolicy`.
pub(super) fn network_policy(object: &Value, now: Timestamp) -> Vec<Value> {
    let selected = selector(at(object, "spec.podSelector"));
    vec![name(object), selected.into(), age(object, now)]
}

/// Cells of an `IPAddress`; upstream has no column for the last one.
pub(super) fn address(object: &Value, now: Timestamp) -> Vec<Value> {
    let parent = at(object, "spec.parentRef");
    let shown = if parent.is_null() {
        "<none>".to_owned()
    } else {
        let mut parts = vec![match text(parent, "group") {
            "" => text(parent, "resource").to_owned(),
            group => format!("{}.{group}", text(parent, "resource")),
        }];
        for field in ["namespace", "name"] {
            match text(parent, field) {
                "" => {}
                part => parts.push(part.to_owned()),
            }
        }
        parts.join("/")
    };
    vec![name(object), shown.into(), age(object, now)]
}

/// Cells of a `ServiceCIDR`.
pub(super) fn service_range(object: &Value, now: Timestamp) -> Vec<Value> {
    let ranges: Vec<&str> = list(object, "spec.cidrs")
        .iter()
        .filter_map(Value::as_str)
        .collect();
    vec![name(object), ranges.join(",").into(), age(object, now)]
}
