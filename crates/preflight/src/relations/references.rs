//! Secrets, ConfigMaps, their keys, accounts and claims that pods name.

use super::did_you_mean;
use crate::report::Severity;
use crate::sink::Sink;
use crate::workload::Workload;
use crate::world::{Found, World};
use serde_json::Value;
use std::collections::BTreeSet;

/// A reference from a pod to a Secret or ConfigMap.
struct Reference<'r> {
    kind: &'static str,
    name: &'r str,
    /// The key, and the field that names it.
    keys: Vec<(&'r str, String)>,
    field: String,
    optional: bool,
}

/// Checks what pods name.
pub fn check(world: &World<'_>, sink: &mut Sink) {
    for workload in world.workloads() {
        let mut seen = BTreeSet::new();
        for reference in references(&workload) {
            check_one(world, &workload, &reference, &mut seen, sink);
        }
        account(world, &workload, sink);
        claims(world, &workload, sink);
        pull_secrets(world, &workload, sink);
        classes(world, &workload, sink);
    }
    bindings(world, sink);
}

fn references<'w>(workload: &Workload<'w>) -> Vec<Reference<'w>> {
    let mut found = Vec::new();
    for container in workload.containers() {
        let env = container.value["env"].as_array();
        for (at, entry) in env.into_iter().flatten().enumerate() {
            for (field, kind) in [("secretKeyRef", "Secret"), ("configMapKeyRef", "ConfigMap")] {
                let source = &entry["valueFrom"][field];
                let Some(name) = source["name"].as_str() else {
                    continue;
                };
                let inside = format!("env[{at}].valueFrom.{field}");
                let path = workload.in_container(&container, &inside);
                let key = source["key"].as_str();
                found.push(Reference {
                    kind,
                    name,
                    keys: key
                        .map(|key| (key, format!("{path}.key")))
                        .into_iter()
                        .collect(),
                    field: format!("{path}.name"),
                    optional: source["optional"] == true,
                });
            }
        }
        let env_from = container.value["envFrom"].as_array();
        for (at, entry) in env_from.into_iter().flatten().enumerate() {
            for (field, kind) in [("secretRef", "Secret"), ("configMapRef", "ConfigMap")] {
                let source = &entry[field];
                let Some(name) = source["name"].as_str() else {
                    continue;
                };
                let inside = format!("envFrom[{at}].{field}.name");
                found.push(Reference {
                    kind,
                    name,
                    keys: Vec::new(),
                    field: workload.in_container(&container, &inside),
                    optional: source["optional"] == true,
                });
            }
        }
    }
    let volumes = workload.spec()["volumes"].as_array();
    for (at, volume) in volumes.into_iter().flatten().enumerate() {
        let path = workload.field(&format!("volumes[{at}]"));
        volume_references(volume, &path, &mut found);
        let sources = volume["projected"]["sources"].as_array();
        for (index, source) in sources.into_iter().flatten().enumerate() {
            let path = format!("{path}.projected.sources[{index}]");
            volume_references(source, &path, &mut found);
        }
    }
    found
}

fn volume_references<'w>(volume: &'w Value, path: &str, found: &mut Vec<Reference<'w>>) {
    for (field, kind) in [("secret", "Secret"), ("configMap", "ConfigMap")] {
        let source = &volume[field];
        let (name, name_field) = match source["secretName"].as_str() {
            Some(name) => (Some(name), "secretName"),
            None => (source["name"].as_str(), "name"),
        };
        let Some(name) = name else {
            continue;
        };
        let items = source["items"].as_array();
        let keys = items
            .into_iter()
            .flatten()
            .enumerate()
            .filter_map(|(at, item)| {
                let field = format!("{path}.{field}.items[{at}].key");
                Some((item["key"].as_str()?, field))
            });
        found.push(Reference {
            kind,
            name,
            keys: keys.collect(),
            field: format!("{path}.{field}.{name_field}"),
            optional: source["optional"] == true,
        });
    }
}

fn check_one<'w>(
    world: &World<'_>,
    workload: &Workload<'w>,
    reference: &Reference<'w>,
    seen: &mut BTreeSet<(&'static str, String)>,
    sink: &mut Sink,
) {
    let Reference { kind, name, .. } = reference;
    if name.is_empty() || reference.optional {
        return;
    }
    match world.find(kind, workload.namespace(), name) {
        Found::Here(object) => keys(workload, reference, &object.value, sink),
        Found::There(value) => keys(workload, reference, value, sink),
        found => {
            if seen.insert((*kind, (*name).to_owned())) {
                missing(
                    world,
                    workload,
                    reference,
                    matches!(found, Found::Missing),
                    sink,
                );
            }
        }
    }
}

fn missing(
    world: &World<'_>,
    workload: &Workload<'_>,
    reference: &Reference<'_>,
    asked: bool,
    sink: &mut Sink,
) {
    let Reference {
        kind, name, field, ..
    } = reference;
    let namespace = workload.namespace();
    if *kind == "ConfigMap" && *name == "kube-root-ca.crt" {
        return;
    }
    let near = did_you_mean(name, world.names(kind, namespace));
    // Made by a hook, an operator or a program of the release, later.
    let made_later = near.is_none()
        && (world.speaks_of(name, "") || world.has_makers() || made_by_certificate(world, name));
    if made_later && !asked {
        return;
    }
    let (severity, place) = match (asked, made_later, &near) {
        (true, false, _) => (Severity::Error, "neither in this chart nor in the cluster"),
        (true, true, _) => (
            Severity::Note,
            "not there yet; something in this release may make it",
        ),
        (false, _, Some(_)) => (Severity::Error, "not in this chart"),
        (false, _, None) => (Severity::Warning, "not in this chart"),
    };
    let verb = match *kind {
        "Secret" => "kubectl create secret generic",
        _ => "kubectl create configmap",
    };
    let make = format!("make it first: {verb} {name} -n {namespace} --from-literal=KEY=VALUE");
    let message = format!("the pods need {kind} {name}, which is {place}");
    let keys: Vec<&str> = reference.keys.iter().map(|(key, _)| *key).collect();
    let make = match keys.as_slice() {
        [] => make,
        keys => make.replace("KEY", keys[0]),
    };
    sink.add(
        severity,
        "missing-reference",
        workload.object,
        field.clone(),
        message,
    )
    .fix(near.unwrap_or(make));
}

/// Whether a certificate's Secret has this name.
fn made_by_certificate(world: &World<'_>, name: &str) -> bool {
    world
        .objects
        .iter()
        .any(|object| object.value["spec"]["secretName"] == name)
}

fn keys(workload: &Workload<'_>, reference: &Reference<'_>, value: &Value, sink: &mut Sink) {
    let mut names: Vec<String> = Vec::new();
    for field in ["data", "stringData", "binaryData"] {
        let map = value[field].as_object();
        names.extend(map.into_iter().flatten().map(|(key, _)| key.clone()));
    }
    // An empty one, or a token, is filled by somebody else.
    if names.is_empty() || value["type"] == "kubernetes.io/service-account-token" {
        return;
    }
    for (key, field) in &reference.keys {
        if names.iter().any(|name| name == key) {
            continue;
        }
        let Reference { kind, name, .. } = reference;
        let message = format!(
            "{kind} {name} has no key {key}; it has {}",
            super::list(&names)
        );
        let fix = did_you_mean(key, names.clone())
            .unwrap_or_else(|| format!("add the key {key}, or name one that is there"));
        sink.add(
            Severity::Error,
            "missing-key",
            workload.object,
            field.clone(),
            message,
        )
        .fix(fix);
    }
}

fn account(world: &World<'_>, workload: &Workload<'_>, sink: &mut Sink) {
    let name = workload.spec()["serviceAccountName"]
        .as_str()
        .unwrap_or_default();
    if name.is_empty() || name == "default" {
        return;
    }
    let namespace = workload.namespace();
    let (severity, place) = match world.find("ServiceAccount", namespace, name) {
        Found::Here(_) | Found::There(_) => return,
        Found::Missing => (Severity::Error, "neither in this chart nor in the cluster"),
        Found::Unknown => (Severity::Warning, "not in this chart"),
    };
    let message = format!("the pods run as ServiceAccount {name}, which is {place}");
    let near = did_you_mean(name, world.names("ServiceAccount", namespace));
    let make = format!("make it first: kubectl create serviceaccount {name} -n {namespace}");
    let field = workload.field("serviceAccountName");
    sink.add(severity, "missing-account", workload.object, field, message)
        .fix(near.unwrap_or(make));
}

fn claims(world: &World<'_>, workload: &Workload<'_>, sink: &mut Sink) {
    let volumes = workload.spec()["volumes"].as_array();
    for (at, volume) in volumes.into_iter().flatten().enumerate() {
        let Some(name) = volume["persistentVolumeClaim"]["claimName"].as_str() else {
            continue;
        };
        let namespace = workload.namespace();
        let (severity, place) = match world.find("PersistentVolumeClaim", namespace, name) {
            Found::Here(_) | Found::There(_) => continue,
            Found::Missing => (Severity::Error, "neither in this chart nor in the cluster"),
            Found::Unknown if world.has_makers() => continue,
            Found::Unknown => (Severity::Warning, "not in this chart"),
        };
        let message = format!("the pods mount claim {name}, which is {place}");
        let field = workload.field(&format!("volumes[{at}].persistentVolumeClaim.claimName"));
        let near = did_you_mean(name, world.names("PersistentVolumeClaim", namespace));
        let make = format!("make PersistentVolumeClaim {name} in {namespace} first");
        sink.add(severity, "missing-claim", workload.object, field, message)
            .fix(near.unwrap_or(make));
    }
}

fn pull_secrets(world: &World<'_>, workload: &Workload<'_>, sink: &mut Sink) {
    let secrets = workload.spec()["imagePullSecrets"].as_array();
    for (at, secret) in secrets.into_iter().flatten().enumerate() {
        let name = secret["name"].as_str().unwrap_or_default();
        let namespace = workload.namespace();
        if name.is_empty() || !matches!(world.find("Secret", namespace, name), Found::Missing) {
            continue;
        }
        let message = format!("images are pulled with Secret {name}, which does not exist");
        let field = workload.field(&format!("imagePullSecrets[{at}].name"));
        sink.add(
            Severity::Warning,
            "missing-reference",
            workload.object,
            field,
            message,
        )
        .fix(format!(
            "make it first: kubectl create secret docker-registry {name} -n {namespace} …"
        ));
    }
}

fn classes(world: &World<'_>, workload: &Workload<'_>, sink: &mut Sink) {
    for (field, kind) in [
        ("priorityClassName", "PriorityClass"),
        ("runtimeClassName", "RuntimeClass"),
    ] {
        let name = workload.spec()[field].as_str().unwrap_or_default();
        if name.is_empty() || name.starts_with("system-") {
            continue;
        }
        if !matches!(world.find(kind, "", name), Found::Missing) {
            continue;
        }
        let message = format!("the pods name {kind} {name}, which does not exist");
        sink.add(
            Severity::Error,
            "missing-class",
            workload.object,
            workload.field(field),
            message,
        )
        .fix(format!("leave {field} empty, or make the {kind} first"));
    }
}

/// Bindings whose role or account is not there.
fn bindings(world: &World<'_>, sink: &mut Sink) {
    for object in world
        .of_kind("RoleBinding")
        .chain(world.of_kind("ClusterRoleBinding"))
    {
        let role = &object.value["roleRef"];
        let kind = role["kind"].as_str().unwrap_or_default();
        let name = role["name"].as_str().unwrap_or_default();
        let namespace = match kind {
            "Role" => object.id.namespace.as_str(),
            "ClusterRole" => "",
            _ => continue,
        };
        let near = did_you_mean(name, world.names(kind, namespace));
        // The server itself makes roles in kube-system and kube-public.
        if namespace.starts_with("kube-") {
            continue;
        }
        let severity = match world.find(kind, namespace, name) {
            Found::Here(_) | Found::There(_) => continue,
            Found::Missing => Severity::Error,
            Found::Unknown if kind == "ClusterRole" => continue,
            Found::Unknown if near.is_none() => Severity::Warning,
            Found::Unknown => Severity::Error,
        };
        let message = format!("binds {kind} {name}, which does not exist");
        sink.add(severity, "missing-role", object, "roleRef.name", message)
            .fix(near.unwrap_or_else(|| format!("make {kind} {name}, or name one that is there")));
    }
}
