//! Phases Scheduling, Startup and Ready: what the pods of the release do until
//! its workloads are available, or why they cannot be.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use coracle_release::wait;
use futures::stream::{SelectAll, StreamExt};
use k8s_openapi::api::core::v1::Pod;
use kube::runtime::watcher::{Config, Event, watcher};
use kube::{Api, Client, ResourceExt};
use serde_json::Value;

use super::super::progress::{Progress, Step};
use super::deploy::Deployed;
use super::stale::newest_generation;
use crate::failure::Outcome;

/// What a pod goes through, in order.
const PHASES: [(&str, &str); 3] = [
    ("Scheduling", "every pod has a node"),
    ("Startup", "every container has started"),
    ("Ready", "every workload is available"),
];

/// Waits until every workload of the release is available.
pub async fn until_ready(
    client: &Client,
    deployed: &Deployed,
    timeout: Duration,
    changed: bool,
    progress: &Progress,
) -> Outcome {
    let phases = RefCell::new(Phases::begin(progress, if changed { 0 } else { 2 }));
    let waiting = wait(
        client,
        &deployed.namespace,
        &deployed.objects,
        timeout,
        |waiting| {
            let phases = phases.borrow();
            match waiting.because {
                Some(because) => {
                    // What it wrote is told when waiting is over.
                    let because = because.lines().next().unwrap_or_default();
                    phases.note(format!("{}: {because}", waiting.title));
                }
                None => phases.say(waiting.title),
            }
        },
    );
    let result = tokio::select! {
        result = waiting => result,
        never = watch(client, deployed, &phases) => match never {},
    };
    match result {
        Ok(()) => {
            phases.into_inner().done(changed);
            Ok(())
        }
        Err(error) => {
            phases.into_inner().failed();
            Err(error.into())
        }
    }
}

/// The phase under way.
struct Phases<'a> {
    progress: &'a Progress,
    at: usize,
    step: Step,
}

impl<'a> Phases<'a> {
    fn begin(progress: &'a Progress, at: usize) -> Phases<'a> {
        Phases {
            progress,
            at,
            step: progress.step(PHASES[at].0),
        }
    }

    fn say(&self, text: String) {
        self.step.say(text);
    }

    fn note(&self, text: String) {
        self.step.note(text);
    }

    /// Ends the phases before `phase`; the last one ends with [`Phases::done`].
    fn reach(&mut self, phase: usize) {
        while self.at < phase.min(PHASES.len() - 1) {
            let next = self.progress.step(PHASES[self.at + 1].0);
            std::mem::replace(&mut self.step, next).done(PHASES[self.at].1);
            self.at += 1;
        }
    }

    fn done(mut self, changed: bool) {
        self.reach(PHASES.len());
        if changed {
            self.step.done(PHASES[self.at].1);
        } else {
            self.step.skipped(PHASES[self.at].1);
        }
    }

    fn failed(self) {
        self.step.failed();
    }
}

/// Follows the pods of every workload and moves the phases on.
async fn watch(
    client: &Client,
    deployed: &Deployed,
    phases: &RefCell<Phases<'_>>,
) -> std::convert::Infallible {
    let mut events = SelectAll::new();
    let workloads: Vec<_> = deployed.workloads().collect();
    for (index, workload) in workloads.iter().enumerate() {
        let pods: Api<Pod> = Api::namespaced(client.clone(), deployed.namespace_of(workload));
        let config = Config::default().labels(&deployed.selector(workload));
        events.push(
            watcher(pods, config)
                .map(move |event| (index, event))
                .boxed(),
        );
    }
    let mut pods: Vec<BTreeMap<String, Pod>> = vec![BTreeMap::new(); workloads.len()];
    while let Some((index, event)) = events.next().await {
        match event {
            Ok(Event::Apply(pod) | Event::InitApply(pod)) => {
                pods[index].insert(pod.name_any(), pod);
            }
            Ok(Event::Delete(pod)) => {
                pods[index].remove(&pod.name_any());
            }
            // The watch begins anew by itself.
            _ => continue,
        }
        let reached = pods.iter().map(reached).min().unwrap_or(0);
        if reached > phases.borrow().at && all_updated(client, deployed).await {
            phases.borrow_mut().reach(reached);
        }
    }
    std::future::pending().await
}

/// Returns how many phases the pods of a workload have behind them.
fn reached(pods: &BTreeMap<String, Pod>) -> usize {
    let pods: Vec<Pod> = pods.values().cloned().collect();
    let newest = newest_generation(&pods);
    newest
        .iter()
        .map(|pod| phases_behind(pod))
        .min()
        .unwrap_or(0)
}

fn phases_behind(pod: &Pod) -> usize {
    let scheduled = pod
        .spec
        .as_ref()
        .is_some_and(|spec| spec.node_name.is_some());
    let status = pod.status.clone().unwrap_or_default();
    let containers = status.container_statuses.unwrap_or_default();
    let started = !containers.is_empty()
        && containers
            .iter()
            .all(|container| container.started == Some(true));
    let ready = status
        .conditions
        .iter()
        .flatten()
        .any(|condition| condition.type_ == "Ready" && condition.status == "True");
    match (scheduled, started, ready) {
        (false, ..) => 0,
        (true, false, _) => 1,
        (true, true, false) => 2,
        (true, true, true) => 3,
    }
}

/// Returns whether every workload's controller has made the pods of its newest template.
async fn all_updated(client: &Client, deployed: &Deployed) -> bool {
    for workload in deployed.workloads() {
        match deployed.live(client, workload).await {
            Ok(live) if is_updated(&live) => {}
            _ => return false,
        }
    }
    true
}

fn is_updated(live: &Value) -> bool {
    let number = |value: &Value| value.as_i64();
    let status = &live["status"];
    let (wanted, updated) = if live["kind"] == "DaemonSet" {
        (
            number(&status["desiredNumberScheduled"]).unwrap_or(0),
            number(&status["updatedNumberScheduled"]),
        )
    } else {
        (
            number(&live["spec"]["replicas"]).unwrap_or(1),
            number(&status["updatedReplicas"]),
        )
    };
    number(&status["observedGeneration"]) >= number(&live["metadata"]["generation"])
        && updated.unwrap_or(0) >= wanted
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_pod_goes_through_the_phases_in_order() {
        let check = |pod: Value, expected: usize| {
            let pod: Pod = serde_json::from_value(pod).expect("it is a pod");
            assert_eq!(phases_behind(&pod), expected, "{pod:?}");
        };
        let status = |started: bool, ready: &str| {
            json!({
                "containerStatuses": [{"name": "c", "image": "i", "imageID": "", "ready": false,
                    "restartCount": 0, "started": started}],
                "conditions": [{"type": "Ready", "status": ready}],
            })
        };
        check(json!({"spec": {"containers": []}}), 0);
        check(json!({"spec": {"nodeName": "n", "containers": []}}), 1);
        let with =
            |status: Value| json!({"spec": {"nodeName": "n", "containers": []}, "status": status});
        check(with(status(false, "False")), 1);
        check(with(status(true, "False")), 2);
        check(with(status(true, "True")), 3);
    }

    #[test]
    fn a_workload_is_updated_when_its_controller_says_so() {
        let check = |live: Value, expected: bool| assert_eq!(is_updated(&live), expected, "{live}");
        let deployment = |observed: i64, updated: i64| {
            json!({"kind": "Deployment", "metadata": {"generation": 2}, "spec": {"replicas": 2},
                "status": {"observedGeneration": observed, "updatedReplicas": updated}})
        };
        check(deployment(1, 2), false);
        check(deployment(2, 1), false);
        check(deployment(2, 2), true);
        check(
            json!({"kind": "DaemonSet", "metadata": {"generation": 1},
                "status": {"observedGeneration": 1, "desiredNumberScheduled": 1}}),
            false,
        );
    }
}
