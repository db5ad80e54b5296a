//! Rows of the kinds that govern the server itself (API services, signing
//! requests, flow control) and of device claims.

use jiff::Timestamp;
use serde_json::Value;

use super::{age, at, int, list, name, string, text, text_or};
use crate::time;

/// Cells of an `APIService`.
pub(super) fn api_service(object: &Value, now: Timestamp) -> Vec<Value> {
    let service = at(object, "spec.service");
    let host = match service {
        Value::Null => "Local".to_owned(),
        service => format!("{}/{}", text(service, "namespace"), text(service, "name")),
    };
    let available = list(object, "status.conditions")
        .iter()
        .find(|condition| condition["type"] == "Available");
    let available = match available {
        Some(condition) if condition["status"] == "True" => "True".to_owned(),
        Some(condition) => format!(
            "{} ({})",
            text(condition, "status"),
            text(condition, "reason")
        ),
        None => "Unknown".to_owned(),
    };
    vec![
        name(object),
        host.into(),
        available.into(),
        age(object, now),
    ]
}

/// Cells of a `CertificateSigningRequest`.
pub(super) fn signing_request(object: &Value, now: Timestamp) -> Vec<Value> {
    let seconds = at(object, "spec.expirationSeconds").as_i64();
    let duration = seconds.map_or("<none>".to_owned(), |seconds| {
        time::human(jiff::SignedDuration::from_secs(seconds))
    });
    vec![
        name(object),
        age(object, now),
        text_or(object, "spec.signerName", "<none>").into(),
        string(object, "spec.username"),
        duration.into(),
        signing_state(object).into(),
    ]
}

fn signing_state(object: &Value) -> String {
    let conditions = list(object, "status.conditions");
    let has = |kind: &str| conditions.iter().any(|condition| condition["type"] == kind);
    let mut state = match (has("Denied"), has("Approved")) {
        (true, _) => "Denied",
        (_, true) => "Approved",
        _ => "Pending",
    }
    .to_owned();
    if has("Failed") {
        state.push_str(",Failed");
    }
    if !text(object, "status.certificate").is_empty() {
        state.push_str(",Issued");
    }
    state
}

/// Cells of a `FlowSchema`.
pub(super) fn flow_schema(object: &Value, now: Timestamp) -> Vec<Value> {
    let dangling = list(object, "status.conditions")
        .iter()
        .find(|condition| condition["type"] == "Dangling");
    vec![
        name(object),
        text_or(object, "spec.priorityLevelConfiguration.name", "<none>").into(),
        int(object, "spec.matchingPrecedence"),
        text_or(object, "spec.distinguisherMethod.type", "<none>").into(),
        age(object, now),
        dangling
            .map_or("?", |condition| text(condition, "status"))
            .into(),
    ]
}

/// Cells of a `PriorityLevelConfiguration`.
pub(super) fn priority_level(object: &Value, now: Timestamp) -> Vec<Value> {
    let shares = match at(object, "spec.limited") {
        Value::Null => at(object, "spec.exempt.nominalConcurrencyShares"),
        limited => at(limited, "nominalConcurrencyShares"),
    };
    let queuing = |field: &str| -> Value {
        match at(object, "spec.limited.limitResponse.queuing") {
            Value::Null => "<none>".into(),
            queuing => int(queuing, field),
        }
    };
    vec![
        name(object),
        string(object, "spec.type"),
        match shares {
            Value::Null => "<none>".into(),
            shares => shares.clone(),
        },
        queuing("queues"),
        queuing("handSize"),
        queuing("queueLengthLimit"),
        age(object, now),
    ]
}

/// Cells of a `ResourceClaim`.
pub(super) fn resource_claim(object: &Value, now: Timestamp) -> Vec<Value> {
    let mut states = Vec::new();
    let deleted = at(object, "metadata.deletionTimestamp");
    if !deleted.is_null() {
        states.push("deleted");
    }
    match at(object, "status.allocation") {
        Value::Null if deleted.is_null() => states.push("pending"),
        Value::Null => {}
        _ => states.push("allocated"),
    }
    if !list(object, "status.reservedFor").is_empty() {
        states.push("reserved");
    }
    vec![name(object), states.join(",").into(), age(object, now)]
}

/// Cells of a `ResourceSlice`.
pub(super) fn resource_slice(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![
        name(object),
        text_or(object, "spec.nodeName", "<unset>").into(),
        string(object, "spec.driver"),
        string(object, "spec.pool.name"),
        age(object, now),
    ]
}
