//! Calls of pages to the API, and what can come of them.

use axum::body::Body;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::request::Builder;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Limited};
use serde_json::Value;

use crate::net::upstream::{Client, UpstreamError};
use crate::visitor::Visitor;

/// Longest answer a page looks at.
const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Why a page did not get what it asked for.
#[derive(Debug, thiserror::Error)]
pub enum ApiFailure {
    /// The session is absent or over.
    #[error("sign in first")]
    SignIn,
    /// There was no answer at all.
    #[error(transparent)]
    Away(#[from] UpstreamError),
    /// The API said no, with a sentence for people.
    #[error("{detail}")]
    Refused {
        /// The status of the answer.
        status: StatusCode,
        /// The sentence.
        detail: String,
    },
}

/// A good answer.
#[derive(Debug)]
pub struct Answer {
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body; null when there was none.
    pub body: Value,
}

impl Answer {
    /// Returns which pod gave the answer.
    pub fn pod(&self) -> &str {
        self.headers
            .get("x-served-by")
            .and_then(|pod| pod.to_str().ok())
            .unwrap_or_default()
    }
}

/// Calls the API for a visitor.
///
/// # Errors
/// As [`ApiFailure`] says.
pub async fn call(
    client: &Client,
    visitor: &Visitor,
    method: Method,
    path: &str,
    body: Option<&Value>,
) -> Result<Answer, ApiFailure> {
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header(ACCEPT, "application/json");
    if let Some(session) = &visitor.session {
        request = request.header(AUTHORIZATION, format!("Bearer {}", session.token));
    }
    for (name, value) in &visitor.forwarded {
        request = request.header(name, value);
    }
    let sent = match body {
        None => Body::empty(),
        Some(body) => {
            request = request.header(CONTENT_TYPE, "application/json");
            Body::from(body.to_string())
        }
    };
    exchange(client, request, sent).await
}

/// Sends a request that a page has made itself.
///
/// # Errors
/// As [`ApiFailure`] says.
pub async fn send(
    client: &Client,
    visitor: &Visitor,
    mut request: Builder,
    body: Body,
) -> Result<Answer, ApiFailure> {
    for (name, value) in &visitor.forwarded {
        request = request.header(name, value);
    }
    exchange(client, request, body).await
}

async fn exchange(client: &Client, request: Builder, body: Body) -> Result<Answer, ApiFailure> {
    let request = request.body(body).map_err(|error| ApiFailure::Refused {
        status: StatusCode::BAD_REQUEST,
        detail: error.to_string(),
    })?;
    let answer = client.send(request).await?;
    let (parts, body) = answer.into_parts();
    let read = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
    let bytes = read
        .map(http_body_util::Collected::to_bytes)
        .unwrap_or_default();
    let body: Value = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
    if parts.status.is_success() {
        return Ok(Answer {
            headers: parts.headers,
            body,
        });
    }
    Err(refusal(parts.status, &body))
}

fn refusal(status: StatusCode, body: &Value) -> ApiFailure {
    let wrong_credentials = body["error_code"] == "invalid_credentials";
    if status == StatusCode::UNAUTHORIZED && !wrong_credentials {
        return ApiFailure::SignIn;
    }
    let detail = body["detail"]
        .as_str()
        .unwrap_or("the request was refused")
        .to_owned();
    ApiFailure::Refused { status, detail }
}
