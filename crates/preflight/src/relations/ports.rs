//! Ports of nodes: out of range, or taken.

use crate::object::Object;
use crate::report::Severity;
use crate::sink::Sink;
use crate::world::{Found, World};
use serde_json::Value;
use std::collections::HashMap;

/// The API server's default range.
const NODE_PORTS: (u16, u16) = (30000, 32767);

/// Checks NodePorts and host ports.
pub fn check(world: &World<'_>, sink: &mut Sink) {
    let (first, last) = world
        .target
        .and_then(|target| target.node_ports)
        .unwrap_or(NODE_PORTS);
    let mut taken: HashMap<(i64, String), &Object> = HashMap::new();
    for object in world.of_kind("Service") {
        for (port, protocol, field) in node_ports(&object.value) {
            if !(i64::from(first)..=i64::from(last)).contains(&port) {
                let message = format!("nodePort {port} is outside the range {first}-{last}");
                sink.add(Severity::Error, "node-port-range", object, field, message)
                    .refused()
                    .fix(format!(
                        "choose one from {first} to {last}, or leave nodePort away to be given one"
                    ));
                continue;
            }
            if let Some(other) = taken.insert((port, protocol.clone()), object) {
                let message = if other.index == object.index {
                    format!("nodePort {port} is asked for twice by this Service")
                } else {
                    format!("nodePort {port} is asked for by {} as well", other.id)
                };
                sink.add(Severity::Error, "node-port-taken", object, field, message)
                    .refused()
                    .fix("give one of them another nodePort");
                continue;
            }
            elsewhere(world, object, port, (&protocol, &field), sink);
        }
    }
    host_ports(world, sink);
}

/// Returns number, protocol and field of each NodePort of a Service.
fn node_ports(service: &Value) -> Vec<(i64, String, String)> {
    if !matches!(
        service["spec"]["type"].as_str(),
        Some("NodePort" | "LoadBalancer")
    ) {
        return Vec::new();
    }
    let ports = service["spec"]["ports"].as_array();
    let ports = ports.into_iter().flatten().enumerate();
    ports
        .filter_map(|(at, port)| {
            let number = port["nodePort"].as_i64().filter(|number| *number != 0)?;
            let protocol = port["protocol"].as_str().unwrap_or("TCP").to_owned();
            Some((number, protocol, format!("spec.ports[{at}].nodePort")))
        })
        .collect()
}

/// In the cluster, or on the host.
fn elsewhere(
    world: &World<'_>,
    object: &Object,
    port: i64,
    (protocol, field): (&str, &str),
    sink: &mut Sink,
) {
    let Some(target) = world.target else {
        return;
    };
    let is_own = |service: &Value| {
        service["metadata"]["name"] == object.id.name.as_str()
            && service["metadata"]["namespace"] == object.id.namespace.as_str()
    };
    let holder = target.all("Service").into_iter().flatten().find(|service| {
        !is_own(service)
            && node_ports(service)
                .iter()
                .any(|(number, other, _)| *number == port && other == protocol)
    });
    if let Some(holder) = holder {
        let metadata = &holder["metadata"];
        let name = metadata["name"].as_str().unwrap_or_default();
        let namespace = metadata["namespace"].as_str().unwrap_or_default();
        let release = metadata["annotations"]["meta.helm.sh/release-name"].as_str();
        let of = release
            .map(|release| format!(" of release {release}"))
            .unwrap_or_default();
        let message =
            format!("nodePort {port} is taken by Service {name} in namespace {namespace}{of}");
        let draft = sink.add(Severity::Error, "node-port-taken", object, field, message);
        draft.fix("give this Service another nodePort, or remove the other release first");
        // A Service of the same release may give the port away before this one
        // asks for it.
        if !matches!(world.find("Service", namespace, name), Found::Here(_)) {
            draft.refused();
        }
        return;
    }
    // A port that this very Service holds already is its own.
    if target.all("Service").into_iter().flatten().any(|service| {
        is_own(service)
            && node_ports(service)
                .iter()
                .any(|(number, ..)| *number == port)
    }) {
        return;
    }
    if let Some(taken) = target
        .taken_ports
        .iter()
        .find(|taken| i64::from(taken.port) == port)
    {
        let message = format!("port {port} of this machine is held by {}", taken.by);
        let severity = match target.is_coracle {
            true => Severity::Error,
            false => Severity::Warning,
        };
        sink.add(severity, "node-port-taken", object, field, message)
            .fix("stop what holds it, or give this Service another nodePort");
    }
}

/// One pod a node may have a host port.
fn host_ports(world: &World<'_>, sink: &mut Sink) {
    let mut taken: HashMap<(i64, String), &Object> = HashMap::new();
    let nodes = world
        .target
        .and_then(|target| target.all("Node"))
        .map(Iterator::count);
    for workload in world.workloads() {
        if workload.object.test {
            continue;
        }
        for container in workload.containers() {
            let ports = container.value["ports"].as_array();
            for (at, port) in ports.into_iter().flatten().enumerate() {
                let Some(number) = port["hostPort"].as_i64().filter(|number| *number != 0) else {
                    continue;
                };
                let protocol = port["protocol"].as_str().unwrap_or("TCP").to_owned();
                let field = workload.in_container(&container, &format!("ports[{at}].hostPort"));
                if let Some(other) = taken.insert((number, protocol), workload.object)
                    && other.index != workload.object.index
                {
                    let message = format!(
                        "host port {number} is asked for by {} as well: they cannot share a node",
                        other.id
                    );
                    sink.add(
                        Severity::Warning,
                        "host-port-taken",
                        workload.object,
                        &*field,
                        message,
                    )
                    .fix("give one of them another hostPort, or use a Service");
                }
                if let Some(nodes) = nodes
                    && workload.replicas() > nodes as i64
                {
                    let message = format!(
                        "{} pods want host port {number}, but there are {nodes} nodes",
                        workload.replicas()
                    );
                    sink.add(
                        Severity::Error,
                        "host-port-taken",
                        workload.object,
                        &*field,
                        message,
                    )
                    .fix("use a Service of type NodePort instead of hostPort");
                }
            }
        }
    }
}
