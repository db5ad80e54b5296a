//! Claims that nothing can satisfy.

use super::{did_you_mean, list};
use crate::object::Object;
use crate::report::Severity;
use crate::sink::Sink;
use crate::world::{Found, World};
use coracle_machinery::quantity::Quantity;
use serde_json::Value;
use std::collections::BTreeSet;

const DEFAULT_CLASS: &str = "storageclass.kubernetes.io/is-default-class";
const DEFAULT_CLASS_BETA: &str = "storageclass.beta.kubernetes.io/is-default-class";

/// Checks claims and claim templates.
pub fn check(world: &World<'_>, sink: &mut Sink) {
    for object in world.of_kind("PersistentVolumeClaim") {
        claim(world, object, &object.value["spec"], "spec", sink);
    }
    for object in world.of_kind("StatefulSet") {
        let templates = object.value["spec"]["volumeClaimTemplates"].as_array();
        for (at, template) in templates.into_iter().flatten().enumerate() {
            let field = format!("spec.volumeClaimTemplates[{at}].spec");
            claim(world, object, &template["spec"], &field, sink);
        }
    }
    shared(world, sink);
    mounts(world, sink);
}

fn claim(world: &World<'_>, object: &Object, spec: &Value, field: &str, sink: &mut Sink) {
    if let Some(name) = spec["volumeName"].as_str().filter(|name| !name.is_empty()) {
        named_volume(world, object, spec, (name, field), sink);
        return;
    }
    let class = spec["storageClassName"].as_str();
    if volumes(world).any(|volume| fits(volume, spec, class.unwrap_or_default())) {
        return;
    }
    let class_field = format!("{field}.storageClassName");
    match class {
        Some("") => {
            let message = "an empty storageClassName asks for a volume that exists, and none fits";
            let severity = match world
                .target
                .is_some_and(|t| t.listed.contains("PersistentVolume"))
            {
                true => Severity::Error,
                false => Severity::Warning,
            };
            sink.add(severity, "unsatisfiable-claim", object, class_field, message)
                .fix("leave storageClassName away for the cluster's default class, or make a PersistentVolume that fits");
        }
        Some(name) => match world.find("StorageClass", "", name) {
            Found::Missing => {
                let names = world.names("StorageClass", "");
                let message = format!("no StorageClass {name} exists, and no volume fits");
                let fix = did_you_mean(name, names.clone())
                    .unwrap_or_else(|| format!("the classes are {}", list(&names)));
                sink.add(
                    Severity::Error,
                    "unsatisfiable-claim",
                    object,
                    class_field,
                    message,
                )
                .fix(fix);
            }
            found => {
                let provisioner = found.value().map(|class| class["provisioner"].clone());
                if provisioner == Some("kubernetes.io/no-provisioner".into()) {
                    let message = format!("StorageClass {name} makes no volumes, and none fits");
                    sink.add(
                        Severity::Warning,
                        "unsatisfiable-claim",
                        object,
                        class_field,
                        message,
                    )
                    .fix("make a PersistentVolume that fits, or name a class that provisions");
                }
            }
        },
        None => no_default(world, object, field, sink),
    }
}

fn no_default(world: &World<'_>, object: &Object, field: &str, sink: &mut Sink) {
    let Some(mut classes) = world.target.and_then(|target| target.all("StorageClass")) else {
        return;
    };
    let is_default = |class: &Value| {
        let annotations = &class["metadata"]["annotations"];
        [DEFAULT_CLASS, DEFAULT_CLASS_BETA]
            .iter()
            .any(|name| annotations[*name] == "true")
    };
    if classes.any(is_default) {
        return;
    }
    let names = world.names("StorageClass", "");
    sink.add(
        Severity::Error,
        "unsatisfiable-claim",
        object,
        field,
        "the claim names no StorageClass and the cluster has no default one",
    )
    .fix(format!("name a class; there are {}", list(&names)));
}

fn named_volume(
    world: &World<'_>,
    object: &Object,
    spec: &Value,
    (name, field): (&str, &str),
    sink: &mut Sink,
) {
    let field = format!("{field}.volumeName");
    match world.find("PersistentVolume", "", name) {
        Found::Missing => {
            let message = format!("the claim wants PersistentVolume {name}, which does not exist");
            let near = did_you_mean(name, world.names("PersistentVolume", ""));
            sink.add(
                Severity::Error,
                "unsatisfiable-claim",
                object,
                field,
                message,
            )
            .fix(near.unwrap_or_else(|| "make the volume, or leave volumeName away".into()));
        }
        Found::Unknown => {}
        found => {
            let Some(volume) = found.value() else {
                return;
            };
            if let Some(why) = unfit(volume, spec) {
                let message = format!("PersistentVolume {name} cannot serve the claim: {why}");
                sink.add(
                    Severity::Error,
                    "unsatisfiable-claim",
                    object,
                    field,
                    message,
                )
                .fix("let size, access modes and storageClassName of both agree");
            }
        }
    }
}

fn volumes<'w>(world: &'w World<'_>) -> impl Iterator<Item = &'w Value> {
    let here = world
        .of_kind("PersistentVolume")
        .map(|object| &object.value);
    let there = world
        .target
        .and_then(|target| target.all("PersistentVolume"));
    here.chain(there.into_iter().flatten())
}

fn fits(volume: &Value, spec: &Value, class: &str) -> bool {
    let own = volume["spec"]["storageClassName"]
        .as_str()
        .unwrap_or_default();
    own == class && unfit(volume, spec).is_none()
}

/// Why a volume cannot serve a claim.
fn unfit(volume: &Value, spec: &Value) -> Option<String> {
    let size = |value: &Value| Quantity::from_json(value).ok().map(Quantity::value);
    let has = size(&volume["spec"]["capacity"]["storage"]);
    let wants = size(&spec["resources"]["requests"]["storage"]);
    if let (Some(has), Some(wants)) = (has, wants)
        && has < wants
    {
        return Some(format!(
            "it has {}, the claim wants {}",
            volume["spec"]["capacity"]["storage"]
                .as_str()
                .unwrap_or_default(),
            spec["resources"]["requests"]["storage"]
                .as_str()
                .unwrap_or_default()
        ));
    }
    let modes = |value: &Value| -> BTreeSet<String> {
        let list = value["accessModes"].as_array();
        list.into_iter()
            .flatten()
            .filter_map(|mode| mode.as_str().map(str::to_owned))
            .collect()
    };
    let (offered, wanted) = (modes(&volume["spec"]), modes(spec));
    let lacking: Vec<String> = wanted.difference(&offered).cloned().collect();
    if !lacking.is_empty() {
        return Some(format!("it does not offer {}", list(&lacking)));
    }
    None
}

/// One node at a time may mount ReadWriteOnce, one pod ReadWriteOncePod.
fn shared(world: &World<'_>, sink: &mut Sink) {
    let nodes = world
        .target
        .and_then(|target| target.all("Node"))
        .map(Iterator::count);
    for workload in world.workloads() {
        if workload.replicas() < 2 || workload.object.id.kind == "StatefulSet" {
            continue;
        }
        let volumes = workload.spec()["volumes"].as_array();
        for (at, volume) in volumes.into_iter().flatten().enumerate() {
            let Some(name) = volume["persistentVolumeClaim"]["claimName"].as_str() else {
                continue;
            };
            let found = world.find("PersistentVolumeClaim", workload.namespace(), name);
            let Some(claim) = found.value() else {
                continue;
            };
            let modes = claim["spec"]["accessModes"].as_array();
            let modes: Vec<&str> = modes
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .collect();
            let severity = match modes.as_slice() {
                ["ReadWriteOncePod"] => Severity::Error,
                ["ReadWriteOnce"] if nodes.is_some_and(|nodes| nodes > 1) => Severity::Error,
                ["ReadWriteOnce"] if nodes == Some(1) => continue,
                ["ReadWriteOnce"] => Severity::Note,
                _ => continue,
            };
            let message = format!(
                "{} pods share claim {name}, which is {}: one {} at a time may mount it",
                workload.replicas(),
                modes[0],
                if modes[0] == "ReadWriteOnce" {
                    "node"
                } else {
                    "pod"
                }
            );
            let field = workload.field(&format!("volumes[{at}].persistentVolumeClaim.claimName"));
            sink.add(severity, "shared-claim", workload.object, field, message)
                .fix("use ReadWriteMany where the class offers it, one replica, or a StatefulSet with claims of its own");
        }
    }
}

/// Mounts of volumes that are not there are refused by the API; two mounts at
/// one path too. What is left: claims of a StatefulSet that nobody mounts.
fn mounts(world: &World<'_>, sink: &mut Sink) {
    for workload in world.workloads() {
        if workload.object.id.kind != "StatefulSet" {
            continue;
        }
        let templates = workload.object.value["spec"]["volumeClaimTemplates"].as_array();
        for (at, template) in templates.into_iter().flatten().enumerate() {
            let name = template["metadata"]["name"].as_str().unwrap_or_default();
            let mounted = workload.containers().iter().any(|container| {
                ["volumeMounts", "volumeDevices"].iter().any(|list| {
                    let list = container.value[*list].as_array();
                    list.into_iter()
                        .flatten()
                        .any(|mount| mount["name"] == name)
                })
            });
            if mounted || name.is_empty() {
                continue;
            }
            let message = format!("every pod gets a claim {name}, but no container mounts it");
            let field = format!("spec.volumeClaimTemplates[{at}].metadata.name");
            sink.add(
                Severity::Warning,
                "unmounted-claim",
                workload.object,
                field,
                message,
            )
            .fix(format!(
                "mount it: volumeMounts: [{{name: {name}, mountPath: …}}]"
            ));
        }
    }
}
