//! What names an owner that is not where it says goes, and is told why.

mod world;

use serde_json::{Value, json};

fn owned_by(name: &str, owner: &Value) -> Value {
    let owner = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "name": owner["metadata"]["name"], "uid": owner["metadata"]["uid"],
    });
    json!({"metadata": {"name": name, "ownerReferences": [owner]}})
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_in_another_namespace_is_none() {
    let world = world::empty();
    let far = json!({"metadata": {"name": "far"}});
    world.call("POST", "/api/v1/namespaces", Some(far)).await;
    let maps = "/api/v1/namespaces/far/configmaps";
    let owner = json!({"metadata": {"name": "owner"}});
    let owner = world.call("POST", maps, Some(owner)).await;
    let near = owned_by("near", &owner);
    world.call("POST", maps, Some(near)).await;
    world.create("configmaps", owned_by("lost", &owner)).await;
    // Where a namespaced owner of a cluster-wide object is nobody knows.
    let mut volume = owned_by("volume", &owner);
    volume["spec"] = json!({
        "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"],
        "hostPath": {"path": "/tmp/volume"},
    });
    let volumes = "/api/v1/persistentvolumes";
    world.call("POST", volumes, Some(volume)).await;
    let uid = owner["metadata"]["uid"].as_str().expect("a uid");
    world
        .until_event(
            "OwnerRefInvalidNamespace",
            &format!("ownerRef [v1/ConfigMap, namespace: default, name: owner, uid: {uid}] does not exist in namespace \"default\""),
        )
        .await;
    world.until("configmaps/lost", "gone", Value::is_null).await;
    world.call("GET", &format!("{maps}/near"), None).await;
    world.call("GET", &format!("{volumes}/volume"), None).await;
}
