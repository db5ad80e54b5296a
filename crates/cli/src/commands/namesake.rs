//! A bare name that no release has: people who come from kubectl name a pod or a
//! workload by it.

use coracle_release::latest;
use kube::Client;
use serde_json::Value;

use crate::failure::Failure;

/// Where things of that name are looked for, in this order.
const KINDS: [(&str, &str, &str); 5] = [
    ("deployment", "apis/apps/v1", "deployments"),
    ("statefulset", "apis/apps/v1", "statefulsets"),
    ("daemonset", "apis/apps/v1", "daemonsets"),
    ("job", "apis/batch/v1", "jobs"),
    ("pod", "api/v1", "pods"),
];

/// Returns TYPE/NAME of what has a name that is no release's; `None` if it is one,
/// if the type is given already, or if there is nothing of that name.
pub async fn of(client: &Client, namespace: &str, name: &str) -> Result<Option<String>, Failure> {
    if name.contains('/') || latest(client, namespace, name).await?.is_some() {
        return Ok(None);
    }
    for (kind, group, plural) in KINDS {
        let path = format!("/{group}/namespaces/{namespace}/{plural}/{name}");
        let request = http::Request::get(path)
            .body(Vec::new())
            .map_err(|_| Failure::usage(format!("{name:?} is no name")))?;
        match client.request::<Value>(request).await {
            Ok(_) => return Ok(Some(format!("{kind}/{name}"))),
            Err(error) if coracle_client::is_not_found(&error) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(None)
}
