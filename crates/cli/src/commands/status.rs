//! `coracle status`: the cluster and what runs in it.

use clap::{Args, ValueEnum};
use k8s_openapi::api::core::v1::{Node, Pod, Service};
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};

use super::target::Target;
use super::{Global, access, block_on};
use crate::failure::Outcome;

/// Show the cluster and what runs in it.
#[derive(Debug, Args)]
pub struct Status {
    /// Print data instead of a picture.
    #[arg(long, short)]
    output: Option<Format>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Json,
}

impl Status {
    /// Prints the cluster's state; a cluster that does not run is no failure.
    pub fn run(&self, global: &Global) -> Outcome {
        let target = Target::of(global)?;
        let facts = match target.running() {
            None => {
                json!({"cluster": target.dir.name(), "exists": target.dir.exists(), "running": false})
            }
            Some(record) => block_on(async {
                let client = target.client(&record).await?;
                let mut facts = json!({"cluster": target.dir.name(), "exists": true, "running": true,
                    "api": format!("https://{}", record.api), "pid": record.init.pid});
                for (name, value) in observe(client).await?.as_object().into_iter().flatten() {
                    facts[name] = value.clone();
                }
                Ok(facts)
            })?,
        };
        if self.output == Some(Format::Json) {
            println!("{}", serde_json::to_string_pretty(&facts)?);
        } else {
            print!("{}", picture(&facts));
        }
        Ok(())
    }
}

/// Asks the API what there is.
async fn observe(client: Client) -> Result<Value, kube::Error> {
    let everything = ListParams::default();
    let nodes = Api::<Node>::all(client.clone()).list(&everything).await?;
    let pods = Api::<Pod>::all(client.clone()).list(&everything).await?;
    let services = Api::<Service>::all(client).list(&everything).await?;
    let ready = |node: &Node| {
        let conditions = node
            .status
            .as_ref()
            .and_then(|status| status.conditions.clone())
            .unwrap_or_default();
        conditions
            .iter()
            .any(|one| one.type_ == "Ready" && one.status == "True")
    };
    Ok(json!({
        "nodes": nodes.iter().map(|node| json!({"name": node.name_any(), "ready": ready(node)})).collect::<Vec<_>>(),
        "pods": pods.iter().map(pod).collect::<Vec<_>>(),
        "services": services.iter().filter(|service| !access::urls(service).is_empty()).map(|service| {
            json!({"name": access::full_name(service), "urls": access::urls(service)})
        }).collect::<Vec<_>>(),
    }))
}

fn pod(pod: &Pod) -> Value {
    let status = pod.status.clone().unwrap_or_default();
    let containers = status.container_statuses.unwrap_or_default();
    let waiting = containers
        .iter()
        .find_map(|container| container.state.as_ref()?.waiting.as_ref()?.reason.clone());
    json!({
        "namespace": pod.namespace(),
        "name": pod.name_any(),
        "phase": waiting.or(status.phase),
        "ready": containers.iter().filter(|container| container.ready).count(),
        "containers": containers.len(),
        "restarts": containers.iter().map(|container| container.restart_count).sum::<i32>(),
    })
}

/// Draws the facts as a tree.
fn picture(facts: &Value) -> String {
    let name = facts["cluster"].as_str().unwrap_or_default();
    if facts["running"] != true {
        let state = if facts["exists"] == true {
            "stopped"
        } else {
            "does not exist"
        };
        return format!("{name}: {state}\n");
    }
    let list = |name: &str| facts[name].as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut lines = vec![format!("{name}: running, API {}", text(&facts["api"]))];
    for node in list("nodes") {
        let state = if node["ready"] == true {
            "ready"
        } else {
            "not ready"
        };
        lines.push(format!("├─ node {} {state}", text(&node["name"])));
    }
    for service in list("services") {
        let urls: Vec<String> = service["urls"]
            .as_array()
            .into_iter()
            .flatten()
            .map(text)
            .collect();
        lines.push(format!(
            "├─ service {} {}",
            text(&service["name"]),
            urls.join(" ")
        ));
    }
    for pod in list("pods") {
        lines.push(format!(
            "├─ pod {}/{} {} {}/{} ready, {} restarts",
            text(&pod["namespace"]),
            text(&pod["name"]),
            text(&pod["phase"]),
            pod["ready"],
            pod["containers"],
            pod["restarts"],
        ));
    }
    if let Some(last) = lines.last_mut() {
        *last = last.replacen('├', "└", 1);
    }
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
