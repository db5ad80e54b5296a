//! Quotas and namespaces: what is counted, what is refused, what goes.

mod world;

use serde_json::{Value, json};
use world::World;

fn pod(name: &str) -> Value {
    json!({"metadata": {"name": name}, "spec": {
        "automountServiceAccountToken": false,
        "containers": [{"name": "c", "image": "i", "resources": {"requests": {"cpu": "200m"}}}],
    }})
}

async fn used(world: &World, expected: &Value) {
    let test = |quota: &Value| quota["status"]["used"] == *expected;
    world
        .until("resourcequotas/small", &expected.to_string(), test)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quota_counts_refuses_and_is_given_back() {
    let world = world::empty();
    // One Service, `kubernetes`, is in every cluster.
    let hard = json!({"pods": "2", "requests.cpu": "1", "count/secrets": "5", "services": "2"});
    let quota = json!({"metadata": {"name": "small"}, "spec": {"hard": hard}});
    world
        .until("serviceaccounts/default", "made", Value::is_object)
        .await;
    // There before the quota is.
    world.create("pods", pod("early")).await;
    world.create("resourcequotas", quota).await;
    let counts = |pods: &str, cpu: &str, services: &str| json!({"count/secrets": "0", "pods": pods, "requests.cpu": cpu, "services": services});
    used(&world, &counts("1", "200m", "1")).await;
    world.create("pods", pod("second")).await;
    let refused = world
        .try_call(
            "POST",
            "/api/v1/namespaces/default/pods",
            Some(pod("third")),
        )
        .await
        .expect_err("the quota is used up")
        .to_string();
    let words = "exceeded quota: small, requested: pods=1, used: pods=2, limited: pods=2";
    assert!(refused.contains(words), "{refused}");
    let service = json!({"metadata": {"name": "s"}, "spec": {"ports": [{"port": 80}]}});
    world.create("services", service).await;
    used(&world, &counts("2", "400m", "2")).await;
    world.delete("pods/early").await;
    world.delete("services/s").await;
    used(&world, &counts("1", "200m", "1")).await;
    world.create("pods", pod("third")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_that_ends_says_what_it_waits_for() {
    let world = world::empty();
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "team"}});
    world
        .call("POST", "/api/v1/namespaces", Some(namespace))
        .await;
    let held = json!({"metadata": {"name": "held", "finalizers": ["example.com/hold"]}});
    let collection = "/api/v1/namespaces/team/configmaps";
    world.call("POST", collection, Some(held)).await;
    world.call("DELETE", "/api/v1/namespaces/team", None).await;
    let message = |namespace: &Value, type_: &str| {
        let conditions = namespace["status"]["conditions"].as_array();
        conditions
            .into_iter()
            .flatten()
            .find(|condition| condition["type"] == type_ && condition["status"] == "True")
            .and_then(|condition| condition["message"].as_str().map(str::to_owned))
    };
    world
        .until_at("/api/v1/namespaces/team", "explained", |namespace| {
            message(namespace, "NamespaceContentRemaining").as_deref()
                == Some("Some resources are remaining: configmaps. has 1 resource instances")
                && message(namespace, "NamespaceFinalizersRemaining").as_deref()
                    == Some("Some content in the namespace has finalizers remaining: example.com/hold in 1 resource instances")
        })
        .await;
    let free = json!({"metadata": {"finalizers": null}});
    let path = format!("{collection}/held");
    world.call("PATCH", &path, Some(free)).await;
    world
        .until_at("/api/v1/namespaces/team", "gone", Value::is_null)
        .await;
}

/// Upstream: pkg/controller/endpointslice/endpointslice_controller.go, syncService.
#[tokio::test(flavor = "multi_thread")]
async fn a_service_says_why_it_has_no_endpoints() {
    let world = world::empty();
    let quota = json!({"metadata": {"name": "small"}, "spec": {
        "hard": {"count/endpointslices.discovery.k8s.io": "0"},
    }});
    world.create("resourcequotas", quota).await;
    world
        .until("resourcequotas/small", "counted", |quota| {
            quota["status"]["used"].is_object()
        })
        .await;
    let service = json!({"metadata": {"name": "s"}, "spec": {
        "selector": {"app": "s"}, "ports": [{"port": 80}],
    }});
    world.create("services", service).await;
    let told = world
        .until("events", "told", |list| find(list).is_some())
        .await;
    let event = find(&told).expect("it was found");
    let text = event["message"].as_str().expect("a message");
    let start = "Error updating Endpoint Slices for Service default/s: failed to create \
                 EndpointSlice for Service default/s: endpointslices.discovery.k8s.io \"s-";
    assert!(text.starts_with(start), "{text}");
    let end = "is forbidden: exceeded quota: small, requested: \
               count/endpointslices.discovery.k8s.io=1, used: \
               count/endpointslices.discovery.k8s.io=0, limited: \
               count/endpointslices.discovery.k8s.io=0";
    assert!(text.ends_with(end), "{text}");
    assert_eq!(event["involvedObject"]["kind"], "Service");
    assert_eq!(event["type"], "Warning");
}

fn find(events: &Value) -> Option<&Value> {
    let mut events = events["items"].as_array()?.iter();
    events.find(|event| event["reason"] == "FailedToUpdateEndpointSlices")
}
