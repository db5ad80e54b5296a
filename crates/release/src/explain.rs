//! Why a workload is not ready: which pod, which container, what it says.

use k8s_openapi::api::core::v1::{ContainerStatus, Event, Pod};
use kube::api::{ListParams, LogParams};
use kube::{Api, Client, ResourceExt};
use serde_json::Value;

/// Lines of a crashed container's log that are shown.
const LOG_LINES: i64 = 8;
/// Crashes after which a container is believed not to start at all.
const CRASHES: i32 = 3;
/// Pods that are explained; the others fail alike.
const PODS_MAX: usize = 3;

/// What holds a pod back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// What to tell: pod, container, reason, message, last log lines.
    pub text: String,
    /// Whether it will not go away by waiting.
    pub is_final: bool,
}

/// Returns what holds the pods that `labels` select back.
pub async fn explain(client: &Client, namespace: &str, labels: &str) -> Vec<Cause> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let Ok(list) = pods.list(&ListParams::default().labels(labels)).await else {
        return Vec::new();
    };
    let mut causes = Vec::new();
    for pod in list.iter().filter(|pod| !is_fine(pod)).take(PODS_MAX) {
        causes.extend(explain_pod(client, namespace, pod).await);
    }
    causes
}

/// Returns what holds an object back: its pods, or what events say of it.
pub async fn explain_object(client: &Client, namespace: &str, live: &Value) -> Vec<Cause> {
    let name = live["metadata"]["name"].as_str().unwrap_or_default();
    let kind = live["kind"].as_str().unwrap_or_default();
    let mut causes = match kind {
        "Pod" => {
            let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
            match pods.get_opt(name).await {
                Ok(Some(pod)) => explain_pod(client, namespace, &pod).await,
                _ => Vec::new(),
            }
        }
        _ => match selector(live) {
            Some(labels) => explain(client, namespace, &labels).await,
            None => Vec::new(),
        },
    };
    causes.extend(not_created(live));
    if causes.is_empty() && kind != "Pod" {
        let said = warning(client, namespace, kind, name).await;
        causes.extend(said.map(|text| Cause {
            text: format!("{kind} {name}: {text}"),
            is_final: false,
        }));
    }
    causes
}

/// Returns the labels of an object's pods as a selector.
fn selector(live: &Value) -> Option<String> {
    let kind = live["kind"].as_str()?;
    if kind == "Job" {
        return Some(format!("job-name={}", live["metadata"]["name"].as_str()?));
    }
    let labels = match kind {
        "ReplicationController" => live["spec"]["selector"].as_object(),
        _ => live["spec"]["selector"]["matchLabels"].as_object(),
    }?;
    let pairs = labels
        .iter()
        .filter_map(|(key, value)| Some(format!("{key}={}", value.as_str()?)));
    Some(pairs.collect::<Vec<_>>().join(","))
}

/// A controller that may not make pods says so in a condition.
fn not_created(live: &Value) -> Option<Cause> {
    let conditions = live["status"]["conditions"].as_array()?;
    let failure = conditions
        .iter()
        .find(|one| one["type"] == "ReplicaFailure" && one["status"] == "True")?;
    Some(Cause {
        text: format!(
            "its pods cannot be made: {}",
            failure["message"].as_str().unwrap_or_default()
        ),
        is_final: true,
    })
}

async fn explain_pod(client: &Client, namespace: &str, pod: &Pod) -> Vec<Cause> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let name = pod.name_any();
    if let Some(message) = unschedulable(pod) {
        return vec![Cause {
            text: format!("pod {name} has no node: {message}"),
            is_final: false,
        }];
    }
    let mut causes = Vec::new();
    for status in statuses(pod) {
        let title = format!("pod {name}, container {}", status.name);
        if let Some((reason, message)) = waiting(status) {
            let mut text = format!("{title}: {reason}");
            if !message.is_empty() {
                text.push_str(&format!(": {message}"));
            }
            text.push_str(&last_words(&pods, pod, status).await);
            causes.push(Cause {
                text,
                is_final: is_final(&reason, status.restart_count),
            });
        } else if let Some(code) = exit_code(status) {
            let log = log_lines(&pods, &name, &status.name, false).await;
            causes.push(Cause {
                text: format!("{title}: ended with exit code {code}{log}"),
                is_final: false,
            });
        } else if is_running(status) && !status.ready {
            let probe = warning_of(client, namespace, "Pod", &name, &["Unhealthy"]).await;
            let text = match probe {
                Some(message) => {
                    let log = log_lines(&pods, &name, &status.name, false).await;
                    format!("{title} runs but is not ready: {message}{log}")
                }
                None => format!("{title} runs but is not ready"),
            };
            causes.push(Cause {
                text,
                is_final: false,
            });
        }
    }
    if causes.is_empty() {
        let said = warning(client, namespace, "Pod", &name).await;
        causes.extend(said.map(|text| Cause {
            text: format!("pod {name}: {text}"),
            is_final: false,
        }));
    }
    causes
}

fn is_fine(pod: &Pod) -> bool {
    let status = pod.status.clone().unwrap_or_default();
    if pod.metadata.deletion_timestamp.is_some() || status.phase.as_deref() == Some("Succeeded") {
        return true;
    }
    let conditions = status.conditions.unwrap_or_default();
    conditions
        .iter()
        .any(|one| one.type_ == "Ready" && one.status == "True")
}

fn unschedulable(pod: &Pod) -> Option<String> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    let condition = conditions
        .iter()
        .find(|one| one.type_ == "PodScheduled" && one.status == "False")?;
    condition.message.clone()
}

fn statuses(pod: &Pod) -> impl Iterator<Item = &ContainerStatus> {
    let status = pod.status.iter();
    status.flat_map(|status| {
        status
            .init_container_statuses
            .iter()
            .flatten()
            .chain(status.container_statuses.iter().flatten())
    })
}

/// Returns why a container waits, if that is worth telling.
fn waiting(status: &ContainerStatus) -> Option<(String, String)> {
    let waiting = status.state.as_ref()?.waiting.as_ref()?;
    let reason = waiting.reason.clone()?;
    if matches!(reason.as_str(), "ContainerCreating" | "PodInitializing") {
        return None;
    }
    Some((reason, waiting.message.clone().unwrap_or_default()))
}

fn is_running(status: &ContainerStatus) -> bool {
    let state = status.state.as_ref();
    state.is_some_and(|state| state.running.is_some())
}

fn exit_code(status: &ContainerStatus) -> Option<i32> {
    let ended = status.state.as_ref()?.terminated.as_ref()?;
    (ended.exit_code != 0).then_some(ended.exit_code)
}

/// Returns whether only a change of chart, values or images helps.
fn is_final(reason: &str, restarts: i32) -> bool {
    match reason {
        "CrashLoopBackOff" => restarts >= CRASHES,
        _ => matches!(
            reason,
            "ErrImageNeverPull"
                | "InvalidImageName"
                | "ErrImagePull"
                | "ImagePullBackOff"
                | "CreateContainerConfigError"
                | "RunContainerError"
                | "CreateContainerError"
        ),
    }
}

/// Returns how a container ended last and what it wrote before.
async fn last_words(pods: &Api<Pod>, pod: &Pod, status: &ContainerStatus) -> String {
    let ended = status
        .last_state
        .as_ref()
        .and_then(|state| state.terminated.as_ref());
    let Some(ended) = ended else {
        return String::new();
    };
    let mut text = format!("\n  last run ended with exit code {}", ended.exit_code);
    if let Some(reason) = &ended.reason {
        text.push_str(&format!(" ({reason})"));
    }
    text.push_str(&log_lines(pods, &pod.name_any(), &status.name, true).await);
    text
}

/// Returns the last lines that a container wrote, each on a line of its own.
pub(crate) async fn log_lines(
    pods: &Api<Pod>,
    pod: &str,
    container: &str,
    previous: bool,
) -> String {
    let mut params = LogParams {
        container: Some(container.to_owned()),
        tail_lines: Some(LOG_LINES),
        previous,
        ..Default::default()
    };
    let mut log = pods.logs(pod, &params).await;
    if log.is_err() && previous {
        params.previous = false;
        log = pods.logs(pod, &params).await;
    }
    let log = log.unwrap_or_default();
    log.lines().map(|line| format!("\n  | {line}")).collect()
}

/// Returns the newest warning about an object.
async fn warning(client: &Client, namespace: &str, kind: &str, name: &str) -> Option<String> {
    warning_of(client, namespace, kind, name, &[]).await
}

/// Returns the newest warning about an object that has one of the reasons.
async fn warning_of(
    client: &Client,
    namespace: &str,
    kind: &str,
    name: &str,
    reasons: &[&str],
) -> Option<String> {
    let events: Api<Event> = Api::namespaced(client.clone(), namespace);
    let params = ListParams::default().fields(&format!("involvedObject.name={name}"));
    let list = events.list(&params).await.ok()?;
    let mut fitting: Vec<&Event> = list
        .iter()
        .filter(|event| event.involved_object.kind.as_deref() == Some(kind))
        .filter(|event| event.type_.as_deref() == Some("Warning"))
        .filter(|event| {
            reasons.is_empty() || reasons.contains(&event.reason.as_deref().unwrap_or_default())
        })
        .collect();
    fitting.sort_by_key(|event| {
        let revision = event.resource_version().unwrap_or_default();
        revision.parse::<u64>().unwrap_or(0)
    });
    let newest = fitting.last()?;
    let reason = newest.reason.clone().unwrap_or_default();
    let message = newest.message.clone().unwrap_or_default();
    Some(format!("{reason}: {message}"))
}
