//! Cross-origin rules: who may call from a browser, and who may change things.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode};

use super::AppState;
use super::error::ApiError;
use crate::auth::caller::bearer;

/// Answers preflights and echoes an allowed origin, on error answers too.
/// The list is exact; a wildcard is never sent because cookies are.
pub async fn cors(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let origin = request.headers().get(header::ORIGIN).cloned();
    let allowed = origin.filter(|origin| is_listed(&state, origin));
    let preflight = request.method() == Method::OPTIONS
        && request
            .headers()
            .contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    let mut response = if preflight {
        StatusCode::NO_CONTENT.into_response()
    } else {
        next.run(request).await
    };
    response
        .headers_mut()
        .append(header::VARY, HeaderValue::from_static("origin"));
    if let Some(origin) = allowed {
        allow(response.headers_mut(), origin, preflight);
    }
    response
}

fn allow(headers: &mut HeaderMap, origin: HeaderValue, preflight: bool) {
    let mut set = |name: HeaderName, value: &'static str| {
        headers.insert(name, HeaderValue::from_static(value));
    };
    set(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, "true");
    set(
        header::ACCESS_CONTROL_EXPOSE_HEADERS,
        "x-total-count, x-request-id, x-served-by, retry-after, x-ratelimit-limit, \
         x-ratelimit-remaining, x-ratelimit-reset",
    );
    if preflight {
        set(
            header::ACCESS_CONTROL_ALLOW_METHODS,
            "GET, POST, PUT, PATCH, DELETE",
        );
        set(
            header::ACCESS_CONTROL_ALLOW_HEADERS,
            "authorization, content-type, accept",
        );
        set(header::ACCESS_CONTROL_MAX_AGE, "600");
    }
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
}

fn is_listed(state: &AppState, origin: &HeaderValue) -> bool {
    let Ok(origin) = origin.to_str() else {
        return false;
    };
    let origin = origin.to_ascii_lowercase();
    state.config().origins.contains(&origin)
}

/// Refuses a change that a foreign page asks for: an `Origin`, when sent,
/// must be the served host or a listed one. A request without `Origin` is no
/// browser form of our day; one with a bearer token is no forgery.
pub async fn same_origin(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let safe = matches!(
        *request.method(),
        Method::GET | Method::HEAD | Method::OPTIONS
    );
    let headers = request.headers();
    let refused = match headers.get(header::ORIGIN) {
        _ if safe => false,
        Some(origin) => !is_served_host(headers, origin) && !is_listed(&state, origin),
        None => bearer(headers).is_none() && is_cross_site(headers),
    };
    if refused {
        let detail = "this origin may not change anything here; list it in CORS_ORIGINS";
        return ApiError::new(StatusCode::FORBIDDEN, "origin_refused", detail).into_response();
    }
    next.run(request).await
}

/// Whether the browser itself says that another site asks (Fetch Metadata).
fn is_cross_site(headers: &HeaderMap) -> bool {
    headers
        .get("sec-fetch-site")
        .is_some_and(|site| site == "cross-site")
}

fn is_served_host(headers: &HeaderMap, origin: &HeaderValue) -> bool {
    let host = headers
        .get("x-forwarded-host")
        .or_else(|| headers.get(header::HOST));
    let Some((host, origin)) = host
        .and_then(|host| host.to_str().ok())
        .zip(origin.to_str().ok())
    else {
        return false;
    };
    let served = origin.split_once("://").map(|(_, host)| host);
    served.is_some_and(|served| served.eq_ignore_ascii_case(host))
}
