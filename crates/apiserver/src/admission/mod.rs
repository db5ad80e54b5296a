//! What is changed or refused between decoding and storing, beyond what a kind
//! itself prescribes: namespaces, service accounts, addresses. The order is
//! upstream's: change, allocate, check.

mod escalation;
mod inert;
mod limits;
pub mod namespaces;
mod network;
mod pod_security;
mod pod_spec;
mod pods;
mod priority;
mod quota;
mod resize;
mod runtime_class;
pub mod services;
mod signing;
mod storage;
pub mod topology;

use coracle_machinery::kind::Kind;
use serde_json::Value;

use crate::context::Context;
use crate::object::Stored;
use crate::status::{ApiResult, Cause};

pub use services::Allocation;

fn is(kind: &Kind, group: &str, plural: &str) -> bool {
    kind.group == group && kind.plural == plural
}

/// Changes a new object, or refuses it.
///
/// # Errors
/// 403 and 404, as the plug-in says.
pub fn mutate_create(context: &Context, kind: &'static Kind, object: &mut Value) -> ApiResult<()> {
    namespaces::check_create(context, kind, object)?;
    inert::warn(context, kind, object);
    match (kind.group, kind.plural) {
        ("", "pods") => {
            limits::fill(context, object);
            pods::service_account(context, kind, object)?;
            priority::mutate(context, kind, object)?;
            pods::tolerations(object);
            runtime_class::mutate(context, kind, object)?;
            let node = object["spec"]["nodeName"].clone();
            topology::copy(context, &node, &mut object["metadata"]);
        }
        ("", "nodes") => network::taint_new_node(object),
        ("", "persistentvolumeclaims") => storage::default_class(context, object),
        ("networking.k8s.io", "ingresses") => network::default_class(context, kind, object)?,
        ("certificates.k8s.io", _) => signing::name_requester(context, object),
        _ => {}
    }
    storage::protect(kind, object);
    escalation::check(context, kind, object)
}

/// Gives a new object the addresses and ports it needs.
///
/// # Errors
/// 422 for values that are taken or out of range.
pub fn allocate_create(
    context: &Context,
    kind: &'static Kind,
    object: &mut Value,
    dry_run: bool,
) -> ApiResult<Allocation> {
    if is(kind, "", "services") {
        return context
            .core
            .allocations
            .for_service(kind, object, None, dry_run);
    }
    Ok(Allocation::none())
}

/// Refuses a finished new object.
///
/// # Errors
/// 403, as the plug-in says.
pub async fn check_create(
    context: &Context,
    kind: &'static Kind,
    object: &Value,
    dry_run: bool,
) -> ApiResult<()> {
    limits::check(context, kind, object)?;
    if is(kind, "scheduling.k8s.io", "priorityclasses") {
        priority::check_class(context, kind, object)?;
    }
    pod_security::check(context, kind, object, None)?;
    quota::charge(context, kind, object, None, dry_run).await
}

/// Changes an update, or refuses it.
///
/// # Errors
/// 403, as the plug-in says.
pub fn mutate_update(
    context: &Context,
    kind: &'static Kind,
    object: &mut Value,
    live: &Value,
) -> ApiResult<()> {
    if is(kind, "", "pods") {
        match context.path.subresource.as_deref() {
            None => {
                priority::keep(object, live);
                pods::tolerations(object);
            }
            Some("resize") => limits::fill(context, object),
            Some(_) => {}
        }
    }
    escalation::check(context, kind, object)
}

/// Gives an update the addresses and ports it newly needs.
///
/// # Errors
/// 422 for values that are taken or out of range.
pub fn allocate_update(
    context: &Context,
    kind: &'static Kind,
    object: &mut Value,
    live: &Value,
    dry_run: bool,
) -> ApiResult<Allocation> {
    if is(kind, "", "services") && context.path.subresource.is_none() {
        return context
            .core
            .allocations
            .for_service(kind, object, Some(live), dry_run);
    }
    Ok(Allocation::none())
}

/// Refuses a finished update.
///
/// # Errors
/// 403, as the plug-in says.
pub async fn check_update(
    context: &Context,
    kind: &'static Kind,
    object: &Value,
    live: &Value,
    dry_run: bool,
) -> ApiResult<()> {
    match (kind.group, kind.plural, context.path.subresource.as_deref()) {
        ("", "pods", Some("resize")) => {
            limits::check(context, kind, object)?;
            pod_security::check(context, kind, object, Some(live))?;
            resize::check(context, kind, object, live)?;
        }
        ("", "pods", None | Some("ephemeralcontainers")) => {
            pod_security::check(context, kind, object, Some(live))?;
        }
        ("", "persistentvolumeclaims", None) => {
            if live["metadata"]["deletionTimestamp"].is_null() {
                limits::check(context, kind, object)?;
            }
            storage::check_resize(context, kind, object, live)?;
        }
        ("scheduling.k8s.io", "priorityclasses", None) => {
            priority::check_class(context, kind, object)?;
        }
        (_, _, None) => pod_security::check(context, kind, object, Some(live))?,
        (_, _, Some(_)) => {}
    }
    quota::charge(context, kind, object, Some(live), dry_run).await
}

/// Refuses a deletion.
///
/// # Errors
/// 403, as the plug-in says.
pub fn check_delete(_context: &Context, kind: &'static Kind, stored: &Stored) -> ApiResult<()> {
    namespaces::check_delete(kind, stored)
}

/// Returns what the configuration of the cluster forbids in an object.
pub fn forbidden(context: &Context, kind: &'static Kind, object: &Value) -> Vec<Cause> {
    let Some((path, spec)) =
        pod_spec::of(kind, object).filter(|_| !context.core.config.allow_privileged)
    else {
        return Vec::new();
    };
    pod_spec::containers(spec)
        .filter(|(_, _, container)| container["securityContext"]["privileged"] == true)
        .map(|(list, index, _)| Cause {
            reason: "FieldValueForbidden".to_owned(),
            message: "Forbidden: disallowed by cluster policy".to_owned(),
            field: format!("{path}.{list}[{index}].securityContext.privileged"),
        })
        .collect()
}
