//! Rows of workloads: deployments, sets, jobs and their parts.

use jiff::Timestamp;
use serde_json::Value;

use super::{
    age, at, containers, flag, int, labels, length, list, name, number, selector, since, string,
    text, text_or, time,
};

/// Cells of a `PodTemplate`.
pub(super) fn pod_template(object: &Value) -> Vec<Value> {
    let template = &object["template"];
    let [names, images] = containers(&template["spec"]);
    let labels = labels(at(template, "metadata.labels"));
    vec![name(object), names, images, labels.into()]
}

/// Cells of a `ReplicationController`.
pub(super) fn replication_controller(object: &Value, now: Timestamp) -> Vec<Value> {
    replicas(object, labels(at(object, "spec.selector")), now)
}

/// Cells of a `ReplicaSet`.
pub(super) fn replica_set(object: &Value, now: Timestamp) -> Vec<Value> {
    replicas(object, selector(at(object, "spec.selector")), now)
}

fn replicas(object: &Value, selector: String, now: Timestamp) -> Vec<Value> {
    let [names, images] = containers(at(object, "spec.template.spec"));
    vec![
        name(object),
        int(object, "spec.replicas"),
        int(object, "status.replicas"),
        int(object, "status.readyReplicas"),
        age(object, now),
        names,
        images,
        selector.into(),
    ]
}

/// Cells of a `Deployment`.
pub(super) fn deployment(object: &Value, now: Timestamp) -> Vec<Value> {
    let [names, images] = containers(at(object, "spec.template.spec"));
    vec![
        name(object),
        ready(object),
        int(object, "status.updatedReplicas"),
        int(object, "status.availableReplicas"),
        age(object, now),
        names,
        images,
        selector(at(object, "spec.selector")).into(),
    ]
}

/// Cells of a `StatefulSet`.
pub(super) fn stateful_set(object: &Value, now: Timestamp) -> Vec<Value> {
    let [names, images] = containers(at(object, "spec.template.spec"));
    vec![name(object), ready(object), age(object, now), names, images]
}

fn ready(object: &Value) -> Value {
    let ready = number(object, "status.readyReplicas");
    format!("{ready}/{}", number(object, "spec.replicas")).into()
}

/// Cells of a `DaemonSet`.
pub(super) fn daemon_set(object: &Value, now: Timestamp) -> Vec<Value> {
    let spec = at(object, "spec.template.spec");
    let [names, images] = containers(spec);
    vec![
        name(object),
        int(object, "status.desiredNumberScheduled"),
        int(object, "status.currentNumberScheduled"),
        int(object, "status.numberReady"),
        int(object, "status.updatedNumberScheduled"),
        int(object, "status.numberAvailable"),
        labels(&spec["nodeSelector"]).into(),
        age(object, now),
        names,
        images,
        selector(at(object, "spec.selector")).into(),
    ]
}

/// Cells of a `ControllerRevision`.
pub(super) fn controller_revision(object: &Value, now: Timestamp) -> Vec<Value> {
    let owner = list(object, "metadata.ownerReferences")
        .iter()
        .find(|owner| flag(owner, "controller"));
    let controller = owner.map_or("<none>".to_owned(), |owner| {
        let kind = text(owner, "kind").to_lowercase();
        let name = text(owner, "name");
        match text(owner, "apiVersion").split_once('/') {
            Some((group, _)) => format!("{kind}.{group}/{name}"),
            None => format!("{kind}/{name}"),
        }
    });
    vec![
        name(object),
        controller.into(),
        int(object, "revision"),
        age(object, now),
    ]
}

/// Cells of a `Job`.
pub(super) fn job(object: &Value, now: Timestamp) -> Vec<Value> {
    let [names, images] = containers(at(object, "spec.template.spec"));
    vec![
        name(object),
        job_status(object).into(),
        completions(object).into(),
        job_duration(object, now).into(),
        age(object, now),
        names,
        images,
        selector(at(object, "spec.selector")).into(),
    ]
}

fn job_status(object: &Value) -> &'static str {
    let has = |kind: &str| {
        list(object, "status.conditions")
            .iter()
            .any(|condition| condition["type"] == kind && condition["status"] == "True")
    };
    if has("Complete") {
        "Complete"
    } else if has("Failed") {
        "Failed"
    } else if !at(object, "metadata.deletionTimestamp").is_null() {
        "Terminating"
    } else if has("Suspended") {
        "Suspended"
    } else if has("FailureTarget") {
        "FailureTarget"
    } else if has("SuccessCriteriaMet") {
        "SuccessCriteriaMet"
    } else {
        "Running"
    }
}

fn completions(object: &Value) -> String {
    let succeeded = number(object, "status.succeeded");
    let parallelism = number(object, "spec.parallelism");
    match at(object, "spec.completions").as_i64() {
        Some(wanted) => format!("{succeeded}/{wanted}"),
        None if parallelism > 1 => format!("{succeeded}/1 of {parallelism}"),
        None => format!("{succeeded}/1"),
    }
}

fn job_duration(object: &Value, now: Timestamp) -> String {
    let when = |path: &str| time::read(text(object, path));
    match (when("status.startTime"), when("status.completionTime")) {
        (Some(start), end) => time::human(end.unwrap_or(now).duration_since(start)),
        (None, _) => String::new(),
    }
}

/// Cells of a `CronJob`.
pub(super) fn cron_job(object: &Value, now: Timestamp) -> Vec<Value> {
    let job = at(object, "spec.jobTemplate.spec");
    let [names, images] = containers(at(job, "template.spec"));
    let last = match at(object, "status.lastScheduleTime") {
        Value::Null => "<none>".to_owned(),
        time => since(Some(time), now),
    };
    let suspend = match at(object, "spec.suspend").as_bool() {
        None => "<unset>",
        Some(true) => "True",
        Some(false) => "False",
    };
    vec![
        name(object),
        string(object, "spec.schedule"),
        text_or(object, "spec.timeZone", "<none>").into(),
        suspend.into(),
        length(object, "status.active").into(),
        last.into(),
        age(object, now),
        names,
        images,
        selector(&job["selector"]).into(),
    ]
}
