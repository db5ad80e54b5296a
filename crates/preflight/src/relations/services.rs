//! Services: selectors that find no pod, ports that no container opens.

use super::{list, selected};
use crate::object::Object;
use crate::report::Severity;
use crate::sink::Sink;
use crate::workload::{Port, Workload};
use crate::world::World;
use coracle_machinery::selector::LabelSelector;
use serde_json::{Map, Value};

/// Checks Services, and selectors of other kinds.
pub fn check(world: &World<'_>, sink: &mut Sink) {
    let workloads = world.workloads();
    for object in world.of_kind("Service") {
        service(world, object, &workloads, sink);
    }
    for object in world.of_kind("PodDisruptionBudget") {
        budget(world, object, &workloads, sink);
    }
    for object in world.of_kind("StatefulSet") {
        governing(world, object, sink);
    }
}

fn service(world: &World<'_>, object: &Object, workloads: &[Workload<'_>], sink: &mut Sink) {
    let spec = &object.value["spec"];
    let Some(labels) = spec["selector"].as_object().filter(|map| !map.is_empty()) else {
        return;
    };
    if spec["type"] == "ExternalName" {
        return;
    }
    let found = selected(workloads, &object.id.namespace, &spec["selector"]);
    if found.is_empty() {
        no_pods(world, object, labels, workloads, sink);
        return;
    }
    let ports = spec["ports"].as_array();
    for (at, port) in ports.into_iter().flatten().enumerate() {
        target_port(object, port, at, &found, sink);
    }
}

/// Says that a selector finds nothing, and which label of which pods differs.
fn no_pods(
    world: &World<'_>,
    object: &Object,
    labels: &Map<String, Value>,
    workloads: &[Workload<'_>],
    sink: &mut Sink,
) {
    let namespace = object.id.namespace.as_str();
    if in_cluster(world, namespace, labels) {
        return;
    }
    let near = nearest_pods(labels, workloads, namespace);
    // Pods that an operator makes, or of the cluster itself, are not to be seen.
    if near.is_none() && (world.has_makers() || namespace != world.namespace) {
        return;
    }
    if world.has_makers() && near.as_ref().is_none_or(|near| near.differing > 1) {
        return;
    }
    let shown: Vec<String> = labels
        .iter()
        .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
        .collect();
    let message = format!("the selector {} finds no pods", shown.join(","));
    let severity = match &near {
        Some(near) if near.differing == 1 => Severity::Error,
        _ => Severity::Warning,
    };
    let field = match &near {
        Some(near) => format!("spec.selector[{}]", near.key),
        None => "spec.selector".into(),
    };
    let fix = match near {
        Some(near) => near.advice,
        None => "give the pods these labels, or select by the labels they have".into(),
    };
    sink.add(severity, "selects-nothing", object, field, message)
        .fix(fix);
}

struct Near {
    differing: usize,
    key: String,
    advice: String,
}

fn nearest_pods(
    labels: &Map<String, Value>,
    workloads: &[Workload<'_>],
    namespace: &str,
) -> Option<Near> {
    let mut best: Option<Near> = None;
    for workload in workloads {
        if workload.object.test || workload.object.hook {
            continue;
        }
        let have = workload.labels();
        let differing: Vec<(&String, &Value)> = labels
            .iter()
            .filter(|(key, value)| have.get(*key) != Some(value))
            .collect();
        let other_namespace = workload.namespace() != namespace;
        if differing.len() == labels.len() && labels.len() > 1 {
            continue;
        }
        let object = &workload.object.id;
        let (key, advice) = match differing.first() {
            None if other_namespace => (
                String::new(),
                format!(
                    "its pods live in namespace {}: put the Service there too ({object})",
                    workload.namespace()
                ),
            ),
            None => continue,
            Some((key, wanted)) => {
                let wanted = wanted.as_str().unwrap_or_default();
                let advice = match have.get(*key).and_then(Value::as_str) {
                    Some(value) if similar(wanted, value) || labels.len() > 1 => {
                        format!("the pods of {object} have {key}={value}")
                    }
                    Some(_) => continue,
                    None if labels.len() > 1 => {
                        format!("the pods of {object} have no label {key}")
                    }
                    None => continue,
                };
                ((*key).clone(), advice)
            }
        };
        if other_namespace && !differing.is_empty() {
            continue;
        }
        let differing = differing.len().max(1);
        if best.as_ref().is_none_or(|best| differing < best.differing) {
            best = Some(Near {
                differing,
                key,
                advice,
            });
        }
    }
    best
}

fn similar(a: &str, b: &str) -> bool {
    a.contains(b) || b.contains(a) || !coracle_helm::nearest(a, [b.to_owned()]).is_empty()
}

/// Whether the cluster has such pods already.
fn in_cluster(world: &World<'_>, namespace: &str, labels: &Map<String, Value>) -> bool {
    let Ok(selector) = LabelSelector::from_map(Some(labels)) else {
        return true;
    };
    let Some(target) = world.target else {
        return false;
    };
    let of = |kind: &str, path: &[&str]| {
        target.all(kind).is_some_and(|mut all| {
            all.any(|object| {
                let here = path.iter().fold(object, |here, name| &here[*name]);
                object["metadata"]["namespace"] == namespace
                    && here["metadata"]["labels"]
                        .as_object()
                        .is_some_and(|labels| selector.matches(labels))
            })
        })
    };
    of("Pod", &[])
        || ["Deployment", "StatefulSet", "DaemonSet"]
            .iter()
            .any(|kind| of(kind, &["spec", "template"]))
}

fn target_port(object: &Object, port: &Value, at: usize, found: &[Workload<'_>], sink: &mut Sink) {
    let protocol = port["protocol"].as_str().unwrap_or("TCP");
    let (target, field) = match &port["targetPort"] {
        Value::Null => (&port["port"], format!("spec.ports[{at}].port")),
        target => (target, format!("spec.ports[{at}].targetPort")),
    };
    for workload in found {
        let ports = workload.ports();
        let says = |port: &Port<'_>| match target {
            Value::String(name) => port.name == name && port.protocol == protocol,
            number => Some(port.number) == number.as_i64() && port.protocol == protocol,
        };
        if ports.iter().any(says) {
            continue;
        }
        let id = &workload.object.id;
        let opened: Vec<String> = ports.iter().map(shown).collect();
        match target {
            Value::String(name) => {
                let message = format!(
                    "targetPort {name} is the name of no {protocol} port of {id}; its containers open {}",
                    list(&opened)
                );
                let names = ports.iter().map(|port| port.name.to_owned()).collect();
                let number = ports
                    .iter()
                    .find(|port| Some(port.number) == name.parse().ok());
                let fix = match (super::did_you_mean(name, names), number, ports.first()) {
                    (_, Some(_), _) => "leave the quotes away: this is a number".into(),
                    (Some(near), ..) => near,
                    (None, None, Some(first)) => format!("write targetPort: {}", or_number(first)),
                    (None, None, None) => {
                        format!("give the container a port named {name}, or write its number")
                    }
                };
                sink.add(Severity::Error, "target-port", object, &*field, message)
                    .fix(fix);
            }
            number => {
                // Listing ports is optional: without any nothing is known.
                if ports.is_empty() || spoken(workload, number) {
                    continue;
                }
                let message = format!(
                    "targetPort {number} is opened by no container of {id}; they open {}",
                    list(&opened)
                );
                sink.add(Severity::Warning, "target-port", object, &*field, message)
                    .fix(format!("write targetPort: {}", or_number(&ports[0])));
            }
        }
    }
}

fn or_number(port: &Port<'_>) -> String {
    match port.name {
        "" => port.number.to_string(),
        name => name.to_owned(),
    }
}

fn shown(port: &Port<'_>) -> String {
    match port.name {
        "" => port.number.to_string(),
        name => format!("{} ({name})", port.number),
    }
}

/// Whether a container's arguments or environment hold a number.
pub fn spoken(workload: &Workload<'_>, number: &Value) -> bool {
    let number = number.to_string();
    workload.containers().iter().any(|container| {
        ["args", "command", "env"].iter().any(|field| {
            let text = container.value[*field].to_string();
            crate::world::holds_word(&text, &number)
        })
    }) || !workload.spec()["volumes"].is_null() && workload.containers().len() > 1
}

fn budget(world: &World<'_>, object: &Object, workloads: &[Workload<'_>], sink: &mut Sink) {
    let Ok(selector) = LabelSelector::from_object(object.value["spec"].get("selector")) else {
        return;
    };
    let namespace = object.id.namespace.as_str();
    let found = workloads
        .iter()
        .any(|workload| workload.namespace() == namespace && selector.matches(&workload.labels()));
    if found || world.has_makers() || selector.is_everything() || selector.is_nothing() {
        return;
    }
    sink.add(
        Severity::Warning,
        "selects-nothing",
        object,
        "spec.selector",
        "the budget's selector finds no pods of this chart",
    )
    .fix("select by the labels of the pods it is to protect");
}

/// A StatefulSet's pods have names only through their Service.
fn governing(world: &World<'_>, object: &Object, sink: &mut Sink) {
    let name = object.value["spec"]["serviceName"]
        .as_str()
        .unwrap_or_default();
    let namespace = &object.id.namespace;
    if name.is_empty() || world.find("Service", namespace, name).value().is_some() {
        return;
    }
    let message =
        format!("the StatefulSet's Service {name} does not exist, so its pods have no names");
    sink.add(
        Severity::Note,
        "missing-service",
        object,
        "spec.serviceName",
        message,
    )
    .fix(format!("make a Service {name} with clusterIP: None"));
}
