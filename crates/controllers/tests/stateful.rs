//! Stateful sets and disruption budgets against the real API server.

mod world;

use serde_json::{Value, json};

fn set(replicas: i32, more: Value) -> Value {
    let mut spec = json!({
        "serviceName": "web", "replicas": replicas, "selector": {"matchLabels": {"app": "web"}},
        "template": {
            "metadata": {"labels": {"app": "web"}},
            "spec": {"containers": [{"name": "web", "image": "web:1"}]},
        },
        "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": {
            "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}},
        }}],
    });
    for (key, value) in more.as_object().expect("a mapping") {
        spec[key.as_str()] = value.clone();
    }
    json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "web"}, "spec": spec})
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_have_names_claims_and_an_order() {
    let world = world::empty();
    world.create("statefulsets", set(2, json!({}))).await;
    let pods = world.until_pods(&["web-0"]).await;
    assert_eq!(pods[0]["spec"]["hostname"], "web-0");
    assert_eq!(pods[0]["spec"]["subdomain"], "web");
    world
        .until(
            "persistentvolumeclaims/data-web-0",
            "made",
            Value::is_object,
        )
        .await;
    // The second waits for the first.
    let ready = json!({"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}});
    world.patch("pods/web-0/status", ready.clone()).await;
    world.until_pods(&["web-0", "web-1"]).await;
    world.patch("pods/web-1/status", ready).await;
    let done = world
        .until("statefulsets/web", "ready", |set| {
            set["status"]["readyReplicas"] == 2
        })
        .await;
    let status = &done["status"];
    assert_eq!(status["availableReplicas"], 2);
    assert_eq!(status["currentRevision"], status["updateRevision"]);
    world
        .until_event(
            "SuccessfulCreate",
            "Create Pod web-1 in StatefulSet web successful",
        )
        .await;
    world
        .until_event(
            "SuccessfulCreate",
            "Create Claim data-web-0 Pod web-0 in StatefulSet web success",
        )
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_replaces_every_pod_and_keeps_its_claim() {
    let world = world::running();
    world.create("statefulsets", set(3, json!({}))).await;
    world.until_pods(&["web-0", "web-1", "web-2"]).await;
    let first = world
        .until("statefulsets/web", "ready", |set| {
            set["status"]["readyReplicas"] == 3
        })
        .await;
    let claim = world
        .until(
            "persistentvolumeclaims/data-web-1",
            "made",
            Value::is_object,
        )
        .await;
    let template = json!({"spec": {"template": {"metadata": {"annotations": {"changed": "yes"}}}}});
    world.patch("statefulsets/web", template).await;
    let second = world
        .until("statefulsets/web", "updated", |set| {
            let status = &set["status"];
            status["updatedReplicas"] == 3
                && status["readyReplicas"] == 3
                && status["currentRevision"] == status["updateRevision"]
                && status["currentRevision"] != first["status"]["currentRevision"]
        })
        .await;
    assert_eq!(second["status"]["currentReplicas"], 3);
    let same = world
        .until(
            "persistentvolumeclaims/data-web-1",
            "there",
            Value::is_object,
        )
        .await;
    assert_eq!(same["metadata"]["uid"], claim["metadata"]["uid"]);
    // Back to the first template: the old revision gets a new number.
    let template = json!({"spec": {"template": {"metadata": {"annotations": null}}}});
    world.patch("statefulsets/web", template).await;
    world
        .until("statefulsets/web", "rolled back", |set| {
            set["status"]["currentRevision"] == first["status"]["currentRevision"]
        })
        .await;
    let history = world
        .until("controllerrevisions", "there", Value::is_object)
        .await;
    let mut numbers: Vec<i64> = history["items"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|one| one["revision"].as_i64())
        .collect();
    numbers.sort_unstable();
    assert_eq!(numbers, [2, 3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_holds_an_update_and_claims_go_as_told() {
    let world = world::running();
    let more = json!({
        "podManagementPolicy": "Parallel",
        "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 1}},
        "persistentVolumeClaimRetentionPolicy": {"whenScaled": "Delete", "whenDeleted": "Retain"},
    });
    world.create("statefulsets", set(2, more)).await;
    world.until_pods(&["web-0", "web-1"]).await;
    world
        .until("statefulsets/web", "ready", |set| {
            set["status"]["readyReplicas"] == 2
        })
        .await;
    let template = json!({"spec": {"template": {"metadata": {"annotations": {"changed": "yes"}}}}});
    world.patch("statefulsets/web", template).await;
    let half = world
        .until("statefulsets/web", "half updated", |set| {
            set["status"]["updatedReplicas"] == 1 && set["status"]["readyReplicas"] == 2
        })
        .await;
    assert_eq!(half["status"]["currentReplicas"], 1);
    // A pod below the partition comes back as it was.
    world.kill("web-0").await;
    let back = world
        .until("pods/web-0", "back", |pod| {
            pod["status"]["phase"] == "Running"
        })
        .await;
    assert_eq!(
        back["metadata"]["labels"]["controller-revision-hash"],
        half["status"]["currentRevision"]
    );
    world
        .patch("statefulsets/web", json!({"spec": {"replicas": 1}}))
        .await;
    world.until_pods(&["web-0"]).await;
    world
        .until("persistentvolumeclaims/data-web-1", "gone", Value::is_null)
        .await;
    world
        .until(
            "persistentvolumeclaims/data-web-0",
            "kept",
            Value::is_object,
        )
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_gets_back_who_it_is() {
    let world = world::running();
    world.create("statefulsets", set(1, json!({}))).await;
    world
        .until("statefulsets/web", "ready", |set| {
            set["status"]["readyReplicas"] == 1
        })
        .await;
    let name = "statefulset.kubernetes.io/pod-name";
    let index = "apps.kubernetes.io/pod-index";
    let labels = json!({"metadata": {"labels": {name: null, index: null}}});
    world.patch("pods/web-0", labels).await;
    let pod = world
        .until("pods/web-0", "itself again", |pod| {
            pod["metadata"]["labels"][name] == "web-0"
        })
        .await;
    assert_eq!(pod["metadata"]["labels"][index], "0");
    let text = "Update Pod web-0 in StatefulSet web successful";
    world.until_event("SuccessfulUpdate", text).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_waits_until_the_claim_of_another_is_gone() {
    let world = world::running();
    // Somebody still holds the claim when the set is made.
    let claim = json!({
        "metadata": {"name": "data-web-0", "finalizers": ["example.com/held"]},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    });
    let old = world.create("persistentvolumeclaims", claim).await;
    world.delete("persistentvolumeclaims/data-web-0").await;
    world.create("statefulsets", set(1, json!({}))).await;
    let text = "Create Pod web-0 in StatefulSet web failed error: pvc data-web-0 is being deleted";
    world.until_event("FailedCreate", text).await;
    let free = json!({"metadata": {"finalizers": null}});
    world.patch("persistentvolumeclaims/data-web-0", free).await;
    world.until_pods(&["web-0"]).await;
    let new = world
        .until(
            "persistentvolumeclaims/data-web-0",
            "made",
            Value::is_object,
        )
        .await;
    assert_ne!(new["metadata"]["uid"], old["metadata"]["uid"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_budget_counts_what_may_go() {
    let world = world::running();
    world.create("statefulsets", set(3, json!({}))).await;
    let budget = json!({"metadata": {"name": "web"}, "spec": {
        "maxUnavailable": 1, "selector": {"matchLabels": {"app": "web"}},
    }});
    world.create("poddisruptionbudgets", budget).await;
    world
        .until("poddisruptionbudgets/web", "computed", |budget| {
            let status = &budget["status"];
            status["disruptionsAllowed"] == 1
                && status["expectedPods"] == 3
                && status["currentHealthy"] == 3
                && status["desiredHealthy"] == 2
                && status["conditions"][0]["reason"] == "SufficientPods"
        })
        .await;
    let eviction =
        json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "web-2"}});
    world.create("pods/web-2/eviction", eviction).await;
    world
        .until("poddisruptionbudgets/web", "whole again", |budget| {
            budget["status"]["disruptionsAllowed"] == 1
                && budget["status"]["disruptedPods"].is_null()
        })
        .await;
}
