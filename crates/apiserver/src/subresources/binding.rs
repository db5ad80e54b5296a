//! `pods/binding` and `bindings`: the scheduler's word on where a pod runs.

use bytes::Bytes;
use coracle_machinery::kind::Kind;
use coracle_store::{Expect, WriteError};
use http::{Response, StatusCode};
use serde_json::{Value, json};

use crate::admission::topology;
use crate::body::{self, Body};
use crate::context::Context;
use crate::decode;
use crate::options::WriteOptions;
use crate::resource;
use crate::respond;
use crate::rules;
use crate::status::{ApiError, ApiResult};
use crate::verbs::{get, write};

/// Binds a pod to a node.
///
/// # Errors
/// 409 when it is bound already, 404 when there is no such pod.
pub async fn run(
    context: &Context,
    kind: &'static Kind,
    body: &Bytes,
) -> ApiResult<Response<Body>> {
    let options = WriteOptions::read(&context.query, "CreateOptions")?;
    let content_type = body::content_type(&context.headers);
    let bindings = resource::builtin("", "bindings");
    let mut binding = decode::object(
        context,
        bindings,
        &content_type,
        body,
        options.field_validation,
    )?;
    let given = binding["metadata"]["name"].as_str().unwrap_or_default();
    let name = match (kind.plural, given) {
        ("bindings", given) => given.to_owned(),
        (_, given) if given != context.name() => {
            return Err(ApiError::bad_request(
                "name in URL does not match name in Binding object",
            ));
        }
        (_, given) => given.to_owned(),
    };
    if binding["target"]["kind"] == "Node" && kind.plural == "pods" {
        let node = binding["target"]["name"].clone();
        topology::copy(context, &node, &mut binding["metadata"]);
    }
    check(&binding)?;
    bind(context, &name, &binding, options.dry_run).await?;
    let answer = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201});
    Ok(respond::json(StatusCode::CREATED, &answer))
}

/// Upstream hands these faults on as they are, without making a Status of them.
fn check(binding: &Value) -> ApiResult<()> {
    let target = &binding["target"];
    let kind = target["kind"].as_str().unwrap_or_default();
    if !matches!(kind, "" | "Node") {
        return Err(ApiError::unknown(format!(
            "target.kind: Unsupported value: {kind:?}: supported values: \"Node\", \"<empty>\""
        )));
    }
    if target["name"].as_str().unwrap_or_default().is_empty() {
        return Err(ApiError::unknown("target.name: Required value"));
    }
    Ok(())
}

async fn bind(context: &Context, name: &str, binding: &Value, dry_run: bool) -> ApiResult<()> {
    let pods = resource::builtin("", "pods");
    loop {
        let stored = get::find(context, pods, context.namespace(), name)?;
        let mut pod = stored.to_value();
        let conflict = |why: String| {
            let mut error = ApiError::conflict(pods, name, &why);
            error.message =
                format!("Operation cannot be fulfilled on pods/binding {name:?}: {why}");
            if let Some(details) = &mut error.details {
                details.kind = "pods/binding".to_owned();
            }
            error
        };
        if let Some(uid) = binding["metadata"]["uid"]
            .as_str()
            .filter(|uid| !uid.is_empty() && *uid != stored.meta.uid)
        {
            let why = format!(
                "StorageError: invalid object, Code: 4, Key: /registry/pods/{}/{name}, ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: UID in precondition: {uid}, UID in object meta: {}",
                context.namespace(),
                stored.meta.uid
            );
            return Err(ApiError::conflict(pods, name, &why));
        }
        if stored.meta.deleting {
            return Err(conflict(format!(
                "pod {name} is being deleted, cannot be assigned to a host"
            )));
        }
        if let Some(node) = pod["spec"]["nodeName"]
            .as_str()
            .filter(|node| !node.is_empty())
        {
            return Err(conflict(format!(
                "pod {name} is already assigned to node {node:?}"
            )));
        }
        if pod["spec"]["schedulingGates"]
            .as_array()
            .is_some_and(|gates| !gates.is_empty())
        {
            return Err(conflict(format!(
                "pod {name} has non-empty .spec.schedulingGates"
            )));
        }
        assign(&mut pod, binding);
        rules::canonicalize(pods, &mut pod);
        if dry_run {
            return Ok(());
        }
        match write::put(&context.core, pods, &pod, Expect::Revision(stored.revision)).await {
            Ok(_) => return Ok(()),
            Err(WriteError::Conflict { .. }) => {}
            Err(error) => return Err(write::refused(pods, name, &error)),
        }
    }
}

fn assign(pod: &mut Value, binding: &Value) {
    pod["spec"]["nodeName"] = binding["target"]["name"].clone();
    // The place is taken (KEP-5278, ClearingNominatedNodeNameAfterBinding).
    if let Some(status) = pod["status"].as_object_mut() {
        status.shift_remove("nominatedNodeName");
    }
    for key in ["annotations", "labels"] {
        for (name, value) in binding["metadata"][key].as_object().into_iter().flatten() {
            pod["metadata"][key][name] = value.clone();
        }
    }
    let now = coracle_machinery::time::seconds(jiff::Timestamp::now());
    let condition = json!({
        "type": "PodScheduled", "status": "True", "lastProbeTime": null,
        "lastTransitionTime": now,
    });
    let conditions = pod["status"]["conditions"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let mut conditions: Vec<Value> = conditions
        .into_iter()
        .filter(|condition| condition["type"] != "PodScheduled")
        .collect();
    conditions.push(condition);
    pod["status"]["conditions"] = json!(conditions);
}
