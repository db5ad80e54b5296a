//! Where pods are described: in pods and in the templates of workloads.

use coracle_machinery::kind::Kind;
use serde_json::Value;

/// Returns the path and the pod specification inside an object, if its kind has one.
pub fn of<'a>(kind: &Kind, object: &'a Value) -> Option<(&'static str, &'a Value)> {
    let path = match (kind.group, kind.kind) {
        ("", "Pod") => "spec",
        ("", "PodTemplate") => "template.spec",
        ("", "ReplicationController")
        | ("apps", "Deployment" | "ReplicaSet" | "StatefulSet" | "DaemonSet")
        | ("batch", "Job") => "spec.template.spec",
        ("batch", "CronJob") => "spec.jobTemplate.spec.template.spec",
        _ => return None,
    };
    let spec = path
        .split('.')
        .try_fold(object, |value, name| value.get(name))?;
    Some((path, spec))
}

/// Returns every container: the list it is in, its place there, and itself.
pub fn containers(spec: &Value) -> impl Iterator<Item = (&'static str, usize, &Value)> {
    ["initContainers", "containers", "ephemeralContainers"]
        .into_iter()
        .flat_map(|list| {
            let containers = spec[list].as_array().into_iter().flatten();
            containers
                .enumerate()
                .map(move |(index, container)| (list, index, container))
        })
}
