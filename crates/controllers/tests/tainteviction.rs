//! Pods leave a node with a taint that they do not tolerate, and stay as long
//! as they do.

mod world;

use serde_json::{Value, json};
use world::World;

async fn pod(world: &World, name: &str, tolerations: Value) {
    let spec = json!({
        "nodeName": "one", "tolerations": tolerations,
        "containers": [{"name": "c", "image": "c:1"}],
    });
    let object = json!({"metadata": {"name": name}, "spec": spec});
    world.create("pods", object).await;
}

async fn taint(world: &World, taints: Value) {
    let patch = json!({"spec": {"taints": taints}});
    world.call("PATCH", "/api/v1/nodes/one", Some(patch)).await;
}

async fn event(world: &World, what: &str, name: &str) {
    let message = format!("{what} Pod default/{name}");
    world.until_event("TaintManagerEviction", &message).await;
}

fn tolerated(seconds: Value) -> Value {
    json!([{"key": "x", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": seconds}])
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_stay_as_long_as_they_tolerate_the_taint() {
    let world = world::running();
    let node = json!({"metadata": {"name": "one"}});
    world.call("POST", "/api/v1/nodes", Some(node)).await;
    world
        .until("serviceaccounts/default", "made", Value::is_object)
        .await;
    pod(&world, "guest", json!([])).await;
    pod(&world, "hasty", tolerated(json!(1))).await;
    pod(&world, "patient", tolerated(json!(3600))).await;
    pod(&world, "resident", tolerated(Value::Null)).await;
    world
        .until_pods(&["guest", "hasty", "patient", "resident"])
        .await;
    // Another effect moves nobody.
    taint(
        &world,
        json!([{"key": "x", "value": "y", "effect": "NoSchedule"}]),
    )
    .await;
    taint(
        &world,
        json!([{"key": "x", "value": "y", "effect": "NoExecute"}]),
    )
    .await;
    world.until_pods(&["patient", "resident"]).await;
    event(&world, "Marking for deletion", "guest").await;
    event(&world, "Marking for deletion", "hasty").await;
    let is_told = |pod: &Value| {
        let conditions = pod["status"]["conditions"].as_array();
        conditions.into_iter().flatten().any(|one| {
            one["type"] == "DisruptionTarget"
                && one["reason"] == "DeletionByTaintManager"
                && one["message"] == "Taint manager: deleting due to NoExecute taint"
        })
    };
    world.until("pods/guest", "told why", is_told).await;
    // Who comes later is judged as well.
    pod(&world, "late", json!([])).await;
    event(&world, "Marking for deletion", "late").await;
    taint(&world, json!([])).await;
    event(&world, "Cancelling deletion of", "patient").await;
    pod(&world, "last", json!([])).await;
    world.until_pods(&["last", "patient", "resident"]).await;
}
