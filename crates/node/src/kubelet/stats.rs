//! Counters of the node's containers (upstream: kubelet/pkg/apis/stats/v1alpha1).

use http::{Response, StatusCode};
use serde_json::{Value, json};

use super::{Body, Kubelet, text};

/// Returns what every running container uses.
pub fn summary(kubelet: &Kubelet) -> Response<Body> {
    let workers = kubelet.workers.read();
    let pods: Vec<Value> = workers
        .iter()
        .map(|(uid, (namespace, name, handle))| {
            let containers: Vec<Value> = handle
                .live
                .read()
                .iter()
                .filter_map(|(container, running)| {
                    let usage = running.linux()?.stats().ok()?;
                    Some(json!({
                        "name": container,
                        "cpu": {"usageCoreNanoSeconds": usage.cpu_nanos},
                        "memory": {"workingSetBytes": usage.memory_bytes},
                    }))
                })
                .collect();
            json!({"podRef": {"name": name, "namespace": namespace, "uid": uid}, "containers": containers})
        })
        .collect();
    let body = json!({"node": {"nodeName": kubelet.shared.config.name}, "pods": pods});
    text(StatusCode::OK, "application/json", body.to_string())
}
