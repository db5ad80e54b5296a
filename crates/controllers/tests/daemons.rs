//! Daemons that end are told and made again.

mod world;

use serde_json::{Value, json};
use world::World;

async fn end(world: &World, phase: &str) -> String {
    let pods = world.until_count(1).await;
    world.end(&pods[0], phase).await;
    let name = pods[0]["metadata"]["name"].as_str().expect("a name");
    name.to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_ends_is_told_and_made_again() {
    let world = world::empty();
    let node = json!({"metadata": {"name": "one"}});
    world.call("POST", "/api/v1/nodes", Some(node)).await;
    let ready = json!({"status": {"conditions": [{"type": "Ready", "status": "True"}]}});
    let status = "/api/v1/nodes/one/status";
    world.call("PATCH", status, Some(ready)).await;
    let labels = json!({"app": "d"});
    let set = json!({"metadata": {"name": "d"}, "spec": {
        "selector": {"matchLabels": labels},
        "template": {
            "metadata": {"labels": labels},
            "spec": {"containers": [{"name": "c", "image": "c:1"}]},
        },
    }});
    world.create("daemonsets", set).await;
    for (phase, reason, how, what) in [
        ("Succeeded", "SucceededDaemonPod", "succeeded", "delete"),
        ("Failed", "FailedDaemonPod", "failed", "kill"),
    ] {
        let name = end(&world, phase).await;
        let message =
            format!("Found {how} daemon pod default/{name} on node one, will try to {what} it");
        world.until_event(reason, &message).await;
        world
            .until(&format!("pods/{name}"), "gone", Value::is_null)
            .await;
    }
    // Failed again too soon: it is held back, and goes all the same in the end.
    let name = end(&world, "Failed").await;
    world
        .until(&format!("pods/{name}"), "gone", Value::is_null)
        .await;
    world.until_count(1).await;
}
