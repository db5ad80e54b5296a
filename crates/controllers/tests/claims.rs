//! Whose a pod is: labels decide, and owners follow them.

mod world;

use serde_json::{Value, json};
use world::World;

fn template() -> Value {
    json!({
        "metadata": {"labels": {"app": "web"}},
        "spec": {"containers": [{"name": "web", "image": "web:1"}]},
    })
}

async fn relabel(world: &World, pod: &str, app: Value) {
    let patch = json!({"metadata": {"labels": {"app": app}}});
    world.patch(&format!("pods/{pod}"), patch).await;
}

fn name(object: &Value) -> String {
    let name = object["metadata"]["name"].as_str();
    name.expect("a name").to_owned()
}

async fn set(world: &World) -> Vec<Value> {
    let spec = json!({
        "replicas": 2, "selector": {"matchLabels": {"app": "web"}}, "template": template(),
    });
    let set = json!({"metadata": {"name": "web"}, "spec": spec});
    world.create("replicasets", set).await;
    world
        .until("replicasets/web", "ready", |set| {
            set["status"]["readyReplicas"] == 2
        })
        .await;
    world.until_count(2).await
}

/// The usual way to take a pod out of service and look at it.
#[tokio::test(flavor = "multi_thread")]
async fn a_pod_that_is_no_longer_selected_is_let_go_and_replaced() {
    let world = world::running();
    let pod = name(&set(&world).await[0]);
    relabel(&world, &pod, json!("aside")).await;
    world.until_count(3).await;
    let aside = world
        .until(&format!("pods/{pod}"), "free", |pod| {
            pod["metadata"]["ownerReferences"].is_null()
        })
        .await;
    assert!(aside["metadata"]["deletionTimestamp"].is_null());
    // Back in line it is one too many.
    relabel(&world, &pod, json!("web")).await;
    let left = world.until_count(2).await;
    assert!(
        left.iter()
            .all(|pod| pod["metadata"]["ownerReferences"][0]["name"] == "web")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_that_lost_its_reference_makes_another_pod_or_takes_it_back() {
    let world = world::running();
    let pod = name(&set(&world).await[0]);
    let patch = json!({"metadata": {"ownerReferences": null, "labels": {"app": "aside"}}});
    world.patch(&format!("pods/{pod}"), patch).await;
    world.until_count(3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_forgets_a_pod_that_it_no_longer_selects() {
    let world = world::running();
    let pod = name(&set(&world).await[0]);
    let status = json!({"status": {"podIP": "10.244.0.20", "podIPs": [{"ip": "10.244.0.20"}]}});
    world.patch(&format!("pods/{pod}/status"), status).await;
    let spec = json!({"selector": {"app": "web"}, "ports": [{"port": 80}]});
    world
        .create(
            "services",
            json!({"metadata": {"name": "web"}, "spec": spec}),
        )
        .await;
    let endpoints = |count: usize| {
        let path = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices";
        world.until_at(path, "of this many endpoints", move |list| {
            let addresses = list["items"][0]["endpoints"].as_array();
            list["items"].as_array().is_some_and(|all| all.len() == 1)
                && addresses.map_or(0, Vec::len) == count
        })
    };
    endpoints(1).await;
    relabel(&world, &pod, json!("aside")).await;
    endpoints(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_set_that_is_no_longer_selected_leaves_its_deployment() {
    let world = world::running();
    let spec = json!({
        "replicas": 1, "selector": {"matchLabels": {"app": "web"}}, "template": template(),
    });
    world
        .create(
            "deployments",
            json!({"metadata": {"name": "web"}, "spec": spec}),
        )
        .await;
    world.until_count(1).await;
    let sets = world.until("replicasets", "there", Value::is_object).await;
    let first = name(&sets["items"][0]);
    let patch = json!({"metadata": {"labels": {"app": "aside"}}});
    world.patch(&format!("replicasets/{first}"), patch).await;
    world
        .until(&format!("replicasets/{first}"), "free", |set| {
            set["metadata"]["ownerReferences"].is_null()
        })
        .await;
}
