//! A Service without a selector leads where its Endpoints say.

mod world;

use serde_json::{Value, json};
use world::World;

async fn slices(world: &World, what: &str, test: impl Fn(&[Value]) -> bool) -> Vec<Value> {
    let path = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices";
    let items = |list: &Value| list["items"].as_array().cloned().unwrap_or_default();
    let list = world.until_at(path, what, |list| test(&items(list))).await;
    items(&list)
}

fn addresses(slices: &[Value]) -> Vec<&str> {
    let endpoints = slices
        .iter()
        .flat_map(|slice| slice["endpoints"].as_array());
    let all = endpoints.flatten();
    all.filter_map(|one| one["addresses"][0].as_str()).collect()
}

fn manager(slice: &Value) -> &Value {
    &slice["metadata"]["labels"]["endpointslice.kubernetes.io/managed-by"]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_outside_is_reached_by_its_endpoints() {
    let world = world::running();
    let spec = json!({"ports": [{"port": 5432}]});
    let service = json!({"metadata": {"name": "db"}, "spec": spec});
    world.create("services", service).await;
    let at = |ip: &str| json!([{"addresses": [{"ip": ip}], "ports": [{"port": 5432}]}]);
    let endpoints = json!({"metadata": {"name": "db"}, "subsets": at("192.0.2.7")});
    world.create("endpoints", endpoints).await;
    let found = slices(&world, "mirrored", |all| addresses(all) == ["192.0.2.7"]).await;
    assert_eq!(
        manager(&found[0]),
        "endpointslicemirroring-controller.k8s.io"
    );
    assert_eq!(found[0]["ports"][0]["port"], 5432);
    world
        .patch("endpoints/db", json!({"subsets": at("192.0.2.8")}))
        .await;
    slices(&world, "changed", |all| addresses(all) == ["192.0.2.8"]).await;
    // With a selector the pods are asked instead.
    world
        .patch("services/db", json!({"spec": {"selector": {"app": "db"}}}))
        .await;
    slices(&world, "of pods", |all| {
        let of_pods = |slice: &Value| manager(slice) == "endpointslice-controller.k8s.io";
        all.len() == 1 && of_pods(&all[0])
    })
    .await;
}
