//! Events of both groups (`pkg/apis/core/validation/events.go` upstream). What
//! comes through core/v1 is held to the old rules alone.

use serde_json::Value;

use super::{At, Causes, immutable, names};

/// Names that the fields of an event have in one group.
struct Names {
    about: &'static str,
    controller: &'static str,
    /// How causes call the controller's field.
    controller_path: &'static str,
    note: &'static str,
}

const CORE: Names = Names {
    about: "involvedObject",
    controller: "reportingComponent",
    controller_path: "reportingComponent",
    note: "message",
};
const EVENTS: Names = Names {
    about: "regarding",
    controller: "reportingController",
    controller_path: "reportingController",
    note: "note",
};

/// Fields of events.k8s.io/v1 that updates may not change, with the names
/// causes have for them.
const FIXED: [(&str, &str); 14] = [
    ("regarding", "involvedObject"),
    ("reason", "reason"),
    ("note", "message"),
    ("deprecatedSource", "source"),
    ("deprecatedFirstTimestamp", "firstTimestamp"),
    ("deprecatedLastTimestamp", "lastTimestamp"),
    ("deprecatedCount", "count"),
    ("reason", "reason"),
    ("type", "type"),
    ("eventTime", "eventTime"),
    ("action", "action"),
    ("related", "related"),
    ("reportingController", "reportingController"),
    ("reportingInstance", "reportingInstance"),
];

/// A core/v1 `Event`.
pub(super) fn core_event(object: &At<'_>, causes: &mut Causes) {
    legacy(object, &CORE, causes);
}

/// An events.k8s.io/v1 `Event`.
pub(super) fn event(object: &At<'_>, old: Option<&Value>, causes: &mut Causes) {
    legacy(object, &EVENTS, causes);
    match old {
        None => create(object, causes),
        Some(old) => update(object, old, causes),
    }
}

fn create(object: &At<'_>, causes: &mut Causes) {
    series(object, causes);
    let time = object.field("eventTime");
    if !time.is_set() {
        causes.required(&time.path, "");
    }
    let kind = object.field("type");
    if !matches!(kind.text(), "Normal" | "Warning") {
        causes.invalid(
            &kind.path,
            "",
            &format!("has invalid value: {}", kind.text()),
        );
    }
    for (name, shown) in [
        ("deprecatedFirstTimestamp", "firstTimestamp"),
        ("deprecatedLastTimestamp", "lastTimestamp"),
        ("deprecatedCount", "count"),
        ("deprecatedSource", "source"),
    ] {
        let value = &object.value[name];
        let unset = match value {
            Value::Object(map) => map.values().all(|value| *value == ""),
            value => value.is_null() || *value == 0,
        };
        if !unset {
            causes.invalid(&object.path.field(shown), "", "needs to be unset");
        }
    }
}

fn update(object: &At<'_>, old: &Value, causes: &mut Causes) {
    if !immutable::equal(&object.value["series"], &old["series"]) {
        series(object, causes);
    }
    for (name, shown) in FIXED {
        let at = At {
            value: &object.value[name],
            path: object.path.field(shown),
        };
        immutable::field(&at, &old[name], causes);
    }
}

fn series(object: &At<'_>, causes: &mut Causes) {
    let series = object.field("series");
    if !series.is_set() {
        return;
    }
    let count = series.field("count");
    if count.int().unwrap_or(0) < 2 {
        causes.invalid(&count.path, "", "should be at least 2");
    }
    let last = series.field("lastObservedTime");
    if !last.is_set() {
        causes.required(&last.path, "");
    }
}

/// What has held for events always.
fn legacy(object: &At<'_>, names: &Names, causes: &mut Causes) {
    let metadata = object.field("metadata");
    let own = metadata.field("namespace");
    let about = object.field(names.about);
    let about = about.field("namespace");
    let timed = object.field("eventTime").is_set();
    let homeless = about.is_empty();
    let agree = match (timed, homeless) {
        // Events about things outside of namespaces live where they may.
        (false, true) => matches!(own.text(), "" | "default"),
        (false, false) => about.text() == own.text(),
        (true, true) => matches!(own.text(), "default" | "kube-system"),
        (true, false) => true,
    };
    if !agree {
        let path = object.path.field("involvedObject.namespace");
        causes.invalid(&path, about.text(), "does not match event.namespace");
    }
    if timed {
        reporter(object, names, causes);
    }
    let path = object.path.field("namespace");
    causes.invalid_text(&path, own.text(), names::subdomain(own.text()));
}

fn reporter(object: &At<'_>, names: &Names, causes: &mut Causes) {
    let controller = object.field(names.controller);
    let path = object.path.field(names.controller_path);
    if controller.is_empty() {
        causes.required(&path, "");
    }
    causes.invalid_text(
        &path,
        controller.text(),
        names::qualified(controller.text()),
    );
    for name in ["reportingInstance", "action", "reason"] {
        let at = object.field(name);
        if at.is_empty() {
            causes.required(&at.path, "");
        }
        if at.len() > 128 {
            causes.invalid(&at.path, "", "can have at most 128 characters");
        }
    }
    if object.field(names.note).len() > 1024 {
        let path = object.path.field("message");
        causes.invalid(&path, "", "can have at most 1024 characters");
    }
}
