//! What a write does to an object besides what the client asked for: status
//! starts empty and survives spec updates, spec survives status updates,
//! generation counts, identity stays.
//!
//! The server calls [`prepare_create`] once identity (name, uid, creation
//! time) is given and before admission and validation, [`prepare_update`]
//! before validation of an update. Allocation of addresses and ports is the
//! server's.

mod job;
mod pod;
mod service;
mod signing;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::defaults::extensions::storage_version;
use crate::kind::Kind;
use crate::schema::Node;
use crate::time;

pub use job::{lends_labels, take_back_labels};
pub(crate) use pod::app_armor_profile;
pub use pod::qos_class;

/// Prepares a new object of `kind`.
pub fn prepare_create(kind: &Kind, object: &mut Value, now: Timestamp) {
    let metadata = object_at(object, "metadata");
    for name in [
        "selfLink",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
    ] {
        metadata.remove(name);
    }
    // A CSIDriver counts its changes from nothing. Where nothing is counted, a
    // number that a client gives stays.
    if !kind.generation.is_empty() && kind.kind != "CSIDriver" {
        metadata.insert("generation".into(), 1.into());
    } else if metadata
        .get("generation")
        .is_some_and(|number| *number == 0)
    {
        metadata.remove("generation");
    }
    dedup_owners(object);
    match (kind.group, kind.kind) {
        ("", "Node") => drop_configuration(object, &Value::Null),
        ("coordination.k8s.io", "Lease") => drop_coordination(object, &Value::Null),
        ("", "Pod") => pod::create(object, now),
        ("", "Namespace") => create_namespace(object),
        ("", "PersistentVolume") => {
            let status = json!({"phase": "Pending", "lastPhaseTransitionTime": time::seconds(now)});
            set(object, "status", status);
        }
        ("", "PersistentVolumeClaim") => {
            set(object, "status", json!({"phase": "Pending"}));
            data_sources(object);
        }
        ("", "Service") => {
            remove(object, "status");
            service::create(object);
        }
        ("batch", "Job") => {
            remove(object, "status");
            job::create(object);
        }
        ("apps", "DaemonSet") => {
            remove(object, "status");
            set_template_generation(object, 1);
        }
        ("apiextensions.k8s.io", "CustomResourceDefinition") => {
            remove(object, "status");
            store_version(object);
        }
        _ if kind.has_status() => remove(object, "status"),
        _ => {}
    }
    pod::drop_disabled(object, None);
    fold_string_data(kind, object);
}

/// Prepares an update of `old` to `object`, of the resource itself or of a
/// subresource. Parts that the (sub)resource may not change are taken from
/// `old`.
pub fn prepare_update(
    kind: &Kind,
    subresource: Option<&str>,
    object: &mut Value,
    old: &Value,
    now: Timestamp,
) {
    keep_identity(object, old);
    dedup_owners(object);
    match (kind.group, kind.kind) {
        ("", "Node") => drop_configuration(object, old),
        ("coordination.k8s.io", "Lease") => drop_coordination(object, old),
        _ => {}
    }
    match subresource {
        None => update_main(kind, object, old),
        Some("status") => update_status(kind, object, old, now),
        Some("ephemeralcontainers") => {
            keep_all_but(object, old, "spec", &["ephemeralContainers"]);
        }
        Some("resize") => pod::keep_all_but_resources(object, old),
        Some("finalize") => copy(object, old, "status"),
        Some("approval") => signing::approve(object, old),
        Some(_) => {}
    }
    pod::drop_disabled(object, Some(old));
    fold_string_data(kind, object);
    if subresource != Some("status") && changed(kind, object, old) {
        let generation = old["metadata"]["generation"].as_i64().unwrap_or(0) + 1;
        object_at(object, "metadata").insert("generation".into(), generation.into());
    }
}

/// Returns the top-level fields that a write through a (sub)resource never
/// changes, and so never owns (`resetFields` of server-side apply).
pub fn reset_fields(kind: &Kind, subresource: Option<&str>) -> &'static [&'static str] {
    match (subresource, kind.kind) {
        (None, "Node") if kind.group.is_empty() => &["status"],
        (None, _) if kind.has_status() => &["status"],
        (Some("status"), _) if keeps_metadata(kind) => &["metadata", "spec"],
        (Some("status"), "Deployment") => &["spec", "metadata.labels"],
        (Some("status"), "Pod") => &[
            "spec",
            "metadata.deletionTimestamp",
            "metadata.ownerReferences",
        ],
        (Some("approval"), _) => &["spec", "status.certificate"],
        (Some("status"), _) => &["spec"],
        _ => &[],
    }
}

/// Kinds whose metadata a write of the status leaves alone.
fn keeps_metadata(kind: &Kind) -> bool {
    matches!(
        kind.kind,
        "VolumeAttachment" | "ValidatingAdmissionPolicy" | "ServiceCIDR"
    )
}

/// Whether a `PUT` to a name that does not exist creates the object.
pub fn creates_on_update(kind: &Kind) -> bool {
    matches!(
        (kind.group, kind.kind),
        ("", "Endpoints" | "Event" | "LimitRange" | "Service")
            | ("events.k8s.io", "Event")
            | ("rbac.authorization.k8s.io", _)
            | ("coordination.k8s.io", "Lease")
            | ("node.k8s.io", "RuntimeClass")
    )
}

/// Whether an update may leave out `metadata.resourceVersion`.
pub fn updates_unconditionally(kind: &Kind) -> bool {
    !matches!(
        (kind.group, kind.kind),
        (
            "storage.k8s.io",
            "CSIDriver" | "CSINode" | "CSIStorageCapacity" | "VolumeAttachment"
        ) | ("coordination.k8s.io" | "policy" | "node.k8s.io", _)
            | ("admissionregistration.k8s.io" | "apiextensions.k8s.io", _)
            | ("apiregistration.k8s.io" | "flowcontrol.apiserver.k8s.io", _)
    )
}

fn create_namespace(object: &mut Value) {
    set(object, "status", json!({"phase": "Active"}));
    let spec = object_at(object, "spec");
    let finalizers = spec
        .entry("finalizers")
        .or_insert_with(|| Value::Array(Vec::new()));
    if finalizers.is_null() {
        *finalizers = Value::Array(Vec::new());
    }
    if let Value::Array(list) = finalizers
        && !list.iter().any(|finalizer| finalizer == "kubernetes")
    {
        list.push("kubernetes".into());
    }
}

fn update_main(kind: &Kind, object: &mut Value, old: &Value) {
    if kind.has_status() {
        copy(object, old, "status");
    }
    match (kind.group, kind.kind) {
        ("", "Namespace") => {
            let finalizers = old["spec"].get("finalizers").cloned();
            let spec = object_at(object, "spec");
            match finalizers {
                Some(finalizers) => spec.insert("finalizers".into(), finalizers),
                None => spec.remove("finalizers"),
            };
        }
        ("", "Service") => service::update(object, old),
        ("", "PersistentVolumeClaim") => data_sources(object),
        ("apps", "DaemonSet") => {
            let before = &old["metadata"]["annotations"][TEMPLATE_GENERATION];
            let before = before
                .as_str()
                .and_then(|text| text.parse().ok())
                .unwrap_or(0);
            let node = kind.schema().at("spec.template");
            let template = |object: &Value| canonical(node, object["spec"].get("template"));
            let step = i64::from(template(object) != template(old));
            set_template_generation(object, before + step);
        }
        ("apiextensions.k8s.io", "CustomResourceDefinition") => store_version(object),
        ("certificates.k8s.io", _) => copy(object, old, "spec"),
        _ => {}
    }
}

/// Nodes no longer take their configuration from the API; one that is there stays.
fn drop_configuration(node: &mut Value, old: &Value) {
    for (part, name) in [("spec", "configSource"), ("status", "config")] {
        if old[part].get(name).is_none()
            && let Some(map) = node.get_mut(part).and_then(Value::as_object_mut)
        {
            map.shift_remove(name);
        }
    }
}

/// Leases that are given to candidates are behind a feature gate that is off in 1.36.
fn drop_coordination(lease: &mut Value, old: &Value) {
    for name in ["strategy", "preferredHolder"] {
        if old["spec"].get(name).is_none()
            && let Some(spec) = lease.get_mut("spec").and_then(Value::as_object_mut)
        {
            spec.shift_remove(name);
        }
    }
}

/// The time of a volume's phase: the server's, unless the client gives another.
fn volume_phase(status: &mut Map<String, Value>, old: &Value, now: Timestamp) {
    const TIME: &str = "lastPhaseTransitionTime";
    let (given, before) = (status.get(TIME), old.get(TIME));
    let time = match status.get("phase") == old.get("phase") {
        true if given.is_none() => before.cloned(),
        false if given.is_none() || given == before => Some(time::seconds(now).into()),
        _ => None,
    };
    if let Some(time) = time {
        status.insert(TIME.into(), time);
    }
}

/// The annotation in which DaemonSets of the newer versions carry a field of
/// the oldest one.
const TEMPLATE_GENERATION: &str = "deprecated.daemonset.template.generation";

fn set_template_generation(object: &mut Value, generation: i64) {
    let metadata = object_at(object, "metadata");
    let annotations = metadata.entry("annotations").or_insert_with(|| json!({}));
    if !annotations.is_object() {
        *annotations = json!({});
    }
    annotations[TEMPLATE_GENERATION] = generation.to_string().into();
}

/// The version objects are stored in is remembered in the status.
fn store_version(object: &mut Value) {
    let Some(name) = storage_version(&object["spec"]).cloned() else {
        return;
    };
    let status = object_at(object, "status");
    let stored = status.entry("storedVersions").or_insert_with(|| json!([]));
    if stored.is_null() {
        *stored = json!([]);
    }
    if let Value::Array(list) = stored
        && !list.contains(&name)
    {
        list.push(name);
    }
}

/// A claim's `dataSource` and `dataSourceRef` say the same where they can.
fn data_sources(object: &mut Value) {
    let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) else {
        return;
    };
    let group = |source: &Value| source["apiGroup"].as_str().unwrap_or_default().to_owned();
    let known = |source: &Value| {
        matches!(
            (&*group(source), source["kind"].as_str()),
            ("", Some("PersistentVolumeClaim"))
                | ("snapshot.storage.k8s.io", Some("VolumeSnapshot"))
        )
    };
    if spec
        .get("dataSource")
        .is_some_and(|source| !source.is_null() && !known(source))
    {
        spec.remove("dataSource");
    }
    let get = |name: &str| spec.get(name).filter(|source| !source.is_null()).cloned();
    match (get("dataSource"), get("dataSourceRef")) {
        (Some(source), None) => {
            spec.insert("dataSourceRef".into(), source);
        }
        (None, Some(reference)) if reference["namespace"].as_str().is_none_or(str::is_empty) => {
            spec.insert("dataSource".into(), reference);
        }
        _ => {}
    }
}

/// The same owner is named once.
fn dedup_owners(object: &mut Value) {
    let owners = object_at(object, "metadata").get_mut("ownerReferences");
    let Some(Value::Array(owners)) = owners else {
        return;
    };
    let mut seen: Vec<Value> = Vec::new();
    owners.retain(|owner| {
        let is_new = !seen.contains(owner);
        if is_new {
            seen.push(owner.clone());
        }
        is_new
    });
}

fn update_status(kind: &Kind, object: &mut Value, old: &Value, now: Timestamp) {
    if kind.custom.is_some() {
        // Everything but the status stays, and so does the metadata.
        let status = object.get("status").cloned();
        let version = object["metadata"].get("resourceVersion").cloned();
        *object = old.clone();
        match status {
            Some(status) => set(object, "status", status),
            None => remove(object, "status"),
        }
        if let Some(version) = version {
            object_at(object, "metadata").insert("resourceVersion".into(), version);
        }
        return;
    }
    copy(object, old, "spec");
    for part in ["data", "webhooks", "template"] {
        if old.get(part).is_some() {
            copy(object, old, part);
        }
    }
    if keeps_metadata(kind) {
        reset_metadata(object, old);
    }
    match (kind.group, kind.kind) {
        ("certificates.k8s.io", _) => signing::sign(object, old),
        ("apps", "Deployment") => copy_metadata(object, old, &["labels"]),
        ("", "Pod") => {
            copy_metadata(object, old, &["ownerReferences", "deletionTimestamp"]);
            pod::update_status(object_at(object, "status"), old);
        }
        ("", "PersistentVolume") => {
            let of_old = &old["status"];
            volume_phase(object_at(object, "status"), of_old, now);
        }
        _ => {}
    }
}

/// `rest.BeforeUpdate`: what no update changes.
fn keep_identity(object: &mut Value, old: &Value) {
    let before = &old["metadata"];
    let metadata = object_at(object, "metadata");
    let mut keep = |name: &str| match before.get(name) {
        Some(value) => metadata.insert(name.to_owned(), value.clone()),
        None => metadata.remove(name),
    };
    keep("generation");
    keep("creationTimestamp");
    if before.get("deletionTimestamp").is_some() {
        keep("deletionTimestamp");
    }
    for name in ["uid", "deletionGracePeriodSeconds"] {
        let given = metadata.get(name);
        if given.is_none_or(|value| value.is_null() || *value == "")
            && let Some(value) = before.get(name)
        {
            metadata.insert(name.to_owned(), value.clone());
        }
    }
    metadata.remove("selfLink");
}

/// Everything of the metadata that a status update leaves alone.
fn reset_metadata(object: &mut Value, old: &Value) {
    let names = [
        "deletionTimestamp",
        "labels",
        "annotations",
        "finalizers",
        "ownerReferences",
    ];
    copy_metadata(object, old, &names);
}

fn copy_metadata(object: &mut Value, old: &Value, names: &[&str]) {
    let metadata = object_at(object, "metadata");
    for name in names {
        match old["metadata"].get(*name) {
            Some(value) => metadata.insert((*name).to_owned(), value.clone()),
            None => metadata.remove(*name),
        };
    }
}

/// Whether a part that the generation counts differs.
fn changed(kind: &Kind, object: &Value, old: &Value) -> bool {
    if kind.custom.is_some() {
        return crate::custom::content_changed(kind, object, old);
    }
    let schema = kind.schema();
    kind.generation.iter().any(|part| {
        let at = |object| {
            part.split('.')
                .try_fold(object, |value: &Value, name| value.get(name))
        };
        let node = schema.at(part);
        canonical(node, at(object)) != canonical(node, at(old))
    })
}

/// A part in canonical form, empty ones as absent, so that two spellings of
/// the same thing compare equal (`apiequality.Semantic`).
fn canonical(node: Option<Node<'_>>, value: Option<&Value>) -> Option<Value> {
    let mut value = value?.clone();
    if let Some(node) = node {
        crate::canonical::canonicalize(node, &mut value);
    }
    let is_empty = value.is_null()
        || value.as_object().is_some_and(Map::is_empty)
        || value.as_array().is_some_and(Vec::is_empty);
    (!is_empty).then_some(value)
}

/// `stringData` of a Secret is written as `data` and never read back.
fn fold_string_data(kind: &Kind, object: &mut Value) {
    use base64::Engine as _;
    if kind.kind != "Secret" || !kind.group.is_empty() {
        return;
    }
    let Some(Value::Object(texts)) = object.as_object_mut().and_then(|o| o.remove("stringData"))
    else {
        return;
    };
    if texts.is_empty() {
        return;
    }
    let data = object_at(object, "data");
    for (key, text) in texts {
        let bytes = text.as_str().unwrap_or_default();
        let text = base64::engine::general_purpose::STANDARD.encode(bytes);
        data.insert(key, text.into());
    }
}

/// Takes a part from `old` but for some of its fields.
fn keep_all_but(object: &mut Value, old: &Value, part: &str, names: &[&str]) {
    let mut kept = old.get(part).cloned().unwrap_or(Value::Null);
    if let (Some(kept), Some(new)) = (kept.as_object_mut(), object.get(part)) {
        for name in names {
            match new.get(*name) {
                Some(value) => kept.insert((*name).to_owned(), value.clone()),
                None => kept.remove(*name),
            };
        }
    }
    let metadata = object["metadata"].get("resourceVersion").cloned();
    *object = old.clone();
    if let Some(version) = metadata {
        object_at(object, "metadata").insert("resourceVersion".into(), version);
    }
    set(object, part, kept);
}

pub(crate) fn object_at<'a>(object: &'a mut Value, name: &str) -> &'a mut Map<String, Value> {
    if !object.is_object() {
        *object = json!({});
    }
    let map = object.as_object_mut().expect("made an object above");
    let child = map.entry(name.to_owned()).or_insert_with(|| json!({}));
    if !child.is_object() {
        *child = json!({});
    }
    child.as_object_mut().expect("made an object above")
}

fn set(object: &mut Value, name: &str, value: Value) {
    if let Some(map) = object.as_object_mut() {
        map.insert(name.to_owned(), value);
    }
}

fn remove(object: &mut Value, name: &str) {
    if let Some(map) = object.as_object_mut() {
        map.remove(name);
    }
}

fn copy(object: &mut Value, old: &Value, name: &str) {
    match old.get(name) {
        Some(value) => set(object, name, value.clone()),
        None => remove(object, name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds;

    fn kind(name: &str) -> &'static Kind {
        let found = kinds::all().iter().find(|kind| kind.kind == name);
        found.expect("a built-in kind")
    }

    fn now() -> Timestamp {
        "2024-01-01T00:00:00Z".parse().expect("a time")
    }

    #[test]
    fn new_objects_start_without_status() {
        let mut object = json!({"metadata": {"generation": 7}, "status": {"replicas": 3}});
        prepare_create(kind("Deployment"), &mut object, now());
        assert_eq!(object, json!({"metadata": {"generation": 1}}));
        let mut object = json!({"metadata": {}, "status": {"phase": "Terminating"}});
        prepare_create(kind("Namespace"), &mut object, now());
        assert_eq!(
            object,
            json!({
                "metadata": {},
                "status": {"phase": "Active"},
                "spec": {"finalizers": ["kubernetes"]}
            })
        );
    }

    #[test]
    fn generation_counts_changes_of_the_spec() {
        let old = json!({
            "metadata": {"generation": 3, "uid": "u", "creationTimestamp": "t"},
            "spec": {"replicas": 1}, "status": {"replicas": 1}
        });
        let check = |mut object: Value, subresource, generation: i64| {
            prepare_update(kind("Deployment"), subresource, &mut object, &old, now());
            assert_eq!(object["metadata"]["generation"], generation, "{object}");
            assert_eq!(object["metadata"]["uid"], "u");
            object
        };
        let same = check(json!({"spec": {"replicas": 1}}), None, 3);
        assert_eq!(same["status"], json!({"replicas": 1}));
        check(json!({"spec": {"replicas": 1, "paused": false}}), None, 3);
        check(json!({"spec": {"replicas": 2}}), None, 4);
        check(
            json!({"spec": {"replicas": 1}, "metadata": {"annotations": {"a": "b"}}}),
            None,
            4,
        );
        let status = check(json!({"status": {"replicas": 5}}), Some("status"), 3);
        assert_eq!(status["spec"], json!({"replicas": 1}));
        assert_eq!(status["status"], json!({"replicas": 5}));
    }

    #[test]
    fn string_data_becomes_data() {
        let mut secret = json!({"data": {"a": "eA=="}, "stringData": {"a": "y", "b": "z"}});
        prepare_create(kind("Secret"), &mut secret, now());
        assert_eq!(
            secret,
            json!({"data": {"a": "eQ==", "b": "eg=="}, "metadata": {}})
        );
    }
}
