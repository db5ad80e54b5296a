//! Subresources that the node answers: logs, exec, attach, port-forward, proxy.
//! The request is authorised, rewritten to the kubelet's form and handed over,
//! its upgrade with it.

use coracle_machinery::kind::Kind;
use http::request::Parts;
use http::{Request, Response, StatusCode, Uri};
use serde_json::Value;

use crate::body::{self, Body};
use crate::context::Context;
use crate::kubelet::Kubelet;
use crate::resource;
use crate::status::{ApiError, ApiResult};
use crate::subresources::stream_options;
use crate::verbs::get;

/// Answers a stream of a pod.
///
/// # Errors
/// 400 when the pod or container does not fit, 503 without a node.
pub async fn pod(
    context: &Context,
    kind: &'static Kind,
    name: &str,
    parts: Parts,
    body: Body,
) -> ApiResult<Response<Body>> {
    stream_options::check(context, name)?;
    let pod = get::find(context, kind, context.namespace(), context.name())?.to_plain_value();
    let (namespace, pod_name) = (context.namespace(), context.name());
    let query = parts
        .uri
        .query()
        .map(|query| format!("?{query}"))
        .unwrap_or_default();
    let path = if name == "portforward" {
        format!("/portForward/{namespace}/{pod_name}{query}")
    } else {
        let container = container(context, &pod)?;
        let place = if name == "log" { "containerLogs" } else { name };
        format!("/{place}/{namespace}/{pod_name}/{container}{query}")
    };
    if pod["spec"]["nodeName"]
        .as_str()
        .unwrap_or_default()
        .is_empty()
    {
        if name == "log" {
            // A pod that is nowhere yet has said nothing.
            let mut nothing = Response::new(Body::default());
            *nothing.status_mut() = StatusCode::NO_CONTENT;
            return Ok(nothing);
        }
        return Err(ApiError::bad_request(format!(
            "pod {pod_name} does not have a host assigned"
        )));
    }
    let answer = pass(context, &path, parts, body).await?;
    if name == "log" && !answer.status().is_success() {
        return Err(refused(answer).await);
    }
    Ok(answer)
}

/// Returns what the node's words, which are plain text, mean (upstream:
/// registry/generic/rest, GenericHttpResponseChecker).
async fn refused(answer: Response<Body>) -> ApiError {
    let status = answer.status();
    let text = match body::read(answer.into_body()).await {
        Ok(bytes) => String::from_utf8_lossy(&bytes).trim_end().to_owned(),
        Err(error) => return error,
    };
    match status {
        StatusCode::BAD_REQUEST => ApiError::bad_request(text),
        StatusCode::NOT_FOUND => ApiError::new(404, "NotFound", text),
        _ => ApiError::internal(text),
    }
}

/// The container asked for, or the only one.
fn container(context: &Context, pod: &Value) -> ApiResult<String> {
    let pod_name = context.name();
    let names = |lists: &[&str]| -> Vec<&str> {
        let lists = lists
            .iter()
            .filter_map(|list| pod["spec"][*list].as_array());
        let containers = lists.flatten();
        containers
            .filter_map(|container| container["name"].as_str())
            .collect()
    };
    let all = names(&["initContainers", "containers", "ephemeralContainers"]);
    let asked = context.query.text("container");
    if all.contains(&asked) {
        return Ok(asked.to_owned());
    }
    if !asked.is_empty() {
        return Err(ApiError::bad_request(format!(
            "container {asked} is not valid for pod {pod_name}"
        )));
    }
    match names(&["containers"]).as_slice() {
        [one] => Ok((*one).to_owned()),
        [] => Err(ApiError::bad_request(format!(
            "a container name must be specified for pod {pod_name}"
        ))),
        _ => Err(ApiError::bad_request(format!(
            "a container name must be specified for pod {pod_name}, choose one of: [{}]",
            all.join(" ")
        ))),
    }
}

/// Answers `proxy` of pods, services and nodes.
///
/// # Errors
/// 404 without the object, 503 without a node.
pub async fn proxy(
    context: &Context,
    kind: &'static Kind,
    parts: Parts,
    body: Body,
) -> ApiResult<Response<Body>> {
    let (scheme, name, port) = split(context.name());
    let namespace = context.namespace();
    get::find(context, kind, namespace, name)?;
    let query = parts
        .uri
        .query()
        .map(|query| format!("?{query}"))
        .unwrap_or_default();
    let rest = after_proxy(parts.uri.path(), kind.namespaced);
    let path = match kind.plural {
        "nodes" => format!("/{rest}{query}"),
        plural => format!("/proxy/{plural}/{namespace}/{scheme}:{name}:{port}/{rest}{query}"),
    };
    pass(context, &path, parts, body).await
}

/// Returns what follows `proxy/` in a path, as it was sent.
fn after_proxy(path: &str, namespaced: bool) -> &str {
    // As in /api/v1/nodes/NAME/proxy and /api/v1/namespaces/NAMESPACE/pods/NAME/proxy.
    let before = if namespaced { 8 } else { 6 };
    path.splitn(before + 1, '/').nth(before).unwrap_or_default()
}

/// Splits `[scheme:]name[:port]`.
fn split(text: &str) -> (&str, &str, &str) {
    match text.split(':').collect::<Vec<_>>().as_slice() {
        [scheme @ ("http" | "https" | ""), name, port] => (scheme, name, port),
        [name, port] => ("", name, port),
        _ => ("", text, ""),
    }
}

async fn pass(
    context: &Context,
    path: &str,
    parts: Parts,
    body: Body,
) -> ApiResult<Response<Body>> {
    let kubelet: Option<Kubelet> = context.core.kubelet.read().clone();
    let Some(kubelet) = kubelet else {
        return Err(ApiError::new(
            503,
            "ServiceUnavailable",
            "this server runs without a node: there is no container to reach",
        ));
    };
    let _ = resource::UNKNOWN.kind;
    let mut request = Request::from_parts(parts, body);
    *request.uri_mut() = path
        .parse::<Uri>()
        .map_err(|error| ApiError::bad_request(error.to_string()))?;
    kubelet.pass(request).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxied_path_is_as_it_was_sent() {
        let check = |path: &str, namespaced, expected: &str| {
            assert_eq!(after_proxy(path, namespaced), expected, "{path}");
        };
        let service = "/api/v1/namespaces/default/services/web:80/proxy";
        check(service, true, "");
        check(&format!("{service}/"), true, "");
        check(&format!("{service}/a%20b/c/"), true, "a%20b/c/");
        check("/api/v1/nodes/coracle/proxy/healthz", false, "healthz");
        check("/api/v1/nodes/coracle/proxy", false, "");
    }
}
