//! Autoscalers: their targets, and requests to measure against.

use super::did_you_mean;
use crate::object::Object;
use crate::report::Severity;
use crate::sink::Sink;
use crate::workload::{self, Workload};
use crate::world::{Found, World};
use serde_json::Value;

/// Checks all autoscalers.
pub fn check(world: &World<'_>, sink: &mut Sink) {
    for object in world.of_kind("HorizontalPodAutoscaler") {
        autoscaler(world, object, sink);
    }
}

fn autoscaler(world: &World<'_>, object: &Object, sink: &mut Sink) {
    let spec = &object.value["spec"];
    let target = &spec["scaleTargetRef"];
    let kind = target["kind"].as_str().unwrap_or_default();
    let name = target["name"].as_str().unwrap_or_default();
    if !matches!(
        kind,
        "Deployment" | "StatefulSet" | "ReplicaSet" | "ReplicationController"
    ) {
        return;
    }
    let namespace = &object.id.namespace;
    match world.find(kind, namespace, name) {
        Found::Here(found) => {
            if let Some(workload) = workload::of(found) {
                requests(world, object, &workload, sink);
            }
            if found.value["spec"]["replicas"].is_i64() {
                let message = format!(
                    "{} sets replicas and an autoscaler does too: every upgrade sets them back",
                    found.id
                );
                sink.add(
                    Severity::Note,
                    "replicas-twice",
                    found,
                    "spec.replicas",
                    message,
                )
                .fix("leave replicas away where an autoscaler is on");
            }
        }
        Found::There(_) => {}
        found => {
            let near = did_you_mean(name, world.names(kind, namespace));
            let severity = match (found, &near) {
                (Found::Unknown, None) if world.has_makers() => return,
                (Found::Unknown, None) => Severity::Warning,
                _ => Severity::Error,
            };
            let message = format!("scales {kind} {name}, which does not exist");
            sink.add(
                severity,
                "missing-target",
                object,
                "spec.scaleTargetRef.name",
                message,
            )
            .fix(near.unwrap_or_else(|| format!("name a {kind} of this release")));
        }
    }
    let (least, most) = (spec["minReplicas"].as_i64(), spec["maxReplicas"].as_i64());
    if let (Some(least), Some(most)) = (least, most)
        && least == most
    {
        let message = format!("minReplicas and maxReplicas are both {most}: it never scales");
        sink.add(
            Severity::Note,
            "never-scales",
            object,
            "spec.maxReplicas",
            message,
        )
        .fix("raise maxReplicas");
    }
}

/// A share of a request needs a request.
fn requests(world: &World<'_>, object: &Object, workload: &Workload<'_>, sink: &mut Sink) {
    if world.of_kind("LimitRange").next().is_some() || limited(world, workload.namespace()) {
        return;
    }
    let spec = &object.value["spec"];
    let mut wanted: Vec<(String, String)> = Vec::new();
    if !spec["targetCPUUtilizationPercentage"].is_null() {
        wanted.push(("cpu".into(), "spec.targetCPUUtilizationPercentage".into()));
    }
    let metrics = spec["metrics"].as_array();
    for (at, metric) in metrics.into_iter().flatten().enumerate() {
        let resource = &metric["resource"];
        if !resource["target"]["averageUtilization"].is_null() {
            let name = resource["name"].as_str().unwrap_or_default();
            wanted.push((name.into(), format!("spec.metrics[{at}].resource")));
        }
    }
    for (resource, field) in wanted {
        let lacking: Vec<String> = workload
            .containers()
            .iter()
            .filter(|container| !container.is_init())
            .filter(|container| !has_request(container.value, &resource))
            .map(|container| container.name().to_owned())
            .collect();
        if lacking.is_empty() {
            continue;
        }
        let message = format!(
            "scales by the share of the {resource} request, but {} of {} requests none",
            super::list(&lacking),
            workload.object.id
        );
        sink.add(Severity::Error, "no-request", object, field, message)
            .fix(format!(
                "set resources.requests.{resource} of {}",
                super::list(&lacking)
            ));
    }
}

fn has_request(container: &Value, resource: &str) -> bool {
    let resources = &container["resources"];
    // A limit without a request is the request as well.
    !resources["requests"][resource].is_null() || !resources["limits"][resource].is_null()
}

fn limited(world: &World<'_>, namespace: &str) -> bool {
    let all = world.target.and_then(|target| target.all("LimitRange"));
    all.into_iter()
        .flatten()
        .any(|range| range["metadata"]["namespace"] == namespace)
}
