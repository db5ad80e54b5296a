//! What the API knows, as data: releases with their workloads, pods and
//! containers. What belongs to no release is listed by namespace.

use std::collections::BTreeMap;

use kube::Client;
use serde_json::{Value, json};

use super::super::urls;

/// Kinds that own pods: path and kind.
const WORKLOADS: [(&str, &str); 4] = [
    ("apis/apps/v1", "Deployment"),
    ("apis/apps/v1", "StatefulSet"),
    ("apis/apps/v1", "DaemonSet"),
    ("apis/batch/v1", "Job"),
];

/// What is asked of the API, all at once.
struct Objects {
    /// The host's address of node ports.
    host: String,
    nodes: Vec<Value>,
    pods: Vec<Value>,
    services: Vec<Value>,
    ingresses: Vec<Value>,
    claims: Vec<Value>,
    replica_sets: Vec<Value>,
    records: Vec<Value>,
    workloads: Vec<Value>,
    usage: BTreeMap<String, Value>,
}

/// Asks the API what there is.
pub async fn observe(
    client: &Client,
    namespace: Option<&str>,
    host: &str,
) -> Result<Value, kube::Error> {
    let mut objects = Objects::ask(client, namespace).await?;
    host.clone_into(&mut objects.host);
    Ok(objects.facts())
}

/// Returns the objects of a list; none where the API serves no such thing.
async fn list(client: &Client, path: String) -> Result<Vec<Value>, kube::Error> {
    let request = http::Request::get(path)
        .body(Vec::new())
        .map_err(kube::Error::HttpError)?;
    match client.request::<Value>(request).await {
        Ok(mut list) => Ok(match list["items"].take() {
            Value::Array(items) => items,
            _ => Vec::new(),
        }),
        Err(kube::Error::Api(status)) if matches!(status.code, 403 | 404 | 503) => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

impl Objects {
    async fn ask(client: &Client, namespace: Option<&str>) -> Result<Objects, kube::Error> {
        let within = |group: &str, plural: &str| match namespace {
            Some(namespace) => format!("/{group}/namespaces/{namespace}/{plural}"),
            None => format!("/{group}/{plural}"),
        };
        let get = |group: &str, plural: &str| list(client, within(group, plural));
        let plural = |kind: &str| format!("{}s", kind.to_lowercase());
        let records = format!("{}?labelSelector=owner%3Dhelm", within("api/v1", "secrets"));
        let (pods, services, ingresses, claims, replica_sets, records, usage) = tokio::try_join!(
            get("api/v1", "pods"),
            get("api/v1", "services"),
            get("apis/networking.k8s.io/v1", "ingresses"),
            get("api/v1", "persistentvolumeclaims"),
            get("apis/apps/v1", "replicasets"),
            list(client, records),
            get("apis/metrics.k8s.io/v1beta1", "pods"),
        )?;
        let mut workloads = Vec::new();
        for (group, kind) in WORKLOADS {
            for mut object in get(group, &plural(kind)).await? {
                object["kind"] = kind.into();
                workloads.push(object);
            }
        }
        Ok(Objects {
            host: String::new(),
            nodes: list(client, "/api/v1/nodes".into()).await?,
            pods,
            services,
            ingresses,
            claims,
            replica_sets,
            records,
            workloads,
            usage: usage
                .into_iter()
                .map(|usage| (full_name(&usage), usage["containers"].clone()))
                .collect(),
        })
    }

    fn facts(&self) -> Value {
        let mut releases: Vec<Value> = self
            .newest_records()
            .values()
            .map(|record| {
                let labels = &record["metadata"]["labels"];
                let (name, namespace) = (text(&labels["name"]), namespace(record));
                let mine = |object: &Value| release_of(object) == (name, namespace);
                json!({
                    "name": name,
                    "namespace": namespace,
                    "revision": text(&labels["version"]).parse::<i64>().unwrap_or(0),
                    "status": labels["status"],
                    "workloads": self.workloads(mine),
                    "services": self.services(mine),
                    "ingresses": self.ingresses(mine),
                    "claims": self.claims(mine),
                })
            })
            .collect();
        releases.sort_by_key(|release| {
            (
                text(&release["namespace"]).to_owned(),
                text(&release["name"]).to_owned(),
            )
        });
        let free = |object: &Value| release_of(object).0.is_empty();
        let owned: Vec<&str> = self
            .pods
            .iter()
            .filter(|pod| self.owner(pod).is_some())
            .map(uid)
            .collect();
        json!({
            "nodes": self.nodes.iter().map(node).collect::<Vec<_>>(),
            "releases": releases,
            "others": {
                "workloads": self.workloads(free),
                "services": self.services(free),
                "ingresses": self.ingresses(free),
                "claims": self.claims(free),
                "pods": self.pods.iter().filter(|pod| !owned.contains(&uid(pod))).map(|pod| self.pod(pod)).collect::<Vec<_>>(),
            },
            "pods": self.pods.iter().map(|pod| self.pod(pod)).collect::<Vec<_>>(),
            "services": self.services(|_| true),
        })
    }

    /// Returns the newest record of each release.
    fn newest_records(&self) -> BTreeMap<(String, String), &Value> {
        let version = |record: &Value| {
            text(&record["metadata"]["labels"]["version"])
                .parse::<i64>()
                .unwrap_or(0)
        };
        let mut newest: BTreeMap<(String, String), &Value> = BTreeMap::new();
        for record in &self.records {
            let key = (
                namespace(record).to_owned(),
                text(&record["metadata"]["labels"]["name"]).to_owned(),
            );
            let kept = newest.entry(key).or_insert(record);
            if version(record) > version(kept) {
                *kept = record;
            }
        }
        newest
    }

    fn workloads<'a>(&'a self, which: impl Fn(&Value) -> bool + 'a) -> Vec<Value> {
        let chosen = self.workloads.iter().filter(|workload| which(workload));
        chosen.map(|workload| self.workload(workload)).collect()
    }

    fn workload(&self, workload: &Value) -> Value {
        let mine = |pod: &&Value| self.owner(pod) == Some(uid(workload));
        let (wanted, ready) = counts(workload);
        json!({
            "kind": workload["kind"],
            "name": workload["metadata"]["name"],
            "namespace": namespace(workload),
            "wanted": wanted,
            "ready": ready,
            "pods": self.pods.iter().filter(mine).map(|pod| self.pod(pod)).collect::<Vec<_>>(),
        })
    }

    /// Returns the uid of the workload that a pod belongs to, through its ReplicaSet.
    fn owner<'a>(&'a self, pod: &'a Value) -> Option<&'a str> {
        let owner = controller(pod)?;
        let through = self.replica_sets.iter().find(|set| uid(set) == owner);
        let owner = through.and_then(controller).unwrap_or(owner);
        self.workloads.iter().map(uid).find(|uid| *uid == owner)
    }

    fn pod(&self, pod: &Value) -> Value {
        let status = &pod["status"];
        let usage = self.usage.get(&full_name(pod));
        let statuses = |list: &str| items(&status[list]).cloned().collect::<Vec<_>>();
        let containers = statuses("containerStatuses");
        let waiting = containers
            .iter()
            .chain(&statuses("initContainerStatuses"))
            .find_map(|container| {
                container["state"]["waiting"]["reason"]
                    .as_str()
                    .map(str::to_owned)
            });
        let phase = if pod["metadata"]["deletionTimestamp"].is_string() {
            "Terminating".to_owned()
        } else {
            waiting.unwrap_or_else(|| text(&status["phase"]).to_owned())
        };
        json!({
            "namespace": namespace(pod),
            "name": pod["metadata"]["name"],
            "phase": phase,
            "reason": pod_reason(pod),
            "ready": containers.iter().filter(|container| container["ready"] == true).count(),
            "containers": items(&pod["spec"]["containers"]).count(),
            "restarts": containers.iter().filter_map(|one| one["restartCount"].as_i64()).sum::<i64>(),
            "containerList": containers.iter().map(|one| container(one, usage)).collect::<Vec<_>>(),
        })
    }

    fn services<'a>(&'a self, which: impl Fn(&Value) -> bool + 'a) -> Vec<Value> {
        let chosen = self.services.iter().filter(|service| which(service));
        chosen
            .map(|service| (service, urls::of_service(service, &self.host)))
            .filter(|(_, urls)| !urls.is_empty())
            .map(|(service, urls)| {
                json!({"name": full_name(service), "urls": urls, "problem": port_problem(service)})
            })
            .collect()
    }

    fn ingresses<'a>(&'a self, which: impl Fn(&Value) -> bool + 'a) -> Vec<Value> {
        let chosen = self.ingresses.iter().filter(|ingress| which(ingress));
        chosen
            .map(|ingress| json!({"name": full_name(ingress), "urls": urls::of_ingress(ingress)}))
            .collect()
    }

    fn claims<'a>(&'a self, which: impl Fn(&Value) -> bool + 'a) -> Vec<Value> {
        let chosen = self.claims.iter().filter(|claim| which(claim));
        chosen
            .map(|claim| {
                json!({"name": full_name(claim), "phase": claim["status"]["phase"],
                    "size": claim["spec"]["resources"]["requests"]["storage"]})
            })
            .collect()
    }
}

/// Returns how many pods a workload should have and how many are ready.
fn counts(workload: &Value) -> (i64, i64) {
    let (spec, status) = (&workload["spec"], &workload["status"]);
    let number = |value: &Value| value.as_i64().unwrap_or(0);
    match text(&workload["kind"]) {
        "DaemonSet" => (
            number(&status["desiredNumberScheduled"]),
            number(&status["numberReady"]),
        ),
        "Job" => (
            spec["completions"].as_i64().unwrap_or(1),
            number(&status["succeeded"]),
        ),
        _ => (
            spec["replicas"].as_i64().unwrap_or(1),
            number(&status["readyReplicas"]),
        ),
    }
}

fn node(node: &Value) -> Value {
    let ready = items(&node["status"]["conditions"])
        .any(|one| one["type"] == "Ready" && one["status"] == "True");
    json!({"name": node["metadata"]["name"], "ready": ready,
        "version": node["status"]["nodeInfo"]["kubeletVersion"]})
}

fn container(status: &Value, usage: Option<&Value>) -> Value {
    let (state, detail) = status["state"]
        .as_object()
        .and_then(|state| state.iter().next())
        .map_or(("unknown", &Value::Null), |(state, detail)| {
            (state.as_str(), detail)
        });
    let used = usage.and_then(|usage| items(usage).find(|one| one["name"] == status["name"]));
    json!({
        "name": status["name"],
        "image": status["image"],
        "state": state,
        "reason": detail["reason"],
        "message": detail["message"],
        "exitCode": detail["exitCode"],
        "ready": status["ready"],
        "restarts": status["restartCount"],
        "lastReason": status["lastState"]["terminated"]["reason"],
        "usage": used.map(|used| used["usage"].clone()),
    })
}

/// Returns which of a Service's ports is not open on the host, and why.
fn port_problem(service: &Value) -> Option<&str> {
    let refused = items(&service["status"]["conditions"])
        .find(|one| one["type"] == "coracle.dev/HostPorts" && one["status"] == "False")?;
    refused["message"].as_str()
}

/// Returns why a pod has no node.
fn pod_reason(pod: &Value) -> Option<String> {
    let refused = items(&pod["status"]["conditions"])
        .find(|one| one["type"] == "PodScheduled" && one["status"] == "False")?;
    Some(text(&refused["message"]).to_owned())
}

/// Returns name and namespace of the release an object belongs to, as Helm marks it.
fn release_of(object: &Value) -> (&str, &str) {
    let annotations = &object["metadata"]["annotations"];
    (
        text(&annotations["meta.helm.sh/release-name"]),
        text(&annotations["meta.helm.sh/release-namespace"]),
    )
}

fn controller(object: &Value) -> Option<&str> {
    let owner =
        items(&object["metadata"]["ownerReferences"]).find(|owner| owner["controller"] == true)?;
    owner["uid"].as_str()
}

fn uid(object: &Value) -> &str {
    text(&object["metadata"]["uid"])
}

fn namespace(object: &Value) -> &str {
    text(&object["metadata"]["namespace"])
}

fn full_name(object: &Value) -> String {
    format!(
        "{}/{}",
        namespace(object),
        text(&object["metadata"]["name"])
    )
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}
