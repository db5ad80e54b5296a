//! What stands between a request and the store: evictions, quotas, limits,
//! the look at nodes. The words are upstream's (Kubernetes 1.36: `plugin/pkg/admission`,
//! `pkg/registry/core/pod/storage/eviction.go`).

mod common;

use common::{Fixture, fixture};
use futures::StreamExt;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::api::{Api, WatchEvent, WatchParams};
use serde_json::{Value, json};

const PODS: &str = "/api/v1/namespaces/default/pods";
const BUDGETS: &str = "/apis/policy/v1/namespaces/default/poddisruptionbudgets";

async fn with_account() -> Fixture {
    let fixture = fixture();
    let account = json!({"metadata": {"name": "default"}});
    let path = "/api/v1/namespaces/default/serviceaccounts";
    fixture.call("POST", path, Some(account)).await;
    fixture
}

fn pod(name: &str, resources: Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": "a"}},
        "spec": {"containers": [{"name": "c", "image": "i", "resources": resources}]},
    })
}

fn eviction(name: &str) -> Value {
    json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}})
}

fn causes(refusal: &Value) -> Vec<String> {
    let causes = refusal["details"]["causes"].as_array();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    causes
        .into_iter()
        .flatten()
        .map(|cause| format!("{} {}", text(&cause["reason"]), text(&cause["message"])))
        .collect()
}

#[tokio::test]
async fn an_evicted_pod_is_told_so_before_it_goes() {
    let fixture = with_account().await;
    let made = fixture.ok("POST", PODS, Some(pod("p", json!({})))).await;
    let revision = made["metadata"]["resourceVersion"].as_str().unwrap();
    let pods: Api<Pod> = Api::namespaced(fixture.client(), "default");
    let mut events = pods
        .watch(&WatchParams::default(), revision)
        .await
        .unwrap()
        .boxed();
    let path = format!("{PODS}/p/eviction");
    let stale = json!({"preconditions": {"resourceVersion": "1"}});
    let mut refused = eviction("p");
    refused["deleteOptions"] = stale;
    let (status, refusal) = fixture.call("POST", &path, Some(refused)).await;
    assert_eq!(status, 409, "{refusal}");
    assert_eq!(
        refusal["message"],
        format!(
            "Operation cannot be fulfilled on Pod \"p\": the ResourceVersion in the precondition (1) does not match the ResourceVersion in record ({revision}). The object might have been modified"
        )
    );
    let dry = format!("{path}?dryRun=All");
    fixture.ok("POST", &dry, Some(eviction("p"))).await;
    fixture.ok("POST", &path, Some(eviction("p"))).await;
    let Some(Ok(WatchEvent::Modified(marked))) = events.next().await else {
        panic!("no condition was seen")
    };
    let conditions = marked.status.unwrap().conditions.unwrap();
    let target = conditions
        .iter()
        .find(|one| one.type_ == "DisruptionTarget");
    let target = target.expect("the pod is a target");
    assert_eq!(target.reason.as_deref(), Some("EvictionByEvictionAPI"));
    assert_eq!(target.message.as_deref(), Some("Eviction API: evicting"));
}

#[tokio::test]
async fn an_eviction_spends_what_its_budget_allows() {
    let fixture = with_account().await;
    for name in ["p", "q"] {
        fixture.ok("POST", PODS, Some(pod(name, json!({})))).await;
        let ready = json!([{"type": "Ready", "status": "True"}]);
        let status = json!({"status": {"phase": "Running", "conditions": ready}});
        let path = format!("{PODS}/{name}/status");
        fixture.ok("PATCH", &path, Some(status)).await;
    }
    let selector = json!({"matchLabels": {"app": "a"}});
    let budget = |name: &str| json!({"metadata": {"name": name}, "spec": {"minAvailable": 1, "selector": selector}});
    fixture.ok("POST", BUDGETS, Some(budget("b"))).await;
    let counted = json!({"status": {
        "observedGeneration": 1, "disruptionsAllowed": 1, "expectedPods": 2,
        "currentHealthy": 2, "desiredHealthy": 1,
    }});
    let path = format!("{BUDGETS}/b/status");
    fixture.ok("PATCH", &path, Some(counted)).await;
    let evict = |name: &str| (format!("{PODS}/{name}/eviction"), Some(eviction(name)));
    let (path, body) = evict("p");
    fixture.ok("POST", &path, body).await;
    let budget_now = fixture.ok("GET", &format!("{BUDGETS}/b"), None).await;
    let status = &budget_now["status"];
    assert_eq!(status["disruptionsAllowed"], 0);
    assert!(status["disruptedPods"]["p"].is_string());
    assert_eq!(status["conditions"][0]["reason"], "InsufficientPods");
    let (path, body) = evict("q");
    let (code, refusal) = fixture.call("POST", &path, body).await;
    assert_eq!(code, 429);
    assert_eq!(
        causes(&refusal),
        ["DisruptionBudget The disruption budget b does not allow evicting pods currently"]
    );
    fixture.ok("POST", BUDGETS, Some(budget("c"))).await;
    let (path, body) = evict("q");
    let answer = fixture.ok("POST", &path, body).await;
    assert_eq!(
        (&answer["status"], &answer["code"]),
        (&json!("Failure"), &json!(500))
    );
}

#[tokio::test]
async fn a_quota_counts_what_updates_add() {
    let fixture = with_account().await;
    let quotas = "/api/v1/namespaces/default/resourcequotas";
    let hard = json!({"services.nodeports": "1", "services": "5"});
    let quota = json!({"metadata": {"name": "q"}, "spec": {"hard": hard}});
    fixture.ok("POST", quotas, Some(quota)).await;
    let services = "/api/v1/namespaces/default/services";
    let service = |kind: &str, ports: Value| json!({"metadata": {"name": "s"}, "spec": {"type": kind, "ports": ports}});
    let two = json!([{"name": "a", "port": 80}, {"name": "b", "port": 81}]);
    // Nobody has counted yet: the quota limits nothing.
    let made = fixture
        .ok("POST", services, Some(service("ClusterIP", two)))
        .await;
    assert!(made["spec"]["clusterIP"].is_string());
    let counted =
        json!({"status": {"hard": hard, "used": {"services.nodeports": "0", "services": "1"}}});
    let path = format!("{quotas}/q/status");
    fixture.ok("PATCH", &path, Some(counted)).await;
    let to_node_port = json!({"spec": {"type": "NodePort"}});
    let path = format!("{services}/s");
    let (status, refusal) = fixture
        .call("PATCH", &path, Some(to_node_port.clone()))
        .await;
    assert_eq!(status, 403);
    assert_eq!(
        refusal["message"],
        "services \"s\" is forbidden: exceeded quota: q, requested: services.nodeports=2, used: services.nodeports=0, limited: services.nodeports=1"
    );
    let one = json!({"spec": {"ports": [{"name": "a", "port": 80}]}});
    fixture.ok("PATCH", &path, Some(one)).await;
    fixture.ok("PATCH", &path, Some(to_node_port)).await;
    let quota = fixture.ok("GET", &format!("{quotas}/q"), None).await;
    assert_eq!(quota["status"]["used"]["services.nodeports"], "1");
    assert_eq!(quota["status"]["used"]["services"], "1");
}

#[tokio::test]
async fn a_node_has_a_say_about_its_pods() {
    let fixture = with_account().await;
    let zone = "topology.kubernetes.io/zone";
    let node = json!({
        "metadata": {"name": "n", "labels": {zone: "z", "kubernetes.io/os": "linux"}},
        "status": {"allocatable": {"cpu": "2", "memory": "1Gi"}},
    });
    fixture.ok("POST", "/api/v1/nodes", Some(node)).await;
    let asks = json!({"requests": {"cpu": "1"}});
    fixture.ok("POST", PODS, Some(pod("p", asks))).await;
    let binding = json!({"metadata": {"name": "p"}, "target": {"kind": "Node", "name": "n"}});
    let path = format!("{PODS}/p/binding");
    fixture.ok("POST", &path, Some(binding)).await;
    let bound = fixture.ok("GET", &format!("{PODS}/p"), None).await;
    assert_eq!(bound["metadata"]["labels"][zone], "z");
    let mut placed = pod("q", json!({}));
    placed["spec"]["nodeName"] = json!("n");
    let placed = fixture.ok("POST", PODS, Some(placed)).await;
    assert_eq!(placed["metadata"]["labels"][zone], "z");

    let resize = |cpu: &str| {
        let resources = json!({"requests": {"cpu": cpu}});
        Some(json!({"spec": {"containers": [{"name": "c", "image": "i", "resources": resources}]}}))
    };
    let path = format!("{PODS}/p/resize");
    let (status, refusal) = fixture.call("PATCH", &path, resize("3")).await;
    assert_eq!(status, 403);
    assert_eq!(
        refusal["message"],
        "pods \"p\" is forbidden: node didn't have enough allocatable resources: cpu, requested: 3000, allocatable: 2000"
    );
    assert_eq!(causes(&refusal), ["NodeCapacity "]);
    fixture.ok("PATCH", &path, resize("1500m")).await;
}

#[tokio::test]
async fn an_update_keeps_what_was_computed() {
    let fixture = with_account().await;
    fixture.ok("POST", PODS, Some(pod("p", json!({})))).await;
    let path = format!("{PODS}/p");
    let mut live = fixture.ok("GET", &path, None).await;
    live["spec"].as_object_mut().unwrap().remove("priority");
    live["spec"]
        .as_object_mut()
        .unwrap()
        .remove("preemptionPolicy");
    let updated = fixture.ok("PUT", &path, Some(live)).await;
    assert_eq!(updated["spec"]["priority"], 0);
    assert_eq!(updated["spec"]["preemptionPolicy"], "PreemptLowerPriority");
}

#[tokio::test]
async fn a_collection_is_deleted_page_by_page() {
    let fixture = fixture();
    let maps = "/api/v1/namespaces/default/configmaps";
    for name in ["a", "b", "c"] {
        let map = json!({"metadata": {"name": name, "labels": {"app": "x"}}});
        fixture.ok("POST", maps, Some(map)).await;
    }
    let all = format!("{maps}?labelSelector=app%3Dx");
    let page = fixture.ok("DELETE", &format!("{all}&limit=2"), None).await;
    assert_eq!(page["items"].as_array().map(Vec::len), Some(2));
    let token = page["metadata"]["continue"]
        .as_str()
        .expect("there is more");
    let rest = fixture
        .ok("DELETE", &format!("{all}&limit=2&continue={token}"), None)
        .await;
    assert_eq!(rest["items"][0]["metadata"]["name"], "c");
    assert!(rest["metadata"].get("continue").is_none());
    let left = fixture.ok("GET", &all, None).await;
    assert_eq!(left["items"], json!([]));
}

#[tokio::test]
async fn a_watch_from_the_future_waits_for_it() {
    let fixture = fixture();
    let path = "/api/v1/namespaces/default/configmaps";
    let map = |name: &str| Some(json!({"metadata": {"name": name}}));
    let first = fixture.ok("POST", path, map("now")).await;
    let revision: u64 = first["metadata"]["resourceVersion"]
        .as_str()
        .and_then(|text| text.parse().ok())
        .unwrap();
    let maps: Api<ConfigMap> = Api::namespaced(fixture.client(), "default");
    let from = (revision + 1).to_string();
    let mut events = maps
        .watch(&WatchParams::default(), &from)
        .await
        .unwrap()
        .boxed();
    for name in ["passed", "told"] {
        fixture.ok("POST", path, map(name)).await;
    }
    let Some(Ok(WatchEvent::Added(seen))) = events.next().await else {
        panic!("nothing was told")
    };
    assert_eq!(seen.metadata.name.as_deref(), Some("told"));
}
