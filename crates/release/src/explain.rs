//! Why a workload is not ready: which pod, which container, what it says.

use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use kube::api::{ListParams, LogParams};
use kube::{Api, Client, ResourceExt};

/// Lines of a crashed container's log that are shown.
const LOG_LINES: i64 = 5;

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
    for pod in &list {
        if let Some(message) = unschedulable(pod) {
            causes.push(Cause {
                text: format!("pod {} has no node: {message}", pod.name_any()),
                is_final: false,
            });
        }
        for status in statuses(pod) {
            if let Some((reason, message)) = waiting(status) {
                let mut text = format!(
                    "pod {}, container {}: {reason}",
                    pod.name_any(),
                    status.name
                );
                if !message.is_empty() {
                    text.push_str(&format!(": {message}"));
                }
                text.push_str(&last_words(&pods, pod, status).await);
                causes.push(Cause {
                    text,
                    is_final: is_final(&reason),
                });
            }
        }
    }
    causes
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

/// Returns whether only a change of chart, values or images helps.
fn is_final(reason: &str) -> bool {
    matches!(
        reason,
        "ErrImageNeverPull"
            | "InvalidImageName"
            | "ErrImagePull"
            | "ImagePullBackOff"
            | "CreateContainerConfigError"
            | "CrashLoopBackOff"
            | "RunContainerError"
    )
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
    let params = LogParams {
        container: Some(status.name.clone()),
        tail_lines: Some(LOG_LINES),
        ..Default::default()
    };
    if let Ok(log) = pods.logs(&pod.name_any(), &params).await {
        for line in log.lines() {
            text.push_str(&format!("\n  | {line}"));
        }
    }
    text
}
