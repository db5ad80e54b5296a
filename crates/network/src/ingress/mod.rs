//! Ingress objects as rules of the data plane's HTTP proxy.
//!
//! Main type: [`Ingresses`], which keeps what rules depend on. The decisions
//! are pure functions: [`class`] (which are ours), [`annotation`], [`resolve`]
//! (rules and servers), [`tls`] (certificates); [`tell`] writes statuses and
//! events.

pub mod annotation;
pub mod authority;
pub mod class;
pub mod resolve;
pub(crate) mod secrets;
pub(crate) mod tell;
pub mod tls;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use coracle_client::Key;
use coracle_dataplane::config::{self, Entrance};
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::api::networking::v1::{Ingress, IngressClass};

use crate::plan::AddressPlan;
use authority::{Authority, Issue};
use resolve::{Note, Services};

/// The ports of HTTP and HTTPS, and those taken where they cannot be had.
pub const PORTS: [[u16; 2]; 2] = [[80, 8080], [443, 8443]];

/// What rules depend on, and what they were resolved to.
#[derive(Debug)]
pub struct Ingresses {
    objects: BTreeMap<Key, Arc<Ingress>>,
    classes: BTreeMap<String, Arc<IngressClass>>,
    secrets: BTreeMap<Key, Arc<Secret>>,
    authority: Authority,
    services: BTreeSet<Key>,
    notes: BTreeMap<Key, Vec<Note>>,
    served: BTreeSet<Key>,
}

impl Ingresses {
    /// Returns none; `issue` makes certificates for hosts without a Secret.
    pub fn new(issue: Option<Issue>) -> Self {
        Ingresses {
            objects: BTreeMap::new(),
            classes: BTreeMap::new(),
            secrets: BTreeMap::new(),
            authority: Authority::new(issue),
            services: BTreeSet::new(),
            notes: BTreeMap::new(),
            served: BTreeSet::new(),
        }
    }

    /// Tells of an Ingress; returns whether its rules may have changed.
    pub fn set(&mut self, key: Key, ingress: Option<Arc<Ingress>>) -> bool {
        let meaning = |ingress: &Arc<Ingress>| {
            let annotations = ingress.metadata.annotations.clone();
            (ingress.spec.clone(), annotations)
        };
        let before = self.objects.get(&key).map(meaning);
        let changed = before != ingress.as_ref().map(meaning);
        match ingress {
            Some(ingress) => self.objects.insert(key, ingress),
            None => self.objects.remove(&key),
        };
        changed
    }

    /// Tells of an IngressClass.
    pub fn set_class(&mut self, name: String, class: Option<Arc<IngressClass>>) {
        match class {
            Some(class) => self.classes.insert(name, class),
            None => self.classes.remove(&name),
        };
    }

    /// Tells of a Secret of type kubernetes.io/tls.
    pub fn set_secret(&mut self, key: Key, secret: Option<Arc<Secret>>) {
        match secret {
            Some(secret) => self.secrets.insert(key, secret),
            None => self.secrets.remove(&key),
        };
    }

    /// Tells whether a rule names a Service.
    pub fn names(&self, service: &Key) -> bool {
        self.services.contains(service)
    }

    /// Tells whether any Ingress names a Secret.
    pub fn has_tls(&self) -> bool {
        let specs = self.objects.values().filter_map(|i| i.spec.as_ref());
        specs.into_iter().any(|spec| spec.tls.is_some())
    }

    /// Returns the Ingresses that are served.
    pub fn served(&self) -> &BTreeSet<Key> {
        &self.served
    }

    /// Returns what is to be told, by Ingress.
    pub fn notes(&self) -> &BTreeMap<Key, Vec<Note>> {
        &self.notes
    }

    /// Returns the proxy's configuration; `None` while there is nothing to serve.
    pub fn config(
        &mut self,
        services: &impl Services,
        plan: &AddressPlan,
        addresses: &[IpAddr],
    ) -> Option<config::Ingress> {
        let ours: Vec<(&Key, &Ingress)> = self
            .objects
            .iter()
            .filter(|(_, ingress)| class::is_ours(ingress, &self.classes))
            .map(|(key, ingress)| (key, &**ingress))
            .collect();
        self.served = ours.iter().map(|(key, _)| (*key).clone()).collect();
        let resolved = resolve::resolve(&ours, services);
        self.services = resolved.services;
        self.notes = resolved.notes;
        if ours.is_empty() {
            return None;
        }
        let shown = tls::certificates(&ours, &self.secrets, &mut self.authority);
        for (key, note) in shown.notes {
            self.notes.entry(key).or_default().push(note);
        }
        Some(config::Ingress {
            entrances: entrances(plan, addresses),
            source: Some(plan.ingress()),
            routes: resolved.routes,
            backends: resolved.backends,
            certificates: shown.certificates,
            ..config::Ingress::default()
        })
    }
}

fn entrances(plan: &AddressPlan, addresses: &[IpAddr]) -> Vec<Entrance> {
    let mut entrances = Vec::new();
    for (ports, tls) in PORTS.iter().zip([false, true]) {
        let on_host = addresses.iter().map(|address| Entrance {
            tls,
            inside: false,
            addresses: ports.map(|port| SocketAddr::new(*address, port)).to_vec(),
        });
        let inside = Entrance {
            tls,
            inside: true,
            addresses: vec![(plan.ingress(), ports[0]).into()],
        };
        entrances.extend(on_host.chain([inside]));
    }
    entrances
}
