//! ResourceQuotas: what a new object uses is added to the status of every
//! quota it falls under, or the object is refused (upstream's plug-in
//! ResourceQuota). Counting afresh is the controller's work.
//!
//! <https://kubernetes.io/docs/concepts/policy/resource-quotas/>

use std::sync::Arc;

use coracle_machinery::kind::Kind;
use coracle_machinery::quota::{Amounts, covers, totals, usage};
use coracle_store::{Expect, WriteError};
use serde_json::{Value, json};

use crate::context::Context;
use crate::object::Stored;
use crate::resource;
use crate::status::{ApiError, ApiResult};
use crate::verbs::write;

/// Charges a new object to the quotas of its namespace.
///
/// # Errors
/// 403 when a quota would be exceeded or cannot judge.
pub async fn charge(
    context: &Context,
    kind: &'static Kind,
    object: &Value,
    dry_run: bool,
) -> ApiResult<()> {
    if !kind.namespaced || kind.kind == "Event" {
        return Ok(());
    }
    let quotas = resource::builtin("", "resourcequotas");
    let prefix = resource::prefix(quotas, Some(context.namespace()));
    let page = context.core.store.list(&prefix, None, usize::MAX);
    if page.items.is_empty() {
        return Ok(());
    }
    let usage = usage(kind, object);
    for (_, quota) in page.items {
        charge_one(context, kind, object, quotas, quota, &usage, dry_run).await?;
    }
    Ok(())
}

async fn charge_one(
    context: &Context,
    kind: &'static Kind,
    object: &Value,
    quotas: &'static Kind,
    mut stored: Arc<Stored>,
    usage: &Amounts,
    dry_run: bool,
) -> ApiResult<()> {
    loop {
        let mut quota = stored.to_value();
        if !covers(&quota["spec"], kind, object) {
            return Ok(());
        }
        let Some(used) = judge(kind, object, &quota, usage)? else {
            return Ok(());
        };
        if dry_run {
            return Ok(());
        }
        for (name, amount) in &used {
            quota["status"]["used"][name] = json!(amount.to_string());
        }
        match write::put(
            &context.core,
            quotas,
            &quota,
            Expect::Revision(stored.revision),
        )
        .await
        {
            Ok(_) | Err(WriteError::Missing { .. }) => return Ok(()),
            Err(WriteError::Conflict { .. }) => {
                let key = resource::key(quotas, &stored.meta.namespace, &stored.meta.name);
                let Some(newer) = context.core.store.get(&key) else {
                    return Ok(());
                };
                stored = newer;
            }
            Err(error) => return Err(write::refused(quotas, &stored.meta.name, &error)),
        }
    }
}

/// Returns the new usage of a quota, or `None` when the object does not touch it.
fn judge(
    kind: &'static Kind,
    object: &Value,
    quota: &Value,
    usage: &Amounts,
) -> ApiResult<Option<Amounts>> {
    let name = quota["metadata"]["name"].as_str().unwrap_or_default();
    let object_name = object["metadata"]["name"].as_str().unwrap_or_default();
    let forbidden = |why: String| ApiError::forbidden(kind, object_name, &why);
    let hard = totals::read(&quota["spec"]["hard"]);
    if kind.kind == "Pod" {
        let lacking = lacking(&object["spec"], &hard);
        if !lacking.is_empty() {
            return Err(forbidden(format!(
                "failed quota: {name}: must specify {}",
                lacking.join("; ")
            )));
        }
    }
    let touched: Amounts = usage
        .iter()
        .filter(|(name, _)| hard.contains_key(*name))
        .map(|(name, amount)| (name.clone(), *amount))
        .collect();
    if touched.is_empty() {
        return Ok(None);
    }
    let known_hard = totals::read(&quota["status"]["hard"]);
    let known_used = totals::read(&quota["status"]["used"]);
    let unknown: Vec<&str> = touched
        .keys()
        .filter(|name| !known_hard.contains_key(*name) || !known_used.contains_key(*name))
        .map(String::as_str)
        .collect();
    if !unknown.is_empty() {
        return Err(forbidden(format!(
            "status unknown for quota: {name}, resources: {}",
            unknown.join(",")
        )));
    }
    let mut used = Amounts::new();
    let mut exceeded: Vec<String> = Vec::new();
    for (resource, amount) in &touched {
        let sum = known_used
            .get(resource)
            .map_or(*amount, |used| used.saturating_add(*amount));
        if known_hard.get(resource).is_some_and(|limit| sum > *limit) {
            exceeded.push(resource.clone());
        }
        used.insert(resource.clone(), sum);
    }
    if exceeded.is_empty() {
        return Ok(Some(used));
    }
    let show = |amounts: &Amounts| {
        let parts: Vec<String> = exceeded
            .iter()
            .filter_map(|name| Some(format!("{name}={}", amounts.get(name)?)))
            .collect();
        parts.join(",")
    };
    Err(forbidden(format!(
        "exceeded quota: {name}, requested: {}, used: {}, limited: {}",
        show(&touched),
        show(&known_used),
        show(&known_hard)
    )))
}

/// Compute resources that a quota limits must be stated by every container.
fn lacking(spec: &Value, hard: &Amounts) -> Vec<String> {
    let mut lacking = Vec::new();
    for (part, names) in [
        ("limits", ["limits.cpu", "limits.memory"].as_slice()),
        (
            "requests",
            ["cpu", "memory", "requests.cpu", "requests.memory"].as_slice(),
        ),
    ] {
        for name in names.iter().filter(|name| hard.contains_key(**name)) {
            let resource = name.rsplit('.').next().unwrap_or_default();
            let without: Vec<&str> = ["initContainers", "containers"]
                .iter()
                .flat_map(|list| spec[*list].as_array().into_iter().flatten())
                .filter(|container| container["resources"][part].get(resource).is_none())
                .filter_map(|container| container["name"].as_str())
                .collect();
            if !without.is_empty() {
                lacking.push(format!("{name} for: {}", without.join(",")));
            }
        }
    }
    lacking.sort();
    lacking
}
