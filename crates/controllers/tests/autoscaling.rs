//! Autoscalers against the real API server and metrics from a table.

mod world;

use serde_json::{Value, json};
use world::World;

const RESOURCE: &str = "/apis/metrics.k8s.io/v1beta1/namespaces/default/pods";

async fn deployment(world: &World, replicas: i32, requests: Value) -> Vec<Value> {
    let object = json!({"metadata": {"name": "web"}, "spec": {
        "replicas": replicas, "selector": {"matchLabels": {"app": "web"}},
        "template": {
            "metadata": {"labels": {"app": "web"}},
            "spec": {"containers": [{"name": "web", "image": "web", "resources": {"requests": requests}}]},
        },
    }});
    world.create("deployments", object).await;
    world
        .until("deployments/web", "ready", |web| {
            web["status"]["readyReplicas"] == replicas
        })
        .await;
    world.until_count(replicas as usize).await
}

fn usage(world: &World, pods: &[Value], cpu: &str, memory: &str) {
    // Measured after the pods have become ready.
    let at = k8s_openapi::jiff::Timestamp::now() + k8s_openapi::jiff::SignedDuration::from_secs(60);
    let items: Vec<Value> = pods
        .iter()
        .map(|pod| {
            json!({
                "metadata": {"name": pod["metadata"]["name"]}, "timestamp": at, "window": "15s",
                "containers": [{"name": "web", "usage": {"cpu": cpu, "memory": memory}}],
            })
        })
        .collect();
    world
        .metrics
        .lock()
        .insert(RESOURCE.into(), json!({"items": items}));
}

async fn autoscaler(world: &World, metrics: Value) {
    let object = json!({"metadata": {"name": "web"}, "spec": {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
        "minReplicas": 1, "maxReplicas": 10, "metrics": metrics,
        "behavior": {"scaleDown": {"stabilizationWindowSeconds": 0}},
    }});
    world.create("horizontalpodautoscalers", object).await;
}

fn utilization(percent: i32) -> Value {
    json!([{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": percent}}}])
}

fn condition<'a>(autoscaler: &'a Value, type_: &str) -> &'a Value {
    let conditions = autoscaler["status"]["conditions"].as_array();
    let found = conditions
        .into_iter()
        .flatten()
        .find(|condition| condition["type"] == type_);
    found.unwrap_or(&Value::Null)
}

#[tokio::test(flavor = "multi_thread")]
async fn load_scales_up() {
    let world = world::running();
    let pods = deployment(&world, 2, json!({"cpu": "100m"})).await;
    usage(&world, &pods, "150m", "10Mi");
    autoscaler(&world, utilization(50)).await;
    world
        .until("deployments/web", "scaled", |web| {
            web["spec"]["replicas"] == 6
        })
        .await;
    let text = "New size: 6; reason: cpu resource utilization (percentage of request) above target";
    world.until_event("SuccessfulRescale", text).await;
    let status = world
        .until("horizontalpodautoscalers/web", "told", |hpa| {
            hpa["status"]["desiredReplicas"] == 6
        })
        .await;
    assert_eq!(
        condition(&status, "AbleToScale")["reason"],
        "SucceededRescale"
    );
    assert_eq!(
        condition(&status, "ScalingActive")["reason"],
        "ValidMetricFound"
    );
    assert_eq!(condition(&status, "ScalingLimited")["status"], "False");
    let current = &status["status"]["currentMetrics"][0]["resource"]["current"];
    assert_eq!(
        current,
        &json!({"averageUtilization": 150, "averageValue": "150m"})
    );
    assert!(status["status"]["lastScaleTime"].is_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn idleness_scales_down_to_the_least() {
    let world = world::running();
    let pods = deployment(&world, 4, json!({"cpu": "100m"})).await;
    usage(&world, &pods, "1m", "10Mi");
    autoscaler(&world, utilization(50)).await;
    world
        .until("deployments/web", "scaled", |web| {
            web["spec"]["replicas"] == 1
        })
        .await;
    world
        .until_event(
            "SuccessfulRescale",
            "New size: 1; reason: All metrics below target",
        )
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn custom_metrics_of_pods_and_objects_scale() {
    let world = world::running();
    let pods = deployment(&world, 2, json!({})).await;
    let items: Vec<Value> = pods
        .iter()
        .map(|pod| {
            json!({
                "describedObject": {"kind": "Pod", "name": pod["metadata"]["name"]},
                "metric": {"name": "in_flight"}, "timestamp": "2026-01-01T00:00:00Z", "value": "30",
            })
        })
        .collect();
    let custom = "/apis/custom.metrics.k8s.io/v1beta2/namespaces/default";
    world.metrics.lock().insert(
        format!("{custom}/pods/*/in_flight"),
        json!({"items": items}),
    );
    let object = json!({"items": [{
        "describedObject": {"kind": "Service", "name": "web"}, "metric": {"name": "queue"},
        "timestamp": "2026-01-01T00:00:00Z", "value": "2500m",
    }]});
    world
        .metrics
        .lock()
        .insert(format!("{custom}/services/web/queue"), object);
    let metrics = json!([
        {"type": "Object", "object": {
            "describedObject": {"apiVersion": "v1", "kind": "Service", "name": "web"},
            "metric": {"name": "queue"}, "target": {"type": "Value", "value": "2"},
        }},
        {"type": "Pods", "pods": {"metric": {"name": "in_flight"}, "target": {"type": "AverageValue", "averageValue": "10"}}},
    ]);
    autoscaler(&world, metrics).await;
    world
        .until("deployments/web", "scaled", |web| {
            web["spec"]["replicas"] == 6
        })
        .await;
    world
        .until_event(
            "SuccessfulRescale",
            "New size: 6; reason: pods metric in_flight above target",
        )
        .await;
    let status = world
        .until("horizontalpodautoscalers/web", "told", |hpa| {
            hpa["status"]["currentMetrics"][1].is_object()
        })
        .await;
    let current = &status["status"]["currentMetrics"];
    assert_eq!(current[0]["object"]["current"]["value"], "2500m");
    assert_eq!(current[1]["pods"]["current"]["averageValue"], "30");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_is_said_in_a_condition() {
    let world = world::running();
    let pods = deployment(&world, 1, json!({"memory": "10Mi"})).await;
    usage(&world, &pods, "150m", "10Mi");
    autoscaler(&world, utilization(50)).await;
    let name = pods[0]["metadata"]["name"].as_str().expect("a name");
    let text = format!(
        "the HPA was unable to compute the replica count: failed to get cpu utilization: missing request for cpu in container web of Pod {name}"
    );
    let status = world
        .until("horizontalpodautoscalers/web", "told", |hpa| {
            condition(hpa, "ScalingActive")["message"] == text
        })
        .await;
    assert_eq!(
        condition(&status, "ScalingActive")["reason"],
        "FailedGetResourceMetric"
    );
    let text = format!(
        "invalid metrics (1 invalid out of 1), first error is: failed to get cpu resource metric value: failed to get cpu utilization: missing request for cpu in container web of Pod {name}"
    );
    world
        .until_event("FailedComputeMetricsReplicas", &text)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_is_not_there_is_said_too() {
    let world = world::running();
    autoscaler(&world, utilization(50)).await;
    let status = world
        .until("horizontalpodautoscalers/web", "told", |hpa| {
            condition(hpa, "AbleToScale")["reason"] == "FailedGetScale"
        })
        .await;
    assert_eq!(
        condition(&status, "AbleToScale")["message"],
        "the HPA controller was unable to get the target's current scale: deployments.apps \"web\" not found"
    );
}
