//! What the API refuses: Helm's words, then what a person can act on: which
//! field, who owns it, what it is, what the chart wants, what to do.
//!
//! Main type: [`Attempt`].

use kube::api::DynamicObject;
use kube::core::Status;
use kube::core::response::StatusCause;
use serde_json::Value;

use crate::error::{ConflictError, Contested, LACKS_RIGHT, Refusal, ReleaseError};
use crate::objects::Object;

/// What server-side apply says of a field that a kind does not have.
const UNDECLARED: &str = "field not declared in schema";
/// Longest value that is shown of a field.
const SHOWN_MAX: usize = 60;

/// What was being done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// The server merges.
    Apply,
    /// A new object is sent.
    Create,
    /// What we have merged is sent.
    Merge,
    /// The whole object is sent.
    Replace,
    Delete,
}

/// What was being done to which object.
pub(crate) struct Attempt<'a> {
    pub step: Step,
    pub object: &'a Object,
    /// Where it stands; empty for objects of the whole cluster.
    pub namespace: &'a str,
    /// Whether it is new in a release that was there before.
    pub is_added: bool,
    pub wanted: &'a Value,
    pub live: Option<&'a DynamicObject>,
}

impl Attempt<'_> {
    /// Explains why the API refused.
    pub fn explained(&self, error: kube::Error) -> ReleaseError {
        let kube::Error::Api(status) = &error else {
            let step = format!("reach the API for {}", self.object.title());
            return crate::error::unreachable_or(step)(error);
        };
        let conflicts = conflicts(status, self.object, self.wanted, self.live);
        if !conflicts.is_empty() {
            return ReleaseError::Conflict(Box::new(ConflictError {
                file: self.object.file.clone(),
                kind: self.object.kind().to_owned(),
                version: version(self.object),
                name: self.object.name().to_owned(),
                namespace: self.namespace.to_owned(),
                message: status.message.clone(),
                fields: conflicts,
            }));
        }
        refusal(
            self.object,
            self.words(&status.message),
            self.advice(status),
        )
    }

    /// Returns Helm's words (pkg/kube/client.go).
    fn words(&self, message: &str) -> String {
        let (name, kind) = (self.object.name(), self.object.kind());
        let words = match self.step {
            Step::Apply => format!(
                "server-side apply failed for object {}/{name} {}, Kind={kind}: {message}",
                self.namespace,
                version(self.object)
            ),
            Step::Merge => format!("cannot patch {name:?} with kind {kind}: {message}"),
            Step::Replace => format!("failed to replace object: {message}"),
            Step::Create | Step::Delete => message.to_owned(),
        };
        match self.is_added {
            true => format!("failed to create resource: {words}"),
            false => words,
        }
    }

    fn advice(&self, status: &Status) -> Option<String> {
        match status.reason.as_str() {
            "NotFound" if status.message.starts_with("namespaces \"") => {
                let namespace = quoted(&status.message).unwrap_or_default();
                Some(format!(
                    "make the namespace first: kubectl create namespace {namespace}"
                ))
            }
            "Forbidden" => Some(forbidden(&status.message)),
            "Invalid" | "BadRequest" => self.immutable(status),
            _ if status.message.contains(UNDECLARED) => Some(undeclared(self.object)),
            _ => None,
        }
    }

    /// Says what to do about a field that cannot be changed.
    fn immutable(&self, status: &Status) -> Option<String> {
        let fields: Vec<&str> = causes(status)
            .filter(|cause| is_immutable(&cause.message))
            .map(|cause| cause.field.as_str())
            .collect();
        let live = self.live?;
        (!fields.is_empty() || is_immutable(&status.message))
            .then(|| immutable_advice(self.object, &fields, self.wanted, live))
    }
}

/// Makes the refusal of an object.
pub(crate) fn refusal(object: &Object, words: String, advice: Option<String>) -> ReleaseError {
    ReleaseError::Refused(Box::new(Refusal {
        words,
        file: object.file.clone(),
        title: object.title(),
        advice,
    }))
}

/// Says that an object could not be looked at.
pub(crate) fn unread(error: kube::Error, object: &Object, namespace: &str) -> ReleaseError {
    let kube::Error::Api(status) = &error else {
        return crate::error::unreachable_or(format!("read {}", object.title()))(error);
    };
    let words = format!(
        "could not get information about the resource {} {:?} in namespace {namespace:?}: {}",
        object.kind(),
        object.name(),
        status.message
    );
    let advice = (status.code == 403).then(|| forbidden(&status.message));
    refusal(object, words, advice)
}

/// Returns `group/version` as Go writes it: the core group has no name.
fn version(object: &Object) -> String {
    match object.api_version() {
        version if version.contains('/') => version.to_owned(),
        version => format!("/{version}"),
    }
}

fn causes(status: &Status) -> impl Iterator<Item = &StatusCause> {
    let details = status.details.iter();
    details.flat_map(|details| details.causes.iter())
}

/// Returns the first quoted word.
fn quoted(text: &str) -> Option<String> {
    text.split('"').nth(1).map(str::to_owned)
}

/// Finds who owns the fields that the chart wants to set otherwise.
fn conflicts(
    status: &Status,
    object: &Object,
    wanted: &Value,
    live: Option<&DynamicObject>,
) -> Vec<Contested> {
    let live = live
        .and_then(|live| serde_json::to_value(live).ok())
        .unwrap_or_default();
    let show = |value: &Value, path: &str| {
        (object.kind() != "Secret")
            .then(|| at(value, path).map(shown))
            .flatten()
    };
    causes(status)
        .filter(|cause| cause.reason == "FieldManagerConflict")
        .map(|cause| Contested {
            field: cause.field.clone(),
            manager: quoted(&cause.message).unwrap_or_else(|| cause.message.clone()),
            now: show(&live, &cause.field),
            wanted: show(wanted, &cause.field),
        })
        .collect()
}

/// Follows a path such as `.spec.containers[name="app"].image`.
pub(crate) fn at<'v>(value: &'v Value, path: &str) -> Option<&'v Value> {
    let mut here = value;
    let mut rest = path;
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix('[') {
            let (inside, after) = after.split_once(']')?;
            here = element(here, inside)?;
            rest = after;
            continue;
        }
        let start = rest.strip_prefix('.').unwrap_or(rest);
        // A key with dots follows the path's last known part.
        if let Some(found) = here.get(start) {
            return Some(found);
        }
        let end = start.find(['.', '[']).unwrap_or(start.len());
        here = here.get(&start[..end])?;
        rest = &start[end..];
    }
    Some(here)
}

/// Finds a list's element by `name="app"`, `=value` or index.
fn element<'v>(list: &'v Value, inside: &str) -> Option<&'v Value> {
    if let Ok(index) = inside.parse::<usize>() {
        return list.get(index);
    }
    let pairs: Vec<(&str, Value)> = inside
        .split(',')
        .filter_map(|pair| {
            let (key, value) = pair.split_once('=')?;
            Some((key, serde_json::from_str(value).ok()?))
        })
        .collect();
    let is_it = |item: &&Value| {
        pairs.iter().all(|(key, value)| {
            let found = if key.is_empty() {
                Some(*item)
            } else {
                item.get(key)
            };
            found == Some(value)
        })
    };
    list.as_array()?.iter().find(is_it)
}

fn shown(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(SHOWN_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// Says what to do about what is not allowed.
fn forbidden(message: &str) -> String {
    if message.contains("exceeded quota") {
        let quota = message
            .split("exceeded quota: ")
            .nth(1)
            .and_then(|rest| rest.split(',').next())
            .unwrap_or_default();
        format!(
            "the namespace's ResourceQuota {quota} is used up: ask for less in the values, or raise it (kubectl describe resourcequota {quota})"
        )
    } else if message.contains("must specify") || message.contains("failed quota") {
        "the namespace's ResourceQuota demands requests and limits: set them in the values".into()
    } else if message.contains("cannot ") {
        LACKS_RIGHT.into()
    } else if message.contains("PodSecurity") {
        "the namespace's pod security level forbids it: set the security context that the message names".into()
    } else {
        "an admission rule of the cluster forbids it".into()
    }
}

fn undeclared(object: &Object) -> String {
    let kind = object.kind();
    format!(
        "a {kind} of {} has no such field: is it misspelled, or on the wrong level? kubectl explain {}",
        object.api_version(),
        kind.to_lowercase()
    )
}

fn is_immutable(message: &str) -> bool {
    message.contains("immutable")
        || message.contains("are forbidden")
        || message.contains("may not change once set")
}

fn immutable_advice(
    object: &Object,
    fields: &[&str],
    wanted: &Value,
    live: &DynamicObject,
) -> String {
    let live = serde_json::to_value(live).unwrap_or_default();
    let mut lines = Vec::new();
    for field in fields {
        if object.kind() == "Secret" {
            continue;
        }
        let pair = (at(&live, field), at(wanted, field));
        if let (Some(now), Some(wanted)) = pair
            && now != wanted
        {
            lines.push(format!(
                "{field} is {}, the chart wants {}",
                shown(now),
                shown(wanted)
            ));
        }
    }
    let kind = object.kind().to_lowercase();
    let name = object.name();
    let space = object
        .own_namespace()
        .map(|space| format!(" -n {space}"))
        .unwrap_or_default();
    let what_stays = match object.kind() {
        "StatefulSet" => format!(
            "its pods and volumes stay with: kubectl delete{space} {kind} {name} --cascade=orphan"
        ),
        "Deployment" | "DaemonSet" | "ReplicaSet" => {
            format!("its pods stay with: kubectl delete{space} {kind} {name} --cascade=orphan")
        }
        "PersistentVolumeClaim" => {
            format!("deleting it loses its data; a new claim needs another name than {name}")
        }
        _ => format!("kubectl delete{space} {kind} {name}"),
    };
    lines.push(format!(
        "such a field cannot be changed in place: give the object another name, or delete it first and upgrade again\n{what_stays}"
    ));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn paths_lead_to_values() {
        let value = json!({"spec": {"c": [{"name": "a", "image": "x"}, {"name": "b", "image": "y"}],
            "f": ["p", "q"]}, "data": {"a.b": "dotted"}});
        let check = |path: &str, expected: Value| {
            assert_eq!(
                at(&value, path).cloned().unwrap_or(Value::Null),
                expected,
                "{path}"
            );
        };
        check(".spec.c[name=\"b\"].image", json!("y"));
        check(".spec.c[0].image", json!("x"));
        check(".spec.f[=\"q\"]", json!("q"));
        check(".data.a.b", json!("dotted"));
        check("spec.nothing", Value::Null);
        check(".spec.c[name=\"b", Value::Null);
    }
}
