//! Judging objects: what Kubernetes refuses, where, and in which words.
//!
//! [`create`] and [`update`] return one [`Cause`] per fault, with upstream's
//! field paths and wording; [`message`] joins them as a Status does. Objects
//! are judged after decoding, defaulting and `strategy`. Rules that need other
//! objects (quota, addresses, references) are the server's.

mod admission;
mod apps;
mod at;
mod autoscaling;
mod batch;
mod cluster;
mod conditions;
mod config;
mod cron;
mod dump;
mod events;
mod extensions;
mod immutable;
mod indexes;
mod internal;
mod ip;
mod job_status;
mod labels;
mod meta;
pub mod names;
mod network;
mod node;
mod pod;
mod rbac;
mod resources;
mod reviews;
mod service;
mod storage;
mod warning;

use serde_json::Value;

use crate::custom;
use crate::kind::Kind;
use crate::path::Path;

pub(crate) use at::At;
pub use meta::{delete_options, field_manager};

/// What is wrong with a field; upstream's cause types.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// A value is missing.
    Required,
    /// A value is malformed.
    Invalid,
    /// A value refers to something that is not there.
    NotFound,
    /// A value that must be unique occurs again.
    Duplicate,
    /// A value is none of those allowed.
    NotSupported,
    /// A value is not allowed here.
    Forbidden,
    /// A value is too long.
    TooLong,
    /// A list has too many entries.
    TooMany,
    /// A value has the wrong type.
    TypeInvalid,
    /// Something else went wrong.
    Internal,
}

impl Reason {
    /// Returns the word a Status carries.
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::Required => "FieldValueRequired",
            Reason::Invalid => "FieldValueInvalid",
            Reason::NotFound => "FieldValueNotFound",
            Reason::Duplicate => "FieldValueDuplicate",
            Reason::NotSupported => "FieldValueNotSupported",
            Reason::Forbidden => "FieldValueForbidden",
            Reason::TooLong => "FieldValueTooLong",
            Reason::TooMany => "FieldValueTooMany",
            Reason::TypeInvalid => "FieldValueTypeInvalid",
            Reason::Internal => "InternalError",
        }
    }

    fn words(self) -> &'static str {
        match self {
            Reason::Required => "Required value",
            Reason::Invalid | Reason::TypeInvalid => "Invalid value",
            Reason::NotFound => "Not found",
            Reason::Duplicate => "Duplicate value",
            Reason::NotSupported => "Unsupported value",
            Reason::Forbidden => "Forbidden",
            Reason::TooLong => "Too long",
            Reason::TooMany => "Too many",
            Reason::Internal => "Internal error",
        }
    }
}

/// One fault of an object.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Cause {
    /// What is wrong.
    pub reason: Reason,
    /// Path of the field.
    pub field: String,
    /// Text such as `Required value: name or generateName is required`.
    pub message: String,
}

/// Judges a new object of `kind`.
pub fn create(kind: &Kind, object: &Value) -> Vec<Cause> {
    let mut causes = Causes::default();
    let object = At::root(object);
    meta::create(kind, &object, &mut causes);
    body(kind, &object, None, &mut causes);
    causes.list
}

/// Judges an access review: it is answered, never stored.
pub fn review(kind: &Kind, object: &Value) -> Vec<Cause> {
    let mut causes = Causes::default();
    reviews::check(kind.kind, &At::root(object), &mut causes);
    causes.list
}

/// Judges an update of `old` to `object` through the resource itself (`None`)
/// or a subresource such as `status`.
pub fn update(kind: &Kind, subresource: Option<&str>, object: &Value, old: &Value) -> Vec<Cause> {
    let mut causes = Causes::default();
    let object = At::root(object);
    meta::update(kind, subresource, &object, old, &mut causes);
    match subresource {
        Some("status") => status(kind, &object, old, &mut causes),
        Some("ephemeralcontainers") => pod::update_ephemeral(&object, old, &mut causes),
        Some("resize") => pod::resize(&object, old, &mut causes),
        Some("finalize") => config::namespace_finalize(&object, &mut causes),
        _ => {
            immutable::check(kind, &object, old, &mut causes);
            body(kind, &object, Some(old), &mut causes);
        }
    }
    causes.list
}

/// Returns warnings of a valid object: what works but is a mistake or passing
/// out of use. `old` is the object an update replaces, through the resource
/// itself (`None`) or a subresource.
pub fn warnings(
    kind: &Kind,
    subresource: Option<&str>,
    object: &Value,
    old: Option<&Value>,
) -> Vec<String> {
    warning::warnings(kind, subresource, object, old)
}

/// Joins causes to the text of an error: the one text, or all in brackets,
/// each once.
pub fn aggregate(causes: &[Cause]) -> String {
    let mut texts: Vec<String> = Vec::new();
    for cause in causes {
        let text = match cause.field.as_str() {
            "" => format!("<nil>: {}", cause.message),
            field => format!("{field}: {}", cause.message),
        };
        if !texts.contains(&text) {
            texts.push(text);
        }
    }
    match texts.as_slice() {
        [one] => one.clone(),
        _ => format!("[{}]", texts.join(", ")),
    }
}

/// Returns the message of the Status that refuses an object:
/// `Deployment.apps "web" is invalid: spec.replicas: Invalid value: …`.
pub fn message(group: &str, kind: &str, name: &str, causes: &[Cause]) -> String {
    let dot = if group.is_empty() { "" } else { "." };
    let subject = format!("{kind}{dot}{group} {} is invalid", quote(name));
    match causes {
        [] => subject,
        causes => format!("{subject}: {}", aggregate(causes)),
    }
}

/// The faults found so far.
#[derive(Debug, Default)]
pub(crate) struct Causes {
    list: Vec<Cause>,
}

/// A value in a message: text is quoted, the rest stands as JSON.
pub(crate) struct Bad(String);

impl From<&str> for Bad {
    fn from(text: &str) -> Bad {
        Bad(quote(text))
    }
}

impl From<&String> for Bad {
    fn from(text: &String) -> Bad {
        Bad(quote(text))
    }
}

impl From<i64> for Bad {
    fn from(number: i64) -> Bad {
        Bad(number.to_string())
    }
}

impl From<bool> for Bad {
    fn from(flag: bool) -> Bad {
        Bad(flag.to_string())
    }
}

impl From<&Value> for Bad {
    fn from(value: &Value) -> Bad {
        match value {
            Value::String(text) => Bad(quote(text)),
            other => Bad(go_text(other)),
        }
    }
}

impl Bad {
    /// A text that stands as it is.
    pub(crate) fn raw(text: impl Into<String>) -> Bad {
        Bad(text.into())
    }
}

impl Causes {
    pub(crate) fn push(&mut self, reason: Reason, path: &Path<'_>, bad: Option<Bad>, detail: &str) {
        let mut message = reason.words().to_owned();
        if let Some(Bad(text)) = bad {
            message.push_str(": ");
            message.push_str(&text);
        }
        if !detail.is_empty() {
            message.push_str(": ");
            message.push_str(detail);
        }
        self.list.push(Cause {
            reason,
            field: path.to_string(),
            message,
        });
    }

    /// Returns the faults, in the order they were found.
    pub(crate) fn into_list(self) -> Vec<Cause> {
        self.list
    }

    /// Number of faults so far; to see whether a part added any.
    pub(crate) fn len(&self) -> usize {
        self.list.len()
    }

    pub(crate) fn required(&mut self, path: &Path<'_>, detail: &str) {
        self.push(Reason::Required, path, None, detail);
    }

    pub(crate) fn forbidden(&mut self, path: &Path<'_>, detail: &str) {
        self.push(Reason::Forbidden, path, None, detail);
    }

    /// A fault beside which no other counts.
    pub(crate) fn only_forbidden(&mut self, path: &Path<'_>, detail: &str) {
        self.list.clear();
        self.forbidden(path, detail);
    }

    pub(crate) fn invalid(&mut self, path: &Path<'_>, bad: impl Into<Bad>, detail: &str) {
        self.push(Reason::Invalid, path, Some(bad.into()), detail);
    }

    /// One fault per message of a text rule.
    pub(crate) fn invalid_text(&mut self, path: &Path<'_>, text: &str, messages: Vec<String>) {
        for message in messages {
            self.invalid(path, text, &message);
        }
    }

    pub(crate) fn duplicate(&mut self, path: &Path<'_>, bad: impl Into<Bad>) {
        self.push(Reason::Duplicate, path, Some(bad.into()), "");
    }

    pub(crate) fn not_found(&mut self, path: &Path<'_>, bad: impl Into<Bad>) {
        self.push(Reason::NotFound, path, Some(bad.into()), "");
    }

    pub(crate) fn too_long(&mut self, path: &Path<'_>, max: usize) {
        let unit = if max == 1 { "byte" } else { "bytes" };
        let detail = format!("may not be more than {max} {unit}");
        self.push(Reason::TooLong, path, None, &detail);
    }

    pub(crate) fn too_many(&mut self, path: &Path<'_>, actual: usize, max: usize) {
        let unit = if max == 1 { "item" } else { "items" };
        let detail = format!("must have at most {max} {unit}");
        let bad = Bad::raw(actual.to_string());
        self.push(Reason::TooMany, path, Some(bad), &detail);
    }

    pub(crate) fn not_supported(&mut self, path: &Path<'_>, bad: impl Into<Bad>, known: &[&str]) {
        let known: Vec<String> = known.iter().map(|text| quote(text)).collect();
        let detail = match known.is_empty() {
            true => String::new(),
            false => format!("supported values: {}", known.join(", ")),
        };
        self.push(Reason::NotSupported, path, Some(bad.into()), &detail);
    }

    /// A text must be one of a few.
    pub(crate) fn one_of(&mut self, at: &At<'_>, known: &[&str]) {
        if !known.contains(&at.text()) {
            self.not_supported(&at.path, at.text(), known);
        }
    }

    /// A number must not be negative.
    pub(crate) fn not_negative(&mut self, at: &At<'_>) {
        if let Some(number) = at.int()
            && number < 0
        {
            self.invalid(&at.path, number, names::NOT_NEGATIVE);
        }
    }
}

/// Quotes a text as Go's `%q` does.
pub(crate) fn quote(text: &str) -> String {
    use std::fmt::Write as _;
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{b}' => out.push_str("\\v"),
            '\u{c}' => out.push_str("\\f"),
            c if (c as u32) < 0x20 || c == '\u{7f}' => {
                let _ = write!(out, "\\x{:02x}", c as u32);
            }
            c if !names::is_printable(c) => {
                let _ = write!(out, "\\u{:04x}", c as u32);
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// Fields of structures that messages show, in the order of their types.
const SHOWN_ORDER: [&str; 13] = [
    "matchLabels",
    "matchExpressions",
    "apiVersion",
    "kind",
    "key",
    "operator",
    "values",
    "name",
    "uid",
    "controller",
    "blockOwnerDeletion",
    "apiGroup",
    "namespace",
];

/// A value as Go prints it: structures in the order of their fields, maps in
/// that of their keys.
fn go_text(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let place = |name: &str| SHOWN_ORDER.iter().position(|known| *known == name);
            let is_structure = map.keys().all(|name| place(name).is_some());
            let mut entries: Vec<_> = map.iter().collect();
            match is_structure {
                true => entries.sort_by_key(|(name, _)| place(name)),
                false => entries.sort_by_key(|(name, _)| name.as_str()),
            }
            let parts: Vec<String> = entries
                .iter()
                .map(|(name, value)| format!("{}:{}", Value::from(name.as_str()), go_text(value)))
                .collect();
            format!("{{{}}}", parts.join(","))
        }
        Value::Array(list) => {
            let parts: Vec<String> = list.iter().map(go_text).collect();
            format!("[{}]", parts.join(","))
        }
        other => other.to_string(),
    }
}

/// The name that upstream's internal types give a field: without JSON names,
/// Go's own are printed.
pub(crate) fn go_name(name: &str) -> String {
    let mut chars = name.chars();
    let first = chars.next().map(|c| c.to_ascii_uppercase());
    first.into_iter().chain(chars).collect()
}

/// A value as upstream's internal types print it.
pub(crate) fn go_json(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let parts: Vec<String> = map
                .iter()
                .map(|(name, value)| format!("{}:{}", quote(&go_name(name)), go_json(value)))
                .collect();
            format!("{{{}}}", parts.join(","))
        }
        Value::Array(list) => {
            let parts: Vec<String> = list.iter().map(go_json).collect();
            format!("[{}]", parts.join(","))
        }
        other => other.to_string(),
    }
}

/// Everything below the metadata.
fn body(kind: &Kind, object: &At<'_>, old: Option<&Value>, causes: &mut Causes) {
    if kind.custom.is_some() {
        return match old {
            None => custom::create(kind, object.value, causes),
            Some(old) => custom::update(kind, object.value, old, causes),
        };
    }
    match (kind.group, kind.kind) {
        ("", "Pod") => pod::pod(object, old, causes),
        ("", "PodTemplate") => pod::template(&object.field("template"), causes),
        ("", "ReplicationController") => apps::replication_controller(object, causes),
        ("apps", "ReplicaSet") => apps::replica_set(object, causes),
        ("apps", "Deployment") => apps::deployment(object, causes),
        ("apps", "StatefulSet") => apps::stateful_set(object, old, causes),
        ("apps", "DaemonSet") => apps::daemon_set(object, causes),
        ("apps", "ControllerRevision") => apps::controller_revision(object, causes),
        ("batch", "Job") => batch::job(object, old, causes),
        ("batch", "CronJob") => batch::cron_job(object, old, causes),
        ("autoscaling", "HorizontalPodAutoscaler") => {
            autoscaling::autoscaler(object, kind.version, causes);
        }
        ("autoscaling", "Scale") => causes.not_negative(&object.field("spec").field("replicas")),
        ("policy", "PodDisruptionBudget") => apps::disruption_budget(object, causes),
        ("", "Service") => service::service(object, causes),
        ("", "Endpoints") => network::endpoints(object, causes),
        ("discovery.k8s.io", "EndpointSlice") => network::endpoint_slice(object, causes),
        ("networking.k8s.io", "Ingress") => network::ingress(object, old, causes),
        ("networking.k8s.io", "IngressClass") => network::ingress_class(object, causes),
        ("networking.k8s.io", "NetworkPolicy") => network::network_policy(object, causes),
        ("networking.k8s.io", "IPAddress") => network::address(object, causes),
        ("networking.k8s.io", "ServiceCIDR") => network::service_range(object, causes),
        ("", "ConfigMap") => config::config_map(object, causes),
        ("", "Secret") => config::secret(object, causes),
        ("", "Namespace") => config::namespace(object, causes),
        ("", "Node") => node::node(object, causes),
        ("", "LimitRange") => config::limit_range(object, causes),
        ("", "ResourceQuota") => config::resource_quota(object, causes),
        ("", "ServiceAccount") => {}
        ("", "Event") => events::core_event(object, causes),
        ("events.k8s.io", "Event") => events::event(object, old, causes),
        ("coordination.k8s.io", "Lease") => config::lease(object, causes),
        ("scheduling.k8s.io", "PriorityClass") => config::priority_class(object, causes),
        ("node.k8s.io", "RuntimeClass") => config::runtime_class(object, causes),
        ("", "PersistentVolume") => storage::persistent_volume(object, causes),
        ("", "PersistentVolumeClaim") => storage::claim(&object.field("spec"), causes),
        ("storage.k8s.io", _) => storage::class_kinds(kind.kind, object, causes),
        ("rbac.authorization.k8s.io", _) => rbac::check(kind.kind, object, causes),
        ("admissionregistration.k8s.io", _) => admission::check(kind.kind, object, causes),
        ("apiextensions.k8s.io", "CustomResourceDefinition") => {
            extensions::definition(object, old, causes);
        }
        ("authentication.k8s.io", "TokenRequest") => config::token_request(object, causes),
        ("apiregistration.k8s.io", "APIService") => cluster::api_service(object, causes),
        ("certificates.k8s.io", _) => cluster::signing_request(object, causes),
        ("flowcontrol.apiserver.k8s.io", "FlowSchema") => cluster::flow_schema(object, causes),
        ("flowcontrol.apiserver.k8s.io", _) => cluster::priority_level(object, causes),
        _ => {}
    }
}

/// What a status must look like.
fn status(kind: &Kind, object: &At<'_>, old: &Value, causes: &mut Causes) {
    if kind.custom.is_some() {
        return custom::update(kind, object.value, old, causes);
    }
    match (kind.group, kind.kind) {
        ("apps", _) | ("", "ReplicationController") => {
            apps::status(kind.kind, object, old, causes);
        }
        ("batch", "Job") => job_status::check(object, old, causes),
        ("autoscaling", _) => autoscaling::status(object, causes),
        ("", "Service") => service::status(object, causes),
        ("networking.k8s.io", "Ingress") => network::ingress_status(object, causes),
        ("policy", "PodDisruptionBudget") => {
            apps::disruption_budget_status(object, causes);
            common_conditions(object, causes);
        }
        ("", "ResourceQuota") => config::quota_status(object, causes),
        ("admissionregistration.k8s.io", _) => common_conditions(object, causes),
        ("", "PersistentVolumeClaim") => storage::claim_status(object, causes),
        ("apiextensions.k8s.io", _) => extensions::status(object, causes),
        ("", "Pod") => pod::status(object, old, causes),
        ("", "Node") => node::update(object, old, causes),
        ("", "Namespace") => config::namespace_status(object, causes),
        ("certificates.k8s.io", _) => cluster::signing_request(object, causes),
        ("storage.k8s.io", "VolumeAttachment") => storage::attachment_status(object, causes),
        _ => {}
    }
}

fn common_conditions(object: &At<'_>, causes: &mut Causes) {
    let status = object.field("status");
    conditions::check(&status.field("conditions"), causes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_quoted_as_go_quotes_them() {
        assert_eq!(quote("a\"b\\c\n\u{1}ü"), "\"a\\\"b\\\\c\\n\\x01ü\"");
    }

    #[test]
    fn causes_join_to_one_message() {
        let cause = |field: &str, message: &str| Cause {
            reason: Reason::Required,
            field: field.into(),
            message: message.into(),
        };
        let one = [cause("a", "Required value")];
        assert_eq!(
            message("apps", "Deployment", "x", &one),
            "Deployment.apps \"x\" is invalid: a: Required value"
        );
        let two = [cause("a", "m"), cause("b", "n"), cause("a", "m")];
        assert_eq!(
            message("", "Pod", "x", &two),
            "Pod \"x\" is invalid: [a: m, b: n]"
        );
    }
}
