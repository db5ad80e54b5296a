//! Jobs against the real API server.

mod world;

use serde_json::{Value, json};

fn job(more: Value) -> Value {
    let mut spec = json!({"template": {"spec": {
        "restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}],
    }}});
    for (key, value) in more.as_object().expect("a mapping") {
        spec[key.as_str()] = value.clone();
    }
    json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "work"}, "spec": spec})
}

fn conditions(job: &Value) -> Vec<&str> {
    let conditions = job["status"]["conditions"].as_array();
    let types = conditions.into_iter().flatten();
    types
        .filter(|condition| condition["status"] == "True")
        .filter_map(|condition| condition["type"].as_str())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_are_made_until_enough_have_succeeded() {
    let world = world::empty();
    world
        .create("jobs", job(json!({"completions": 3, "parallelism": 2})))
        .await;
    let pods = world.until_count(2).await;
    world
        .until("jobs/work", "at work", |job| job["status"]["active"] == 2)
        .await;
    assert_eq!(
        pods[0]["metadata"]["finalizers"],
        json!(["batch.kubernetes.io/job-tracking"])
    );
    for pod in &pods {
        world.end(pod, "Succeeded").await;
    }
    let pods = world.until_count(3).await;
    world
        .until("jobs/work", "further", |job| {
            job["status"]["succeeded"] == 2
        })
        .await;
    for pod in pods
        .iter()
        .filter(|pod| pod["status"]["phase"] == "Pending")
    {
        world.end(pod, "Succeeded").await;
    }
    let done = world
        .until("jobs/work", "complete", |job| {
            conditions(job).contains(&"Complete")
        })
        .await;
    assert_eq!(conditions(&done), ["SuccessCriteriaMet", "Complete"]);
    assert_eq!(done["status"]["succeeded"], 3);
    assert!(done["status"]["completionTime"].is_string());
    assert_eq!(done["status"]["uncountedTerminatedPods"], json!({}));
    for pod in world.until_count(3).await {
        assert!(pod["metadata"]["finalizers"].is_null(), "{pod}");
    }
    world.until_event("Completed", "Job completed").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_failures_end_a_job_and_its_other_pods() {
    let world = world::empty();
    world
        .create(
            "jobs",
            job(json!({"completions": 2, "parallelism": 2, "backoffLimit": 0})),
        )
        .await;
    let pods = world.until_count(2).await;
    world.end(&pods[0], "Failed").await;
    let done = world
        .until("jobs/work", "failed", |job| {
            conditions(job).contains(&"Failed")
        })
        .await;
    assert_eq!(conditions(&done), ["FailureTarget", "Failed"]);
    assert_eq!(
        done["status"]["conditions"][1]["reason"],
        "BackoffLimitExceeded"
    );
    world.until_count(1).await;
    world
        .until_event(
            "BackoffLimitExceeded",
            "Job has reached the specified backoff limit",
        )
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_index_succeeds_once() {
    let world = world::empty();
    let spec = json!({"completions": 2, "parallelism": 2, "completionMode": "Indexed"});
    world.create("jobs", job(spec)).await;
    let pods = world.until_count(2).await;
    let mut indexes: Vec<&str> = pods
        .iter()
        .filter_map(|pod| {
            pod["metadata"]["annotations"]["batch.kubernetes.io/job-completion-index"].as_str()
        })
        .collect();
    indexes.sort_unstable();
    assert_eq!(indexes, ["0", "1"]);
    for pod in &pods {
        world.end(pod, "Succeeded").await;
    }
    let done = world
        .until("jobs/work", "complete", |job| {
            conditions(job).contains(&"Complete")
        })
        .await;
    assert_eq!(done["status"]["completedIndexes"], "0,1");
    assert_eq!(done["status"]["succeeded"], 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_job_has_no_pods_and_a_deleted_one_leaves_none() {
    let world = world::empty();
    world.create("jobs", job(json!({"suspend": true}))).await;
    world
        .until("jobs/work", "suspended", |job| {
            conditions(job) == ["Suspended"]
        })
        .await;
    world
        .patch("jobs/work", json!({"spec": {"suspend": false}}))
        .await;
    world.until_count(1).await;
    world
        .until("jobs/work", "started", |job| {
            job["status"]["startTime"].is_string()
        })
        .await;
    world
        .patch("jobs/work", json!({"spec": {"suspend": true}}))
        .await;
    world.until_count(0).await;
    world
        .patch("jobs/work", json!({"spec": {"suspend": false}}))
        .await;
    world.until_count(1).await;
    let options =
        json!({"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background"});
    let path = "/apis/batch/v1/namespaces/default/jobs/work";
    world.call("DELETE", path, Some(options)).await;
    world
        .until("pods", "empty", |list| {
            list["items"].as_array().is_some_and(Vec::is_empty)
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_has_ended_goes_when_its_time_is_up() {
    let world = world::empty();
    world
        .create("jobs", job(json!({"ttlSecondsAfterFinished": 0})))
        .await;
    let pods = world.until_count(1).await;
    world.end(&pods[0], "Succeeded").await;
    world.until("jobs/work", "gone", Value::is_null).await;
    world.until_count(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cron_job_makes_a_job_when_its_time_comes() {
    let world = world::empty();
    let template = job(json!({}))["spec"].clone();
    let object = json!({"metadata": {"name": "tick"}, "spec": {
        "schedule": "@every 1s", "successfulJobsHistoryLimit": 1, "concurrencyPolicy": "Forbid",
        "jobTemplate": {"spec": template},
    }});
    world.create("cronjobs", object).await;
    let pods = world.until_count(1).await;
    let told = world
        .until("cronjobs/tick", "at work", |tick| {
            tick["status"]["active"].is_array()
        })
        .await;
    assert!(told["status"]["lastScheduleTime"].is_string());
    let owner = &pods[0]["metadata"]["ownerReferences"][0];
    assert!(
        owner["name"]
            .as_str()
            .is_some_and(|name| name.starts_with("tick-")),
        "{owner}"
    );
    world.end(&pods[0], "Succeeded").await;
    world
        .until("cronjobs/tick", "successful", |tick| {
            tick["status"]["lastSuccessfulTime"].is_string()
        })
        .await;
    let name = owner["name"].as_str().expect("it has one");
    let text = format!("Saw completed job: {name}, condition: Complete");
    world.until_event("SawCompletedJob", &text).await;
    // A job that somebody else makes in its name is not one of its own.
    let mut stray = job(json!({}));
    stray["metadata"] = json!({"name": "stray", "ownerReferences": [{
        "apiVersion": "batch/v1", "kind": "CronJob", "name": "tick",
        "uid": told["metadata"]["uid"], "controller": true,
    }]});
    world.create("jobs", stray).await;
    let text = "Saw a job that the controller did not create or forgot: stray";
    world.until_event("UnexpectedJob", text).await;
}

/// Pods that are too many are not counted as failed (upstream: deleteJobPods).
#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_job_has_not_failed() {
    let world = world::empty();
    let spec = json!({"completions": 2, "parallelism": 2, "backoffLimit": 0});
    world.create("jobs", job(spec)).await;
    world.until_count(2).await;
    world
        .patch("jobs/work", json!({"spec": {"suspend": true}}))
        .await;
    world.until_count(0).await;
    let suspended = world
        .until("jobs/work", "suspended", |job| {
            conditions(job) == ["Suspended"] && job["status"]["active"].is_null()
        })
        .await;
    assert!(suspended["status"]["failed"].is_null(), "{suspended:#}");
    assert!(suspended["status"]["startTime"].is_null(), "{suspended:#}");
    world
        .patch("jobs/work", json!({"spec": {"suspend": false}}))
        .await;
    for pod in world.until_count(2).await {
        world.end(&pod, "Succeeded").await;
    }
    let done = world
        .until("jobs/work", "complete", |job| {
            conditions(job).contains(&"Complete")
        })
        .await;
    assert!(done["status"]["failed"].is_null(), "{done:#}");
}

/// A pod that was just made may be missing from the controller's view (upstream:
/// syncJob, satisfiedExpectations).
#[tokio::test(flavor = "multi_thread")]
async fn a_job_neither_ends_nor_forgets_a_pod_that_it_has_not_seen_yet() {
    let world = world::empty();
    world.create("jobs", job(json!({"suspend": true}))).await;
    let is_suspended = |job: &Value| conditions(job) == ["Suspended"];
    world.until("jobs/work", "suspended", is_suspended).await;
    world.pods_told.send_replace(false);
    let change = |spec: Value| world.patch("jobs/work", json!({"spec": spec}));
    change(json!({"suspend": false})).await;
    world.until_count(1).await;
    let is_at_work = |job: &Value| job["status"]["active"] == 1;
    world.until("jobs/work", "at work", is_at_work).await;
    change(json!({"suspend": true})).await;
    let suspended = world.until("jobs/work", "suspended", is_suspended).await;
    assert!(is_at_work(&suspended), "{suspended:#}");
    change(json!({"suspend": false, "activeDeadlineSeconds": 0})).await;
    let ending = world
        .until("jobs/work", "to fail", |job| {
            conditions(job).contains(&"FailureTarget")
        })
        .await;
    assert_eq!(conditions(&ending), ["FailureTarget"]);
    world.pods_told.send_replace(true);
    world.until_count(0).await;
    world
        .until("jobs/work", "failed", |job| {
            conditions(job).contains(&"Failed")
        })
        .await;
}

/// Where only pods that have really failed are replaced, one that never had a
/// node comes to an end as well (upstream: podgc, gcUnscheduledTerminating).
#[tokio::test(flavor = "multi_thread")]
async fn a_pod_without_a_node_that_is_deleted_is_replaced() {
    let world = world::empty();
    let spec = json!({"podReplacementPolicy": "Failed"});
    world.create("jobs", job(spec)).await;
    let pods = world.until_count(1).await;
    let name = pods[0]["metadata"]["name"].as_str().expect("a name");
    world.delete(&format!("pods/{name}")).await;
    world
        .until(&format!("pods/{name}"), "gone", Value::is_null)
        .await;
    world
        .until("jobs/work", "counted", |job| job["status"]["failed"] == 1)
        .await;
}
