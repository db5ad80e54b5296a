//! Eviction by taints with the effect `NoExecute`: pods leave a node whose
//! taints they do not tolerate, at once or when the time of their tolerations
//! is over (upstream: pkg/controller/tainteviction).
//!
//! It sets no taints: users do, and `nodelifecycle`.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use coracle_client::matching::tolerates;
use coracle_client::{Cache, Key, Outcome, Queue, Recorder, Severity, is_not_found, key_of, now};
use k8s_openapi::api::core::v1::{Node, ObjectReference, Pod, Taint, Toleration};
use kube::api::{DeleteParams, Patch, PatchParams, Preconditions};
use kube::{Api, Client, ResourceExt};
use parking_lot::Mutex;
use serde_json::json;
use tokio::time::Instant;

use crate::context::Context;

struct Controller {
    client: Client,
    nodes: Cache<Node>,
    pods: Cache<Pod>,
    recorder: Recorder,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The taints of nodes that have any with the effect.
    taints: HashMap<String, Vec<Taint>>,
    evictions: HashMap<Key, Eviction>,
}

/// A pod that has to go.
struct Eviction {
    uid: String,
    due: Instant,
    /// Whether it was deleted; the cache may not know yet.
    done: bool,
}

/// Runs the controller for ever.
pub async fn run(context: Context) {
    // Upstream gives it the role of the node controller.
    let client = context.client("node-controller");
    let controller = Arc::new(Controller {
        nodes: context.caches.of(),
        pods: context.caches.of(),
        recorder: Recorder::new(client.clone(), "taint-eviction-controller"),
        client,
        state: Mutex::default(),
    });
    controller.nodes.ready().await;
    controller.pods.ready().await;
    let queue = Queue::default();
    subscribe(&controller, &queue);
    coracle_client::run("tainteviction", queue, 2, move |key| {
        let controller = controller.clone();
        async move { controller.reconcile(&key).await }
    })
    .await;
}

fn subscribe(controller: &Arc<Controller>, queue: &Queue<Key>) {
    let (own, of_nodes) = (queue.clone(), controller.clone());
    controller.nodes.on_change(move |node| {
        for pod in of_nodes.pods_to_look_at(node) {
            own.add(key_of(&*pod));
        }
    });
    let (own, of_pods) = (queue.clone(), controller.clone());
    controller.pods.on_change(move |pod| {
        if of_pods.concerns(pod) {
            own.add(key_of(&**pod));
        }
    });
}

impl Controller {
    /// Notes the taints of a node; returns its pods if they have changed.
    fn pods_to_look_at(&self, node: &Node) -> Vec<Arc<Pod>> {
        let name = node.name_any();
        let is_there = self.nodes.get("", &name).is_some();
        let taints = no_execute(node);
        {
            let known = &mut self.state.lock().taints;
            if !is_there {
                known.remove(&name);
                return Vec::new();
            }
            let before = match taints.is_empty() {
                true => known.remove(&name),
                false => known.insert(name.clone(), taints.clone()),
            };
            if before.unwrap_or_default() == taints {
                return Vec::new();
            }
        }
        let mut pods = self.pods.all();
        pods.retain(|pod| node_of(pod) == Some(&name));
        pods
    }

    fn concerns(&self, pod: &Pod) -> bool {
        let state = self.state.lock();
        state.evictions.contains_key(&key_of(pod))
            || node_of(pod).is_some_and(|node| state.taints.contains_key(node))
    }

    async fn reconcile(&self, key: &Key) -> Result<Outcome, kube::Error> {
        let pod = self.pods.of(key);
        let Some(pod) = pod.filter(|pod| pod.metadata.deletion_timestamp.is_none()) else {
            self.cancel(key);
            return Ok(Outcome::Done);
        };
        let uid = pod.uid().unwrap_or_default();
        match self.state.lock().evictions.get(key) {
            Some(eviction) if eviction.uid == uid && eviction.done => return Ok(Outcome::Done),
            Some(eviction) if eviction.uid == uid => {}
            // Another of the same name.
            Some(_) => self.cancel(key),
            None => {}
        }
        let Some(node) = node_of(&pod).and_then(|name| self.nodes.get("", name)) else {
            return Ok(Outcome::Done);
        };
        match stay(&pod, &no_execute(&node)) {
            Stay::ForEver => self.cancel(key),
            Stay::NotAtAll => {
                self.cancel(key);
                self.evict(key, &pod).await?;
            }
            Stay::For(time) => {
                let left = self.time_left(key, uid, time);
                if !left.is_zero() {
                    return Ok(Outcome::Again(left));
                }
                self.evict(key, &pod).await?;
            }
        }
        Ok(Outcome::Done)
    }

    /// Returns how long a pod may stay that was given this time when it was
    /// first seen here; as upstream's, a time that runs is not changed.
    fn time_left(&self, key: &Key, uid: String, time: Duration) -> Duration {
        let now = Instant::now();
        let mut state = self.state.lock();
        let eviction = state.evictions.entry(key.clone());
        let eviction = eviction.or_insert_with(|| Eviction {
            uid,
            due: now + time,
            done: false,
        });
        eviction.due.saturating_duration_since(now)
    }

    /// Forgets an eviction; says so if it was not carried out.
    fn cancel(&self, key: &Key) {
        let eviction = self.state.lock().evictions.remove(key);
        if let Some(eviction) = eviction.filter(|eviction| !eviction.done) {
            self.tell(key, eviction.uid, "Cancelling deletion of");
        }
    }

    async fn evict(&self, key: &Key, pod: &Pod) -> Result<(), kube::Error> {
        let uid = pod.uid().unwrap_or_default();
        self.tell(key, uid.clone(), "Marking for deletion");
        match self.remove(key, pod).await {
            Err(error) if !is_not_found(&error) => return Err(error),
            _ => {}
        }
        let eviction = Eviction {
            uid,
            due: Instant::now(),
            done: true,
        };
        self.state.lock().evictions.insert(key.clone(), eviction);
        Ok(())
    }

    async fn remove(&self, key: &Key, pod: &Pod) -> Result<(), kube::Error> {
        let api: Api<Pod> = Api::namespaced(self.client.clone(), &key.namespace);
        let condition = json!({
            "type": "DisruptionTarget", "status": "True",
            "observedGeneration": pod.metadata.generation,
            "reason": "DeletionByTaintManager",
            "message": "Taint manager: deleting due to NoExecute taint",
            "lastTransitionTime": now(),
        });
        let patch = json!({
            "metadata": {"uid": pod.metadata.uid}, "status": {"conditions": [condition]},
        });
        let parameters = PatchParams::default();
        api.patch_status(&key.name, &parameters, &Patch::Strategic(patch))
            .await?;
        let this = Preconditions {
            uid: pod.uid(),
            resource_version: None,
        };
        let parameters = DeleteParams::default().preconditions(this);
        api.delete(&key.name, &parameters).await.map(drop)
    }

    fn tell(&self, key: &Key, uid: String, what: &str) {
        let pod = ObjectReference {
            api_version: Some("v1".into()),
            kind: Some("Pod".into()),
            namespace: Some(key.namespace.clone()),
            name: Some(key.name.clone()),
            uid: Some(uid),
            ..Default::default()
        };
        let message = format!("{what} Pod {key}");
        self.recorder
            .event_at(pod, Severity::Normal, "TaintManagerEviction", message);
    }
}

fn node_of(pod: &Pod) -> Option<&String> {
    pod.spec.as_ref()?.node_name.as_ref()
}

fn no_execute(node: &Node) -> Vec<Taint> {
    let taints = node
        .spec
        .iter()
        .flat_map(|spec| spec.taints.iter().flatten());
    taints
        .filter(|taint| taint.effect == "NoExecute")
        .cloned()
        .collect()
}

/// How long a pod may stay on its node.
#[derive(Debug, PartialEq, Eq)]
enum Stay {
    ForEver,
    For(Duration),
    NotAtAll,
}

/// Returns how long a pod may stay beside these taints: for the shortest time
/// of the tolerations that cover them (upstream: getMinTolerationTime).
fn stay(pod: &Pod, taints: &[Taint]) -> Stay {
    let spec = pod.spec.as_ref();
    let tolerations = spec.and_then(|spec| spec.tolerations.as_deref());
    let covering = |taint: &Taint| -> Option<&Toleration> {
        let mut all = tolerations.unwrap_or_default().iter();
        all.find(|toleration| tolerates(toleration, taint))
    };
    let used: Option<Vec<&Toleration>> = taints.iter().map(covering).collect();
    let Some(used) = used else {
        return Stay::NotAtAll;
    };
    let times = used.iter().filter_map(|one| one.toleration_seconds);
    match times.min() {
        None => Stay::ForEver,
        Some(seconds) => Stay::For(Duration::from_secs(seconds.max(0).unsigned_abs())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    /// Upstream: taint_eviction_test.go, TestCreatePod and TestGetMinTolerationTime.
    #[test]
    fn the_shortest_toleration_decides() {
        let check = |tolerations: Value, taints: &[&str], expected: Stay| {
            let spec = json!({"containers": [], "tolerations": tolerations});
            let pod: Pod = serde_json::from_value(json!({"spec": spec})).expect("a pod");
            let taint = |key: &&str| Taint {
                key: (*key).to_owned(),
                effect: "NoExecute".into(),
                ..Default::default()
            };
            let taints: Vec<Taint> = taints.iter().map(taint).collect();
            assert_eq!(stay(&pod, &taints), expected, "{tolerations}");
        };
        let of = |key: &str, seconds: Option<i64>| {
            let mut one = json!({"key": key, "operator": "Exists", "effect": "NoExecute"});
            if let Some(seconds) = seconds {
                one["tolerationSeconds"] = json!(seconds);
            }
            one
        };
        let time = |seconds| Stay::For(Duration::from_secs(seconds));
        check(json!([]), &[], Stay::ForEver);
        check(json!([]), &["a"], Stay::NotAtAll);
        check(json!([of("a", None)]), &["a"], Stay::ForEver);
        check(json!([of("a", None)]), &["a", "b"], Stay::NotAtAll);
        check(json!([{"operator": "Exists"}]), &["a", "b"], Stay::ForEver);
        check(json!([of("a", Some(300))]), &["a"], time(300));
        check(json!([of("a", Some(0))]), &["a"], time(0));
        check(json!([of("a", Some(-4))]), &["a"], time(0));
        let both = json!([of("a", Some(20)), of("b", Some(10))]);
        check(both.clone(), &["a", "b"], time(10));
        check(both, &["a"], time(20));
        check(
            json!([of("a", Some(20)), of("b", None)]),
            &["a", "b"],
            time(20),
        );
    }
}
