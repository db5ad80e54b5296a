//! `pods/eviction`: a deletion that asks the disruption budgets first, and
//! tells the pod why it goes.
//!
//! <https://kubernetes.io/docs/concepts/scheduling-eviction/api-eviction/>,
//! `pkg/registry/core/pod/storage/eviction.go`.

mod budget;

use bytes::Bytes;
use coracle_machinery::kind::Kind;
use coracle_store::{Expect, WriteError};
use http::{Response, StatusCode};
use serde_json::{Value, json};

use crate::body::{self, Body};
use crate::context::Context;
use crate::decode;
use crate::object::Stored;
use crate::options::WriteOptions;
use crate::respond;
use crate::rules;
use crate::status::{ApiError, ApiResult};
use crate::verbs::delete::{self, Options};
use crate::verbs::{get, write};

use budget::Verdict;

/// An eviction that does not insist on a revision is tried this often.
const TRIES: usize = 20;

/// Evicts a pod.
///
/// # Errors
/// 429 when a disruption budget stands against it.
pub async fn run(
    context: &Context,
    kind: &'static Kind,
    body: &Bytes,
) -> ApiResult<Response<Body>> {
    let options = WriteOptions::read(&context.query, "CreateOptions")?;
    let content_type = body::content_type(&context.headers);
    let parsed = decode::parse(&content_type, body)?;
    decode::judge(context, parsed.findings, options.field_validation)
        .map_err(ApiError::bad_request)?;
    let eviction = parsed.value;
    check(context, &eviction)?;
    let mut deletion = Options::from_value(&eviction["deleteOptions"])?;
    if options.dry_run {
        deletion.set_dry_run();
    }
    evict(context, kind, &deletion).await
}

fn check(context: &Context, eviction: &Value) -> ApiResult<()> {
    let text = |name: &str| eviction[name].as_str().unwrap_or_default();
    if !matches!(text("kind"), "" | "Eviction") {
        let (kind, version) = (text("kind"), text("apiVersion"));
        return Err(ApiError::bad_request(format!(
            "{kind} in version \"{}\" cannot be handled as a Eviction: no kind {kind:?} is registered for version {version:?} in scheme \"pkg/api/legacyscheme/scheme.go:30\"",
            version.rsplit('/').next().unwrap_or_default()
        )));
    }
    let given = eviction["metadata"]["name"].as_str().unwrap_or_default();
    if given != context.name() {
        return Err(ApiError::bad_request(
            "name in URL does not match name in Eviction object",
        ));
    }
    Ok(())
}

async fn evict(
    context: &Context,
    kind: &'static Kind,
    deletion: &Options,
) -> ApiResult<Response<Body>> {
    for attempt in 1.. {
        let pod = get::find(context, kind, context.namespace(), context.name())?;
        let mut options = deletion.clone();
        let mut unready_under = None;
        if needs_budget(&pod) {
            match budget::ask(context, &pod, deletion.is_dry_run()).await? {
                Verdict::Free => {}
                Verdict::Unready { budget } => unready_under = Some(budget),
                Verdict::Several => return Ok(several_budgets()),
            }
        }
        // A pod that counts for nothing now must not have become ready meanwhile.
        let insists = deletion.revision().is_some();
        if !insists && (is_waiting(&pod) || unready_under.is_some()) {
            options.require_revision(pod.revision);
        }
        match mark_and_delete(context, kind, &options).await {
            Ok(()) => return Ok(evicted()),
            Err(error) if error.reason == "Conflict" && !insists => match unready_under {
                Some(budget) => return Err(budget::still_processed(&budget)),
                None if attempt < TRIES => {}
                None => return Err(error),
            },
            Err(error) => return Err(error),
        }
    }
    unreachable!("the loop returns at its last attempt")
}

fn evicted() -> Response<Body> {
    let answer = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201});
    respond::json(StatusCode::CREATED, &answer)
}

/// Upstream answers with a failure as if it had been created.
fn several_budgets() -> Response<Body> {
    let answer = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.",
        "code": 500,
    });
    respond::json(StatusCode::CREATED, &answer)
}

fn phase(pod: &Stored) -> &str {
    pod.field("status.phase").unwrap_or_default()
}

/// A pod that does not run, or goes already, disrupts nothing.
fn needs_budget(pod: &Stored) -> bool {
    !pod.meta.deleting && !matches!(phase(pod), "Succeeded" | "Failed" | "Pending")
}

/// A pod that may begin to run at any moment.
fn is_waiting(pod: &Stored) -> bool {
    !pod.meta.deleting && phase(pod) == "Pending"
}

async fn mark_and_delete(
    context: &Context,
    kind: &'static Kind,
    options: &Options,
) -> ApiResult<()> {
    let (namespace, name) = (context.namespace(), context.name());
    let mut options = options.clone();
    if !options.is_dry_run() {
        let revision = add_condition(context, kind, &options).await?;
        if options.revision().is_some() {
            options.require_revision(revision);
        }
    }
    delete::delete(context, kind, namespace, name, &options).await?;
    Ok(())
}

/// Tells the pod that it is a target; returns its revision.
async fn add_condition(
    context: &Context,
    kind: &'static Kind,
    options: &Options,
) -> ApiResult<u64> {
    loop {
        let stored = get::find(context, kind, context.namespace(), context.name())?;
        options.check_preconditions(kind, &stored)?;
        let mut pod = stored.to_value();
        set_target(&mut pod["status"]);
        rules::canonicalize(kind, &mut pod);
        if stored.says_the_same(&pod) {
            return Ok(stored.revision);
        }
        match write::put(&context.core, kind, &pod, Expect::Revision(stored.revision)).await {
            Ok(written) => return Ok(written.revision),
            Err(WriteError::Conflict { .. }) => {}
            Err(error) => return Err(write::refused(kind, context.name(), &error)),
        }
    }
}

/// Writes the condition as `UpdatePodCondition` does: its time is that of the
/// last change of its status.
fn set_target(status: &mut Value) {
    let mut condition = json!({
        "type": "DisruptionTarget",
        "status": "True",
        "lastProbeTime": null,
        "lastTransitionTime": coracle_machinery::time::seconds(jiff::Timestamp::now()),
        "reason": "EvictionByEvictionAPI",
        "message": "Eviction API: evicting",
    });
    if !status["conditions"].is_array() {
        status["conditions"] = json!([]);
    }
    let Some(conditions) = status["conditions"].as_array_mut() else {
        return;
    };
    let same = |one: &&mut Value| one["type"] == condition["type"];
    match conditions.iter_mut().find(same) {
        Some(before) => {
            if before["status"] == condition["status"] {
                condition["lastTransitionTime"] = before["lastTransitionTime"].clone();
            }
            *before = condition;
        }
        None => conditions.push(condition),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_keeps_the_time_of_its_status() {
        let mut status = json!({"phase": "Running"});
        set_target(&mut status);
        assert_eq!(status["conditions"][0]["reason"], "EvictionByEvictionAPI");
        status["conditions"][0]["lastTransitionTime"] = json!("2020-01-01T00:00:00Z");
        status["conditions"][0]["reason"] = json!("PreemptionByScheduler");
        set_target(&mut status);
        let condition = &status["conditions"][0];
        assert_eq!(condition["lastTransitionTime"], "2020-01-01T00:00:00Z");
        assert_eq!(condition["reason"], "EvictionByEvictionAPI");
        assert_eq!(status["conditions"].as_array().map(Vec::len), Some(1));
    }
}
