//! `metrics.k8s.io/v1beta1`: processor and memory of nodes and pods
//! (<https://github.com/kubernetes/metrics/blob/master/pkg/apis/metrics/v1beta1/types.go>).

use serde_json::{Value, json};

use super::answer::{Refused, Selection, go_duration, list, time};
use super::pods::{self, Mine};
use super::window::Reading;
use crate::kubelet::{Kubelet, Query};

const VERSION: &str = "metrics.k8s.io/v1beta1";

/// Returns the discovery document.
pub fn discovery() -> Value {
    let resource = |name: &str, kind: &str, namespaced: bool| {
        json!({
            "name": name, "singularName": "", "namespaced": namespaced,
            "kind": kind, "verbs": ["get", "list"],
        })
    };
    json!({
        "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": VERSION,
        "resources": [resource("nodes", "NodeMetrics", false), resource("pods", "PodMetrics", true)],
    })
}

/// Answers `nodes…`, `pods` and `namespaces/NS/pods…`.
pub fn answer(kubelet: &Kubelet, path: &[&str], query: &Query) -> Result<Value, Refused> {
    let selection = Selection::of(query)?;
    match path {
        ["nodes"] => Ok(list(
            "NodeMetricsList",
            VERSION,
            node(kubelet, &selection).into_iter().collect(),
        )),
        ["nodes", name] => node(kubelet, &selection)
            .filter(|_| *name == kubelet.shared.config.name)
            .map(|value| named("NodeMetrics", value))
            .ok_or_else(|| missing("nodemetrics", name)),
        ["pods"] => Ok(pod_list(kubelet, None, &selection)),
        ["namespaces", namespace, "pods"] => Ok(pod_list(kubelet, Some(namespace), &selection)),
        ["namespaces", namespace, "pods", name] => pods::of(kubelet, Some(namespace))
            .iter()
            .find(|mine| mine.name == *name)
            .and_then(|mine| pod(kubelet, mine))
            .map(|value| named("PodMetrics", value))
            .ok_or_else(|| missing("podmetrics", &format!("{namespace}/{name}"))),
        _ => Err(Refused::no_such_resource()),
    }
}

fn missing(resource: &str, name: &str) -> Refused {
    Refused::not_found(format!("{resource}.metrics.k8s.io \"{name}\" not found"))
}

/// Puts kind and version before the members of a list's item.
fn named(kind: &str, value: Value) -> Value {
    let mut object = json!({"kind": kind, "apiVersion": VERSION});
    if let (Some(object), Value::Object(members)) = (object.as_object_mut(), value) {
        object.extend(members);
    }
    object
}

fn usage(cpu_nanocores: u64, memory_bytes: u64) -> Value {
    json!({
        "cpu": format!("{cpu_nanocores}n"),
        "memory": format!("{}Ki", memory_bytes / 1024),
    })
}

fn node(kubelet: &Kubelet, selection: &Selection) -> Option<Value> {
    let name = &kubelet.shared.config.name;
    let object = kubelet.shared.nodes.get("", name)?;
    let labels = object.metadata.labels.clone().unwrap_or_default();
    if !selection.matches("", name, &labels) {
        return None;
    }
    let reading = kubelet.shared.meter.machine()?;
    let at = time(reading.at);
    Some(json!({
        "metadata": {"name": name, "creationTimestamp": at, "labels": labels},
        "timestamp": at,
        "window": go_duration(reading.window),
        "usage": usage(reading.cpu_nanocores, reading.memory_bytes),
    }))
}

fn pod_list(kubelet: &Kubelet, namespace: Option<&str>, selection: &Selection) -> Value {
    let items = pods::of(kubelet, namespace)
        .iter()
        .filter(|mine| selection.matches(&mine.namespace, &mine.name, &mine.labels()))
        .filter_map(|mine| pod(kubelet, mine))
        .collect();
    list("PodMetricsList", VERSION, items)
}

/// Returns a pod's figures; `None` until there is one for every container.
fn pod(kubelet: &Kubelet, mine: &Mine) -> Option<Value> {
    let live = mine.handle.live.read().clone();
    let readings: Vec<(String, Reading)> = live
        .iter()
        .map(|(name, container)| {
            Some((
                name.clone(),
                kubelet.shared.meter.container(container.linux()?)?,
            ))
        })
        .collect::<Option<_>>()?;
    let oldest = readings
        .iter()
        .map(|(_, reading)| reading)
        .min_by_key(|reading| reading.at)?;
    let containers: Vec<Value> = readings
        .iter()
        .map(|(name, reading)| {
            json!({"name": name, "usage": usage(reading.cpu_nanocores, reading.memory_bytes)})
        })
        .collect();
    let at = time(oldest.at);
    Some(json!({
        "metadata": {
            "name": mine.name, "namespace": mine.namespace,
            "creationTimestamp": at, "labels": mine.labels(),
        },
        "timestamp": at,
        "window": go_duration(oldest.window),
        "containers": containers,
    }))
}

/// Returns nodes or pods as a table with upstream's columns.
pub fn table(value: &Value) -> Value {
    let column = |name: &str, format: &str| json!({"name": name, "type": "string", "format": format, "description": "", "priority": 0});
    let items: Vec<&Value> = match value["items"].as_array() {
        Some(items) => items.iter().collect(),
        None => vec![value],
    };
    let rows: Vec<Value> = items.into_iter().map(row).collect();
    json!({
        "kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": {},
        "columnDefinitions": [
            column("Name", "name"), column("cpu", ""), column("memory", ""), column("Window", ""),
        ],
        "rows": rows,
    })
}

fn row(item: &Value) -> Value {
    let usages: Vec<&Value> = match item["containers"].as_array() {
        Some(containers) => containers
            .iter()
            .map(|container| &container["usage"])
            .collect(),
        None => vec![&item["usage"]],
    };
    let sum = |resource: &str, suffix: &str| -> String {
        let total: u64 = usages
            .iter()
            .filter_map(|usage| {
                usage[resource]
                    .as_str()?
                    .strip_suffix(suffix)?
                    .parse::<u64>()
                    .ok()
            })
            .sum();
        format!("{total}{suffix}")
    };
    json!({
        "cells": [item["metadata"]["name"], sum("cpu", "n"), sum("memory", "Ki"), item["window"]],
        "object": {
            "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1",
            "metadata": item["metadata"],
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_sums_up_containers() {
        let usage = |cpu: &str, memory: &str| json!({"usage": {"cpu": cpu, "memory": memory}});
        let pods = json!({"items": [{
            "metadata": {"name": "p"}, "window": "10s",
            "containers": [usage("5n", "1Ki"), usage("7n", "2Ki")],
        }]});
        assert_eq!(
            table(&pods)["rows"][0]["cells"],
            json!(["p", "12n", "3Ki", "10s"])
        );
        let node = json!({"metadata": {"name": "n"}, "window": "10s", "usage": {"cpu": "1n", "memory": "1Ki"}});
        assert_eq!(
            table(&node)["rows"][0]["cells"],
            json!(["n", "1n", "1Ki", "10s"])
        );
    }
}
