//! The names of the cluster, as records.
//!
//! Pure. The schema is that of the Kubernetes DNS specification 1.1.0
//! (kubernetes/dns, docs/specification.md); where it leaves something open,
//! CoreDNS' kubernetes plugin is followed.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;

use coracle_dataplane::config::Record;
use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointSlice};

use crate::endpoints;
use crate::service::cluster_addresses;

/// Records by name.
pub type Records = BTreeMap<String, Vec<Record>>;

/// The version of the schema, told at `dns-version`.
const SCHEMA: &str = "1.1.0";
/// Names under which pods find the host, ours and those of well-known tools.
const HOST_NAMES: [&str; 4] = [
    "host.coracle.internal",
    "host.minikube.internal",
    "host.docker.internal",
    "gateway.docker.internal",
];

/// Returns the records that every cluster has.
pub fn constant(domain: &str, host: Ipv4Addr, dns: Ipv4Addr) -> Records {
    let mut records = Records::new();
    for name in HOST_NAMES {
        add(&mut records, name.to_owned(), Record::A(host));
    }
    let version = Record::Txt(SCHEMA.to_owned());
    add(&mut records, format!("dns-version.{domain}"), version);
    add(&mut records, format!("ns.dns.{domain}"), Record::A(dns));
    records
}

/// Returns a Service's records, given its own EndpointSlices.
pub fn of_service(service: &Service, slices: &[Arc<EndpointSlice>], domain: &str) -> Records {
    let mut records = Records::new();
    let meta = &service.metadata;
    let (Some(spec), Some(name), Some(namespace)) = (&service.spec, &meta.name, &meta.namespace)
    else {
        return records;
    };
    let base = format!("{name}.{namespace}.svc.{domain}");
    if spec.type_.as_deref() == Some("ExternalName") {
        external(&mut records, spec, base);
        return records;
    }
    let addresses = cluster_addresses(spec);
    if addresses.is_empty() {
        headless(&mut records, spec, slices, &base);
        return records;
    }
    for address in addresses {
        add(&mut records, base.clone(), Record::A(address));
        add(&mut records, reverse(address), Record::Ptr(base.clone()));
    }
    for port in spec.ports.iter().flatten() {
        service_record(&mut records, &base, port, port.port, &base);
    }
    records
}

fn external(records: &mut Records, spec: &ServiceSpec, base: String) {
    let Some(target) = spec.external_name.clone() else {
        return;
    };
    // An external "name" that is an address cannot be a CNAME's target.
    let record = match target.parse() {
        Ok(address) => Record::A(address),
        Err(_) => Record::Cname(target),
    };
    add(records, base, record);
}

fn headless(records: &mut Records, spec: &ServiceSpec, slices: &[Arc<EndpointSlice>], base: &str) {
    for slice in slices.iter().filter(|slice| slice.address_type == "IPv4") {
        let ready = slice.endpoints.iter().flatten();
        for endpoint in ready.filter(|endpoint| endpoints::is_ready(endpoint)) {
            let Some(address) = endpoints::address(endpoint) else {
                continue;
            };
            add(records, base.to_owned(), Record::A(address));
            let host = format!("{}.{base}", host_label(endpoint, address));
            add(records, host.clone(), Record::A(address));
            if endpoint.hostname.is_some() {
                add(records, reverse(address), Record::Ptr(host.clone()));
            }
            for found in slice.ports.iter().flatten() {
                let (Some(number), Some(port)) = (found.port, named(spec, &found.name)) else {
                    continue;
                };
                service_record(records, base, port, number, &host);
            }
        }
    }
}

fn named<'a>(spec: &'a ServiceSpec, name: &Option<String>) -> Option<&'a ServicePort> {
    let plain = |name: &Option<String>| name.clone().unwrap_or_default();
    spec.ports
        .iter()
        .flatten()
        .find(|port| plain(&port.name) == plain(name))
}

/// Without a host name of its own an endpoint is called by its address.
fn host_label(endpoint: &Endpoint, address: Ipv4Addr) -> String {
    endpoint
        .hostname
        .clone()
        .unwrap_or_else(|| address.to_string().replace('.', "-"))
}

/// Only named ports have a service record.
fn service_record(
    records: &mut Records,
    base: &str,
    port: &ServicePort,
    number: i32,
    target: &str,
) {
    let (Some(name), Ok(number)) = (&port.name, u16::try_from(number)) else {
        return;
    };
    let protocol = endpoints::protocol(&port.protocol).to_ascii_lowercase();
    let record = Record::Srv {
        priority: 0,
        weight: 100,
        port: number,
        target: target.to_owned(),
    };
    add(records, format!("_{name}._{protocol}.{base}"), record);
}

fn reverse(address: Ipv4Addr) -> String {
    let [a, b, c, d] = address.octets();
    format!("{d}.{c}.{b}.{a}.in-addr.arpa")
}

fn add(records: &mut Records, name: String, record: Record) {
    let all = records.entry(name).or_default();
    if !all.contains(&record) {
        all.push(record);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn check(spec: Value, endpoints: Value, expected: &[&str]) {
        let service: Service = serde_json::from_value(json!({
            "metadata": {"name": "db", "namespace": "shop"}, "spec": spec,
        }))
        .expect("a Service");
        let slice: EndpointSlice = serde_json::from_value(json!({
            "metadata": {"name": "db-1"}, "addressType": "IPv4",
            "ports": [{"name": "sql", "port": 5432, "protocol": "TCP"}],
            "endpoints": endpoints,
        }))
        .expect("a slice");
        let got: Vec<String> = of_service(&service, &[Arc::new(slice)], "cluster.local")
            .into_iter()
            .flat_map(|(name, records)| {
                records.into_iter().map(move |record| match record {
                    Record::A(address) => format!("{name} A {address}"),
                    Record::Cname(target) => format!("{name} CNAME {target}"),
                    Record::Ptr(target) => format!("{name} PTR {target}"),
                    Record::Srv { port, target, .. } => format!("{name} SRV {port} {target}"),
                    other => format!("{name} {other:?}"),
                })
            })
            .collect();
        assert_eq!(got, expected);
    }

    #[test]
    fn names_follow_the_specification() {
        let ports = json!([{"name": "sql", "port": 5432}]);
        check(
            json!({"clusterIP": "10.96.0.50", "ports": ports}),
            json!([]),
            &[
                "50.0.96.10.in-addr.arpa PTR db.shop.svc.cluster.local",
                "_sql._tcp.db.shop.svc.cluster.local SRV 5432 db.shop.svc.cluster.local",
                "db.shop.svc.cluster.local A 10.96.0.50",
            ],
        );
        check(
            json!({"clusterIP": "None", "ports": ports}),
            json!([
                {"addresses": ["10.244.0.20"], "hostname": "db-0"},
                {"addresses": ["10.244.0.21"]},
                {"addresses": ["10.244.0.22"], "conditions": {"ready": false}},
            ]),
            &[
                "10-244-0-21.db.shop.svc.cluster.local A 10.244.0.21",
                "20.0.244.10.in-addr.arpa PTR db-0.db.shop.svc.cluster.local",
                "_sql._tcp.db.shop.svc.cluster.local SRV 5432 db-0.db.shop.svc.cluster.local",
                "_sql._tcp.db.shop.svc.cluster.local SRV 5432 10-244-0-21.db.shop.svc.cluster.local",
                "db-0.db.shop.svc.cluster.local A 10.244.0.20",
                "db.shop.svc.cluster.local A 10.244.0.20",
                "db.shop.svc.cluster.local A 10.244.0.21",
            ],
        );
        check(
            json!({"type": "ExternalName", "externalName": "db.example.com"}),
            json!([]),
            &["db.shop.svc.cluster.local CNAME db.example.com"],
        );
    }
}
