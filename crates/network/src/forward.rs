//! Which host ports a Service has.
//!
//! [`forwards`] is pure: node ports on the cluster's own host addresses, and a
//! LoadBalancer's ports on the address it was given.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use coracle_dataplane::config::{Forward, Proto};
use k8s_openapi::api::core::v1::{Service, ServicePort};
use k8s_openapi::api::discovery::v1::EndpointSlice;

use crate::endpoints;
use crate::service;

/// Returns a Service's forwarders, given its own EndpointSlices, the host
/// addresses of node ports, and those it has as a LoadBalancer.
pub fn forwards(
    object: &Service,
    slices: &[Arc<EndpointSlice>],
    node_addresses: &[IpAddr],
    balancer_addresses: &[IpAddr],
) -> Vec<Forward> {
    let Some(spec) = object.spec.as_ref() else {
        return Vec::new();
    };
    let is_opened = matches!(spec.type_.as_deref(), Some("NodePort" | "LoadBalancer"));
    if !is_opened || !service::is_proxied(object) {
        return Vec::new();
    }
    let mut forwards = Vec::new();
    for port in spec.ports.iter().flatten() {
        let Some(proto) = proto(port) else {
            continue;
        };
        let forward = |kind: &str, listen: Vec<SocketAddr>| Forward {
            name: name(object, kind, port),
            proto,
            listen,
            targets: endpoints::targets(slices, port),
            sticky: service::affinity(spec).is_some(),
        };
        if let Some(number) = service::node_port(port) {
            let on = |address: &IpAddr| SocketAddr::new(*address, number);
            forwards.push(forward("node", node_addresses.iter().map(on).collect()));
        }
        if let (false, Ok(number)) = (balancer_addresses.is_empty(), u16::try_from(port.port)) {
            let on = |address: &IpAddr| SocketAddr::new(*address, number);
            let listen = balancer_addresses.iter().map(on).collect();
            forwards.push(forward("balancer", listen));
        }
    }
    forwards
}

/// `localhost` is two addresses; both are opened.
pub fn with_twin(address: IpAddr) -> impl Iterator<Item = IpAddr> {
    let twin = (address == IpAddr::from([127, 0, 0, 1])).then_some(Ipv6Addr::LOCALHOST.into());
    [Some(address), twin].into_iter().flatten()
}

/// Returns the data plane's name of a forwarder: kind, namespace, name, port.
fn name(service: &Service, kind: &str, port: &ServicePort) -> String {
    let meta = &service.metadata;
    format!(
        "{kind}/{}/{}/{}/{}",
        meta.namespace.as_deref().unwrap_or(""),
        meta.name.as_deref().unwrap_or(""),
        endpoints::protocol(&port.protocol),
        port.port
    )
}

/// Returns the kind, namespace and name that a forwarder's name holds.
pub fn parse_name(name: &str) -> Option<(&str, &str, &str)> {
    let mut parts = name.split('/');
    Some((parts.next()?, parts.next()?, parts.next()?))
}

/// Returns the data plane's protocol; it carries TCP and UDP.
pub fn proto(port: &ServicePort) -> Option<Proto> {
    match endpoints::protocol(&port.protocol) {
        "TCP" => Some(Proto::Tcp),
        "UDP" => Some(Proto::Udp),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn each_type_has_its_ports() {
        let check = |kind: &str, balancer: Option<&str>, expected: &[&str]| {
            let object: Service = serde_json::from_value(json!({
                "metadata": {"name": "web", "namespace": "default"},
                "spec": {"type": kind, "ports": [{"port": 80, "nodePort": 30080}]},
            }))
            .expect("a Service");
            let nodes = [IpAddr::from([127, 0, 0, 1]), Ipv6Addr::LOCALHOST.into()];
            let balancer = balancer.map(|ip| ip.parse().expect("an address"));
            let balancer: Vec<_> = balancer.into_iter().flat_map(with_twin).collect();
            let got: Vec<_> = forwards(&object, &[], &nodes, &balancer)
                .iter()
                .flat_map(|forward| forward.listen.clone())
                .map(|address| address.to_string())
                .collect();
            assert_eq!(got, expected, "{kind}");
        };
        let node = ["127.0.0.1:30080", "[::1]:30080"];
        check("ClusterIP", None, &[]);
        check("NodePort", None, &node);
        check("LoadBalancer", None, &node);
        check(
            "LoadBalancer",
            Some("127.0.0.1"),
            &[node[0], node[1], "127.0.0.1:80", "[::1]:80"],
        );
        check(
            "LoadBalancer",
            Some("127.0.0.2"),
            &[node[0], node[1], "127.0.0.2:80"],
        );
    }
}
