//! What the API refuses, as a person can act on it: which field, who owns it,
//! what it is, what the chart wants, what to do.

use kube::api::DynamicObject;
use kube::core::Status;
use serde_json::Value;

use crate::error::{ConflictError, Contested, ReleaseError, api};
use crate::objects::Object;

/// What server-side apply says of a field that a kind does not have.
const UNDECLARED: &str = "field not declared in schema";
/// Longest value that is shown of a field.
const SHOWN_MAX: usize = 60;

/// What was being done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    Apply,
    Replace,
    Delete,
}

impl Step {
    fn word(self) -> &'static str {
        match self {
            Step::Apply => "apply",
            Step::Replace => "replace",
            Step::Delete => "delete",
        }
    }
}

/// Explains a refusal of an object.
pub(crate) fn explained(
    error: kube::Error,
    step: Step,
    object: &Object,
    wanted: &Value,
    live: Option<&DynamicObject>,
) -> ReleaseError {
    let what = format!("{} {} ({})", step.word(), object.title(), object.file);
    let kube::Error::Api(status) = &error else {
        return crate::error::unreachable_or(what)(error);
    };
    let conflicts = conflicts(status, object, wanted, live);
    if !conflicts.is_empty() {
        return ReleaseError::Conflict(Box::new(ConflictError {
            file: object.file.clone(),
            kind: object.kind().to_owned(),
            version: match object.api_version().split_once('/') {
                Some(_) => object.api_version().to_owned(),
                None => format!("/{}", object.api_version()),
            },
            name: object.name().to_owned(),
            namespace: namespace(object, live),
            message: status.message.clone(),
            fields: conflicts,
        }));
    }
    match status.reason.as_str() {
        "NotFound" if is_about_namespace(status) => ReleaseError::NoNamespace {
            namespace: quoted(&status.message).unwrap_or_default(),
        },
        "Forbidden" => forbidden(&what, status),
        "Invalid" | "BadRequest" => refused(status, object, wanted, live),
        _ if status.message.contains(UNDECLARED) => undeclared(status, object),
        _ => api(what)(error),
    }
}

fn namespace(object: &Object, live: Option<&DynamicObject>) -> String {
    live.and_then(|live| live.metadata.namespace.clone())
        .or_else(|| object.own_namespace().map(str::to_owned))
        .unwrap_or_default()
}

fn is_about_namespace(status: &Status) -> bool {
    status.message.starts_with("namespaces \"")
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
    let causes = status
        .details
        .iter()
        .flat_map(|details| details.causes.iter());
    let live = live
        .and_then(|live| serde_json::to_value(live).ok())
        .unwrap_or_default();
    let show = |value: &Value, path: &str| {
        (object.kind() != "Secret")
            .then(|| at(value, path).map(shown))
            .flatten()
    };
    causes
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

fn forbidden(what: &str, status: &Status) -> ReleaseError {
    let message = &status.message;
    let advice = if message.contains("exceeded quota") {
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
        "the account of the kubeconfig's user lacks that right: ask for a Role with it, or use another context".into()
    } else if message.contains("PodSecurity") {
        "the namespace's pod security level forbids it: set the security context that the message names".into()
    } else {
        "an admission rule of the cluster forbids it".into()
    };
    ReleaseError::Forbidden {
        step: what.to_owned(),
        message: message.clone(),
        advice,
    }
}

/// Names the fields that the kind does not have; the API names them at the end
/// of a sentence about its own workings.
fn undeclared(status: &Status, object: &Object) -> ReleaseError {
    let fields: Vec<&str> = status
        .message
        .split(UNDECLARED)
        .filter_map(|before| {
            let path = before.trim_end().strip_suffix(':')?;
            path.rsplit([' ', '\n']).next()
        })
        .collect();
    let kind = object.kind();
    ReleaseError::Refused {
        file: object.file.clone(),
        title: object.title(),
        problems: fields
            .iter()
            .map(|field| format!("{field}: {UNDECLARED}"))
            .collect(),
        advice: Some(format!(
            "a {kind} of {} has no such field: is it misspelled, or on the wrong level? kubectl explain {}",
            object.api_version(),
            kind.to_lowercase()
        )),
    }
}

fn refused(
    status: &Status,
    object: &Object,
    wanted: &Value,
    live: Option<&DynamicObject>,
) -> ReleaseError {
    let causes = status
        .details
        .iter()
        .flat_map(|details| details.causes.iter());
    let mut problems: Vec<String> = causes
        .map(|cause| match cause.field.as_str() {
            "" | "<nil>" => cause.message.clone(),
            field => format!("{field}: {}", cause.message),
        })
        .collect();
    if problems.is_empty() {
        problems.push(status.message.clone());
    }
    let immutable: Vec<&str> = status
        .details
        .iter()
        .flat_map(|details| details.causes.iter())
        .filter(|cause| is_immutable(&cause.message))
        .map(|cause| cause.field.as_str())
        .collect();
    let is_secret = object.kind() == "Secret";
    let advice = (live.is_some() && (!immutable.is_empty() || is_immutable(&status.message)))
        .then(|| immutable_advice(object, &immutable, wanted, live, is_secret));
    ReleaseError::Refused {
        file: object.file.clone(),
        title: object.title(),
        problems,
        advice,
    }
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
    live: Option<&DynamicObject>,
    is_secret: bool,
) -> String {
    let live = live
        .and_then(|live| serde_json::to_value(live).ok())
        .unwrap_or_default();
    let mut lines = Vec::new();
    for field in fields {
        if is_secret {
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
