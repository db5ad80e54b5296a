//! Node life cycle: the taints that keep pods off a node whose conditions say
//! that it is not well (upstream: pkg/controller/nodelifecycle, TaintNodesByCondition).
//!
//! It sets none with the effect `NoExecute`: where no node is ready upstream takes
//! them all back and evicts nothing (handleDisruption), and here there is one
//! node. So neither an engine that was killed nor a machine that slept costs a pod.

use std::sync::Arc;

use coracle_client::{Cache, Key, Outcome, Queue, key_of};
use k8s_openapi::api::core::v1::{Node, Taint};
use kube::api::{Patch, PatchParams};
use kube::{Api, Client, ResourceExt};
use serde_json::json;

use crate::context::Context;

/// Condition, status and the taint that stands for them.
const TAINTS: [(&str, &str, &str); 6] = [
    ("Ready", "False", "node.kubernetes.io/not-ready"),
    ("Ready", "Unknown", "node.kubernetes.io/unreachable"),
    (
        "MemoryPressure",
        "True",
        "node.kubernetes.io/memory-pressure",
    ),
    ("DiskPressure", "True", "node.kubernetes.io/disk-pressure"),
    ("PIDPressure", "True", "node.kubernetes.io/pid-pressure"),
    (
        "NetworkUnavailable",
        "True",
        "node.kubernetes.io/network-unavailable",
    ),
];
const UNSCHEDULABLE: &str = "node.kubernetes.io/unschedulable";
const EFFECT: &str = "NoSchedule";

struct Controller {
    client: Client,
    nodes: Cache<Node>,
}

/// Runs the controller for ever.
pub async fn run(context: Context) {
    let controller = Arc::new(Controller {
        client: context.client("node-controller"),
        nodes: context.caches.of(),
    });
    controller.nodes.ready().await;
    let queue: Queue<Key> = Queue::default();
    let own = queue.clone();
    controller
        .nodes
        .on_change(move |node| own.add(key_of(&**node)));
    coracle_client::run("nodelifecycle", queue, 1, move |key| {
        let controller = controller.clone();
        async move { controller.reconcile(&key.name).await }
    })
    .await;
}

impl Controller {
    async fn reconcile(&self, name: &str) -> Result<Outcome, kube::Error> {
        let Some(node) = self.nodes.get("", name) else {
            return Ok(Outcome::Done);
        };
        let have = node
            .spec
            .as_ref()
            .and_then(|spec| spec.taints.clone())
            .unwrap_or_default();
        let want = taints(&node);
        if have != want {
            let patch = json!({
                "metadata": {"resourceVersion": node.resource_version()},
                "spec": {"taints": want},
            });
            let api: Api<Node> = Api::all(self.client.clone());
            api.patch(name, &PatchParams::default(), &Patch::Merge(&patch))
                .await?;
        }
        Ok(Outcome::Done)
    }
}

/// Returns the taints that the node should have: its own, and one for each
/// condition that asks for one.
fn taints(node: &Node) -> Vec<Taint> {
    let spec = node.spec.clone().unwrap_or_default();
    let conditions = node
        .status
        .as_ref()
        .and_then(|status| status.conditions.clone())
        .unwrap_or_default();
    let is_ours = |taint: &Taint| {
        taint.effect == EFFECT
            && (taint.key == UNSCHEDULABLE || TAINTS.iter().any(|(.., key)| taint.key == *key))
    };
    let old = spec.taints.unwrap_or_default();
    let asked = |key: &str| {
        key == UNSCHEDULABLE && spec.unschedulable == Some(true)
            || TAINTS.iter().any(|(type_, status, taint)| {
                *taint == key
                    && conditions
                        .iter()
                        .any(|one| one.type_ == *type_ && one.status == *status)
            })
    };
    // A node that has not reported yet keeps the taint it was made with.
    let silent = !conditions.iter().any(|one| one.type_ == "Ready");
    let mut want: Vec<Taint> = old
        .iter()
        .filter(|taint| !is_ours(taint) || asked(&taint.key) || silent)
        .cloned()
        .collect();
    for key in TAINTS.iter().map(|(.., key)| *key).chain([UNSCHEDULABLE]) {
        if asked(key)
            && !want
                .iter()
                .any(|taint| taint.key == key && taint.effect == EFFECT)
        {
            want.push(Taint {
                key: key.into(),
                effect: EFFECT.into(),
                ..Default::default()
            });
        }
    }
    want
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(spec: serde_json::Value, conditions: serde_json::Value, expected: &[&str]) {
        let node: Node = serde_json::from_value(json!({
            "metadata": {"name": "one"}, "spec": spec, "status": {"conditions": conditions},
        }))
        .expect("a node");
        let keys: Vec<String> = taints(&node).into_iter().map(|taint| taint.key).collect();
        assert_eq!(keys, expected);
    }

    #[test]
    fn conditions_become_taints_and_go_again() {
        let ready = json!([{"type": "Ready", "status": "True"}]);
        let fresh =
            json!({"taints": [{"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}]});
        check(fresh.clone(), json!([]), &["node.kubernetes.io/not-ready"]);
        check(fresh, ready.clone(), &[]);
        check(
            json!({}),
            json!([{"type": "Ready", "status": "Unknown"}]),
            &["node.kubernetes.io/unreachable"],
        );
        check(
            json!({"unschedulable": true}),
            ready.clone(),
            &["node.kubernetes.io/unschedulable"],
        );
        check(
            json!({"taints": [{"key": "mine", "effect": "NoSchedule"}]}),
            ready,
            &["mine"],
        );
    }
}
