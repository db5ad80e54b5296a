//! From Ingress objects to the proxy's rules.
//!
//! [`resolve`] is pure: rules and backends by the words of
//! networking.k8s.io/v1, and notes about what is not served as written.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;

use coracle_client::{Key, Severity};
use coracle_dataplane::config::{Backend, HttpRoute, PathKind, Protocol};
use coracle_dataplane::ingress::route;
use k8s_openapi::api::core::v1::{Service, ServicePort};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::{
    HTTPIngressPath, Ingress, IngressBackend, IngressServiceBackend,
};

use super::annotation::Annotations;
use super::tls;
use crate::endpoints;

/// Services and their endpoints, as rules refer to them.
pub trait Services {
    /// Returns a Service with its EndpointSlices.
    fn find(&self, key: &Key) -> Option<(&Service, &[Arc<EndpointSlice>])>;
}

/// Something to tell about an Ingress.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Note {
    /// Whether it is a fault.
    pub is_warning: bool,
    /// In one word.
    pub reason: &'static str,
    /// In a sentence.
    pub message: String,
}

impl Note {
    pub(super) fn warning(reason: &'static str, message: String) -> Self {
        Note {
            is_warning: true,
            reason,
            message,
        }
    }

    /// Returns the kind of event it becomes.
    pub fn severity(&self) -> Severity {
        match self.is_warning {
            true => Severity::Warning,
            false => Severity::Normal,
        }
    }
}

/// What Ingress objects ask for.
#[derive(Debug, Default)]
pub struct Resolved {
    /// The rules, those that win among equals first.
    pub routes: Vec<HttpRoute>,
    /// The servers by name.
    pub backends: BTreeMap<String, Backend>,
    /// Services that rules name, there or not.
    pub services: BTreeSet<Key>,
    /// What is to be told, by Ingress.
    pub notes: BTreeMap<Key, Vec<Note>>,
}

/// Resolves Ingresses, all of them ours.
pub fn resolve(ingresses: &[(&Key, &Ingress)], services: &impl Services) -> Resolved {
    let mut resolved = Resolved::default();
    // Default backends come after all rules: "/" of a rule counts before them.
    let mut last = Vec::new();
    for (key, ingress) in by_age(ingresses) {
        let mut reader = Reader {
            key,
            ingress,
            annotations: Annotations::of(ingress),
            services,
            resolved: &mut resolved,
        };
        last.extend(reader.read());
    }
    resolved.routes.extend(last);
    resolved
}

/// The older Ingress wins where two want the same path of a host.
fn by_age<'a>(ingresses: &[(&'a Key, &'a Ingress)]) -> Vec<(&'a Key, &'a Ingress)> {
    let mut sorted = ingresses.to_vec();
    sorted.sort_by_key(|(key, ingress)| {
        let created = ingress.metadata.creation_timestamp.as_ref();
        (created.map(|time| time.0), *key)
    });
    sorted
}

struct Reader<'a, S> {
    key: &'a Key,
    ingress: &'a Ingress,
    annotations: Annotations,
    services: &'a S,
    resolved: &'a mut Resolved,
}

impl<S: Services> Reader<'_, S> {
    /// Adds the rules; returns those of the default backend.
    fn read(&mut self) -> Vec<HttpRoute> {
        for ignored in std::mem::take(&mut self.annotations.ignored) {
            self.warn("UnsupportedAnnotation", ignored);
        }
        let Some(spec) = self.ingress.spec.as_ref() else {
            return Vec::new();
        };
        let mut hosts = BTreeSet::new();
        for rule in spec.rules.iter().flatten() {
            let host = rule.host.clone().unwrap_or_default().to_ascii_lowercase();
            hosts.insert(host.clone());
            for path in rule.http.iter().flat_map(|http| &http.paths) {
                if let Some(route) = self.rule(&host, path) {
                    self.resolved.routes.push(route);
                }
            }
        }
        let Some(backend) = spec.default_backend.as_ref() else {
            return Vec::new();
        };
        // Without rules all traffic is meant that no rule of others takes.
        if hosts.is_empty() {
            hosts.insert(String::new());
        }
        let backend = self.backend(backend);
        hosts
            .into_iter()
            .map(|host| {
                let route = self.route(&host, "/", PathKind::Prefix, backend.clone());
                // Nothing of the path is known that could be rewritten.
                HttpRoute {
                    rewrite: None,
                    ..route
                }
            })
            .collect()
    }

    fn rule(&mut self, host: &str, path: &HTTPIngressPath) -> Option<HttpRoute> {
        let text = path.path.as_deref().unwrap_or("/");
        let kind = match (path.path_type.as_str(), self.annotations.patterns) {
            ("Exact", _) => PathKind::Exact,
            (_, true) => PathKind::Pattern,
            ("Prefix", _) => PathKind::Prefix,
            // Left to the controller; ingress-nginx compares characters.
            _ => PathKind::Text,
        };
        if kind == PathKind::Pattern
            && let Err(error) = route::pattern(text)
        {
            let message = format!("path {text:?} is not a regular expression: {error}");
            self.warn("UnreadablePath", message);
            return None;
        }
        let backend = self.backend(&path.backend);
        Some(self.route(host, text, kind, backend))
    }

    fn route(&self, host: &str, path: &str, kind: PathKind, backend: String) -> HttpRoute {
        let annotations = &self.annotations;
        let redirect =
            annotations.redirect_always || annotations.redirect && tls::covers(self.ingress, host);
        HttpRoute {
            host: host.to_owned(),
            path: path.to_owned(),
            kind,
            backend,
            redirect,
            rewrite: annotations.rewrite.clone(),
            server_name: annotations.server_name.clone(),
            body_bytes_max: annotations.body_bytes_max,
            connect_seconds: annotations.connect_seconds,
            answer_seconds: annotations.answer_seconds,
        }
    }

    /// Adds a backend and returns its name.
    fn backend(&mut self, backend: &IngressBackend) -> String {
        if let Some(service) = &backend.service {
            return self.service(service);
        }
        let name = backend.resource.as_ref().map_or_else(
            || "a backend without a name".to_owned(),
            |resource| format!("{} {}", resource.kind, resource.name),
        );
        let message = format!("{name} is not served: a backend must be a Service");
        self.warn("ResourceBackend", message);
        self.resolved.backends.entry(name.clone()).or_default();
        name
    }

    fn service(&mut self, wanted: &IngressServiceBackend) -> String {
        let key = Key::new(&self.key.namespace, &wanted.name);
        let port = wanted.port.as_ref();
        let number = port.and_then(|port| port.number);
        let label = port.and_then(|port| port.name.clone());
        let word = label.clone().or(number.map(|number| number.to_string()));
        let word = word.unwrap_or_default();
        let protocol = self.annotations.protocol;
        let name = match protocol {
            Protocol::Http => format!("{key}:{word}"),
            other => format!("{key}:{word} ({other:?})"),
        };
        let targets = self.targets(&key, number, label.as_deref(), &word);
        self.resolved.services.insert(key);
        let backend = Backend { protocol, targets };
        self.resolved.backends.insert(name.clone(), backend);
        name
    }

    fn targets(
        &mut self,
        key: &Key,
        number: Option<i32>,
        label: Option<&str>,
        word: &str,
    ) -> Vec<SocketAddr> {
        let Some((service, slices)) = self.services.find(key) else {
            return Vec::new();
        };
        let spec = service.spec.clone().unwrap_or_default();
        if spec.type_.as_deref() == Some("ExternalName") {
            let message = format!("Service {key} is a name outside the cluster and is not served");
            self.warn("ExternalName", message);
            return Vec::new();
        }
        let is_meant = |port: &&ServicePort| match label {
            Some(label) => port.name.as_deref() == Some(label),
            None => Some(port.port) == number,
        };
        match spec.ports.iter().flatten().find(is_meant) {
            Some(port) => endpoints::targets(slices, port),
            None => {
                let message = format!("Service {key} has no port {word}");
                self.warn("PortNotFound", message);
                Vec::new()
            }
        }
    }

    fn warn(&mut self, reason: &'static str, message: String) {
        let notes = self.resolved.notes.entry(self.key.clone()).or_default();
        let note = Note::warning(reason, message);
        if !notes.contains(&note) {
            notes.push(note);
        }
    }
}
