//! The life of namespaces (upstream's plug-in NamespaceLifecycle): nothing new
//! in one that is missing or going, and three never go.

use coracle_machinery::kind::Kind;
use serde_json::Value;

use crate::context::Context;
use crate::object::Stored;
use crate::resource;
use crate::status::{ApiError, ApiResult, Cause};

const PROTECTED: &[&str] = &["default", "kube-system", "kube-public"];

/// Refuses a new object in a namespace that is missing or going.
///
/// # Errors
/// 404 and 403.
pub fn check_create(context: &Context, kind: &'static Kind, object: &Value) -> ApiResult<()> {
    if !kind.namespaced {
        return Ok(());
    }
    let namespaces = resource::builtin("", "namespaces");
    let name = context.namespace();
    let Some(namespace) = context.core.store.get(&resource::key(namespaces, "", name)) else {
        return Err(ApiError::not_found(namespaces, name));
    };
    if !namespace.meta.deleting {
        return Ok(());
    }
    let object = object["metadata"]["name"].as_str().unwrap_or_default();
    let why =
        format!("unable to create new content in namespace {name} because it is being terminated");
    let mut error = ApiError::forbidden(kind, object, &why);
    if let Some(details) = &mut error.details {
        details.causes.push(Cause {
            reason: "NamespaceTerminating".to_owned(),
            message: format!("namespace {name} is being terminated"),
            field: "metadata.namespace".to_owned(),
        });
    }
    Err(error)
}

/// Refuses to delete the namespaces a cluster cannot be without.
///
/// # Errors
/// 403.
pub fn check_delete(kind: &'static Kind, stored: &Stored) -> ApiResult<()> {
    if kind.kind == "Namespace" && PROTECTED.contains(&stored.meta.name.as_str()) {
        return Err(ApiError::forbidden(
            kind,
            &stored.meta.name,
            "this namespace may not be deleted",
        ));
    }
    Ok(())
}
