//! What became of an Ingress, told to users.
//!
//! Its address stands in its status once the proxy has taken its rules and
//! answers there; what is not served as written is an event.

use std::collections::{BTreeMap, HashSet};
use std::net::IpAddr;

use coracle_client::{Cache, Key, Recorder, Severity};
use coracle_dataplane::Report;
use coracle_dataplane::ingress::{HTTP, HTTPS};
use coracle_dataplane::report::{Listener, Reason};
use k8s_openapi::api::networking::v1::Ingress;
use kube::api::{Api, Patch, PatchParams};
use kube::{Client, ResourceExt};
use serde_json::{Value, json};

use super::{Ingresses, PORTS};
use crate::status::{reaches, words};

/// Writes statuses and events of Ingresses.
pub(crate) struct Teller {
    pub client: Client,
    pub ingresses: Cache<Ingress>,
    pub recorder: Recorder,
    /// What was told already.
    pub told: HashSet<(Key, String)>,
}

impl Teller {
    /// Tells of what is not served as written.
    pub(crate) fn events(&mut self, state: &Ingresses, report: &Report) {
        let mut now: BTreeMap<(Key, String), (Severity, &'static str)> = BTreeMap::new();
        for (key, notes) in state.notes() {
            for note in notes {
                let told = (key.clone(), note.message.clone());
                now.insert(told, (note.severity(), note.reason));
            }
        }
        for listener in report.listeners.iter().filter(|l| is_missed(l)) {
            let (reason, message) = words(listener);
            let message = match instead(report, listener) {
                Some(port) => format!("{message}; until then port {port} is used"),
                None => message,
            };
            for key in state.served() {
                now.insert((key.clone(), message.clone()), (Severity::Warning, reason));
            }
        }
        for (told, (severity, reason)) in &now {
            let (key, message) = told;
            if self.told.contains(told) {
                continue;
            }
            if let Some(ingress) = self.ingresses.of(key) {
                self.recorder
                    .event(&*ingress, *severity, reason, message.clone());
            }
        }
        self.told = now.into_keys().collect();
    }

    /// Writes the statuses that are not as they should be. `generation` is the
    /// configuration that holds what is served now.
    pub(crate) async fn statuses(
        &self,
        state: &Ingresses,
        own: IpAddr,
        report: &Report,
        generation: u64,
    ) -> Result<(), kube::Error> {
        let ports = match report.generation >= generation {
            true => ports(report, own),
            // The proxy may not know the rules yet: what is told stays.
            false => return Ok(()),
        };
        for ingress in self.ingresses.all() {
            let key = coracle_client::key_of(&*ingress);
            let current = current(&ingress);
            let wanted = match state.served().contains(&key) {
                true if ports.values().any(Option::is_none) => address(own, &ports),
                true => json!([]),
                // Another controller's status is none of ours.
                false if !is_ours(&current) => continue,
                false => json!([]),
            };
            if current != wanted {
                self.write(&key, &ingress, &wanted).await?;
            }
        }
        Ok(())
    }

    async fn write(&self, key: &Key, ingress: &Ingress, wanted: &Value) -> Result<(), kube::Error> {
        let api: Api<Ingress> = Api::namespaced(self.client.clone(), &key.namespace);
        let balancer = match wanted == &json!([]) {
            true => json!({"ingress": null}),
            false => json!({"ingress": wanted}),
        };
        let patch = json!({
            "metadata": {"resourceVersion": ingress.resource_version()},
            "status": {"loadBalancer": balancer},
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

fn address(own: IpAddr, ports: &Ports) -> Value {
    let ports: Vec<Value> = ports
        .iter()
        .map(|(port, error)| match error {
            None => json!({"port": port, "protocol": "TCP"}),
            // A value of our own has a prefix (IngressPortStatus.error).
            Some(error) => {
                json!({"port": port, "protocol": "TCP", "error": format!("coracle.dev/{error}")})
            }
        })
        .collect();
    json!([{"ip": own.to_string(), "ports": ports}])
}

fn current(ingress: &Ingress) -> Value {
    let listed = ingress
        .status
        .as_ref()
        .and_then(|status| status.load_balancer.as_ref())
        .and_then(|balancer| balancer.ingress.as_ref());
    listed.map_or(json!([]), |list| json!(list))
}

/// An address that only we give: one of the host's loopback.
fn is_ours(current: &Value) -> bool {
    let ip = current[0]["ip"].as_str().and_then(|ip| ip.parse().ok());
    ip.is_some_and(|ip: IpAddr| ip.is_loopback())
}

fn is_entrance(listener: &Listener) -> bool {
    [HTTP, HTTPS].contains(&listener.name.as_str())
}

/// Ports at an address, and why one does not answer.
type Ports = BTreeMap<u16, Option<&'static str>>;

fn ports(report: &Report, own: IpAddr) -> Ports {
    report
        .listeners
        .iter()
        .filter(|l| is_entrance(l) && reaches(l.address.ip(), own))
        .map(|l| (l.address.port(), l.failure.as_ref().map(|_| words(l).0)))
        .collect()
}

/// An entrance that another program holds. That low ports may not be bound is
/// usual, and the others are there for it.
fn is_missed(listener: &Listener) -> bool {
    let usual = [Reason::NoSuchAddress, Reason::NotPermitted];
    let failure = listener.failure.as_ref();
    is_entrance(listener) && failure.is_some_and(|failure| !usual.contains(&failure.reason))
}

/// Returns the port that is used in place of one that cannot be had.
fn instead(report: &Report, missed: &Listener) -> Option<u16> {
    let [_, other] = PORTS
        .into_iter()
        .find(|ports| ports[0] == missed.address.port())?;
    report
        .listeners
        .iter()
        .filter(|l| l.name == missed.name && l.failure.is_none())
        .find(|l| l.address.ip() == missed.address.ip() && l.address.port() == other)
        .map(|l| l.address.port())
}
