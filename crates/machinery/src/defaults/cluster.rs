//! Defaults of the kinds that govern the server itself (API services, flow
//! control) and of device claims.

use super::{Object, child, each, text};
use crate::default::{child_or_new, number, value};

/// Defaults of an `APIService`.
pub fn api_service(object: &mut Object) {
    let service = child(object, "spec").and_then(|spec| child(spec, "service"));
    if let Some(service) = service {
        value(service, "port", || 443);
    }
}

/// Defaults of a `FlowSchema`.
pub fn flow_schema(object: &mut Object) {
    if let Some(spec) = child_or_new(object, "spec") {
        number(spec, "matchingPrecedence", 1000);
    }
}

/// Defaults of a `PriorityLevelConfiguration`.
pub fn priority_level(object: &mut Object) {
    let Some(spec) = child_or_new(object, "spec") else {
        return;
    };
    if let Some(exempt) = child(spec, "exempt") {
        value(exempt, "nominalConcurrencyShares", || 0);
        value(exempt, "lendablePercent", || 0);
    }
    let Some(limited) = child(spec, "limited") else {
        return;
    };
    value(limited, "nominalConcurrencyShares", || 30);
    value(limited, "lendablePercent", || 0);
    let response = child(limited, "limitResponse");
    if let Some(queuing) = response.and_then(|response| child(response, "queuing")) {
        number(queuing, "queues", 64);
        number(queuing, "handSize", 8);
        number(queuing, "queueLengthLimit", 50);
    }
}

/// Defaults of a `ResourceClaim`.
pub fn claim(object: &mut Object) {
    if let Some(spec) = child(object, "spec") {
        claim_spec(spec);
    }
}

/// Defaults of a `ResourceClaimTemplate`.
pub fn claim_template(object: &mut Object) {
    if let Some(spec) = child(object, "spec").and_then(|spec| child(spec, "spec")) {
        claim_spec(spec);
    }
}

fn claim_spec(spec: &mut Object) {
    let Some(devices) = child(spec, "devices") else {
        return;
    };
    for request in each(devices, "requests") {
        if let Some(exactly) = child(request, "exactly") {
            device_request(exactly);
        }
        for choice in each(request, "firstAvailable") {
            device_request(choice);
        }
    }
}

fn device_request(request: &mut Object) {
    text(request, "allocationMode", "ExactCount");
    if request["allocationMode"] == "ExactCount" {
        number(request, "count", 1);
    }
    for toleration in each(request, "tolerations") {
        text(toleration, "operator", "Equal");
    }
}
