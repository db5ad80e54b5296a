//! Defaults of the `batch` group.

use serde_json::Value;

use super::{Object, child, each, pods, text};
use crate::default::{child_or_new, is_absent, value};

/// Defaults of a `Job`.
pub fn job(object: &mut Object) {
    labels_from_template(object);
    let Some(spec) = child_or_new(object, "spec") else {
        return;
    };
    if is_absent(spec, "completions") && is_absent(spec, "parallelism") {
        value(spec, "completions", || 1);
    }
    value(spec, "parallelism", || 1);
    let per_index = !is_absent(spec, "backoffLimitPerIndex");
    // With a limit per index the limit of the whole job is out of the way.
    value(
        spec,
        "backoffLimit",
        || if per_index { i32::MAX } else { 6 },
    );
    value(spec, "completionMode", || "NonIndexed");
    value(spec, "suspend", || false);
    value(spec, "manualSelector", || false);
    let replacement = match is_absent(spec, "podFailurePolicy") {
        true => "TerminatingOrFailed",
        false => "Failed",
    };
    value(spec, "podReplacementPolicy", || replacement);
    failure_policy(spec);
    pods::template(spec, "template");
}

fn labels_from_template(object: &mut Object) {
    let labels = object
        .get("spec")
        .and_then(|spec| spec.pointer("/template/metadata/labels"))
        .filter(|labels| !labels.is_null())
        .cloned();
    let Some(labels) = labels else {
        return;
    };
    if let Some(metadata) = child_or_new(object, "metadata") {
        let has_labels = metadata
            .get("labels")
            .and_then(Value::as_object)
            .is_some_and(|labels| !labels.is_empty());
        if !has_labels {
            metadata.insert("labels".into(), labels);
        }
    }
}

fn failure_policy(spec: &mut Object) {
    let Some(policy) = child(spec, "podFailurePolicy") else {
        return;
    };
    for rule in each(policy, "rules") {
        for pattern in each(rule, "onPodConditions") {
            text(pattern, "status", "True");
        }
    }
}

/// Defaults of a `CronJob`. The job in its template gets the pod's defaults
/// alone; its own come when the job is made.
pub fn cron_job(object: &mut Object) {
    let Some(spec) = child_or_new(object, "spec") else {
        return;
    };
    text(spec, "concurrencyPolicy", "Allow");
    value(spec, "suspend", || false);
    value(spec, "successfulJobsHistoryLimit", || 3);
    value(spec, "failedJobsHistoryLimit", || 1);
    let job = child_or_new(spec, "jobTemplate").and_then(|job| {
        child_or_new(job, "metadata");
        child_or_new(job, "spec")
    });
    if let Some(job) = job {
        failure_policy(job);
        pods::template(job, "template");
    }
}
