//! Conversion between the versions of a kind that share their storage:
//! autoscaling/v1 and v2 autoscalers, events.k8s.io/v1 and core/v1 events.
//!
//! [`to_storage`] and [`from_storage`] work on decoded, defaulted objects.
//! What one version cannot express travels in annotations, as upstream does.

mod autoscaler;
mod event;

use serde_json::Value;

use crate::kind::Kind;

/// Converts an object of `kind` to the form its storage kind has.
pub fn to_storage(kind: &'static Kind, object: &mut Value) {
    match (kind.group, kind.kind) {
        ("autoscaling", "HorizontalPodAutoscaler") if kind.version == "v1" => {
            autoscaler::v1_to_v2(object);
        }
        ("events.k8s.io", "Event") => event::events_to_core(object),
        _ if kind.custom.is_some() => set_version(object, &kind.storage().api_version()),
        _ => {}
    }
}

/// Converts an object from its storage form to `kind`.
pub fn from_storage(kind: &'static Kind, object: &mut Value) {
    match (kind.group, kind.kind) {
        ("autoscaling", "HorizontalPodAutoscaler") if kind.version == "v1" => {
            autoscaler::v2_to_v1(object);
        }
        ("events.k8s.io", "Event") => event::core_to_events(object),
        _ if kind.custom.is_some() => set_version(object, &kind.api_version()),
        _ => {}
    }
}

fn set_version(object: &mut Value, version: &str) {
    if let Some(map) = object.as_object_mut() {
        map.insert("apiVersion".into(), version.into());
    }
}
