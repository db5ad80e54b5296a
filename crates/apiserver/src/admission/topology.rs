//! A pod carries the zone and the region of its node as labels (upstream's
//! plug-in PodTopologyLabels).

use serde_json::Value;

use crate::context::Context;
use crate::resource;

const LABELS: [&str; 2] = [
    "topology.kubernetes.io/zone",
    "topology.kubernetes.io/region",
];

/// Copies the labels of the node, if there is such a node.
pub fn copy(context: &Context, node: &Value, metadata: &mut Value) {
    let Some(name) = node.as_str().filter(|name| !name.is_empty()) else {
        return;
    };
    let nodes = resource::builtin("", "nodes");
    let Some(node) = context.core.store.get(&resource::key(nodes, "", name)) else {
        return;
    };
    for label in LABELS {
        if let Some(value) = node.meta.labels.get(label) {
            metadata["labels"][label] = Value::from(value.as_str());
        }
    }
}
