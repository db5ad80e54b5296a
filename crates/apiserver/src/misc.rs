//! Paths that are no resource: health, version, discovery, documents, keys, metrics.

use std::sync::Arc;

use http::request::Parts;
use http::{HeaderValue, Method, Response, StatusCode};
use serde_json::json;

use crate::body::Body;
use crate::discovery::{self, Served};
use crate::node_groups::NodeGroups;
use crate::openapi;
use crate::request::Query;
use crate::respond;
use crate::server::Core;
use crate::status::{ApiError, ApiResult};
use crate::version;

/// Answers a path outside of the resources.
///
/// # Errors
/// 404 and 405.
pub fn run(
    core: &Arc<Core>,
    parts: &Parts,
    path: &str,
    query: &Query,
    node: NodeGroups,
) -> ApiResult<Response<Body>> {
    if !matches!(parts.method, Method::GET | Method::HEAD) {
        return Err(ApiError::method_not_allowed());
    }
    let headers = &parts.headers;
    let served = || Served::now(&core.customs, node);
    let segments: Vec<&str> = path.trim_matches('/').split('/').collect();
    match segments.as_slice() {
        [""] => Ok(respond::json(
            StatusCode::OK,
            &json!({"paths": paths(&served())}),
        )),
        ["version"] => Ok(respond::json(StatusCode::OK, &version::value())),
        ["healthz" | "livez", ..] => Ok(health(query, true)),
        ["readyz", ..] => Ok(health(query, core.is_ready())),
        ["metrics"] => {
            let content_type = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
            Ok(respond::bytes(
                StatusCode::OK,
                content_type,
                core.metrics.text(core),
            ))
        }
        ["api"] => discovery::core_versions(headers, &served(), &core.config.advertised),
        ["apis"] => discovery::groups(headers, &served()),
        ["api", version] => discovery::resources(&served(), "", version),
        ["apis", group] => discovery::group(&served(), group),
        ["apis", group, version] => discovery::resources(&served(), group, version),
        ["openapi", "v2"] => Ok(openapi::v2(headers)),
        ["openapi", "v3"] => Ok(core.documents.index(&core.customs)),
        ["openapi", "v3", rest @ ..] => core.documents.group(&core.customs, &rest.join("/")),
        [".well-known", "openid-configuration"] => {
            Ok(respond::json(StatusCode::OK, &core.tokens.discovery()))
        }
        ["openid", "v1", "jwks"] => {
            let body = crate::object::to_vec(&core.tokens.jwks());
            Ok(respond::bytes(
                StatusCode::OK,
                HeaderValue::from_static("application/jwk-set+json"),
                body,
            ))
        }
        _ => Err(ApiError::no_such_path()),
    }
}

fn health(query: &Query, healthy: bool) -> Response<Body> {
    if !healthy {
        return respond::text(
            StatusCode::INTERNAL_SERVER_ERROR,
            "[-]shutdown failed: reason withheld\nreadyz check failed\n",
        );
    }
    if query.get("verbose").is_some() {
        return respond::text(StatusCode::OK, "[+]ping ok\n[+]store ok\ncheck passed\n");
    }
    respond::text(StatusCode::OK, "ok")
}

fn paths(served: &Served) -> Vec<String> {
    let mut paths: Vec<String> = [
        "/.well-known/openid-configuration",
        "/api",
        "/api/v1",
        "/apis",
        "/healthz",
        "/livez",
        "/metrics",
        "/openapi/v2",
        "/openapi/v3",
        "/openid/v1/jwks",
        "/readyz",
        "/version",
    ]
    .iter()
    .map(|&path| path.to_owned())
    .collect();
    for (group, versions) in served.groups().filter(|(group, _)| !group.is_empty()) {
        paths.push(format!("/apis/{group}"));
        paths.extend(
            versions
                .iter()
                .map(|version| format!("/apis/{group}/{version}")),
        );
    }
    paths.sort();
    paths
}
