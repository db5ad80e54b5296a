//! Events of both groups.

use serde_json::Value;

use super::{At, Causes, names};

/// A core/v1 `Event`. Those with an `eventTime` follow the newer group's rules.
pub(super) fn core_event(object: &At<'_>, updating: bool, causes: &mut Causes) {
    if !object.field("eventTime").is_set() {
        namespace(object, "involvedObject", causes);
        return;
    }
    let about = object.field("involvedObject");
    homeless(object, &about, causes);
    if updating {
        return;
    }
    let controller = object.field("reportingComponent");
    newer(object, &controller, "message", causes);
}

/// An events.k8s.io/v1 `Event`.
pub(super) fn event(object: &At<'_>, old: Option<&Value>, causes: &mut Causes) {
    if object.field("eventTime").is_set() {
        newer_namespace(object, causes);
    } else {
        namespace(object, "regarding", causes);
    }
    if old.is_some() {
        return;
    }
    let time = object.field("eventTime");
    if !time.is_set() {
        causes.required(&time.path, "");
    }
    let controller = object.field("reportingController");
    newer(object, &controller, "note", causes);
    let kind = object.field("type");
    if !matches!(kind.text(), "Normal" | "Warning") {
        causes.invalid(
            &kind.path,
            "",
            &format!("has invalid value: {}", kind.text()),
        );
    }
}

fn newer_namespace(object: &At<'_>, causes: &mut Causes) {
    homeless(object, &object.field("regarding"), causes);
}

/// Events about things outside of namespaces live in two namespaces only.
fn homeless(object: &At<'_>, about: &At<'_>, causes: &mut Causes) {
    let metadata = object.field("metadata");
    let own = metadata.field("namespace");
    if about.field("namespace").is_empty() && !matches!(own.text(), "default" | "kube-system") {
        let path = object.path.field("involvedObject.namespace");
        causes.invalid(&path, "", "does not match event.namespace");
    }
}

fn namespace(object: &At<'_>, about: &str, causes: &mut Causes) {
    let metadata = object.field("metadata");
    let own = metadata.field("namespace");
    let about = object.field(about);
    let namespace = about.field("namespace");
    let text = namespace.text();
    // Events about things outside of namespaces live in `default`.
    if text.is_empty() {
        if !matches!(own.text(), "default" | "kube-system" | "") && is_namespaced_kind(&about) {
            causes.invalid(
                &object.path.field("involvedObject.namespace"),
                text,
                "does not match event.namespace",
            );
        }
    } else if text != own.text() {
        let path = object.path.field("involvedObject.namespace");
        causes.invalid(&path, text, "does not match event.namespace");
    }
}

fn is_namespaced_kind(about: &At<'_>) -> bool {
    let kind = about.field("kind").text();
    let version = about.field("apiVersion").text();
    crate::kinds::by_api_version(version, kind).is_some_and(|kind| kind.namespaced)
}

/// Rules that came with events.k8s.io.
fn newer(object: &At<'_>, controller: &At<'_>, note: &str, causes: &mut Causes) {
    let path = object.path.field("reportingController");
    if controller.is_empty() {
        causes.required(&path, "");
    }
    causes.invalid_text(
        &path,
        controller.text(),
        names::qualified(controller.text()),
    );
    let instance = object.field("reportingInstance");
    if instance.is_empty() {
        causes.required(&object.path.field("reportingControllerInstance"), "");
    } else if instance.len() > 128 {
        let path = object.path.field("reportingControllerInstance");
        causes.invalid(&path, "", "can have at most 128 characters");
    }
    for name in ["action", "reason"] {
        let at = object.field(name);
        if at.is_empty() {
            causes.required(&at.path, "");
        } else if at.len() > 128 {
            causes.invalid(&at.path, "", "can have at most 128 characters");
        }
    }
    if object.field(note).len() > 1024 {
        let path = object.path.field("message");
        causes.invalid(&path, "", "can have at most 1024 characters");
    }
    let series = object.field("series");
    if series.is_set() {
        let count = series.field("count");
        if count.int().unwrap_or(0) < 2 {
            causes.invalid(&count.path, "", "should be at least 2");
        }
        let last = series.field("lastObservedTime");
        if !last.is_set() {
            causes.required(&last.path, "");
        }
    }
}
