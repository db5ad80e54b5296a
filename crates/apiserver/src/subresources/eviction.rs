//! `pods/eviction`: a deletion that asks the disruption budgets first.
//!
//! <https://kubernetes.io/docs/concepts/scheduling-eviction/api-eviction/>

use std::sync::Arc;

use bytes::Bytes;
use coracle_machinery::kind::Kind;
use coracle_machinery::selector::LabelSelector;
use coracle_store::{Expect, WriteError};
use http::{Response, StatusCode};
use serde_json::{Value, json};

use crate::body::{self, Body};
use crate::context::Context;
use crate::decode;
use crate::object::Stored;
use crate::options::FieldValidation;
use crate::resource;
use crate::respond;
use crate::status::{ApiError, ApiResult, Cause, Details};
use crate::verbs::delete::{self, Options};
use crate::verbs::{get, write};

/// Evicts a pod.
///
/// # Errors
/// 429 when a disruption budget stands against it.
pub async fn run(
    context: &Context,
    kind: &'static Kind,
    body: &Bytes,
) -> ApiResult<Response<Body>> {
    let content_type = body::content_type(&context.headers);
    let parsed = decode::parse(&content_type, body)?;
    decode::judge(context, parsed.findings, FieldValidation::Warn)
        .map_err(ApiError::bad_request)?;
    let eviction = parsed.value;
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
    let mut options = Options::from_value(&eviction["deleteOptions"])?;
    if context.query.all("dryRun").any(|value| value == "All") {
        options.set_dry_run();
    }
    let pod = get::find(context, kind, context.namespace(), context.name())?;
    if needs_budget(&pod) {
        ask_budgets(context, &pod, options.is_dry_run()).await?;
    }
    delete::delete(context, kind, context.namespace(), context.name(), &options).await?;
    let answer = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201});
    Ok(respond::json(StatusCode::CREATED, &answer))
}

/// A pod that does not run, or goes already, disrupts nothing.
fn needs_budget(pod: &Stored) -> bool {
    !pod.meta.deleting
        && !matches!(
            pod.field("status.phase"),
            Some("Succeeded" | "Failed" | "Pending")
        )
}

async fn ask_budgets(context: &Context, pod: &Stored, dry_run: bool) -> ApiResult<()> {
    let kind = resource::builtin("policy", "poddisruptionbudgets");
    let prefix = resource::prefix(kind, Some(&pod.meta.namespace));
    let matching: Vec<Arc<Stored>> = context
        .core
        .store
        .list(&prefix, None, usize::MAX)
        .items
        .into_iter()
        .map(|(_, budget)| budget)
        .filter(|budget| selects(&budget.to_plain_value(), pod))
        .collect();
    match matching.as_slice() {
        [] => Ok(()),
        [budget] => spend(context, kind, budget.clone(), pod, dry_run).await,
        _ => Err(ApiError::internal(
            "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.",
        )),
    }
}

fn selects(budget: &Value, pod: &Stored) -> bool {
    LabelSelector::from_object(budget["spec"].get("selector"))
        .is_ok_and(|selector| selector.matches(&pod.meta.labels))
}

async fn spend(
    context: &Context,
    kind: &'static Kind,
    mut stored: Arc<Stored>,
    pod: &Stored,
    dry_run: bool,
) -> ApiResult<()> {
    loop {
        let mut budget = stored.to_value();
        let status = &budget["status"];
        let generation = budget["metadata"]["generation"].as_i64().unwrap_or(0);
        if status["observedGeneration"].as_i64().unwrap_or(0) < generation {
            return Err(refused(
                &stored.meta.name,
                "is still being processed by the server.",
                10,
            ));
        }
        if !is_ready(&pod.to_plain_value()) && may_evict_unready(&budget) {
            return Ok(());
        }
        let allowed = status["disruptionsAllowed"].as_i64().unwrap_or(0);
        if allowed <= 0 {
            let counts = format!(
                "needs {} healthy pods and has {} currently",
                status["desiredHealthy"].as_i64().unwrap_or(0),
                status["currentHealthy"].as_i64().unwrap_or(0)
            );
            return Err(refused(&stored.meta.name, &counts, 0));
        }
        if dry_run {
            return Ok(());
        }
        let now = coracle_machinery::time::seconds(jiff::Timestamp::now());
        budget["status"]["disruptionsAllowed"] = json!(allowed - 1);
        budget["status"]["disruptedPods"][&pod.meta.name] = json!(now);
        match write::put(
            &context.core,
            kind,
            &budget,
            Expect::Revision(stored.revision),
        )
        .await
        {
            Ok(_) => return Ok(()),
            Err(WriteError::Conflict { .. }) => {
                stored = get::find(context, kind, &stored.meta.namespace, &stored.meta.name)?;
            }
            Err(error) => return Err(write::refused(kind, &stored.meta.name, &error)),
        }
    }
}

fn is_ready(pod: &Value) -> bool {
    let conditions = pod["status"]["conditions"].as_array();
    conditions
        .into_iter()
        .flatten()
        .any(|one| one["type"] == "Ready" && one["status"] == "True")
}

fn may_evict_unready(budget: &Value) -> bool {
    let status = &budget["status"];
    let number = |key: &str| status[key].as_i64().unwrap_or(0);
    budget["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow"
        || (number("currentHealthy") >= number("desiredHealthy") && number("desiredHealthy") > 0)
}

fn refused(budget: &str, why: &str, retry_after_seconds: u32) -> ApiError {
    let message = "Cannot evict pod as it would violate the pod's disruption budget.";
    ApiError::new(429, "TooManyRequests", message).with(Details {
        causes: vec![Cause {
            reason: "DisruptionBudget".to_owned(),
            message: format!("The disruption budget {budget} {why}"),
            field: String::new(),
        }],
        retry_after_seconds,
        ..Details::default()
    })
}
