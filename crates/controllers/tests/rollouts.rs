//! Deployments and garbage collection against the real API server.

mod world;

use serde_json::{Value, json};
use world::World;

async fn deployment(world: &World, more: Value) {
    let mut spec = json!({
        "replicas": 2, "selector": {"matchLabels": {"app": "web"}},
        "template": {
            "metadata": {"labels": {"app": "web"}},
            "spec": {"containers": [{"name": "web", "image": "web:1"}]},
        },
    });
    for (key, value) in more.as_object().expect("a mapping") {
        spec[key.as_str()] = value.clone();
    }
    let object = json!({"metadata": {"name": "web"}, "spec": spec});
    world.create("deployments", object).await;
}

async fn set_image(world: &World, image: &str) {
    let containers = json!([{"name": "web", "image": image}]);
    let patch = json!({"spec": {"template": {"spec": {"containers": containers}}}});
    world.patch("deployments/web", patch).await;
}

/// Returns the reason of the condition `Progressing`.
fn progress(web: &Value) -> &str {
    let conditions = web["status"]["conditions"].as_array();
    let found = conditions
        .into_iter()
        .flatten()
        .find(|condition| condition["type"] == "Progressing");
    found.and_then(|one| one["reason"].as_str()).unwrap_or("")
}

fn is_rolled(revision: &'static str) -> impl Fn(&Value) -> bool {
    move |web| {
        let status = &web["status"];
        web["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == revision
            && status["observedGeneration"] == web["metadata"]["generation"]
            && status["updatedReplicas"] == 2
            && status["availableReplicas"] == 2
            && status["replicas"] == 2
            && progress(web) == "NewReplicaSetAvailable"
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_template_that_comes_back_gets_a_new_number() {
    let world = world::running();
    deployment(&world, json!({})).await;
    let first = world
        .until("deployments/web", "rolled out", is_rolled("1"))
        .await;
    assert_eq!(first["metadata"]["generation"], 1);
    set_image(&world, "web:2").await;
    let second = world
        .until("deployments/web", "rolled out", is_rolled("2"))
        .await;
    assert_eq!(second["metadata"]["generation"], 2);
    set_image(&world, "web:1").await;
    world
        .until("deployments/web", "rolled back", is_rolled("3"))
        .await;
    let sets = world.until("replicasets", "there", Value::is_object).await;
    let mut revisions: Vec<(&str, &str)> = sets["items"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|set| {
            let annotations = &set["metadata"]["annotations"];
            let text = |name: &str| annotations[name].as_str().unwrap_or("");
            (
                text("deployment.kubernetes.io/revision"),
                text("deployment.kubernetes.io/revision-history"),
            )
        })
        .collect();
    revisions.sort_unstable();
    assert_eq!(revisions, [("2", ""), ("3", "1")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_deployment_scales_but_does_not_roll() {
    let world = world::running();
    deployment(&world, json!({})).await;
    world
        .until("deployments/web", "rolled out", is_rolled("1"))
        .await;
    world
        .patch("deployments/web", json!({"spec": {"paused": true}}))
        .await;
    set_image(&world, "web:2").await;
    world
        .patch("deployments/web", json!({"spec": {"replicas": 3}}))
        .await;
    let paused = world
        .until("deployments/web", "scaled", |web| {
            web["status"]["availableReplicas"] == 3 && progress(web) == "DeploymentPaused"
        })
        .await;
    assert!(paused["status"]["updatedReplicas"].is_null(), "{paused:#}");
    let patch = json!({"spec": {"paused": null, "replicas": 2}});
    world.patch("deployments/web", patch).await;
    world
        .until("deployments/web", "rolled out", is_rolled("2"))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollout_that_does_not_move_says_so() {
    let world = world::empty();
    deployment(&world, json!({"progressDeadlineSeconds": 1})).await;
    let late = world
        .until("deployments/web", "late", |web| {
            progress(web) == "ProgressDeadlineExceeded"
        })
        .await;
    assert_eq!(late["status"]["unavailableReplicas"], 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn recreate_leaves_no_old_pod_beside_a_new_one() {
    let world = world::running();
    deployment(&world, json!({"strategy": {"type": "Recreate"}})).await;
    world
        .until("deployments/web", "rolled out", is_rolled("1"))
        .await;
    set_image(&world, "web:2").await;
    world
        .until("deployments/web", "rolled out", is_rolled("2"))
        .await;
    for pod in world.until_count(2).await {
        assert_eq!(pod["spec"]["containers"][0]["image"], "web:2");
    }
}

async fn define(world: &World) {
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "things.example.test"},
        "spec": {
            "group": "example.test", "scope": "Namespaced",
            "names": {"plural": "things", "singular": "thing", "kind": "Thing"},
            "versions": [{"name": "v1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": {"type": "object"}}}],
        },
    });
    let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    world.call("POST", path, Some(definition)).await;
    for _ in 0..15_000 {
        if world.try_call("GET", THINGS, None).await.is_ok() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("the custom resource is not served");
}

const THINGS: &str = "/apis/example.test/v1/namespaces/default/things";

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_of_a_kind_that_comes_later_and_is_not_there_takes_its_own_along() {
    let world = world::empty();
    let owner = json!([{
        "apiVersion": "example.test/v1", "kind": "Thing", "name": "one",
        "uid": "11111111-2222-3333-4444-555555555555",
    }]);
    let child = json!({"metadata": {"name": "child", "ownerReferences": owner}});
    world.create("configmaps", child).await;
    define(&world).await;
    world
        .until("configmaps/child", "gone", Value::is_null)
        .await;
}

/// Custom resources own and are owned like all others, from the moment they are defined.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_custom_resource_owns_goes_with_it() {
    let world = world::empty();
    define(&world).await;
    let thing =
        json!({"apiVersion": "example.test/v1", "kind": "Thing", "metadata": {"name": "one"}});
    let thing = world.call("POST", THINGS, Some(thing)).await;
    let owner = json!([{
        "apiVersion": "example.test/v1", "kind": "Thing", "name": "one",
        "uid": thing["metadata"]["uid"], "controller": true,
    }]);
    let child = json!({"metadata": {"name": "child", "ownerReferences": owner}});
    let child = world.create("configmaps", child).await;
    let owner = json!([{
        "apiVersion": "v1", "kind": "ConfigMap", "name": "child", "uid": child["metadata"]["uid"],
    }]);
    let grandchild = json!({
        "apiVersion": "example.test/v1", "kind": "Thing",
        "metadata": {"name": "two", "ownerReferences": owner},
    });
    world.call("POST", THINGS, Some(grandchild)).await;
    world.call("DELETE", &format!("{THINGS}/one"), None).await;
    world
        .until("configmaps/child", "gone", Value::is_null)
        .await;
    world
        .until_at(THINGS, "empty", |left| {
            left["items"].as_array().is_some_and(Vec::is_empty)
        })
        .await;
}

/// What a controller expects of its cache is expected for that owner alone, and
/// only until it was told (upstream: controller_utils.go, expectations).
#[tokio::test(flavor = "multi_thread")]
async fn nobody_waits_for_a_pod_that_has_come_and_gone() {
    let world = world::empty();
    let labels = json!({"app": "web"});
    let set = |replicas: i32| {
        json!({"metadata": {"name": "web"}, "spec": {
            "replicas": replicas, "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [{"name": "web", "image": "web:1"}]},
            },
        }})
    };
    world.create("replicasets", set(1)).await;
    let is_counted = |set: &Value| set["status"]["replicas"] == 1;
    world.until("replicasets/web", "seen", is_counted).await;
    let scale = |count: i32| world.patch("replicasets/web", json!({"spec": {"replicas": count}}));
    world.pods_told.send_replace(false);
    scale(5).await;
    for pod in world.until_count(5).await {
        world
            .kill(pod["metadata"]["name"].as_str().expect("a name"))
            .await;
    }
    world.pods_told.send_replace(true);
    world.until_count(5).await;
    world.pods_told.send_replace(false);
    scale(6).await;
    world.until_count(6).await;
    world.delete("replicasets/web").await;
    let another = world.create("replicasets", set(1)).await;
    world
        .until("pods", "made for the other set", |list| {
            let mut pods = list["items"].as_array().expect("a list").iter();
            pods.any(|pod| {
                pod["metadata"]["ownerReferences"][0]["uid"] == another["metadata"]["uid"]
            })
        })
        .await;
}
