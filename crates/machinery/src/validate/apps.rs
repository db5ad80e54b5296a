//! Deployments, sets, controllers and disruption budgets.

use serde_json::Value;

use super::{At, Bad, Causes, go_json, labels, names, pod, resources, storage};

/// A `Deployment`.
pub(super) fn deployment(object: &At<'_>, causes: &mut Causes) {
    let spec = object.field("spec");
    causes.not_negative(&spec.field("replicas"));
    let readable = selector(&spec, "deployment", "invalid label selector", causes);
    replica_template(&spec, "ReplicaSet", readable, causes);
    strategy(&spec.field("strategy"), causes);
    causes.not_negative(&spec.field("minReadySeconds"));
    causes.not_negative(&spec.field("revisionHistoryLimit"));
    let deadline = spec.field("progressDeadlineSeconds");
    causes.not_negative(&deadline);
    let ready = spec.field("minReadySeconds").int().unwrap_or(0);
    if let Some(seconds) = deadline.int().filter(|seconds| *seconds <= ready) {
        causes.invalid(
            &deadline.path,
            seconds,
            "must be greater than minReadySeconds",
        );
    }
}

/// Judges `spec.selector`; returns whether it can be evaluated.
fn selector(spec: &At<'_>, kind: &str, unreadable: &str, causes: &mut Causes) -> bool {
    let selector = spec.field("selector");
    if !selector.is_set() {
        causes.required(&selector.path, "");
        return true;
    }
    labels::selector(&selector, causes);
    if labels::is_empty(&selector) {
        let detail = format!("empty selector is invalid for {kind}");
        causes.invalid(&selector.path, selector.value, &detail);
    }
    let readable = labels::is_readable(&selector);
    if !readable {
        causes.invalid(&selector.path, selector.value, unreadable);
    }
    readable
}

/// The template of pods that run until deleted.
fn replica_template(spec: &At<'_>, owner: &str, readable: bool, causes: &mut Causes) {
    if !readable {
        return;
    }
    let template = spec.field("template");
    let selector = spec.field("selector");
    if !selector.is_set() {
        not_selected(&template, causes);
    } else if !labels::is_empty(&selector) {
        matches_template(&selector, &template, causes);
    }
    if owner == "StatefulSet" {
        // Upstream looks at these twice.
        pod::template_labels(&template, causes);
        let with_claims = with_claims(spec.value);
        let template = At {
            value: &with_claims,
            path: template.path,
        };
        pod::template(&template, causes);
        long_running(&template, owner, causes);
        return;
    }
    pod::template(&template, causes);
    long_running(&template, owner, causes);
}

/// The template of a `StatefulSet` as its pods will be: each claim template is
/// a volume of its name.
fn with_claims(spec: &Value) -> Value {
    let mut template = spec["template"].clone();
    let claims = spec["volumeClaimTemplates"].as_array();
    let names: Vec<&str> = claims
        .into_iter()
        .flatten()
        .filter_map(|claim| claim["metadata"]["name"].as_str())
        .collect();
    if names.is_empty() || !template["spec"].is_object() {
        return template;
    }
    let volumes = &mut template["spec"]["volumes"];
    if !volumes.is_array() {
        *volumes = Value::Array(Vec::new());
    }
    if let Some(volumes) = volumes.as_array_mut() {
        for name in names {
            volumes.retain(|volume| volume["name"] != name);
            let claim = serde_json::json!({"claimName": name});
            volumes.push(serde_json::json!({"name": name, "persistentVolumeClaim": claim}));
        }
    }
    template
}

/// The selector selects the template's labels.
pub(super) fn matches_template(selector: &At<'_>, template: &At<'_>, causes: &mut Causes) {
    let metadata = template.field("metadata");
    if !labels::selects(selector, &metadata.field("labels")) {
        not_selected(template, causes);
    }
}

/// The template's labels are not those that are selected; an absent selector
/// selects nothing.
pub(super) fn not_selected(template: &At<'_>, causes: &mut Causes) {
    let metadata = template.field("metadata");
    let given = metadata.field("labels");
    let detail = "`selector` does not match template `labels`";
    causes.invalid(&given.path, given.value, detail);
}

fn long_running(template: &At<'_>, owner: &str, causes: &mut Causes) {
    let spec = template.field("spec");
    let restart = spec.field("restartPolicy");
    if restart.text() != "Always" {
        causes.not_supported(&restart.path, restart.text(), &["Always"]);
    }
    let deadline = spec.field("activeDeadlineSeconds");
    if deadline.is_set() {
        let detail = format!("activeDeadlineSeconds in {owner} is not Supported");
        causes.forbidden(&deadline.path, &detail);
    }
}

fn strategy(strategy: &At<'_>, causes: &mut Causes) {
    let rolling = strategy.field("rollingUpdate");
    match strategy.field("type").text() {
        "Recreate" if rolling.is_set() => causes.forbidden(
            &rolling.path,
            "may not be specified when strategy `type` is 'Recreate'",
        ),
        "Recreate" => {}
        "RollingUpdate" if !rolling.is_set() => {
            causes.required(&rolling.path, "this should be defaulted and never be nil");
        }
        "RollingUpdate" => {
            let (unavailable, surge) = (rolling.field("maxUnavailable"), rolling.field("maxSurge"));
            resources::count_or_percent(&unavailable, causes);
            resources::count_or_percent(&surge, causes);
            if is_zero(&unavailable) && is_zero(&surge) {
                let detail = "may not be 0 when `maxSurge` is 0";
                causes.invalid(&unavailable.path, unavailable.value, detail);
            }
            resources::not_over_hundred(&unavailable, causes);
        }
        _ => {
            let known = ["Recreate", "RollingUpdate"];
            causes.not_supported(&strategy.path, strategy_shown(strategy), &known);
        }
    }
}

/// A strategy as upstream's internal type prints it.
fn strategy_shown(strategy: &At<'_>) -> Bad {
    Bad::raw(format!(
        "{{\"Type\":{},\"RollingUpdate\":{}}}",
        strategy.value["type"],
        go_json(&strategy.value["rollingUpdate"])
    ))
}

fn is_zero(at: &At<'_>) -> bool {
    match at.value {
        Value::String(_) => resources::percent(at.value).unwrap_or(0) == 0,
        value => value.as_i64().unwrap_or(0) == 0,
    }
}

/// A `ReplicaSet`.
pub(super) fn replica_set(object: &At<'_>, causes: &mut Causes) {
    let spec = object.field("spec");
    causes.not_negative(&spec.field("replicas"));
    causes.not_negative(&spec.field("minReadySeconds"));
    let readable = selector(&spec, "deployment", "invalid label selector", causes);
    replica_template(&spec, "ReplicaSet", readable, causes);
}

/// A `ReplicationController`.
pub(super) fn replication_controller(object: &At<'_>, causes: &mut Causes) {
    let spec = object.field("spec");
    causes.not_negative(&spec.field("minReadySeconds"));
    let selector = spec.field("selector");
    if selector.is_empty() {
        causes.required(&selector.path, "");
    }
    causes.not_negative(&spec.field("replicas"));
    let template = spec.field("template");
    if !template.is_set() {
        causes.required(&template.path, "");
        return;
    }
    let metadata = template.field("metadata");
    let given = metadata.field("labels");
    let selected = selector
        .entries()
        .all(|(key, value)| given.value.get(key) == Some(value));
    if !selected {
        let detail = "`selector` does not match template `labels`";
        causes.invalid(&given.path, given.value, detail);
    }
    pod::template(&template, causes);
    long_running(&template, "ReplicationController", causes);
}

/// A `StatefulSet`.
pub(super) fn stateful_set(object: &At<'_>, old: Option<&Value>, causes: &mut Causes) {
    let spec = object.field("spec");
    let policy = spec.field("podManagementPolicy");
    match policy.text() {
        "" => causes.required(&policy.path, ""),
        "OrderedReady" | "Parallel" => {}
        other => causes.invalid(&policy.path, other, "must be 'OrderedReady' or 'Parallel'"),
    }
    set_strategy(&spec.field("updateStrategy"), causes);
    let retention = spec.field("persistentVolumeClaimRetentionPolicy");
    if retention.is_set() {
        for name in ["whenDeleted", "whenScaled"] {
            causes.one_of(&retention.field(name), &["Retain", "Delete"]);
        }
    }
    causes.not_negative(&spec.field("replicas"));
    causes.not_negative(&spec.field("minReadySeconds"));
    causes.not_negative(&spec.field("ordinals").field("start"));
    let service = spec.field("serviceName");
    if old.is_none() && !service.is_empty() {
        causes.invalid_text(&service.path, service.text(), names::label(service.text()));
    }
    let readable = selector(&spec, "statefulset", "", causes);
    replica_template(&spec, "StatefulSet", readable, causes);
    if old.is_none() {
        for claim in spec.field("volumeClaimTemplates").items() {
            storage::claim(&claim.field("spec"), causes);
        }
    }
}

fn set_strategy(strategy: &At<'_>, causes: &mut Causes) {
    let rolling = strategy.field("rollingUpdate");
    match strategy.field("type").text() {
        "" => causes.required(&strategy.path, ""),
        "OnDelete" if rolling.is_set() => {
            let shown = format!(
                "{{\"Partition\":{},\"MaxUnavailable\":{}}}",
                rolling.value["partition"].as_i64().unwrap_or(0),
                rolling.value["maxUnavailable"]
            );
            let detail = "only allowed for updateStrategy 'RollingUpdate'";
            causes.invalid(&rolling.path, Bad::raw(shown), detail);
        }
        "OnDelete" => {}
        "RollingUpdate" => {
            causes.not_negative(&rolling.field("partition"));
            let unavailable = rolling.field("maxUnavailable");
            if unavailable.is_set() {
                resources::count_or_percent(&unavailable, causes);
                if is_zero(&unavailable) {
                    causes.invalid(&unavailable.path, unavailable.value, "cannot be 0");
                }
                resources::not_over_hundred(&unavailable, causes);
            }
        }
        _ => causes.invalid(
            &strategy.path,
            strategy_shown(strategy),
            "must be 'RollingUpdate' or 'OnDelete'",
        ),
    }
}

/// A `DaemonSet`.
pub(super) fn daemon_set(object: &At<'_>, causes: &mut Causes) {
    let spec = object.field("spec");
    let (selector, template) = (spec.field("selector"), spec.field("template"));
    labels::selector(&selector, causes);
    if !selector.is_set() {
        not_selected(&template, causes);
    } else {
        if labels::is_readable(&selector) {
            matches_template(&selector, &template, causes);
        }
        if labels::is_empty(&selector) {
            let detail = "empty selector is invalid for daemonset";
            causes.invalid(&selector.path, selector.value, detail);
        }
    }
    pod::template(&template, causes);
    long_running(&template, "DaemonSet", causes);
    causes.not_negative(&spec.field("minReadySeconds"));
    daemon_strategy(&spec.field("updateStrategy"), causes);
    causes.not_negative(&spec.field("revisionHistoryLimit"));
}

fn daemon_strategy(strategy: &At<'_>, causes: &mut Causes) {
    let rolling = strategy.field("rollingUpdate");
    match strategy.field("type").text() {
        "OnDelete" => {}
        "RollingUpdate" if !rolling.is_set() => causes.required(&rolling.path, ""),
        "RollingUpdate" => {
            let (unavailable, surge) = (rolling.field("maxUnavailable"), rolling.field("maxSurge"));
            for at in [&unavailable, &surge] {
                resources::count_or_percent(at, causes);
                resources::not_over_hundred(at, causes);
            }
            match (is_zero(&unavailable), is_zero(&surge)) {
                (false, false) => {
                    let detail = "may not be set when maxUnavailable is non-zero";
                    causes.invalid(&surge.path, surge.value, detail);
                }
                (true, true) => {
                    causes.required(&unavailable.path, "cannot be 0 when maxSurge is 0");
                }
                _ => {}
            }
        }
        _ => {
            let known = ["RollingUpdate", "OnDelete"];
            causes.not_supported(&strategy.path, strategy_shown(strategy), &known);
        }
    }
}

/// A `ControllerRevision`.
pub(super) fn controller_revision(object: &At<'_>, causes: &mut Causes) {
    let data = object.field("data");
    if !data.is_set() {
        causes.required(&data.path, "data is mandatory");
    } else if !data.value.is_object() {
        causes.required(&data.path, "data must be a valid JSON object");
    }
    causes.not_negative(&object.field("revision"));
}

/// A `PodDisruptionBudget`.
pub(super) fn disruption_budget(object: &At<'_>, causes: &mut Causes) {
    let spec = object.field("spec");
    let (min, max) = (spec.field("minAvailable"), spec.field("maxUnavailable"));
    if min.is_set() && max.is_set() {
        let shown = format!(
            "{{\"MinAvailable\":{},\"Selector\":{},\"MaxUnavailable\":{},\"UnhealthyPodEvictionPolicy\":{}}}",
            min.value, spec.value["selector"], max.value, spec.value["unhealthyPodEvictionPolicy"]
        );
        let detail = "minAvailable and maxUnavailable cannot be both set";
        causes.invalid(&spec.path, Bad::raw(shown), detail);
    }
    for at in [&min, &max] {
        resources::count_or_percent(at, causes);
        resources::not_over_hundred(at, causes);
    }
    labels::selector(&spec.field("selector"), causes);
    let policy = spec.field("unhealthyPodEvictionPolicy");
    if policy.is_set() {
        causes.one_of(&policy, &["AlwaysAllow", "IfHealthyBudget"]);
    }
}

/// The status of a `PodDisruptionBudget`.
pub(super) fn disruption_budget_status(object: &At<'_>, causes: &mut Causes) {
    let status = object.field("status");
    for name in [
        "disruptionsAllowed",
        "currentHealthy",
        "desiredHealthy",
        "expectedPods",
    ] {
        causes.not_negative(&status.field(name));
    }
}

const NOT_OVER_REPLICAS: &str = "cannot be greater than status.replicas";

/// The status of a workload.
pub(super) fn status(kind: &str, object: &At<'_>, old: &Value, causes: &mut Causes) {
    let status = object.field("status");
    let (counts, parts): (&[&str], &[&str]) = match kind {
        "Deployment" => (
            &[
                "observedGeneration",
                "replicas",
                "updatedReplicas",
                "readyReplicas",
                "availableReplicas",
                "unavailableReplicas",
                "terminatingReplicas",
                "collisionCount",
            ],
            &["updatedReplicas", "readyReplicas", "availableReplicas"],
        ),
        "StatefulSet" => (
            &[
                "replicas",
                "readyReplicas",
                "currentReplicas",
                "updatedReplicas",
                "availableReplicas",
                "observedGeneration",
                "collisionCount",
            ],
            &[
                "readyReplicas",
                "currentReplicas",
                "updatedReplicas",
                "availableReplicas",
            ],
        ),
        "DaemonSet" => (
            &[
                "currentNumberScheduled",
                "numberMisscheduled",
                "desiredNumberScheduled",
                "numberReady",
                "observedGeneration",
                "updatedNumberScheduled",
                "numberAvailable",
                "numberUnavailable",
                "collisionCount",
            ],
            &[],
        ),
        _ => (
            &[
                "replicas",
                "fullyLabeledReplicas",
                "readyReplicas",
                "availableReplicas",
                "terminatingReplicas",
                "observedGeneration",
            ],
            &["fullyLabeledReplicas", "readyReplicas", "availableReplicas"],
        ),
    };
    for name in counts {
        causes.not_negative(&status.field(name));
    }
    let number = |name: &str| status.value[name].as_i64().unwrap_or(0);
    for name in parts {
        if number(name) > number("replicas") {
            causes.invalid(&status.field(name).path, number(name), NOT_OVER_REPLICAS);
        }
    }
    if !parts.is_empty() && number("availableReplicas") > number("readyReplicas") {
        let detail = match kind {
            "StatefulSet" => "cannot be greater than status.readyReplicas",
            _ => "cannot be greater than readyReplicas",
        };
        let path = status.field("availableReplicas").path;
        causes.invalid(&path, number("availableReplicas"), detail);
    }
    collisions(&status.field("collisionCount"), old, causes);
}

fn collisions(count: &At<'_>, old: &Value, causes: &mut Causes) {
    let Some(before) = old["status"]["collisionCount"].as_i64() else {
        return;
    };
    match count.int() {
        Some(now) if now >= before => {}
        now => {
            let shown = now.unwrap_or(0);
            causes.invalid(&count.path, shown, "cannot be decremented");
        }
    }
}
