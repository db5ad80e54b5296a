//! Annotations of pods and templates that mean something to Kubernetes
//! (`ValidatePodSpecificAnnotations` upstream).

use serde_json::Value;

use super::super::{At, Causes, quote};

const MIRROR: &str = "kubernetes.io/config.mirror";
const DELETION_COST: &str = "controller.kubernetes.io/pod-deletion-cost";
const APP_ARMOR: &str = "container.apparmor.security.beta.kubernetes.io/";

/// Judges the annotations beside a pod's spec.
pub(super) fn check(annotations: &At<'_>, spec: &At<'_>, causes: &mut Causes) {
    for (key, value) in annotations.entries() {
        let text = value.as_str().unwrap_or_default();
        let path = annotations.path.key(key);
        if key == MIRROR && spec.field("nodeName").is_empty() {
            let detail = "must set spec.nodeName if mirror pod annotation is set";
            causes.invalid(&path, text, detail);
        }
        if key == DELETION_COST && !is_cost(text) {
            causes.invalid(&path, text, "must be a 32bit integer");
        }
        let Some(container) = key.strip_prefix(APP_ARMOR) else {
            continue;
        };
        if !has_container(spec, container) {
            causes.invalid(&path, container, "container not found");
        }
        let known = matches!(text, "" | "runtime/default" | "unconfined");
        if !known && !text.starts_with("localhost/") {
            let detail = format!("invalid AppArmor profile name: {}", quote(text));
            causes.invalid(&path, text, &detail);
        }
    }
}

/// Judges an update of the annotations: some stay as they were made.
pub(super) fn update(object: &At<'_>, old: &Value, causes: &mut Causes) {
    let metadata = object.field("metadata");
    let annotations = metadata.field("annotations");
    let before = old["metadata"]["annotations"].as_object();
    let mut keys: Vec<&str> = annotations.entries().map(|(key, _)| key).collect();
    keys.extend(before.into_iter().flatten().map(|(key, _)| key.as_str()));
    keys.sort_unstable();
    keys.dedup();
    for key in keys {
        let what = match key {
            MIRROR => "mirror pod annotation",
            key if key.starts_with(APP_ARMOR) => "AppArmor annotations",
            _ => continue,
        };
        let old = before.and_then(|before| before.get(key));
        if annotations.value.get(key) != old {
            let verb = if old.is_some() {
                "remove or update"
            } else {
                "add"
            };
            let path = annotations.path.key(key);
            causes.forbidden(&path, &format!("may not {verb} {what}"));
        }
    }
    check(&annotations, &object.field("spec"), causes);
}

/// Whether Go's parser takes a number, written without needless signs and zeros.
fn is_cost(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let plain = text.starts_with('-') || text == "0" || !text.starts_with(['0', '+']);
    plain && !digits.starts_with('+') && text.parse::<i32>().is_ok()
}

fn has_container(spec: &At<'_>, name: &str) -> bool {
    let lists = ["initContainers", "containers", "ephemeralContainers"];
    let mut containers = lists
        .iter()
        .filter_map(|list| spec.value[*list].as_array())
        .flatten();
    containers.any(|container| container["name"] == name)
}
