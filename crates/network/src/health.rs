//! The health check of a LoadBalancer whose traffic stays on its node: whoever
//! balances asks the node whether it has endpoints
//! (upstream: pkg/proxy/healthcheck/service_health.go).
//!
//! Pure.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use coracle_dataplane::config::{Answer, Check};
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;

use crate::endpoints;

/// Returns a Service's check, given its own EndpointSlices, the host's
/// addresses and the node's; `None` where none is asked for.
pub fn check(
    object: &Service,
    slices: &[Arc<EndpointSlice>],
    addresses: &[IpAddr],
    node: IpAddr,
) -> Option<Check> {
    let spec = object.spec.as_ref()?;
    if spec.external_traffic_policy.as_deref() != Some("Local") {
        return None;
    }
    let port = u16::try_from(spec.health_check_node_port?).ok()?;
    let number = Some(port).filter(|port| *port > 0)?;
    let at = |address: &IpAddr| SocketAddr::new(*address, number);
    let (namespace, name) = (
        object.metadata.namespace.as_deref().unwrap_or(""),
        object.metadata.name.as_deref().unwrap_or(""),
    );
    Some(Check {
        name: format!("health/{namespace}/{name}"),
        listen: addresses.iter().map(at).collect(),
        inside: vec![at(&node)],
        answer: answer(namespace, name, ready(slices)),
    })
}

/// Counts the addresses that are ready; all are on the only node.
fn ready(slices: &[Arc<EndpointSlice>]) -> usize {
    let all = slices.iter().flat_map(|s| s.endpoints.iter().flatten());
    let ready = all.filter(|endpoint| endpoints::is_ready(endpoint));
    let distinct: BTreeSet<_> = ready.filter_map(endpoints::address).collect();
    distinct.len()
}

fn answer(namespace: &str, name: &str, count: usize) -> Answer {
    let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    Answer {
        status: if count > 0 { 200 } else { 503 },
        headers: vec![
            header("content-type", "application/json"),
            header("x-content-type-options", "nosniff"),
            header("x-load-balancing-endpoint-weight", &count.to_string()),
        ],
        body: format!(
            "{{\n\t\"service\": {{\n\t\t\"namespace\": {namespace:?},\n\t\t\"name\": {name:?}\n\t}},\n\
             \t\"localEndpoints\": {count},\n\t\"serviceProxyHealthy\": true\n}}"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn object(spec: Value) -> Service {
        let object = json!({"metadata": {"name": "web", "namespace": "shop"}, "spec": spec});
        serde_json::from_value(object).expect("a Service")
    }

    fn slice(ready: &[bool]) -> Vec<Arc<EndpointSlice>> {
        let endpoints: Vec<Value> = (20..)
            .zip(ready)
            .map(|(last, ready)| {
                json!({"addresses": [format!("10.244.0.{last}")], "conditions": {"ready": ready}})
            })
            .collect();
        let slice = json!({"addressType": "IPv4", "endpoints": endpoints});
        vec![Arc::new(serde_json::from_value(slice).expect("a slice"))]
    }

    fn of(spec: Value, ready: &[bool]) -> Option<Check> {
        let host = [IpAddr::from([127, 0, 0, 1])];
        check(&object(spec), &slice(ready), &host, [10, 243, 0, 1].into())
    }

    fn local(port: i32) -> Value {
        json!({"type": "LoadBalancer", "externalTrafficPolicy": "Local", "healthCheckNodePort": port})
    }

    #[test]
    fn only_traffic_that_stays_on_its_node_is_asked_about() {
        assert!(of(local(30_100), &[]).is_some());
        assert!(of(local(0), &[]).is_none());
        let spread = json!({"externalTrafficPolicy": "Cluster", "healthCheckNodePort": 30_100});
        assert!(of(spread, &[true]).is_none());
    }

    /// Upstream: healthcheck_test.go, TestServer and the text of hcHandler.ServeHTTP.
    #[test]
    fn the_answer_counts_the_ready() {
        let check = |ready: &[bool], status: u16, count: &str| {
            let check = of(local(30_100), ready).expect("a check");
            assert_eq!(check.answer.status, status);
            assert_eq!(check.answer.headers[2].1, count);
            let body: Value = serde_json::from_str(&check.answer.body).expect("JSON");
            assert_eq!(body["localEndpoints"].to_string(), count);
            assert_eq!(body["service"], json!({"namespace": "shop", "name": "web"}));
        };
        check(&[], 503, "0");
        check(&[false], 503, "0");
        check(&[true, false, true], 200, "2");
    }
}
