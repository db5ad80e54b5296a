//! What brings a waiting pod back: its own change, room on a node, a node, a
//! claim (upstream: pkg/scheduler/eventhandlers.go).

use coracle_client::key_of;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;

use crate::volumes::claims_of;
use crate::{NAME, Scheduler};

/// Follows everything that a decision depends on.
pub(crate) fn subscribe(scheduler: &Scheduler) {
    follow_pods(scheduler);
    follow_claims(scheduler);
    let retry = || {
        let (queue, ledger) = (scheduler.queue.clone(), scheduler.ledger.clone());
        move || {
            let waiting = ledger.lock().waiting();
            waiting.into_iter().for_each(|key| queue.add(key));
        }
    };
    let (nodes, classes, volumes) = (retry(), retry(), retry());
    scheduler.nodes.on_change(move |_| nodes());
    scheduler.storage.classes.on_change(move |_| classes());
    scheduler.storage.volumes.on_change(move |_| volumes());
}

fn follow_pods(scheduler: &Scheduler) {
    let (queue, ledger) = (scheduler.queue.clone(), scheduler.ledger.clone());
    let pods = scheduler.pods.clone();
    scheduler.pods.on_change(move |pod| {
        let key = key_of(&**pod);
        let mut ledger = ledger.lock();
        let gone = pods
            .of(&key)
            .is_none_or(|current| current.metadata.uid != pod.metadata.uid);
        if gone || has_ended(pod) {
            // Its resources are free again for those that wait.
            if ledger.remove(&key) {
                let waiting = ledger.waiting();
                waiting.into_iter().for_each(|key| queue.add(key));
            }
        } else if let Some(node) = node_of(pod) {
            ledger.place(key, pod, node);
            ledger.dependent().for_each(|key| queue.add(key.clone()));
        } else if is_waiting(pod) {
            if ledger.wait(key.clone(), pod) {
                queue.add(key);
            }
        } else {
            ledger.remove(&key);
        }
    });
}

fn follow_claims(scheduler: &Scheduler) {
    let (queue, ledger) = (scheduler.queue.clone(), scheduler.ledger.clone());
    let pods = scheduler.pods.clone();
    scheduler.storage.claims.on_change(move |claim| {
        let namespace = claim.namespace().unwrap_or_default();
        let name = claim.name_any();
        let waiting = ledger.lock().waiting();
        for key in waiting.into_iter().filter(|key| key.namespace == namespace) {
            let pod = pods.of(&key);
            if pod.is_some_and(|pod| claims_of(&pod).any(|used| used == name)) {
                queue.add(key);
            }
        }
    });
}

fn node_of(pod: &Pod) -> Option<&str> {
    let name = pod.spec.as_ref()?.node_name.as_deref()?;
    (!name.is_empty()).then_some(name)
}

/// Returns whether the pod is this scheduler's to place.
pub(crate) fn is_waiting(pod: &Pod) -> bool {
    node_of(pod).is_none()
        && pod.spec.as_ref().is_some_and(|spec| {
            spec.scheduler_name.as_deref().unwrap_or(NAME) == NAME
                && spec.scheduling_gates.as_ref().is_none_or(Vec::is_empty)
        })
        && pod.metadata.deletion_timestamp.is_none()
}

fn has_ended(pod: &Pod) -> bool {
    let phase = pod
        .status
        .as_ref()
        .and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Succeeded" | "Failed"))
}
