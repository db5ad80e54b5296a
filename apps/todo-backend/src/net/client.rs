//! One HTTP/1.1 request to a service outside: language models, mail, uploads.

use std::time::Duration;

use bytes::Bytes;
use http::header::{HOST, HeaderValue, USER_AGENT};
use http::{Request, Response, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;

use super::{Stream, connect, tls};

/// Longest answer that is read whole.
const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Why there was no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Not an http or https address.
    #[error("{0} is no http address")]
    Address(String),
    /// No connection.
    #[error("no connection to {0}")]
    Connect(String),
    /// The connection broke.
    #[error("{host} gave no answer: {reason}")]
    Broken {
        /// The host.
        host: String,
        /// What happened.
        reason: String,
    },
    /// No answer in time.
    #[error("{0} did not answer in time")]
    Slow(String),
}

/// Sends a request and returns the answer as it begins.
///
/// # Errors
/// As [`ClientError`] says.
pub async fn send(
    request: Request<Bytes>,
    limit: Duration,
) -> Result<Response<Incoming>, ClientError> {
    let host = request.uri().host().unwrap_or_default().to_owned();
    match tokio::time::timeout(limit, exchange(request)).await {
        Ok(answer) => answer,
        Err(_) => Err(ClientError::Slow(host)),
    }
}

/// Reads the rest of an answer.
///
/// # Errors
/// A sentence, when it broke off or is too long.
pub async fn read(body: Incoming) -> Result<Bytes, String> {
    let read = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
    read.map(http_body_util::Collected::to_bytes)
        .map_err(|error| error.to_string())
}

async fn exchange(request: Request<Bytes>) -> Result<Response<Incoming>, ClientError> {
    let (mut parts, body) = request.into_parts();
    let address = || ClientError::Address(parts.uri.to_string());
    let secure = match parts.uri.scheme_str() {
        Some("https") => true,
        Some("http") => false,
        _ => return Err(address()),
    };
    let host = parts.uri.host().ok_or_else(address)?.to_owned();
    let authority = parts.uri.authority().ok_or_else(address)?.to_string();
    let port = parts
        .uri
        .port_u16()
        .unwrap_or(if secure { 443 } else { 80 });
    let path = parts
        .uri
        .path_and_query()
        .map_or("/", http::uri::PathAndQuery::as_str);
    let path: Uri = path.parse().map_err(|_| address())?;
    parts.headers.insert(
        HOST,
        HeaderValue::from_str(&authority).map_err(|_| address())?,
    );
    parts
        .headers
        .insert(USER_AGENT, HeaderValue::from_static("todo-backend"));
    parts.uri = path;

    let stream = open(host.trim_matches(['[', ']']), port, secure).await?;
    let broken = |error: hyper::Error| ClientError::Broken {
        host: host.clone(),
        reason: error.to_string(),
    };
    let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream));
    let (mut sender, connection) = handshake.await.map_err(broken)?;
    // The task ends with the answer's body or with its reader.
    tokio::spawn(connection);
    sender
        .send_request(Request::from_parts(parts, Full::new(body)))
        .await
        .map_err(broken)
}

async fn open(host: &str, port: u16, secure: bool) -> Result<Box<dyn Stream>, ClientError> {
    let stream = connect(host, port).await.map_err(ClientError::Connect)?;
    if !secure {
        return Ok(Box::new(stream));
    }
    let failed = |error: &dyn std::fmt::Display| ClientError::Connect(format!("{host}: {error}"));
    let name = ServerName::try_from(host.to_owned()).map_err(|error| failed(&error))?;
    let connector = tokio_rustls::TlsConnector::from(tls::public());
    let stream = connector
        .connect(name, stream)
        .await
        .map_err(|error| failed(&error))?;
    Ok(Box::new(stream))
}
