//! Subresources and the resources that only answer questions.

mod binding;
mod eviction;
mod finalize;
mod node;
mod reviews;
mod scale;
mod status;
mod stream_options;
mod token;

use coracle_machinery::kind::Kind;
use http::request::Parts;
use http::{Method, Response};

use crate::body::{self, Body};
use crate::context::Context;
use crate::status::{ApiError, ApiResult};

/// Answers a request for a subresource.
///
/// # Errors
/// 404 for an unknown one, 405 for a verb it does not have, and its own.
pub async fn run(
    context: &Context,
    kind: &'static Kind,
    parts: Parts,
    body: Body,
) -> ApiResult<Response<Body>> {
    let name = context.path.subresource.as_deref().unwrap_or_default();
    let sub = kind.subresource(name).ok_or_else(|| match kind.custom {
        None => ApiError::no_such_resource(),
        // Custom resources miss the object instead.
        Some(_) => ApiError::not_found(kind, context.name()),
    })?;
    if kind.namespaced && context.path.namespace.is_none() {
        return Err(ApiError::no_such_resource());
    }
    let verb = verb(&parts.method);
    let connects = matches!(name, "exec" | "attach" | "portforward" | "proxy");
    let allowed = sub.verbs.contains(&verb) || (connects && matches!(verb, "get" | "create"));
    if !allowed {
        return Err(ApiError::method_not_allowed());
    }
    if !context.path.rest.is_empty() && name != "proxy" {
        return Err(ApiError::no_such_resource());
    }
    match (kind.plural, name) {
        ("pods", "log" | "exec" | "attach" | "portforward") => {
            node::pod(context, kind, name, parts, body).await
        }
        (_, "proxy") => node::proxy(context, kind, parts, body).await,
        ("pods", "binding") => binding::run(context, kind, &body::read(body).await?).await,
        ("pods", "eviction") => eviction::run(context, kind, &body::read(body).await?).await,
        ("serviceaccounts", "token") => token::run(context, kind, &body::read(body).await?).await,
        ("namespaces", "finalize") => finalize::run(context, kind, &body::read(body).await?).await,
        (_, "scale") => scale::run(context, kind, verb, &body::read(body).await?).await,
        _ => status::run(context, kind, verb, &body::read(body).await?).await,
    }
}

fn verb(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "get",
        "POST" => "create",
        "PUT" => "update",
        "PATCH" => "patch",
        "DELETE" => "delete",
        _ => "",
    }
}

/// Answers a request for a resource that is not stored.
///
/// # Errors
/// 405 for anything but what it answers, and its own.
pub async fn run_virtual(
    context: &Context,
    kind: &'static Kind,
    method: &Method,
    body: Body,
) -> ApiResult<Response<Body>> {
    let verb = match (method.as_str(), context.path.name.is_some()) {
        ("POST", false) => "create",
        ("GET", true) => "get",
        ("GET", false) => "list",
        _ => return Err(ApiError::method_not_allowed()),
    };
    if !kind.verbs.contains(&verb) {
        return Err(ApiError::method_not_allowed());
    }
    match kind.plural {
        "bindings" => binding::run(context, kind, &body::read(body).await?).await,
        "componentstatuses" => reviews::component_statuses(context, kind),
        _ => reviews::run(context, kind, &body::read(body).await?),
    }
}
