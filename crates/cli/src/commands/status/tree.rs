//! The picture of a cluster's state: a tree of lines.

use coracle_machinery::quantity::Quantity;
use serde_json::Value;

use crate::paint::{Colour, Stream, paint};

/// A line with what stands below it.
struct Branch {
    text: String,
    below: Vec<Branch>,
}

impl Branch {
    fn leaf(text: impl Into<String>) -> Branch {
        Branch {
            text: text.into(),
            below: Vec::new(),
        }
    }
}

/// Draws the facts.
pub fn picture(facts: &Value) -> String {
    let name = text(&facts["cluster"]);
    if facts["running"] != true {
        let state = if facts["exists"] == true {
            "stopped"
        } else {
            "does not exist"
        };
        return format!("{name}: {state}\n");
    }
    let mut title = format!("{}: running", paint(Stream::Out, Colour::Bold, name));
    if let Some(api) = facts["api"].as_str() {
        title.push_str(&format!(", API {api}"));
    }
    // Only what is unusual is worth a word.
    if let Some(address) = facts["address"].as_str().filter(|ip| *ip != "127.0.0.1") {
        title.push_str(&format!(", ports at {address}"));
    }
    if let Some(day) = facts["certificatesUntil"].as_str() {
        title.push_str(&format!(", certificates until {day}"));
    }
    let mut branches: Vec<Branch> = items(&facts["nodes"]).map(node).collect();
    branches.extend(items(&facts["releases"]).map(release));
    branches.extend(others(&facts["others"]));
    let mut lines = title + "\n";
    draw(&branches, "", &mut lines);
    lines
}

fn draw(branches: &[Branch], indent: &str, lines: &mut String) {
    for (number, branch) in branches.iter().enumerate() {
        let is_last = number + 1 == branches.len();
        let (corner, below) = if is_last {
            ("└─ ", "   ")
        } else {
            ("├─ ", "│  ")
        };
        lines.push_str(&format!("{indent}{corner}{}\n", branch.text));
        draw(&branch.below, &format!("{indent}{below}"), lines);
    }
}

fn node(node: &Value) -> Branch {
    let state = if node["ready"] == true {
        good("ready")
    } else {
        bad("not ready")
    };
    Branch::leaf(format!("node {} {state}", text(&node["name"])))
}

fn release(release: &Value) -> Branch {
    let status = text(&release["status"]);
    let status = if status == "deployed" {
        good(status)
    } else {
        bad(status)
    };
    Branch {
        text: format!(
            "release {} in {}, revision {} {status}",
            paint(Stream::Out, Colour::Bold, text(&release["name"])),
            text(&release["namespace"]),
            release["revision"],
        ),
        below: objects(release, false),
    }
}

/// Draws what belongs to no release, if there is anything.
fn others(others: &Value) -> Option<Branch> {
    let mut below = objects(others, true);
    below.extend(items(&others["pods"]).map(|one| pod(one, true)));
    if below.is_empty() {
        return None;
    }
    Some(Branch {
        text: "without a release".into(),
        below,
    })
}

fn objects(facts: &Value, with_namespace: bool) -> Vec<Branch> {
    let mut branches: Vec<Branch> = items(&facts["workloads"])
        .map(|one| workload(one, with_namespace))
        .collect();
    for (list, word) in [("services", "service"), ("ingresses", "ingress")] {
        branches.extend(items(&facts[list]).map(|one| {
            let urls: Vec<&str> = items(&one["urls"]).map(text).collect();
            let urls = if urls.is_empty() {
                "has no address".to_owned()
            } else {
                urls.join(" ")
            };
            let problem = one["problem"].as_str();
            let problem = problem.map_or(String::new(), |why| format!(" {}", bad(why)));
            Branch::leaf(format!(
                "{word} {} {urls}{problem}",
                title(one, with_namespace)
            ))
        }));
    }
    branches.extend(items(&facts["claims"]).map(|claim| {
        let phase = text(&claim["phase"]);
        let phase = if phase == "Bound" {
            good(phase)
        } else {
            bad(phase)
        };
        Branch::leaf(format!(
            "pvc {} {phase} {}",
            title(claim, with_namespace),
            text(&claim["size"])
        ))
    }));
    branches
}

/// Returns an object's name, with its namespace where that is not said above.
fn title(object: &Value, with_namespace: bool) -> String {
    let name = text(&object["name"]);
    let (namespace, short) = match name.split_once('/') {
        Some((namespace, short)) => (namespace, short),
        None => (text(&object["namespace"]), name),
    };
    if with_namespace {
        format!("{namespace}/{short}")
    } else {
        short.to_owned()
    }
}

fn workload(workload: &Value, with_namespace: bool) -> Branch {
    let (ready, wanted) = (&workload["ready"], &workload["wanted"]);
    let count = format!("{ready}/{wanted}");
    let count = if ready == wanted {
        good(&count)
    } else {
        bad(&count)
    };
    Branch {
        text: format!(
            "{} {} {count} ready",
            text(&workload["kind"]).to_lowercase(),
            title(workload, with_namespace)
        ),
        below: items(&workload["pods"])
            .map(|one| pod(one, false))
            .collect(),
    }
}

fn pod(pod: &Value, with_namespace: bool) -> Branch {
    let phase = text(&pod["phase"]);
    let phase = match phase {
        "Running" | "Succeeded" if pod["ready"] == pod["containers"] || phase == "Succeeded" => {
            good(phase)
        }
        "Terminating" | "Pending" | "ContainerCreating" | "PodInitializing" | "Running" => {
            paint(Stream::Out, Colour::Yellow, phase)
        }
        _ => bad(phase),
    };
    let mut line = format!("pod {} {phase}", title(pod, with_namespace));
    if let Some(reason) = pod["reason"].as_str() {
        line.push_str(&format!(": {reason}"));
    }
    Branch {
        text: line,
        below: items(&pod["containerList"]).map(container).collect(),
    }
}

fn container(container: &Value) -> Branch {
    let mut line = format!(
        "container {} {}",
        text(&container["name"]),
        paint(Stream::Out, Colour::Dim, text(&container["image"]))
    );
    let state = match text(&container["state"]) {
        "running" if container["ready"] == true => good("ready"),
        "running" => paint(Stream::Out, Colour::Yellow, "runs, not ready"),
        "terminated" if container["exitCode"] == 0 => good("completed"),
        "terminated" => bad(&format!("ended with exit code {}", container["exitCode"])),
        _ => {
            let (reason, message) = (text(&container["reason"]), text(&container["message"]));
            let separator = if message.is_empty() { "" } else { ": " };
            bad(&format!("{reason}{separator}{message}"))
        }
    };
    line.push_str(&format!(" {state}"));
    match container["restarts"].as_i64() {
        Some(0) | None => {}
        Some(number) => {
            let last = text(&container["lastReason"]);
            let last = if last.is_empty() {
                String::new()
            } else {
                format!(", last {last}")
            };
            line.push_str(&format!(" ({number} restarts{last})"));
        }
    }
    if let Some((cpu, memory)) = usage(&container["usage"]) {
        line.push_str(&format!(" [cpu {cpu}m, memory {memory}Mi]"));
    }
    Branch::leaf(line)
}

/// Returns what a container uses, in thousandths of a core and in mebibytes,
/// rounded as `kubectl top` rounds.
fn usage(used: &Value) -> Option<(i64, i64)> {
    let cpu: Quantity = used["cpu"].as_str()?.parse().ok()?;
    let memory: Quantity = used["memory"].as_str()?.parse().ok()?;
    Some((cpu.milli_value(), memory.value() / (1 << 20)))
}

fn good(text: &str) -> String {
    paint(Stream::Out, Colour::Green, text)
}

fn bad(text: &str) -> String {
    paint(Stream::Out, Colour::Red, text)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_stopped_cluster_is_told_from_none() {
        let check = |exists: bool, expected: &str| {
            assert_eq!(
                picture(&json!({"cluster": "c", "exists": exists, "running": false})),
                expected
            );
        };
        check(true, "c: stopped\n");
        check(false, "c: does not exist\n");
    }

    #[test]
    fn the_tree_goes_down_to_containers() {
        let pod = json!({"namespace": "default", "name": "web-1", "phase": "CrashLoopBackOff", "ready": 0,
            "containers": 1, "containerList": [{"name": "c", "image": "web:1", "state": "waiting",
                "reason": "CrashLoopBackOff", "message": "back-off", "restarts": 3, "lastReason": "Error"}]});
        let facts = json!({"cluster": "c", "exists": true, "running": true, "api": "https://127.0.0.1:6443",
            "nodes": [{"name": "c", "ready": true}],
            "releases": [{"name": "web", "namespace": "default", "revision": 2, "status": "deployed",
                "workloads": [{"kind": "Deployment", "name": "web", "wanted": 1, "ready": 0, "pods": [pod]}],
                "services": [{"name": "default/web", "urls": ["http://127.0.0.1:30080"]}]}],
            "others": {}});
        assert_eq!(
            picture(&facts),
            "c: running, API https://127.0.0.1:6443\n\
             ├─ node c ready\n\
             └─ release web in default, revision 2 deployed\n\
             \u{20}  ├─ deployment web 0/1 ready\n\
             \u{20}  │  └─ pod web-1 CrashLoopBackOff\n\
             \u{20}  │     └─ container c web:1 CrashLoopBackOff: back-off (3 restarts, last Error)\n\
             \u{20}  └─ service web http://127.0.0.1:30080\n"
        );
    }

    #[test]
    fn use_is_told_as_kubectl_top_tells_it() {
        let check = |used: Value, expected| assert_eq!(usage(&used), expected);
        check(json!({"cpu": "303255n", "memory": "1684Ki"}), Some((1, 1)));
        check(json!({"cpu": "1500m", "memory": "3Gi"}), Some((1500, 3072)));
        check(Value::Null, None);
    }
}
