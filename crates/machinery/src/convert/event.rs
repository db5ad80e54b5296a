//! Events: the same object under the field names of two groups.

use serde_json::{Map, Value};

/// Field of events.k8s.io/v1 beside its name in core/v1.
const NAMES: [(&str, &str); 7] = [
    ("regarding", "involvedObject"),
    ("note", "message"),
    ("reportingController", "reportingComponent"),
    ("deprecatedSource", "source"),
    ("deprecatedFirstTimestamp", "firstTimestamp"),
    ("deprecatedLastTimestamp", "lastTimestamp"),
    ("deprecatedCount", "count"),
];

/// Renames the fields of events.k8s.io/v1 to those of core/v1.
pub(super) fn events_to_core(object: &mut Value) {
    rename(object, |(new, old)| (new, old));
    set_version(object, "v1");
}

/// Renames the fields of core/v1 to those of events.k8s.io/v1.
pub(super) fn core_to_events(object: &mut Value) {
    rename(object, |(new, old)| (old, new));
    set_version(object, "events.k8s.io/v1");
}

fn rename(
    object: &mut Value,
    direction: impl Fn((&'static str, &'static str)) -> (&'static str, &'static str),
) {
    let Some(map) = object.as_object_mut() else {
        return;
    };
    let old = std::mem::replace(map, Map::new());
    for (name, value) in old {
        let renamed = NAMES
            .iter()
            .map(|pair| direction(*pair))
            .find(|(from, _)| *from == name);
        let name = renamed.map_or(name, |(_, to)| to.to_owned());
        map.insert(name, value);
    }
}

fn set_version(object: &mut Value, version: &str) {
    if let Some(map) = object.as_object_mut() {
        map.insert("apiVersion".into(), version.into());
    }
}
