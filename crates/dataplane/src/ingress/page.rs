//! What the proxy says itself, when no server can.

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, LOCATION};
use http::{HeaderValue, Response, StatusCode};

use super::body::Payload;
use super::header;

/// A short text under a status.
pub(super) fn plain(status: StatusCode, text: &str) -> Response<Payload> {
    let line = format!(
        "{} {}: {text}\n",
        status.as_u16(),
        status.canonical_reason().unwrap_or_default()
    );
    with(status, "text/plain; charset=utf-8", line)
}

/// Nothing is here; says which hosts there are.
pub(super) fn not_found(host: &str, path: &str, hosts: &[String]) -> Response<Payload> {
    let mut text = format!("no Ingress has a rule for {host}{path}");
    match hosts {
        [] => text.push_str("; there are no hosts yet"),
        hosts => {
            text.push_str("; there are rules for these hosts:");
            for host in hosts {
                text.push_str("\n  ");
                text.push_str(host);
            }
        }
    }
    plain(StatusCode::NOT_FOUND, &text)
}

/// Sends a client to the same place by HTTPS.
///
/// 308 keeps method and body (RFC 9110, 15.4.9).
pub(super) fn redirect(location: &str) -> Response<Payload> {
    let mut answer = plain(StatusCode::PERMANENT_REDIRECT, location);
    answer
        .headers_mut()
        .insert(LOCATION, header::value(location));
    answer
}

fn with(status: StatusCode, kind: &'static str, text: String) -> Response<Payload> {
    let mut answer = Response::new(Payload::Text(Bytes::from(text)));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}
