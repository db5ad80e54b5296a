//! Which endpoints a Service's port leads to now.
//!
//! The rules are those of kube-proxy (pkg/proxy/topology.go, KEP-1669): the
//! ready ones; when there is none, those that still serve while terminating.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::Arc;

use k8s_openapi::api::core::v1::ServicePort;
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointSlice};

/// The label that says which Service a slice belongs to.
pub const SERVICE_LABEL: &str = "kubernetes.io/service-name";

/// Returns the addresses behind a Service's port, sorted.
pub fn of_port(slices: &[Arc<EndpointSlice>], port: &ServicePort) -> Vec<SocketAddrV4> {
    let (mut ready, mut ending) = (BTreeSet::new(), BTreeSet::new());
    for slice in slices.iter().filter(|slice| slice.address_type == "IPv4") {
        let Some(number) = number_in(slice, port) else {
            continue;
        };
        for endpoint in slice.endpoints.iter().flatten() {
            let Some(address) = address(endpoint) else {
                continue;
            };
            let target = SocketAddrV4::new(address, number);
            if is_ready(endpoint) {
                ready.insert(target);
            } else if serves_while_terminating(endpoint) {
                ending.insert(target);
            }
        }
    }
    let chosen = if ready.is_empty() { ending } else { ready };
    chosen.into_iter().collect()
}

/// Returns the same as socket addresses.
pub fn targets(slices: &[Arc<EndpointSlice>], port: &ServicePort) -> Vec<SocketAddr> {
    of_port(slices, port).into_iter().map(Into::into).collect()
}

/// Returns an endpoint's address; the API promises at least one, the same in
/// meaning when there are more.
pub fn address(endpoint: &Endpoint) -> Option<Ipv4Addr> {
    endpoint.addresses.first()?.parse().ok()
}

/// Tells whether an endpoint takes connections; unknown counts as yes.
pub fn is_ready(endpoint: &Endpoint) -> bool {
    let conditions = endpoint.conditions.as_ref();
    conditions.and_then(|c| c.ready).unwrap_or(true)
}

fn serves_while_terminating(endpoint: &Endpoint) -> bool {
    endpoint
        .conditions
        .as_ref()
        .is_some_and(|c| c.serving.unwrap_or(false) && c.terminating.unwrap_or(false))
}

fn number_in(slice: &EndpointSlice, port: &ServicePort) -> Option<u16> {
    let wanted = (name(&port.name), protocol(&port.protocol));
    let found = slice
        .ports
        .iter()
        .flatten()
        .find(|found| (name(&found.name), protocol(&found.protocol)) == wanted)?;
    u16::try_from(found.port?).ok()
}

fn name(name: &Option<String>) -> &str {
    name.as_deref().unwrap_or("")
}

/// Returns a protocol's name; the API's default is TCP.
pub fn protocol(protocol: &Option<String>) -> &str {
    protocol.as_deref().unwrap_or("TCP")
}

/// Returns a protocol's number; `None` for one we do not carry.
pub fn protocol_number(name: &str) -> Option<u8> {
    match name {
        "TCP" => Some(6),
        "UDP" => Some(17),
        "SCTP" => Some(132),
        _ => None,
    }
}
