//! The way of a request: who asks, what for, whether they may, which verb
//! answers. Every error ends here as a `Status`.

use std::sync::Arc;
use std::time::Instant;

use coracle_machinery::kind::Kind;
use futures::FutureExt;
use http::request::Parts;
use http::{Request, Response, header};

use crate::authn;
use crate::authz::{self, Attributes};
use crate::body::{self, Body};
use crate::context::Context;
use crate::custom;
use crate::identity::Identity;
use crate::misc;
use crate::node_groups::{self, NodeGroups};
use crate::pretty;
use crate::request::{Query, ResourcePath, Target};
use crate::respond;
use crate::server::Core;
use crate::status::{ApiError, ApiResult};
use crate::subresources;
use crate::verbs;

/// Answers a request. An [`Identity`] among its extensions has been proven by
/// the transport.
pub async fn handle(core: Arc<Core>, request: Request<Body>) -> Response<Body> {
    let started = Instant::now();
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    let metrics = core.clone();
    let for_people = pretty::is_wanted(&request);
    let mut response = match route(core, request).await {
        Ok(response) => response,
        Err(error) => {
            if error.code >= 500 {
                tracing::warn!(%method, %path, code = error.code, message = %error.message, "request failed");
            }
            respond::error(&error)
        }
    };
    if for_people {
        response = pretty::indented(response).await;
    }
    metrics
        .metrics
        .observe(&method, response.status(), started.elapsed());
    response
}

async fn route(core: Arc<Core>, request: Request<Body>) -> ApiResult<Response<Body>> {
    let (parts, body) = request.into_parts();
    let target = Target::parse(parts.uri.path());
    // A body that is left unread would cost the client its connection, also
    // when the answer is a refusal. Streams are another matter.
    let body = if streams(&parts, &target) {
        body
    } else {
        body::full(body::read(body).await?)
    };
    let user = authn::authenticate(&core, &parts)?;
    let user = authn::impersonate(&core, user, &parts.headers)?;
    let query = Query::parse(parts.uri.query().unwrap_or_default());
    match target {
        Target::Other(path) => {
            authz::require_path(&core, &user, parts.method.as_str(), &path)?;
            let node = NodeGroups::discover(&core, &path).await;
            misc::run(&core, &parts, &path, &query, node)
        }
        Target::Resource(path) => resource(core, user, path, query, parts, body).boxed().await,
    }
}

async fn resource(
    core: Arc<Core>,
    user: Identity,
    path: ResourcePath,
    query: Query,
    parts: Parts,
    body: Body,
) -> ApiResult<Response<Body>> {
    let mut verb = path.verb(&parts.method, &query);
    authorize(&core, &user, &path, verb, &query)?;
    if let Some(node) = node_groups::node_of(&core, &path) {
        return node_groups::pass(&node, parts, body).await;
    }
    let kind = find(&core, &path)?;
    check_scope(kind, &path)?;
    if path.legacy_watch {
        verb = "watch";
    }
    let context = Context::new(core, user, path, query, parts.headers.clone(), verb);
    // A subresource that is not there has nothing to say.
    let subresource = context.path.subresource.as_deref();
    let there = subresource.is_none_or(|name| kind.subresource(name).is_some());
    if let Some(text) = kind.deprecated.filter(|_| there) {
        context.warn(text);
    }
    let long =
        context.verb == "watch" || context.path.subresource.as_deref().is_some_and(is_stream);
    let in_flight = context.core.clone();
    let turn = if long {
        None
    } else {
        Some(in_flight.in_flight.turn(is_write(&parts)).await?)
    };
    let outcome = run(&context, kind, parts, body).boxed().await;
    drop(turn);
    let mut response = match outcome {
        Ok(response) => response,
        Err(error) => {
            if error.code >= 500 {
                tracing::warn!(resource = kind.plural, verb, message = %error.message, "request failed");
            }
            respond::error(&error)
        }
    };
    for warning in context.warning_headers() {
        response.headers_mut().append(header::WARNING, warning);
    }
    Ok(response)
}

fn streams(parts: &Parts, target: &Target) -> bool {
    let proxied =
        matches!(target, Target::Resource(path) if path.subresource.as_deref() == Some("proxy"));
    proxied || parts.headers.contains_key(header::UPGRADE)
}

fn is_stream(subresource: &str) -> bool {
    matches!(
        subresource,
        "log" | "exec" | "attach" | "portforward" | "proxy"
    )
}

fn is_write(parts: &Parts) -> bool {
    matches!(parts.method.as_str(), "POST" | "PUT" | "PATCH" | "DELETE")
}

/// Whether the user may. A list of one name counts as that name.
fn authorize(
    core: &Core,
    user: &Identity,
    path: &ResourcePath,
    verb: &str,
    query: &Query,
) -> ApiResult<()> {
    let selected = (path.name.is_none() && matches!(verb, "list" | "watch" | "deletecollection"))
        .then(|| single_name(query.text("fieldSelector")))
        .flatten();
    authz::require(core, &Attributes::of(user, path, verb, selected.as_deref()))
}

fn single_name(selector: &str) -> Option<String> {
    let selector = coracle_machinery::selector::FieldSelector::parse(selector).ok()?;
    selector.exact("metadata.name").map(str::to_owned)
}

fn find(core: &Core, path: &ResourcePath) -> ApiResult<&'static Kind> {
    let found = custom::find(&core.customs, &path.group, &path.version, &path.resource);
    found.ok_or_else(|| {
        let known = coracle_machinery::kinds::groups()
            .iter()
            .any(|(group, _)| *group == path.group)
            || core
                .customs
                .groups()
                .iter()
                .any(|(group, _)| *group == path.group);
        if known {
            ApiError::no_such_resource()
        } else {
            ApiError::no_such_path()
        }
    })
}

fn check_scope(kind: &Kind, path: &ResourcePath) -> ApiResult<()> {
    let in_namespace = path.namespace.is_some();
    if kind.kind == "Namespace" {
        return Ok(());
    }
    if in_namespace && !kind.namespaced {
        return Err(ApiError::no_such_resource());
    }
    if !in_namespace && kind.namespaced && path.name.is_some() {
        return Err(ApiError::no_such_resource());
    }
    Ok(())
}

async fn run(
    context: &Context,
    kind: &'static Kind,
    parts: Parts,
    body: Body,
) -> ApiResult<Response<Body>> {
    if context.path.subresource.is_some() {
        return subresources::run(context, kind, parts, body).await;
    }
    if !kind.is_stored() {
        return subresources::run_virtual(context, kind, &parts.method, body).await;
    }
    let across = kind.namespaced && context.path.namespace.is_none();
    let named = context.path.name.is_some();
    let allowed = |verb: &str| kind.verbs.contains(&verb);
    match (parts.method.as_str(), named) {
        ("GET", _) if context.verb == "watch" && allowed("watch") => {
            verbs::watch::run(context, kind)
        }
        ("GET", true) if allowed("get") => verbs::get::run(context, kind),
        ("GET", false) if allowed("list") => verbs::list::run(context, kind),
        ("POST", false) if allowed("create") && !across => {
            verbs::create::run(context, kind, &body::read(body).await?).await
        }
        ("PUT", true) if allowed("update") => {
            verbs::update::run(context, kind, &body::read(body).await?).await
        }
        ("PATCH", true) if allowed("patch") => {
            verbs::patch::run(context, kind, &body::read(body).await?).await
        }
        ("DELETE", true) if allowed("delete") => {
            verbs::delete::run(context, kind, &body::read(body).await?).await
        }
        ("DELETE", false) if allowed("deletecollection") && !across => {
            verbs::delete::collection(context, kind, &body::read(body).await?).await
        }
        _ => Err(ApiError::method_not_allowed()),
    }
}
