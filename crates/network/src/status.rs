//! What became of host ports, told to users.
//!
//! A LoadBalancer's address stands in its status once its ports answer there;
//! a port that is taken on the host is an event on its Service and a condition
//! in its status, and a connection that was not let out an event on its pod.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};

use coracle_client::{Cache, Key, Recorder, Severity};
use coracle_dataplane::Report;
use coracle_dataplane::config::Proto;
use coracle_dataplane::report::{Listener, Reason, Refusal};
use k8s_openapi::api::core::v1::{Pod, Service};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::api::{Api, Patch, PatchParams};
use kube::{Client, ResourceExt};
use serde_json::{Map, Value, json};

use crate::balancer::Place;
use crate::forward;

/// Writes statuses and events.
pub(crate) struct Teller {
    pub client: Client,
    pub services: Cache<Service>,
    pub pods: Cache<Pod>,
    pub recorder: Recorder,
    /// Failures that were told already.
    pub told: HashSet<(String, String)>,
    /// Refusals that were told already.
    pub refused: HashSet<(IpAddr, SocketAddr)>,
}

impl Teller {
    /// Tells of listeners that are not there.
    pub(crate) fn events(&mut self, report: &Report) {
        let failures: Vec<&Listener> = report.listeners.iter().filter(|l| is_told(l)).collect();
        let now: HashSet<(String, String)> = failures.iter().map(|l| identity(l)).collect();
        for listener in failures {
            if self.told.contains(&identity(listener)) {
                continue;
            }
            let Some((kind, namespace, name)) = forward::parse_name(&listener.name) else {
                continue;
            };
            if !OF_SERVICES.contains(&kind) {
                continue;
            }
            if let Some(service) = self.services.get(namespace, name) {
                let (reason, message) = words(listener);
                self.recorder
                    .event(&*service, Severity::Warning, reason, message);
            }
        }
        self.told = now;
        self.refusals(report);
    }

    /// Tells pods of connections that were not let out.
    fn refusals(&mut self, report: &Report) {
        let now: HashSet<_> = report.refusals.iter().map(attempt).collect();
        for refusal in &report.refusals {
            if self.refused.contains(&attempt(refusal)) {
                continue;
            }
            let source = refusal.source.ip().to_string();
            let pods = self.pods.all();
            let pod = pods.iter().find(|pod| address_of(pod) == Some(&source));
            if let Some(pod) = pod {
                let message = format!(
                    "connection to {} was refused: {}",
                    refusal.destination, refusal.message
                );
                self.recorder
                    .event(&**pod, Severity::Warning, "EgressRefused", message);
            }
        }
        self.refused = now;
    }

    /// Writes the statuses that are not as they should be.
    pub(crate) async fn statuses(
        &self,
        assigned: &BTreeMap<Key, IpAddr>,
        report: &Report,
    ) -> Result<(), kube::Error> {
        let mut missed = missed(report);
        for service in self.services.all() {
            let key = coracle_client::key_of(&*service);
            let wanted = assigned
                .get(&key)
                .filter(|address| answers(report, &key, **address));
            let current = current(&service);
            let wanted: Vec<String> = wanted.iter().map(ToString::to_string).collect();
            // Another controller's status is none of ours.
            let ours = assigned.contains_key(&key)
                || current.iter().any(|ip| is_loopback(ip)) && !is_balancer(&service);
            let mut status = Map::new();
            if ours && current != wanted {
                status.insert("loadBalancer".to_owned(), balancer(&wanted));
            }
            if let Some(conditions) = conditions(&service, missed.remove(&key).unwrap_or_default())
            {
                status.insert("conditions".to_owned(), conditions);
            }
            if !status.is_empty() {
                self.write(&key, &service, status).await?;
            }
        }
        Ok(())
    }

    async fn write(
        &self,
        key: &Key,
        service: &Service,
        status: Map<String, Value>,
    ) -> Result<(), kube::Error> {
        let api: Api<Service> = Api::namespaced(self.client.clone(), &key.namespace);
        let patch = json!({
            "metadata": {"resourceVersion": service.resource_version()},
            "status": status,
        });
        let parameters = PatchParams::default();
        match api
            .patch_status(&key.name, &parameters, &Patch::Merge(&patch))
            .await
        {
            // The change that came between brings us here again.
            Err(error)
                if coracle_client::is_conflict(&error) || coracle_client::is_not_found(&error) =>
            {
                Ok(())
            }
            result => result.map(drop),
        }
    }
}

fn balancer(addresses: &[String]) -> Value {
    let ingress: Vec<Value> = addresses
        .iter()
        // Pods must not take the address for one of the cluster's own
        // (KEP-1860): it is the host's loopback.
        .map(|ip| json!({"ip": ip, "ipMode": "Proxy"}))
        .collect();
    match ingress.is_empty() {
        true => json!({"ingress": null}),
        false => json!({"ingress": ingress}),
    }
}

/// The condition that says whether a Service's ports are open on the host; a
/// Service without it has no port there, or all of them.
pub const CONDITION: &str = "coracle.dev/HostPorts";

/// The kinds of listeners that a Service has.
const OF_SERVICES: [&str; 3] = ["node", "balancer", "health"];

/// Returns the listeners that are not there, by their Services.
fn missed(report: &Report) -> HashMap<Key, Vec<&Listener>> {
    let mut missed: HashMap<Key, Vec<&Listener>> = HashMap::new();
    for listener in report.listeners.iter().filter(|listener| is_told(listener)) {
        if let Some((kind, namespace, name)) = forward::parse_name(&listener.name)
            && OF_SERVICES.contains(&kind)
        {
            let key = Key::new(namespace, name);
            missed.entry(key).or_default().push(listener);
        }
    }
    missed
}

/// Returns the conditions a Service should have; `None` if it has them.
fn conditions(service: &Service, missed: Vec<&Listener>) -> Option<Value> {
    let all = service.status.as_ref().and_then(|s| s.conditions.as_ref());
    let is_own = |one: &&Condition| one.type_ == CONDITION;
    let current = all.into_iter().flatten().find(is_own);
    let others = all.into_iter().flatten().filter(|one| !is_own(one));
    let mut list: Vec<Condition> = others.cloned().collect();
    let messages: Vec<String> = missed.iter().map(|listener| words(listener).1).collect();
    let Some(first) = missed.first() else {
        current?;
        return Some(json!(list));
    };
    let message = messages.join("; ");
    if current.is_some_and(|one| one.status == "False" && one.message == message) {
        return None;
    }
    list.push(Condition {
        type_: CONDITION.to_owned(),
        status: "False".to_owned(),
        reason: words(first).0.to_owned(),
        message,
        observed_generation: service.metadata.generation,
        last_transition_time: coracle_client::now(),
    });
    Some(json!(list))
}

fn attempt(refusal: &Refusal) -> (IpAddr, SocketAddr) {
    (refusal.source.ip(), refusal.destination)
}

fn address_of(pod: &Pod) -> Option<&String> {
    pod.status.as_ref()?.pod_ip.as_ref()
}

/// Returns the places that are not free on the host, by the data plane's word.
pub(crate) fn taken(report: &Report) -> BTreeSet<Place> {
    report
        .listeners
        .iter()
        .filter(|l| l.name.starts_with("balancer/"))
        .filter(|l| matches!(&l.failure, Some(f) if f.reason == Reason::PortTaken))
        .map(|l| (l.proto, l.address.ip(), l.address.port()))
        .collect()
}

fn is_balancer(service: &Service) -> bool {
    let spec = service.spec.as_ref();
    spec.and_then(|spec| spec.type_.as_deref()) == Some("LoadBalancer")
}

fn is_loopback(ip: &str) -> bool {
    ip.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

fn current(service: &Service) -> Vec<String> {
    service
        .status
        .iter()
        .filter_map(|status| status.load_balancer.as_ref())
        .flat_map(|balancer| balancer.ingress.iter().flatten())
        .filter_map(|ingress| ingress.ip.clone())
        .collect()
}

/// All ports of the Service are bound at the address.
fn answers(report: &Report, key: &Key, address: IpAddr) -> bool {
    let prefix = format!("balancer/{key}/");
    let mut mine = report
        .listeners
        .iter()
        .filter(|l| l.name.starts_with(&prefix) && reaches(l.address.ip(), address))
        .peekable();
    mine.peek().is_some() && mine.all(|l| l.failure.is_none())
}

/// Whether who listens at `at` is reached at `own`.
pub(crate) fn reaches(at: IpAddr, own: IpAddr) -> bool {
    at == own || at.is_unspecified() && at.is_ipv4() == own.is_ipv4()
}

/// A machine without IPv6 has no ::1; that is nobody's mistake.
fn is_told(listener: &Listener) -> bool {
    listener
        .failure
        .as_ref()
        .is_some_and(|failure| failure.reason != Reason::NoSuchAddress)
}

fn identity(listener: &Listener) -> (String, String) {
    (listener.name.clone(), words(listener).1)
}

pub(crate) fn words(listener: &Listener) -> (&'static str, String) {
    let proto = match listener.proto {
        Proto::Tcp => "TCP",
        Proto::Udp => "UDP",
    };
    let place = format!("{proto} port {}", listener.address);
    let message = listener
        .failure
        .as_ref()
        .map(|failure| (failure.reason, failure.message.as_str()));
    match message {
        Some((Reason::PortTaken, detail)) if detail.starts_with("taken by ") => {
            ("PortTaken", format!("{place} of the host is {detail}"))
        }
        Some((Reason::PortTaken, _)) => (
            "PortTaken",
            format!(
                "{place} of the host is taken by another program; it is bound as soon as it is free"
            ),
        ),
        Some((Reason::NotPermitted, detail)) => (
            "PortNotPermitted",
            format!("{place} of the host may not be bound: {detail}"),
        ),
        other => (
            "PortNotBound",
            format!(
                "{place} of the host cannot be bound: {}",
                other.map_or("", |(_, detail)| detail)
            ),
        ),
    }
}
