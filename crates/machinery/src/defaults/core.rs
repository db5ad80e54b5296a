//! Defaults of the core group's smaller kinds.

use serde_json::{Map, Value, json};

use super::{Object, child, each, pods, text};
use crate::default::{child_or_new, get_text, is_absent, value};

/// Defaults of a `ReplicationController`: labels and selector come from the template.
pub fn replication_controller(object: &mut Object) {
    let labels = object
        .get("spec")
        .and_then(|spec| spec.pointer("/template/metadata/labels"))
        .filter(|labels| labels.as_object().is_some_and(|map| !map.is_empty()))
        .cloned();
    if let Some(labels) = labels {
        let is_empty =
            |value: Option<&Value>| value.and_then(Value::as_object).is_none_or(Map::is_empty);
        if let Some(spec) = child_or_new(object, "spec")
            && is_empty(spec.get("selector"))
        {
            spec.insert("selector".into(), labels.clone());
        }
        if let Some(metadata) = child_or_new(object, "metadata")
            && is_empty(metadata.get("labels"))
        {
            metadata.insert("labels".into(), labels);
        }
    }
    if let Some(spec) = child_or_new(object, "spec") {
        value(spec, "replicas", || 1);
        if !is_absent(spec, "template") {
            pods::template(spec, "template");
        }
    }
}

/// Defaults of `Endpoints`.
pub fn endpoints(object: &mut Object) {
    for subset in each(object, "subsets") {
        for port in each(subset, "ports") {
            text(port, "protocol", "TCP");
        }
    }
}

/// Defaults of a `Namespace`: the label that carries its name.
pub fn namespace(object: &mut Object) {
    if let Some(status) = child_or_new(object, "status") {
        text(status, "phase", "Active");
    }
    let Some(metadata) = child_or_new(object, "metadata") else {
        return;
    };
    let name = get_text(metadata, "name").to_owned();
    if name.is_empty() {
        return;
    }
    if let Some(labels) = child_or_new(metadata, "labels") {
        labels.insert("kubernetes.io/metadata.name".into(), name.into());
    }
}

/// Defaults of a `Node`: all of its capacity is allocatable.
pub fn node(object: &mut Object) {
    if let Some(spec) = child(object, "spec") {
        first_of_list(spec, "podCIDR", "podCIDRs", None);
    }
    let Some(status) = child(object, "status") else {
        return;
    };
    let capacity = status.get("capacity").cloned();
    if let Some(capacity) = capacity.filter(|capacity| !capacity.is_null()) {
        value(status, "allocatable", || capacity);
    }
}

/// Keeps a field and the list it is the first entry of in step; `key` names
/// the entries' field where they are objects.
pub fn first_of_list(object: &mut Object, one: &str, list: &str, key: Option<&str>) {
    let wrap = |text: &str| match key {
        Some(key) => json!({ key: text }),
        None => json!(text),
    };
    let first = get_text(object, one).to_owned();
    let length = object
        .get(list)
        .and_then(Value::as_array)
        .map_or(0, Vec::len);
    // Of two addresses of a pod that differ the single field counts.
    let differs = list == "podIPs" && object.get(list).is_some_and(|l| l[0]["ip"] != *first);
    if !first.is_empty() && (length == 0 || differs) {
        object.insert(list.to_owned(), json!([wrap(&first)]));
    } else if let Some(entry) = object.get(list).and_then(|list| list.get(0)) {
        let entry = key.map_or(entry, |key| &entry[key]).clone();
        if first.is_empty() && entry.is_string() {
            object.insert(one.to_owned(), entry);
        }
    }
}

/// Defaults of a `LimitRange`.
pub fn limit_range(object: &mut Object) {
    let Some(spec) = child(object, "spec") else {
        return;
    };
    for limit in each(spec, "limits") {
        if get_text(limit, "type") == "Container" {
            inherit(limit, "max", "default");
            inherit(limit, "default", "defaultRequest");
            inherit(limit, "min", "defaultRequest");
        }
    }
}

/// Copies the entries of one resource list that another lacks.
fn inherit(limit: &mut Object, from: &str, to: &str) {
    let Some(Value::Object(source)) = limit.get(from).cloned() else {
        return;
    };
    value(limit, to, || json!({}));
    if let Some(target) = child(limit, to) {
        for (name, amount) in source {
            value(target, &name, || amount);
        }
    }
}
