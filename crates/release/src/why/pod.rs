//! Why a pod does not run or is not ready.

use serde_json::Value;

use super::words::{condition, items, text};
use super::{Cause, Facts, image, probe, schedule, volume};
use crate::ReleaseError;

/// Lines of a container's log that are shown.
const LOG_LINES: u32 = 8;
/// Crashes after which a container is believed not to start at all.
const CRASHES: i64 = 3;

/// Returns what holds the pod back.
pub async fn causes(facts: &Facts, pod: &Value) -> Result<Vec<Cause>, ReleaseError> {
    let name = text(&pod["metadata"]["name"]);
    let title = format!("pod/{name}");
    if pod["metadata"]["deletionTimestamp"].is_string() {
        return Ok(vec![terminating(&title, pod)]);
    }
    if text(&pod["status"]["phase"]) == "Succeeded" {
        return Ok(Vec::new());
    }
    if let Some(unscheduled) = condition(pod, "PodScheduled").filter(|one| one["status"] == "False")
    {
        return schedule::causes(facts, pod, text(&unscheduled["message"])).await;
    }
    if pod["status"]["reason"].is_string() && pod["status"]["phase"] == "Failed" {
        let status = &pod["status"];
        return Ok(vec![
            Cause::new(
                title,
                format!("{}: {}", text(&status["reason"]), text(&status["message"])),
            )
            .finally(),
        ]);
    }
    let mut causes = Vec::new();
    let statuses = items(&pod["status"]["initContainerStatuses"])
        .chain(items(&pod["status"]["containerStatuses"]));
    for status in statuses {
        if let Some(cause) = container(facts, pod, status).await? {
            causes.push(cause);
        }
    }
    if causes.is_empty() && condition(pod, "Ready").is_none_or(|one| one["status"] != "True") {
        causes.extend(volume::causes(facts, pod).await?);
    }
    Ok(causes)
}

fn terminating(title: &str, pod: &Value) -> Cause {
    let finalizers: Vec<&str> = items(&pod["metadata"]["finalizers"]).map(text).collect();
    if finalizers.is_empty() {
        return Cause::new(title, "it is being ended and waits for its containers");
    }
    Cause::new(
        title,
        format!(
            "it is deleted, but finalizers hold it: {}",
            finalizers.join(", ")
        ),
    )
    .remedy("whoever set the finalizers has to remove them; is that controller running?")
}

/// Returns what holds one container back.
async fn container(
    facts: &Facts,
    pod: &Value,
    status: &Value,
) -> Result<Option<Cause>, ReleaseError> {
    let title = format!(
        "pod/{}, container {}",
        text(&pod["metadata"]["name"]),
        text(&status["name"])
    );
    let state = &status["state"];
    if state["waiting"].is_object() {
        return waiting(facts, pod, status, &title).await;
    }
    if state["terminated"].is_object() && state["terminated"]["exitCode"] != 0 {
        return Ok(Some(
            ended(facts, pod, status, &title, &state["terminated"]).await,
        ));
    }
    if state["running"].is_object() && status["ready"] == false && !is_init(pod, status) {
        return probe::cause(facts, pod, status, &title).await.map(Some);
    }
    Ok(None)
}

fn is_init(pod: &Value, status: &Value) -> bool {
    items(&pod["spec"]["initContainers"]).any(|one| one["name"] == status["name"])
}

async fn waiting(
    facts: &Facts,
    pod: &Value,
    status: &Value,
    title: &str,
) -> Result<Option<Cause>, ReleaseError> {
    let waiting = &status["state"]["waiting"];
    let (reason, message) = (text(&waiting["reason"]), text(&waiting["message"]));
    Ok(Some(match reason {
        "ContainerCreating" | "PodInitializing" | "" => return Ok(None),
        "ErrImageNeverPull" | "ErrImagePull" | "ImagePullBackOff" | "InvalidImageName" => {
            image::cause(facts, pod, status, title, reason, message).await?
        }
        "CreateContainerConfigError" => {
            volume::reference(facts, pod, status, title, message).await?
        }
        _ => {
            let last = &status["lastState"]["terminated"];
            if last.is_object() {
                let mut cause = ended(facts, pod, status, title, last).await;
                let restarts = status["restartCount"].as_i64().unwrap_or(0);
                cause.text = format!("{} ({reason}, {restarts} restarts)", cause.text);
                cause.is_final = reason == "CrashLoopBackOff" && restarts >= CRASHES;
                cause
            } else {
                Cause::new(title, joined(reason, message)).finally()
            }
        }
    }))
}

fn joined(reason: &str, message: &str) -> String {
    if message.is_empty() {
        reason.to_owned()
    } else {
        format!("{reason}: {message}")
    }
}

/// Explains the end of a container by its exit code and its last words.
async fn ended(facts: &Facts, pod: &Value, status: &Value, title: &str, end: &Value) -> Cause {
    let name = text(&status["name"]);
    let (text_, remedy) = exit(end, &limit(pod, name));
    let mut cause = Cause::new(title, text_);
    cause.remedy = remedy;
    let pod_name = text(&pod["metadata"]["name"]);
    cause.excerpt = facts.log(pod_name, name, LOG_LINES).await;
    cause.remedy = cause
        .remedy
        .or_else(|| Some(whole_log(pod_name, facts.namespace(), status)));
    cause
}

/// Says where the log of the run is that ended.
fn whole_log(pod: &str, namespace: &str, status: &Value) -> String {
    let name = text(&status["name"]);
    // The last run of one that is not started again is no previous one.
    let previous = match status["state"]["terminated"].is_object() {
        true => "",
        false => " --previous",
    };
    format!("all that it wrote: kubectl logs {pod} -c {name} -n {namespace}{previous}")
}

/// Returns the memory limit of a container, as it stands in the pod.
fn limit(pod: &Value, container: &str) -> String {
    items(&pod["spec"]["containers"])
        .chain(items(&pod["spec"]["initContainers"]))
        .find(|one| one["name"] == container)
        .map(|one| text(&one["resources"]["limits"]["memory"]).to_owned())
        .unwrap_or_default()
}

/// Says what an exit means, and what to do about it.
fn exit(end: &Value, memory_limit: &str) -> (String, Option<String>) {
    let code = end["exitCode"].as_i64().unwrap_or(0);
    let (reason, message) = (text(&end["reason"]), text(&end["message"]));
    if reason == "OOMKilled" {
        let (limit, remedy) = match memory_limit {
            "" => (
                String::new(),
                "give it resources.limits.memory it can live with, or find the leak".to_owned(),
            ),
            limit => (
                format!(" of {limit}"),
                format!("raise resources.limits.memory above {limit}, or find out what fills it"),
            ),
        };
        return (
            format!("it was ended because it used more memory than its limit{limit}"),
            Some(remedy),
        );
    }
    if matches!(reason, "StartError" | "ContainerCannotRun") {
        return (
            joined("it could not be started", message),
            Some("check command and args: the program must be in the image and executable".into()),
        );
    }
    let remedy = match code {
        126 => {
            "the program is there but cannot be executed: is it for this processor, and executable?"
        }
        127 => "the program is not in the image: check command and args",
        137 => {
            "it was killed: by a failing liveness probe, or because it did not end when asked to"
        }
        139 => "it broke memory protection (SIGSEGV): a fault of the program",
        143 => "it was asked to end (SIGTERM)",
        _ => return (format!("it ended with exit code {code}"), None),
    };
    (
        format!("it ended with exit code {code}"),
        Some(remedy.into()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn exits_are_told_in_words() {
        let check = |end: Value, limit: &str, said: &str, remedy: &str| {
            let (text, advice) = exit(&end, limit);
            assert!(text.contains(said), "{text}");
            assert!(advice.unwrap_or_default().contains(remedy), "{end}");
        };
        check(
            json!({"exitCode": 137, "reason": "OOMKilled"}),
            "64Mi",
            "limit of 64Mi",
            "above 64Mi",
        );
        check(
            json!({"exitCode": 127}),
            "",
            "exit code 127",
            "not in the image",
        );
        check(json!({"exitCode": 1}), "", "exit code 1", "");
        check(
            json!({"exitCode": 128, "reason": "StartError", "message": "exec /x: no such file"}),
            "",
            "exec /x: no such file",
            "command and args",
        );
    }

    #[test]
    fn the_log_of_the_run_that_ended_is_named() {
        let check = |state: Value, expected: &str| {
            let status = json!({"name": "c", "state": state});
            let said = whole_log("p", "n", &status);
            assert_eq!(
                said,
                format!("all that it wrote: kubectl logs p -c c -n n{expected}")
            );
        };
        check(
            json!({"waiting": {"reason": "CrashLoopBackOff"}}),
            " --previous",
        );
        check(json!({"terminated": {"exitCode": 3}}), "");
    }

    #[test]
    fn finalizers_are_named() {
        let pod = json!({"metadata": {"deletionTimestamp": "x", "finalizers": ["a/b"]}});
        assert!(terminating("pod/p", &pod).text.contains("a/b"));
    }
}
