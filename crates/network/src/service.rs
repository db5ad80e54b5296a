//! A Service as a fragment of the table.
//!
//! [`fragment`] is pure. Each port has a chain that picks an endpoint; the
//! ClusterIP and the node port lead to it. Without usable endpoints the chain
//! leads nowhere, so that the base refuses the ClusterIP at once.
//!
//! A new rule or verdict makes the kernel look through all chains that can be
//! reached (nft_table_validate), of all Services; an endpoint in a map does not.
//! A Service's only endpoint therefore comes and goes without either.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;
use std::time::Duration;

use coracle_netdev::nft::expr::{Expr, Reg, Rule};
use coracle_netdev::nft::{Data, Fragment, Key, SetKind, Type, Verdict};
use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::api::discovery::v1::EndpointSlice;

use crate::base::{NODE_PORTS, SERVICES};
use crate::endpoints;

/// Returns the name of a Service's fragment.
pub fn owner(namespace: &str, name: &str) -> String {
    format!("service/{namespace}/{name}")
}

/// Returns a Service's fragment, given its own EndpointSlices.
pub fn fragment(service: &Service, slices: &[Arc<EndpointSlice>]) -> Fragment {
    let mut fragment = Fragment::default();
    let Some(spec) = service.spec.as_ref() else {
        return fragment;
    };
    let addresses = cluster_addresses(spec);
    if addresses.is_empty() || !is_proxied(service) {
        return fragment;
    }
    for port in spec.ports.iter().flatten() {
        let targets = endpoints::of_port(slices, port);
        let protocol = endpoints::protocol_number(endpoints::protocol(&port.protocol));
        let Some(protocol) = protocol else {
            continue;
        };
        let chain = chain_name(service, port);
        match affinity(spec) {
            Some(_) if targets.is_empty() => continue,
            Some(timeout) => sticky(&mut fragment, &chain, &targets, timeout),
            None => spread(&mut fragment, &chain, &targets),
        }
        enter(&mut fragment, &chain, &addresses, protocol, port);
    }
    fragment
}

/// Returns whether a Service is ours to lead: not one with another proxy, nor
/// one that is marked as headless (upstream: kube-proxy's label selector).
pub fn is_proxied(service: &Service) -> bool {
    let labels = service.metadata.labels.as_ref();
    let others = [
        "service.kubernetes.io/service-proxy-name",
        "service.kubernetes.io/headless",
    ];
    labels.is_none_or(|labels| !others.iter().any(|name| labels.contains_key(*name)))
}

/// Returns the IPv4 ClusterIPs; none for a headless or external Service.
pub fn cluster_addresses(spec: &ServiceSpec) -> Vec<Ipv4Addr> {
    let mut addresses: Vec<Ipv4Addr> = spec
        .cluster_ips
        .iter()
        .flatten()
        .chain(&spec.cluster_ip)
        .filter_map(|ip| ip.parse().ok())
        .collect();
    addresses.dedup();
    addresses
}

/// Returns how long a client keeps its endpoint; `None` without affinity.
pub fn affinity(spec: &ServiceSpec) -> Option<Duration> {
    // The default of the API, three hours.
    const SECONDS: i32 = 10_800;
    if spec.session_affinity.as_deref() != Some("ClientIP") {
        return None;
    }
    let seconds = spec
        .session_affinity_config
        .as_ref()
        .and_then(|config| config.client_ip.as_ref())
        .and_then(|client| client.timeout_seconds)
        .unwrap_or(SECONDS);
    Some(Duration::from_secs(seconds.max(1) as u64))
}

fn chain_name(service: &Service, port: &ServicePort) -> String {
    let meta = &service.metadata;
    format!(
        "{}/{}/{}/{}",
        meta.namespace.as_deref().unwrap_or(""),
        meta.name.as_deref().unwrap_or(""),
        endpoints::protocol(&port.protocol),
        port.port
    )
}

fn enter(
    fragment: &mut Fragment,
    chain: &str,
    addresses: &[Ipv4Addr],
    protocol: u8,
    port: &ServicePort,
) {
    let verdict = || Data::Verdict(Verdict::Goto(chain.to_owned()));
    if let Ok(number) = u16::try_from(port.port) {
        for address in addresses {
            let key = Key::default()
                .address(*address)
                .protocol(protocol)
                .port(number);
            fragment.element(SERVICES, key, verdict());
        }
    }
    if let Some(number) = node_port(port) {
        let key = Key::default().protocol(protocol).port(number);
        fragment.element(NODE_PORTS, key, verdict());
    }
}

/// Returns a port's node port, if it has one.
pub fn node_port(port: &ServicePort) -> Option<u16> {
    u16::try_from(port.node_port?).ok().filter(|port| *port > 0)
}

/// Every connection picks an endpoint anew.
fn spread(fragment: &mut Fragment, chain: &str, targets: &[SocketAddrV4]) {
    let map = format!("{chain}/endpoints");
    let from_map = |rule: Rule| {
        rule.expr(Expr::Map(map.clone(), Reg(0), Reg(0)))
            .expr(Expr::Dnat(Reg(0), Some(Reg(1))))
    };
    let mut rules = Vec::new();
    if targets.len() > 1 {
        let count = targets.len() as u32;
        rules.push(from_map(Rule::new().expr(Expr::Random(count, Reg(0)))));
    }
    // The only endpoint, and for a packet on its way while their number shrinks:
    // it may hold a number that is gone from the map. The first is there last.
    let first = 0u32.to_ne_bytes().to_vec();
    rules.push(from_map(Rule::new().expr(Expr::Immediate(first, Reg(0)))));
    fragment
        .set(
            &map,
            &[Type::Number],
            SetKind::Map(vec![Type::Address, Type::Port]),
        )
        .chain(chain, None, rules);
    for (number, target) in (0..).zip(targets) {
        let value = Key::default().address(*target.ip()).port(target.port());
        fragment.element(&map, Key::default().number(number), Data::Value(value));
    }
}

/// A client keeps its endpoint while it comes back in time. Each endpoint
/// remembers its own clients, so that they are forgotten with it and the
/// others' are kept.
fn sticky(fragment: &mut Fragment, chain: &str, targets: &[SocketAddrV4], timeout: Duration) {
    let map = format!("{chain}/endpoints");
    let mut rules = Vec::new();
    for (number, target) in (0..).zip(targets) {
        let endpoint = format!("{chain}/{target}");
        let clients = format!("{endpoint}/clients-{}s", timeout.as_secs());
        let remember = Rule::new()
            .load_source(Reg(0))
            .expr(Expr::Refresh(clients.clone(), Reg(0)));
        let go = Rule::new().dnat_to(*target.ip(), target.port());
        let verdict = Verdict::Goto(endpoint.clone());
        fragment
            .set(&clients, &[Type::Address], SetKind::Expiring(timeout))
            .chain(&endpoint, None, vec![remember, go])
            .element(&map, Key::default().number(number), Data::Verdict(verdict));
        rules.push(
            Rule::new()
                .load_source(Reg(0))
                .in_set(&clients, Reg(0))
                .goto(&endpoint),
        );
    }
    let pick = |rule: Rule| rule.verdict_map(&map, Reg(0));
    let first = 0u32.to_ne_bytes().to_vec();
    rules.push(pick(
        Rule::new().expr(Expr::Random(targets.len() as u32, Reg(0))),
    ));
    rules.push(pick(Rule::new().expr(Expr::Immediate(first, Reg(0)))));
    fragment
        .set(&map, &[Type::Number], SetKind::VerdictMap)
        .chain(chain, None, rules);
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn service(spec: Value) -> Service {
        serde_json::from_value(json!({
            "metadata": {"name": "web", "namespace": "default"},
            "spec": spec,
        }))
        .expect("a Service")
    }

    fn slice(endpoints: Value) -> Vec<Arc<EndpointSlice>> {
        let slice = serde_json::from_value(json!({
            "metadata": {"name": "web-1", "namespace": "default"},
            "addressType": "IPv4",
            "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
            "endpoints": endpoints,
        }))
        .expect("a slice");
        vec![Arc::new(slice)]
    }

    #[test]
    fn endpoints_are_chosen_as_upstream_does() {
        let ports = json!([{"name": "http", "port": 80, "targetPort": "http"}]);
        let service = service(json!({"clusterIP": "10.96.0.50", "ports": ports}));
        let check = |endpoints: Value, expected: usize| {
            let fragment = fragment(&service, &slice(endpoints));
            let map = fragment.elements.get("default/web/TCP/80/endpoints");
            assert_eq!(map.map_or(0, |map| map.len()), expected);
        };
        let endpoint = |last: u8, ready: bool, serving: bool, terminating: bool| {
            json!({
                "addresses": [format!("10.244.0.{last}")],
                "conditions": {"ready": ready, "serving": serving, "terminating": terminating},
            })
        };
        check(json!([]), 0);
        check(json!([{"addresses": ["10.244.0.20"]}]), 1);
        check(json!([endpoint(20, false, false, false)]), 0);
        check(
            json!([
                endpoint(20, true, true, false),
                endpoint(21, true, true, false)
            ]),
            2,
        );
        // The terminating one takes over only when no other is left.
        check(
            json!([
                endpoint(20, true, true, false),
                endpoint(21, false, true, true)
            ]),
            1,
        );
        check(
            json!([
                endpoint(20, false, true, true),
                endpoint(21, false, false, true)
            ]),
            1,
        );
        // The same endpoint in two slices counts once.
        check(
            json!([
                endpoint(20, true, true, false),
                endpoint(20, true, true, false)
            ]),
            1,
        );
    }

    #[test]
    fn another_proxy_is_left_alone() {
        let check = |label: &str, expected: bool| {
            let mut service = service(json!({"clusterIP": "10.96.0.50"}));
            let labels = [(label.to_owned(), String::new())];
            service.metadata.labels = Some(labels.into());
            assert_eq!(is_proxied(&service), expected, "{label}");
        };
        check("app", true);
        check("service.kubernetes.io/service-proxy-name", false);
        check("service.kubernetes.io/headless", false);
    }

    #[test]
    fn only_services_with_an_address_have_a_fragment() {
        let check = |spec: Value, expected: &[&str]| {
            let endpoints = json!([{"addresses": ["10.244.0.20"]}]);
            let fragment = fragment(&service(spec), &slice(endpoints));
            let sets = fragment.elements.keys().map(String::as_str);
            let entries: Vec<_> = sets.filter(|set| !set.ends_with("/endpoints")).collect();
            assert_eq!(entries, expected);
        };
        let ports = json!([{"name": "http", "port": 80, "nodePort": 30080}]);
        check(json!({"clusterIP": "None", "ports": ports}), &[]);
        check(json!({"type": "ExternalName", "externalName": "a.b"}), &[]);
        check(
            json!({"clusterIP": "10.96.0.50", "clusterIPs": ["10.96.0.50"], "ports": ports}),
            &[SERVICES, NODE_PORTS],
        );
        // A port that nobody serves leads to a chain that leads nowhere.
        let other = json!([{"name": "other", "port": 80}]);
        check(
            json!({"clusterIP": "10.96.0.50", "ports": other}),
            &[SERVICES],
        );
    }
}
