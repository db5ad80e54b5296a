//! `/api/*` and `/uploads/*`: the browser's own way to the API, same origin.
//!
//! The browser never learns the API's address, so a cluster-internal name
//! works. Bodies stream both ways.

use axum::Json;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode, Uri};
use serde_json::json;

use crate::server::App;
use crate::visitor::Visitor;

/// Headers that belong to one connection (RFC 9110, 7.6.1).
const HOP_BY_HOP: [HeaderName; 7] = [
    header::CONNECTION,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// Relays a request and its answer.
pub async fn relay(State(app): State<App>, request: Request) -> Response {
    let visitor = Visitor::read(request.headers(), request.extensions());
    let safe = matches!(
        *request.method(),
        Method::GET | Method::HEAD | Method::OPTIONS
    );
    let by_cookie = !request.headers().contains_key(header::AUTHORIZATION);
    if !safe && by_cookie && !visitor.same_origin {
        return problem(
            StatusCode::FORBIDDEN,
            "origin_refused",
            "another site sent this",
        );
    }
    let Some(outgoing) = outgoing(request, &visitor) else {
        return problem(
            StatusCode::BAD_REQUEST,
            "bad_request",
            "the path cannot be relayed",
        );
    };
    match app.client().send(outgoing).await {
        Ok(answer) => {
            let (mut parts, body) = answer.into_parts();
            strip(&mut parts.headers);
            if let Some(pod) = parts.headers.remove("x-served-by") {
                parts.headers.insert("x-backend-pod", pod);
            }
            Response::from_parts(parts, Body::new(body))
        }
        Err(error) => {
            tracing::warn!("{error}");
            let detail = if app.config().production {
                "the backend does not answer, try again".to_owned()
            } else {
                error.to_string()
            };
            problem(StatusCode::BAD_GATEWAY, "backend_unavailable", &detail)
        }
    }
}

fn outgoing(request: Request, visitor: &Visitor) -> Option<Request> {
    let (mut parts, body) = request.into_parts();
    let path = parts.uri.path_and_query()?.as_str().to_owned();
    parts.uri = path.parse::<Uri>().ok()?;
    parts.version = http::Version::HTTP_11;
    strip(&mut parts.headers);
    if !parts.headers.contains_key(header::AUTHORIZATION)
        && let Some(session) = &visitor.session
    {
        let bearer = HeaderValue::from_str(&format!("Bearer {}", session.token)).ok()?;
        parts.headers.insert(header::AUTHORIZATION, bearer);
    }
    for (name, value) in &visitor.forwarded {
        parts.headers.insert(name.clone(), value.clone());
    }
    Some(Request::from_parts(parts, body))
}

fn strip(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|list| list.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in HOP_BY_HOP.into_iter().chain(named) {
        headers.remove(name);
    }
    headers.remove("keep-alive");
}

fn problem(status: StatusCode, code: &str, detail: &str) -> Response {
    let timestamp = jiff::Timestamp::now().to_string();
    let body = json!({"detail": detail, "error_code": code, "timestamp": timestamp});
    (status, Json(body)).into_response()
}
