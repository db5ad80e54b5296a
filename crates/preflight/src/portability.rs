//! What differs on the cluster that the chart is meant for: versions, classes,
//! permissions, objects of others, several nodes.

use crate::Input;
use crate::object::Object;
use crate::report::Severity;
use crate::sink::Sink;
use crate::workload::Workload;
use crate::world::{Found, World};
use serde_json::Value;
use std::collections::BTreeSet;

const RELEASE_NAME: &str = "meta.helm.sh/release-name";
const RELEASE_NAMESPACE: &str = "meta.helm.sh/release-namespace";
const MANAGED_BY: &str = "app.kubernetes.io/managed-by";

/// Compares the release with the cluster.
pub fn check(world: &World<'_>, input: &Input<'_>, sink: &mut Sink) {
    own_namespace(world, input, sink);
    embedded_database(world, sink);
    if world.target.is_none() {
        return;
    }
    for object in &world.objects {
        served(world, object, sink);
        owned(world, object, sink);
    }
    ingress_classes(world, sink);
    permissions(world, sink);
}

/// The release's own namespace.
fn own_namespace(world: &World<'_>, input: &Input<'_>, sink: &mut Sink) {
    let name = world.namespace;
    let made = world.find("Namespace", "", name);
    if let Found::Here(object) = made {
        if input.create_namespace {
            sink.add(
                Severity::Error,
                "namespace-twice",
                object,
                "metadata.name",
                format!("the chart makes namespace {name}, and --create-namespace does too: the second is refused"),
            )
            .fix("leave --create-namespace away and install into another namespace, or do not let the chart make it");
        } else if matches!(world.in_cluster("Namespace", "", name), Found::Missing) {
            sink.add(
                Severity::Error,
                "missing-namespace",
                object,
                "metadata.name",
                format!("the chart makes the release's own namespace {name}, but its record needs the namespace before"),
            )
            .fix("install into an existing namespace (-n default) and let the chart make this one");
        }
        return;
    }
    if matches!(world.in_cluster("Namespace", "", name), Found::Missing) && !input.create_namespace
    {
        sink.general(
            Severity::Error,
            "missing-namespace",
            format!("namespace {name} of the release does not exist"),
        )
        .fix("add --create-namespace");
    }
}

/// Built-in versions that this cluster does not serve.
fn served(world: &World<'_>, object: &Object, sink: &mut Sink) {
    let Some(served) = world.target.and_then(|target| target.served.as_ref()) else {
        return;
    };
    let id = &object.id;
    if object.kind.is_none() || served.contains(&format!("{}/{}", id.api_version, id.kind)) {
        return;
    }
    let (group, _) = id
        .api_version
        .split_once('/')
        .unwrap_or(("", &id.api_version));
    let ending = format!("/{}", id.kind);
    let other = served.iter().find(|name| {
        name.ends_with(&ending) && name.split('/').next().is_some_and(|first| first == group)
    });
    let message = format!(
        "the cluster does not serve {} of {}",
        id.kind, id.api_version
    );
    let fix = match other {
        Some(other) => format!(
            "write apiVersion: {}, or ask .Capabilities.APIVersions in the template",
            other.strip_suffix(&ending).unwrap_or(other)
        ),
        None => "use a cluster that serves it, or leave the object away".into(),
    };
    sink.add(Severity::Error, "not-served", object, "apiVersion", message)
        .fix(fix);
}

/// Objects of the same name that belong to somebody else.
fn owned(world: &World<'_>, object: &Object, sink: &mut Sink) {
    if object.hook {
        return;
    }
    let id = &object.id;
    let Found::There(existing) = world.in_cluster(&id.kind, &id.namespace, &id.name) else {
        return;
    };
    let metadata = &existing["metadata"];
    let release = metadata["annotations"][RELEASE_NAME].as_str();
    let namespace = metadata["annotations"][RELEASE_NAMESPACE].as_str();
    let by_helm = metadata["labels"][MANAGED_BY] == "Helm";
    if by_helm && release == Some(world.release) && namespace == Some(world.namespace) {
        return;
    }
    let whose = match (release, namespace) {
        (Some(release), Some(namespace)) => {
            format!("belongs to release {release} in namespace {namespace}")
        }
        _ => "was not made by this release".to_owned(),
    };
    let message = format!("exists in the cluster already and {whose}");
    sink.add(Severity::Error, "exists", object, "metadata.name", message).fix(format!(
        "give it another name, remove the other (kubectl delete {} {}{}), or take it over: --take-ownership",
        id.kind.to_lowercase(),
        id.name,
        match id.namespace.as_str() {
            "" => String::new(),
            namespace => format!(" -n {namespace}"),
        }
    ));
}

fn ingress_classes(world: &World<'_>, sink: &mut Sink) {
    let Some(classes) = world.target.and_then(|target| target.all("IngressClass")) else {
        return;
    };
    let classes: Vec<&Value> = classes.collect();
    let here: BTreeSet<&str> = world
        .of_kind("IngressClass")
        .map(|object| object.id.name.as_str())
        .collect();
    let mut names: Vec<String> = classes
        .iter()
        .filter_map(|class| class["metadata"]["name"].as_str().map(str::to_owned))
        .collect();
    names.extend(here.iter().map(|name| (*name).to_owned()));
    for object in world.of_kind("Ingress") {
        let own = &object.value["spec"]["ingressClassName"];
        let by_annotation = object.annotation("kubernetes.io/ingress.class").is_some();
        match own.as_str() {
            Some(name) if !names.iter().any(|known| known == name) => {
                let message = format!("IngressClass {name} does not exist on this cluster");
                let fix = match names.as_slice() {
                    [] => "install an Ingress controller first".into(),
                    names => format!("the classes are {}", names.join(", ")),
                };
                sink.add(
                    Severity::Error,
                    "ingress-class",
                    object,
                    "spec.ingressClassName",
                    message,
                )
                .fix(fix);
            }
            None if !by_annotation && !has_default(&classes) => {
                let message =
                    "names no class, and the cluster has no default one: nobody serves it";
                let fix = match names.as_slice() {
                    [] => "install an Ingress controller first".into(),
                    names => format!("name a class: {}", names.join(", ")),
                };
                sink.add(Severity::Warning, "ingress-class", object, "spec", message)
                    .fix(fix);
            }
            _ => {}
        }
    }
}

fn has_default(classes: &[&Value]) -> bool {
    classes.iter().any(|class| {
        class["metadata"]["annotations"]["ingressclass.kubernetes.io/is-default-class"] == "true"
    })
}

fn permissions(world: &World<'_>, sink: &mut Sink) {
    let denied = world
        .target
        .map(|target| target.denied.as_slice())
        .unwrap_or_default();
    let mut said = BTreeSet::new();
    for object in &world.objects {
        let id = &object.id;
        let (group, _) = id
            .api_version
            .split_once('/')
            .unwrap_or(("", &id.api_version));
        let found = denied.iter().find(|denied| {
            denied.kind == id.kind
                && denied.group == group
                && (denied.namespace.is_empty() || denied.namespace == id.namespace)
        });
        let Some(denied) = found else {
            continue;
        };
        if !said.insert((&id.kind, &id.namespace, &denied.verb)) {
            continue;
        }
        let place = match id.namespace.as_str() {
            "" => "in the cluster".to_owned(),
            namespace => format!("in namespace {namespace}"),
        };
        let message = format!("you may not {} {} {place}", denied.verb, id.kind);
        sink.add(Severity::Error, "forbidden", object, "kind", message)
            .fix("ask for a Role with this verb, or leave these objects away by a value of the chart");
    }
}

/// A database in a file belongs to one pod on one node.
fn embedded_database(world: &World<'_>, sink: &mut Sink) {
    let nodes = world
        .target
        .and_then(|target| target.all("Node"))
        .map_or(1, Iterator::count);
    for workload in world.workloads() {
        if workload.object.test {
            continue;
        }
        let Some((name, field)) = sqlite(&workload) else {
            continue;
        };
        if workload.replicas() > 1 && !shares_claim(&workload) {
            let message = format!(
                "{} pods each get a database file of their own ({name})",
                workload.replicas()
            );
            sink.add(
                Severity::Error,
                "embedded-database",
                workload.object,
                &*field,
                message,
            )
            .fix("use one replica, or a database server");
        } else if nodes > 1 && !shares_claim(&workload) {
            let message = format!(
                "the database file ({name}) stays on one of {nodes} nodes when the pod moves"
            );
            sink.add(
                Severity::Warning,
                "embedded-database",
                workload.object,
                &*field,
                message,
            )
            .fix("keep it on a PersistentVolumeClaim, or use a database server");
        }
    }
}

fn sqlite(workload: &Workload<'_>) -> Option<(String, String)> {
    for container in workload.containers() {
        let env = container.value["env"].as_array();
        for (at, entry) in env.into_iter().flatten().enumerate() {
            let value = entry["value"].as_str().unwrap_or_default();
            if value.starts_with("sqlite:") {
                let name = entry["name"].as_str().unwrap_or_default().to_owned();
                let field = workload.in_container(&container, &format!("env[{at}].value"));
                return Some((name, field));
            }
        }
    }
    None
}

fn shares_claim(workload: &Workload<'_>) -> bool {
    let volumes = workload.spec()["volumes"].as_array();
    let claimed = volumes
        .into_iter()
        .flatten()
        .any(|volume| !volume["persistentVolumeClaim"].is_null());
    claimed || workload.object.value["spec"]["volumeClaimTemplates"].is_array()
}
