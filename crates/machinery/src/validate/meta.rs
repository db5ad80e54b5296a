//! Metadata: names, labels, annotations, owners, finalizers; what of it an
//! update may change.

use serde_json::Value;

use super::{At, Bad, Causes, ip, labels, names};
use crate::kind::Kind;

/// How the name of a kind is judged.
type Rule = fn(&str) -> Vec<String>;

/// Metadata of a new object.
pub(super) fn create(kind: &Kind, object: &At<'_>, causes: &mut Causes) {
    let meta = object.field("metadata");
    name(kind, &meta, causes);
    common(kind, object, takes_any_finalizer(kind), causes);
}

fn name(kind: &Kind, meta: &At<'_>, causes: &mut Causes) {
    let rule = rule(kind);
    let prefix = meta.field("generateName");
    if !prefix.is_empty() {
        let wrong = match kind.group {
            "rbac.authorization.k8s.io" => names::path_segment_prefix(prefix.text()),
            _ if !judges_metadata(kind) => names::path_segment_prefix(prefix.text()),
            // Its name alone is judged, by rules generated from its type.
            "" if kind.kind == "ReplicationController" => Vec::new(),
            _ => rule(&mask_dash(prefix.text())),
        };
        causes.invalid_text(&prefix.path, prefix.text(), wrong);
    }
    let name = meta.field("name");
    if name.is_empty() {
        causes.required(&name.path, "name or generateName is required");
    } else if kind.kind == "IPAddress" {
        ip::strict(&name.path, name.text(), causes);
    } else {
        let mut wrong = rule(name.text());
        if kind.kind == "ReplicationController" {
            for message in &mut wrong {
                *message = message
                    .replace(" characters", " bytes")
                    .replace("alphanumeric bytes", "alphanumeric characters");
            }
        }
        causes.invalid_text(&name.path, name.text(), wrong);
    }
}

/// Whether a kind's own validation looks at the metadata; the generic path
/// asks for little more than a name that fits into a URL.
fn judges_metadata(kind: &Kind) -> bool {
    !matches!(
        (kind.group, kind.kind),
        ("", "Event") | ("policy", "PodDisruptionBudget")
    )
}

/// Groups whose finalizers need no domain (they ask `apimachinery` for their
/// rules, not the core group).
fn takes_any_finalizer(kind: &Kind) -> bool {
    !judges_metadata(kind)
        || matches!(
            kind.group,
            "admissionregistration.k8s.io"
                | "apiextensions.k8s.io"
                | "coordination.k8s.io"
                | "node.k8s.io"
        )
        || kind.custom.is_some()
}

fn rule(kind: &Kind) -> Rule {
    match (kind.group, kind.kind) {
        ("", "Namespace" | "Service") | ("apps", "StatefulSet") => names::label,
        ("rbac.authorization.k8s.io", _) => names::path_segment,
        ("networking.k8s.io", "IPAddress") | ("certificates.k8s.io", _) => |_| Vec::new(),
        ("apiregistration.k8s.io", _) => names::path_segment,
        _ if !judges_metadata(kind) => names::path_segment,
        _ => names::subdomain,
    }
}

/// The dash at the end of a prefix will not be the end of the name.
fn mask_dash(text: &str) -> String {
    match text.strip_suffix('-') {
        Some(rest) if !rest.is_empty() => format!("{}a", &rest[..rest.len() - 1]),
        _ => text.to_owned(),
    }
}

/// What holds for the metadata of every kind.
fn common(kind: &Kind, object: &At<'_>, any_finalizer: bool, causes: &mut Causes) {
    let meta = object.field("metadata");
    let namespace = meta.field("namespace");
    if !kind.namespaced {
        if !namespace.is_empty() {
            causes.forbidden(&namespace.path, "not allowed on this type");
        }
    } else if namespace.is_empty() {
        causes.required(&namespace.path, "");
    } else {
        let wrong = names::label(namespace.text());
        causes.invalid_text(&namespace.path, namespace.text(), wrong);
    }
    causes.not_negative(&meta.field("generation"));
    labels::labels(&meta.field("labels"), causes);
    labels::annotations(&meta.field("annotations"), causes);
    owners(&meta.field("ownerReferences"), causes);
    finalizers(&meta.field("finalizers"), causes);
    if !any_finalizer {
        known_finalizers(&meta.field("finalizers"), causes);
    }
    managed_fields(&meta.field("managedFields"), causes);
}

fn owners(owners: &At<'_>, causes: &mut Causes) {
    let mut first: Option<String> = None;
    for owner in owners.items() {
        let child = |name: &'static str| owners.path.field(name);
        let text = |name: &str| owner.value[name].as_str().unwrap_or_default();
        let api_version = text("apiVersion");
        if api_version
            .rsplit('/')
            .next()
            .unwrap_or_default()
            .is_empty()
        {
            causes.invalid(
                &child("apiVersion"),
                api_version,
                "version must not be empty",
            );
        }
        for name in ["kind", "name", "uid"] {
            if text(name).is_empty() {
                causes.invalid(&child(name), "", "must not be empty");
            }
        }
        if api_version == "v1" && text("kind") == "Event" {
            let detail = "/v1, Kind=Event is disallowed from being an owner";
            causes.invalid(&owners.path, owner.value, detail);
        }
        if owner.value["controller"] == true {
            let current = format!("{}/{}", text("kind"), text("name"));
            match &first {
                Some(first) => {
                    let detail = format!(
                        "Only one reference can have Controller set to true. Found \"true\" in references for {first} and {current}"
                    );
                    causes.invalid(&owners.path, owners.value, &detail);
                }
                None => first = Some(current),
            }
        }
    }
}

/// Finalizers of an object.
fn finalizers(finalizers: &At<'_>, causes: &mut Causes) {
    for finalizer in finalizers.items() {
        let text = finalizer.text();
        causes.invalid_text(&finalizers.path, text, names::qualified(text));
    }
    let has = |name: &str| finalizers.items().any(|finalizer| finalizer.text() == name);
    if has("orphan") && has("foregroundDeletion") {
        let detail = "finalizer foregroundDeletion and orphan cannot be both set";
        causes.invalid(&finalizers.path, finalizers.value, detail);
    }
}

/// A finalizer without a domain must be one of Kubernetes' own.
fn known_finalizers(finalizers: &At<'_>, causes: &mut Causes) {
    for finalizer in finalizers.items() {
        let text = finalizer.text();
        let known = matches!(text, "orphan" | "foregroundDeletion" | "kubernetes");
        if !text.contains('/') && !known {
            causes.invalid(&finalizer.path, text, UNQUALIFIED_FINALIZER);
        }
    }
}

/// Message about a finalizer that names no owner.
pub(super) const UNQUALIFIED_FINALIZER: &str =
    "name is neither a standard finalizer name nor is it fully qualified";

fn managed_fields(entries: &At<'_>, causes: &mut Causes) {
    for entry in entries.items() {
        let operation = entry.field("operation");
        if !matches!(operation.text(), "Apply" | "Update") {
            causes.invalid(
                &operation.path,
                operation.text(),
                "must be `Apply` or `Update`",
            );
        }
        let kind = entry.field("fieldsType");
        if !matches!(kind.text(), "" | "FieldsV1") {
            causes.invalid(&kind.path, kind.text(), "must be `FieldsV1`");
        }
        manager(&entry.field("manager"), causes);
        let subresource = entry.field("subresource");
        if subresource.len() > 256 {
            causes.too_long(&subresource.path, 256);
        }
    }
}

fn manager(manager: &At<'_>, causes: &mut Causes) {
    if manager.len() > 128 {
        causes.too_long(&manager.path, 128);
    }
    for (position, c) in manager.text().char_indices() {
        if !names::is_printable(c) {
            let detail = format!(
                "invalid character U+{:04X} (at position {position})",
                c as u32
            );
            causes.invalid(&manager.path, manager.text(), &detail);
        }
    }
}

/// Judges the `fieldManager` of a request.
pub fn field_manager(name: &str) -> Vec<super::Cause> {
    let mut causes = Causes::default();
    let value = Value::from(name);
    let root = At::root(&value);
    let at = At {
        value: &value,
        path: root.path.field("fieldManager"),
    };
    manager(&at, &mut causes);
    causes.list
}

/// Judges the options of a delete request.
pub fn delete_options(options: &Value) -> Vec<super::Cause> {
    let mut causes = Causes::default();
    let options = At::root(options);
    let policy = options.field("propagationPolicy");
    if options.field("orphanDependents").is_set() && policy.is_set() {
        let detail = "orphanDependents and deletionPropagation cannot be both set";
        causes.invalid(&policy.path, policy.text(), detail);
    }
    if policy.is_set() {
        let known = ["Foreground", "Background", "Orphan"];
        if !known.contains(&policy.text()) {
            let shown = [&known[..], &["nil"]].concat();
            causes.not_supported(&policy.path, policy.text(), &shown);
        }
    }
    let dry_run = options.field("dryRun");
    if dry_run.items().any(|value| value.text() != "All") {
        causes.not_supported(&dry_run.path, dry_run.value, &["All"]);
    }
    causes.list
}

/// Metadata of an update. Upstream looks at it in the generic path and again
/// in the kind's own, and so do the causes.
pub(super) fn update(
    kind: &Kind,
    subresource: Option<&str>,
    object: &At<'_>,
    old: &Value,
    causes: &mut Causes,
) {
    common(kind, object, true, causes);
    changes(object, old, causes);
    let own = own_rules(kind, subresource);
    for _ in 0..own.changes {
        changes(object, old, causes);
        if !takes_any_finalizer(kind) {
            let metadata = object.field("metadata");
            known_finalizers(&metadata.field("finalizers"), causes);
        }
    }
    for _ in 0..own.whole {
        create(kind, object, causes);
    }
}

/// How often a kind's own validation of updates looks at the metadata.
struct OwnRules {
    /// At what may not change (`ValidateObjectMetaUpdate`).
    changes: usize,
    /// At all of it, as of a new object (`ValidateObjectMeta`).
    whole: usize,
}

fn own_rules(kind: &Kind, subresource: Option<&str>) -> OwnRules {
    let (changes, whole) = match (kind.group, kind.kind, subresource) {
        ("", "Pod", Some("resize" | "ephemeralcontainers")) => (1, 1),
        ("", "Event", _) | ("policy", _, None) => (0, 0),
        (_, _, Some(_)) => (1, 0),
        _ if kind.custom.is_some() => (1, 0),
        ("", "Service" | "PodTemplate" | "ReplicationController" | "ResourceQuota", _)
        | ("apps", "DaemonSet" | "Deployment" | "ReplicaSet" | "StatefulSet", _)
        | ("networking.k8s.io", "NetworkPolicy" | "ServiceCIDR", _)
        | ("storage.k8s.io", "CSIDriver", _)
        | ("batch", "CronJob", _)
        | ("autoscaling" | "coordination.k8s.io" | "events.k8s.io", _, _)
        | ("scheduling.k8s.io" | "apiextensions.k8s.io" | "certificates.k8s.io", _, _) => (1, 0),
        ("", "LimitRange", _)
        | ("storage.k8s.io", "CSINode" | "VolumeAttachment", _)
        | ("admissionregistration.k8s.io" | "discovery.k8s.io", _, _)
        | ("flowcontrol.apiserver.k8s.io", _, _) => (0, 1),
        ("", "PersistentVolume", _) => (0, 2),
        _ => (1, 1),
    };
    OwnRules { changes, whole }
}

fn changes(object: &At<'_>, old: &Value, causes: &mut Causes) {
    let meta = object.field("metadata");
    let before = &old["metadata"];
    if !before["deletionTimestamp"].is_null() {
        no_new_finalizers(&meta.field("finalizers"), &before["finalizers"], causes);
    }
    let version = meta.field("resourceVersion");
    if version.is_empty() {
        causes.invalid(&version.path, "", "must be specified for an update");
    }
    let generation = meta.field("generation");
    let number = generation.int().unwrap_or(0);
    if number < before["generation"].as_i64().unwrap_or(0) {
        causes.invalid(&generation.path, number, "must not be decremented");
    }
    for name in [
        "name",
        "namespace",
        "uid",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
    ] {
        let field = meta.field(name);
        if field.value != &before[name] {
            let bad = match (name, field.value) {
                ("name" | "namespace" | "uid", Value::Null) => Bad::from(""),
                (_, value) => Bad::from(value),
            };
            causes.invalid(&field.path, bad, names::IMMUTABLE);
        }
    }
    labels::labels(&meta.field("labels"), causes);
    labels::annotations(&meta.field("annotations"), causes);
    owners(&meta.field("ownerReferences"), causes);
    managed_fields(&meta.field("managedFields"), causes);
}

fn no_new_finalizers(new: &At<'_>, old: &Value, causes: &mut Causes) {
    let known = |name: &str| old.as_array().is_some_and(|l| l.iter().any(|f| f == name));
    let mut extra: Vec<String> = new
        .items()
        .map(|finalizer| finalizer.text())
        .filter(|name| !known(name))
        .map(super::quote)
        .collect();
    extra.sort();
    if !extra.is_empty() {
        let detail = format!(
            "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}",
            extra.join(", ")
        );
        causes.forbidden(&new.path, &detail);
    }
}
