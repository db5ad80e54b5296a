//! What containers find in their environment, as far as the chart says it.
//!
//! Main functions: [`of`], [`addresses`].

use crate::workload::{Container, Workload};
use crate::world::World;

/// A variable of a container.
pub struct Variable {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
    /// Index of the object whose field holds the value, and the field.
    pub at: (usize, String),
    /// Whether it comes from a Secret.
    pub secret: bool,
}

/// Returns the variables of a container that the release itself gives.
pub fn of(world: &World<'_>, workload: &Workload<'_>, container: &Container<'_>) -> Vec<Variable> {
    let mut out: Vec<Variable> = Vec::new();
    let namespace = workload.namespace();
    let env_from = container.value["envFrom"].as_array();
    for entry in env_from.into_iter().flatten() {
        let prefix = entry["prefix"].as_str().unwrap_or_default();
        for (field, kind) in [("configMapRef", "ConfigMap"), ("secretRef", "Secret")] {
            let Some(name) = entry[field]["name"].as_str() else {
                continue;
            };
            for (key, value, at) in entries(world, kind, namespace, name) {
                put(
                    &mut out,
                    Variable {
                        name: format!("{prefix}{key}"),
                        value,
                        at,
                        secret: kind == "Secret",
                    },
                );
            }
        }
    }
    let env = container.value["env"].as_array();
    for (at, entry) in env.into_iter().flatten().enumerate() {
        let Some(name) = entry["name"].as_str() else {
            continue;
        };
        let field = workload.in_container(container, &format!("env[{at}].value"));
        if let Some(value) = entry["value"].as_str() {
            put(
                &mut out,
                Variable {
                    name: name.into(),
                    value: value.into(),
                    at: (workload.object.index, field),
                    secret: false,
                },
            );
            continue;
        }
        for (field, kind) in [("configMapKeyRef", "ConfigMap"), ("secretKeyRef", "Secret")] {
            let source = &entry["valueFrom"][field];
            let (Some(from), Some(key)) = (source["name"].as_str(), source["key"].as_str()) else {
                continue;
            };
            let found = entries(world, kind, namespace, from)
                .into_iter()
                .find(|(name, ..)| name == key);
            if let Some((_, value, at)) = found {
                put(
                    &mut out,
                    Variable {
                        name: name.into(),
                        value,
                        at,
                        secret: kind == "Secret",
                    },
                );
            }
        }
    }
    out
}

fn put(out: &mut Vec<Variable>, variable: Variable) {
    out.retain(|other| other.name != variable.name);
    out.push(variable);
}

type Entry = (String, String, (usize, String));

/// Keys and values of a ConfigMap or Secret of the release.
fn entries(world: &World<'_>, kind: &str, namespace: &str, name: &str) -> Vec<Entry> {
    let crate::world::Found::Here(object) = world.find(kind, namespace, name) else {
        return Vec::new();
    };
    let mut out = Vec::new();
    for field in ["data", "stringData"] {
        let map = object.value[field].as_object();
        for (key, value) in map.into_iter().flatten() {
            let Some(text) = value.as_str() else {
                continue;
            };
            let text = match (kind, field) {
                ("Secret", "data") => decoded(text),
                _ => Some(text.to_owned()),
            };
            if let Some(text) = text {
                out.push((key.clone(), text, (object.index, format!("{field}[{key}]"))));
            }
        }
    }
    out
}

/// Text from base64.
pub fn decoded(text: &str) -> Option<String> {
    use base64::Engine as _;
    let clean: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    let bytes = base64::engine::general_purpose::STANDARD
        .decode(clean)
        .ok()?;
    String::from_utf8(bytes).ok()
}

/// A host with a port, taken from a URL or `host:port`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// Scheme; empty if none was written.
    pub scheme: String,
    /// Host.
    pub host: String,
    /// Port, where one is written or the scheme has one.
    pub port: Option<u16>,
}

/// Returns the addresses in a value: URLs, `host:port`, lists of them.
pub fn addresses(value: &str) -> Vec<Address> {
    if value.len() > 2000 || value.contains('\n') {
        return Vec::new();
    }
    match value.split_once("://") {
        Some((scheme, rest)) => url(scheme, rest),
        None => value
            .split(',')
            .filter_map(|part| plain(part.trim()))
            .collect(),
    }
}

fn url(scheme: &str, rest: &str) -> Vec<Address> {
    let is_scheme = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
    if scheme.is_empty() || !scheme.chars().all(is_scheme) {
        return Vec::new();
    }
    let authority = rest.split(['/', '?', '#', ' ']).next().unwrap_or_default();
    let hosts = authority
        .rsplit_once('@')
        .map_or(authority, |(_, hosts)| hosts);
    let known = default_port(scheme);
    hosts
        .split(',')
        .filter_map(|host| {
            let (host, port) = match host.rsplit_once(':') {
                Some((host, port)) => (host, Some(port.parse::<u16>().ok()?)),
                None => (host, known),
            };
            is_host(host).then(|| Address {
                scheme: scheme.to_ascii_lowercase(),
                host: host.to_owned(),
                port,
            })
        })
        .collect()
}

fn plain(text: &str) -> Option<Address> {
    let (host, port) = text.rsplit_once(':')?;
    let port: u16 = port.parse().ok()?;
    let has_letter = host.chars().any(|c| c.is_ascii_alphabetic());
    (is_host(host) && has_letter && port > 0).then(|| Address {
        scheme: String::new(),
        host: host.to_owned(),
        port: Some(port),
    })
}

fn is_host(host: &str) -> bool {
    !host.is_empty()
        && host.len() <= 253
        && host
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '.')
        && !host.starts_with(['-', '.'])
}

fn default_port(scheme: &str) -> Option<u16> {
    Some(match scheme.split('+').next().unwrap_or(scheme) {
        "http" | "ws" => 80,
        "https" | "wss" => 443,
        "postgres" | "postgresql" => 5432,
        "mysql" | "mariadb" => 3306,
        "redis" | "rediss" => 6379,
        "mongodb" => 27017,
        "amqp" => 5672,
        "amqps" => 5671,
        "nats" => 4222,
        "smtp" => 25,
        "ldap" => 389,
        "ldaps" => 636,
        _ => return None,
    })
}

/// The Service that a host names from within a namespace: name and namespace.
pub fn service_of(host: &str, namespace: &str) -> Option<(String, String)> {
    let host = host.trim_end_matches('.');
    let parts: Vec<&str> = host.split('.').collect();
    match parts.as_slice() {
        ["localhost"] => None,
        [name] => Some(((*name).to_owned(), namespace.to_owned())),
        [name, other] if !is_public_suffix(other) => Some(((*name).into(), (*other).into())),
        [name, other, "svc", ..] => Some(((*name).into(), (*other).into())),
        _ => None,
    }
}

/// `example.com` is no Service `example` of namespace `com`.
fn is_public_suffix(name: &str) -> bool {
    matches!(
        name,
        "com"
            | "org"
            | "net"
            | "io"
            | "dev"
            | "app"
            | "local"
            | "localhost"
            | "internal"
            | "cloud"
            | "tech"
            | "ai"
            | "co"
            | "de"
            | "uk"
            | "eu"
            | "me"
            | "test"
            | "example"
    )
}

/// Whether a host can only mean a Service of the cluster.
pub fn is_internal(host: &str) -> bool {
    host.ends_with(".svc") || host.contains(".svc.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_found() {
        let check = |value: &str, expected: &[(&str, Option<u16>)]| {
            let found: Vec<(String, Option<u16>)> = addresses(value)
                .into_iter()
                .map(|address| (address.host, address.port))
                .collect();
            let expected: Vec<(String, Option<u16>)> = expected
                .iter()
                .map(|(host, port)| ((*host).to_owned(), *port))
                .collect();
            assert_eq!(found, expected, "{value}");
        };
        check("http://api:8000/x", &[("api", Some(8000))]);
        check("postgresql://u:p@db.x.svc/t", &[("db.x.svc", Some(5432))]);
        check(
            "kafka-0:9092,kafka-1:9092",
            &[("kafka-0", Some(9092)), ("kafka-1", Some(9092))],
        );
        check("sqlite:///app/data/todo.db", &[]);
        check("12:30", &[]);
        check("https://api.example.com", &[("api.example.com", Some(443))]);
    }

    #[test]
    fn hosts_name_services() {
        let check = |host: &str, expected: Option<(&str, &str)>| {
            let expected = expected.map(|(a, b)| (a.to_owned(), b.to_owned()));
            assert_eq!(service_of(host, "here"), expected, "{host}");
        };
        check("api", Some(("api", "here")));
        check("api.there", Some(("api", "there")));
        check("api.there.svc.cluster.local", Some(("api", "there")));
        check("example.com", None);
        check("localhost", None);
    }
}
