//! A number and a log line for every request.

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::HeaderValue;

use super::AppState;
use crate::log::REQUEST_ID;

const HEADER: &str = "x-request-id";

/// Gives the request an id: the client's when it is harmless, else a new one.
pub async fn request_id(request: Request, next: Next) -> Response {
    let given = request
        .headers()
        .get(HEADER)
        .and_then(|value| value.to_str().ok());
    let id = given
        .filter(|id| harmless(id))
        .map_or_else(new_id, ToOwned::to_owned);
    let mut response = REQUEST_ID.scope(id.clone(), next.run(request)).await;
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(HEADER, value);
    }
    response
}

fn new_id() -> String {
    uuid::Uuid::new_v4().simple().to_string()
}

fn harmless(id: &str) -> bool {
    !id.is_empty()
        && id.len() <= 64
        && id
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// Counts and logs the request; the answer names the pod that gave it.
pub async fn observe(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let started = std::time::Instant::now();
    let method = request.method().clone();
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map(|path| path.as_str().to_owned());
    let route = route.unwrap_or_else(|| "none".to_owned());
    let mut response = {
        let _inflight = state.metrics().begin();
        next.run(request).await
    };
    let status = response.status().as_u16();
    state.metrics().answered(method.as_str(), &route, status);
    let probe = matches!(
        route.as_str(),
        "/health" | "/live" | "/ready" | "/metrics" | "/api/health"
    );
    let micros = started.elapsed().as_micros() as u64;
    if probe {
        tracing::debug!(%method, route, status = u64::from(status), micros, "request");
    } else {
        tracing::info!(%method, route, status = u64::from(status), micros, "request");
    }
    if let Ok(pod) = HeaderValue::from_str(&state.config().pod) {
        response.headers_mut().insert("x-served-by", pod);
    }
    response
}
