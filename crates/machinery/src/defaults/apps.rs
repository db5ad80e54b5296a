//! Defaults of the `apps` group.

use serde_json::json;

use super::{Object, each, pods, storage, text};
use crate::default::{child_or_new, get_text, value};

/// Defaults of a `Deployment`.
pub fn deployment(object: &mut Object) {
    let Some(spec) = child_or_new(object, "spec") else {
        return;
    };
    value(spec, "replicas", || 1);
    if let Some(strategy) = child_or_new(spec, "strategy") {
        text(strategy, "type", "RollingUpdate");
        if get_text(strategy, "type") == "RollingUpdate"
            && let Some(rolling) = child_or_new(strategy, "rollingUpdate")
        {
            value(rolling, "maxUnavailable", || "25%");
            value(rolling, "maxSurge", || "25%");
        }
    }
    value(spec, "revisionHistoryLimit", || 10);
    value(spec, "progressDeadlineSeconds", || 600);
    pods::template(spec, "template");
}

/// Defaults of a `ReplicaSet`.
pub fn replica_set(object: &mut Object) {
    if let Some(spec) = child_or_new(object, "spec") {
        value(spec, "replicas", || 1);
        pods::template(spec, "template");
    }
}

/// Defaults of a `StatefulSet`.
pub fn stateful_set(object: &mut Object) {
    let Some(spec) = child_or_new(object, "spec") else {
        return;
    };
    text(spec, "podManagementPolicy", "OrderedReady");
    if let Some(strategy) = child_or_new(spec, "updateStrategy") {
        if get_text(strategy, "type").is_empty() {
            text(strategy, "type", "RollingUpdate");
            child_or_new(strategy, "rollingUpdate");
        }
        if get_text(strategy, "type") == "RollingUpdate"
            && let Some(rolling) = crate::default::child(strategy, "rollingUpdate")
        {
            value(rolling, "partition", || 0);
        }
    }
    if let Some(retention) = child_or_new(spec, "persistentVolumeClaimRetentionPolicy") {
        text(retention, "whenDeleted", "Retain");
        text(retention, "whenScaled", "Retain");
    }
    value(spec, "replicas", || 1);
    value(spec, "revisionHistoryLimit", || 10);
    pods::template(spec, "template");
    for claim in each(spec, "volumeClaimTemplates") {
        text(claim, "kind", "PersistentVolumeClaim");
        text(claim, "apiVersion", "v1");
        storage::claim(claim);
    }
}

/// Defaults of a `DaemonSet`.
pub fn daemon_set(object: &mut Object) {
    let Some(spec) = child_or_new(object, "spec") else {
        return;
    };
    if let Some(strategy) = child_or_new(spec, "updateStrategy") {
        text(strategy, "type", "RollingUpdate");
        if get_text(strategy, "type") == "RollingUpdate"
            && let Some(rolling) = child_or_new(strategy, "rollingUpdate")
        {
            value(rolling, "maxUnavailable", || json!(1));
            value(rolling, "maxSurge", || json!(0));
        }
    }
    value(spec, "revisionHistoryLimit", || 10);
    pods::template(spec, "template");
}
