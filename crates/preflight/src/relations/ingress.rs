//! Ingresses and routes: Services and ports behind them.

use super::{did_you_mean, list};
use crate::object::Object;
use crate::report::Severity;
use crate::sink::Sink;
use crate::world::{Found, World};
use serde_json::Value;

/// Checks Ingresses, HTTPRoutes and webhooks.
pub fn check(world: &World<'_>, sink: &mut Sink) {
    for object in world.of_kind("Ingress") {
        let spec = &object.value["spec"];
        backend(
            world,
            object,
            &spec["defaultBackend"],
            "spec.defaultBackend",
            sink,
        );
        let rules = spec["rules"].as_array();
        for (at, rule) in rules.into_iter().flatten().enumerate() {
            let paths = rule["http"]["paths"].as_array();
            for (index, path) in paths.into_iter().flatten().enumerate() {
                let field = format!("spec.rules[{at}].http.paths[{index}].backend");
                backend(world, object, &path["backend"], &field, sink);
            }
        }
        certificates(world, object, sink);
    }
    for object in world.objects.iter().filter(|object| is_route(object)) {
        let rules = object.value["spec"]["rules"].as_array();
        for (at, rule) in rules.into_iter().flatten().enumerate() {
            let backends = rule["backendRefs"].as_array();
            for (index, backend) in backends.into_iter().flatten().enumerate() {
                let field = format!("spec.rules[{at}].backendRefs[{index}]");
                route(world, object, backend, &field, sink);
            }
        }
    }
}

fn is_route(object: &Object) -> bool {
    object
        .id
        .api_version
        .starts_with("gateway.networking.k8s.io/")
        && object.id.kind.ends_with("Route")
}

fn backend(world: &World<'_>, object: &Object, backend: &Value, field: &str, sink: &mut Sink) {
    let Some(name) = backend["service"]["name"].as_str() else {
        return;
    };
    let port = &backend["service"]["port"];
    let (wanted, port_field) = match port["name"].as_str() {
        Some(name) => (Value::from(name), format!("{field}.service.port.name")),
        None => (
            port["number"].clone(),
            format!("{field}.service.port.number"),
        ),
    };
    // A controller's own convention: the port's name is an annotation.
    if wanted == "use-annotation" {
        return;
    }
    let name_field = format!("{field}.service.name");
    service(
        world,
        object,
        (name, &name_field),
        (&wanted, &port_field),
        sink,
    );
}

fn route(world: &World<'_>, object: &Object, backend: &Value, field: &str, sink: &mut Sink) {
    let kind = backend["kind"].as_str().unwrap_or("Service");
    let own = &object.id.namespace;
    let foreign = backend["namespace"]
        .as_str()
        .is_some_and(|name| name != own);
    let Some(name) = backend["name"]
        .as_str()
        .filter(|_| kind == "Service" && !foreign)
    else {
        return;
    };
    let name_field = format!("{field}.name");
    let port_field = format!("{field}.port");
    service(
        world,
        object,
        (name, &name_field),
        (&backend["port"], &port_field),
        sink,
    );
}

fn service(
    world: &World<'_>,
    object: &Object,
    (name, name_field): (&str, &str),
    (wanted, port_field): (&Value, &str),
    sink: &mut Sink,
) {
    let namespace = &object.id.namespace;
    let kind = &object.id.kind;
    let value = match world.find("Service", namespace, name) {
        Found::Here(service) => &service.value,
        Found::There(value) => value,
        found => {
            let near = did_you_mean(name, world.names("Service", namespace));
            let severity = match (found, &near) {
                (Found::Missing, _) | (_, Some(_)) => Severity::Error,
                _ if world.has_makers() => return,
                _ => Severity::Warning,
            };
            let message = format!("the {kind} leads to Service {name}, which does not exist");
            let names = world.names("Service", namespace);
            let fix = near.unwrap_or_else(|| format!("the Services are {}", list(&names)));
            sink.add(severity, "missing-service", object, name_field, message)
                .fix(fix);
            return;
        }
    };
    if value["spec"]["type"] == "ExternalName" || wanted.is_null() {
        return;
    }
    let ports: Vec<&Value> = value["spec"]["ports"]
        .as_array()
        .into_iter()
        .flatten()
        .collect();
    let fits = ports.iter().any(|port| match wanted {
        Value::String(name) => port["name"] == name.as_str(),
        number => port["port"] == *number,
    });
    if fits || ports.is_empty() {
        return;
    }
    let shown: Vec<String> = ports
        .iter()
        .map(|port| match port["name"].as_str() {
            Some(name) => format!("{} ({name})", port["port"]),
            None => port["port"].to_string(),
        })
        .collect();
    let wanted = match wanted {
        Value::String(name) => name.clone(),
        number => number.to_string(),
    };
    let message = format!(
        "the {kind} leads to port {wanted} of Service {name}, which has {}",
        list(&shown)
    );
    sink.add(Severity::Error, "ingress-port", object, port_field, message)
        .fix(format!("write {}", ports[0]["port"]));
}

/// Secrets with certificates, unless somebody makes them.
fn certificates(world: &World<'_>, object: &Object, sink: &mut Sink) {
    let annotations = object.value["metadata"]["annotations"].as_object();
    let issued = annotations
        .into_iter()
        .flatten()
        .any(|(name, _)| name.starts_with("cert-manager.io/") || name == "kubernetes.io/tls-acme");
    let entries = object.value["spec"]["tls"].as_array();
    for (at, entry) in entries.into_iter().flatten().enumerate() {
        let name = entry["secretName"].as_str().unwrap_or_default();
        if name.is_empty() || issued || world.has_makers() {
            continue;
        }
        let namespace = &object.id.namespace;
        let severity = match world.find("Secret", namespace, name) {
            Found::Here(_) | Found::There(_) => continue,
            Found::Missing => Severity::Warning,
            Found::Unknown => Severity::Note,
        };
        let message =
            format!("the certificate is read from Secret {name}, which is not in this chart");
        sink.add(
            severity,
            "missing-certificate",
            object,
            format!("spec.tls[{at}].secretName"),
            message,
        )
        .fix(format!(
            "make it first: kubectl create secret tls {name} -n {namespace} --cert=FILE --key=FILE"
        ));
    }
}
