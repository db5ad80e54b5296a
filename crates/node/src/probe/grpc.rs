//! gRPC probes: `grpc.health.v1.Health/Check`
//! (<https://github.com/grpc/grpc/blob/master/doc/health-checking.md>; words of
//! upstream's pkg/probe/grpc).
//!
//! The two messages are small enough to be written and read by hand.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, Request};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::time::timeout;

use crate::fetch;

const ANSWER_MAX: usize = 64 * 1024;
const SERVING: u64 = 1;

/// Asks whether a service is well; the empty name asks for the whole server.
///
/// # Errors
/// Says what is wrong.
pub async fn ask(address: SocketAddr, service: &str, limit: Duration) -> Result<(), String> {
    let asked = timeout(limit, exchange(address, service)).await;
    let answer = asked.unwrap_or_else(|_| {
        Err(format!(
            "timeout: health rpc did not complete within {}s",
            limit.as_secs()
        ))
    })?;
    match answer.code {
        0 => verdict(&answer.message),
        // The server knows no such method.
        12 => Err(format!(
            "error: this server does not implement the grpc health protocol (grpc.health.v1.Health): {}",
            answer.text
        )),
        code => Err(format!(
            "error: health rpc probe failed: rpc error: code = {} desc = {}",
            code_name(code),
            answer.text
        )),
    }
}

/// How a call ended.
struct Answer {
    code: u32,
    text: String,
    message: Bytes,
}

async fn exchange(address: SocketAddr, service: &str) -> Result<Answer, String> {
    let unreachable =
        |error: String| format!("error: failed to connect service at \"{address}\": {error}");
    let stream = fetch::connect(address, false, &[])
        .await
        .map_err(unreachable)?;
    let broken = |error: hyper::Error| {
        format!("error: health rpc probe failed: rpc error: code = Unavailable desc = {error}")
    };
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .map_err(broken)?;
    let mut driving = tokio::task::JoinSet::new();
    driving.spawn(connection);
    let request = Request::post(format!("http://{address}/grpc.health.v1.Health/Check"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("user-agent", "kube-probe/1.36")
        .body(Full::new(question(service)))
        .map_err(|error| error.to_string())?;
    let response = sender.send_request(request).await.map_err(broken)?;
    let (parts, body) = response.into_parts();
    if parts.status != 200 {
        return Ok(Answer {
            code: 2,
            text: format!(
                "unexpected HTTP status code received from server: {}",
                parts.status
            ),
            message: Bytes::new(),
        });
    }
    let collected = Limited::new(body, ANSWER_MAX)
        .collect()
        .await
        .map_err(|error| format!("error: health rpc probe failed: {error}"))?;
    let trailers = collected.trailers().cloned().unwrap_or_default();
    let message = collected.to_bytes();
    // An answer without a message has its end among the headers.
    let ending = if trailers.contains_key("grpc-status") {
        &trailers
    } else {
        &parts.headers
    };
    Ok(Answer {
        code: number(ending),
        text: text(ending),
        message,
    })
}

fn number(headers: &HeaderMap) -> u32 {
    let status = headers
        .get("grpc-status")
        .and_then(|status| status.to_str().ok());
    // No status at all is an unknown error (gRPC over HTTP2, "Responses").
    status.and_then(|status| status.parse().ok()).unwrap_or(2)
}

fn text(headers: &HeaderMap) -> String {
    let text = headers
        .get("grpc-message")
        .and_then(|text| text.to_str().ok())
        .unwrap_or_default();
    crate::kubelet::decode(&text.replace('+', "%2B"))
}

/// Writes a `HealthCheckRequest` with its prefix of compression and length.
fn question(service: &str) -> Bytes {
    let mut message = BytesMut::new();
    if !service.is_empty() {
        // Field 1, a text.
        message.put_u8(0x0a);
        put_varint(&mut message, service.len() as u64);
        message.put_slice(service.as_bytes());
    }
    let mut frame = BytesMut::new();
    frame.put_u8(0);
    frame.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    frame.extend_from_slice(&message);
    frame.freeze()
}

fn put_varint(out: &mut BytesMut, mut value: u64) {
    while value >= 0x80 {
        out.put_u8((value as u8) | 0x80);
        value >>= 7;
    }
    out.put_u8(value as u8);
}

fn verdict(frame: &[u8]) -> Result<(), String> {
    match status(frame) {
        Some(SERVING) => Ok(()),
        Some(other) => {
            let name = match other {
                0 => "UNKNOWN",
                2 => "NOT_SERVING",
                3 => "SERVICE_UNKNOWN",
                _ => "UNRECOGNISED",
            };
            Err(format!("service unhealthy (responded with \"{name}\")"))
        }
        None => Err("error: health rpc probe failed: the answer is no HealthCheckResponse".into()),
    }
}

/// Reads the status of a `HealthCheckResponse`: field 1, a number, 0 if absent.
/// The bytes come from outside.
pub fn status(frame: &[u8]) -> Option<u64> {
    let (prefix, message) = frame.split_at_checked(5)?;
    let length = u32::from_be_bytes([prefix[1], prefix[2], prefix[3], prefix[4]]);
    if prefix[0] != 0 || message.len() != length as usize {
        return None;
    }
    let mut rest = message;
    let mut status = 0;
    while !rest.is_empty() {
        let tag = varint(&mut rest)?;
        match tag & 7 {
            0 => {
                let value = varint(&mut rest)?;
                if tag >> 3 == 1 {
                    status = value;
                }
            }
            2 => {
                let length = usize::try_from(varint(&mut rest)?).ok()?;
                rest = rest.get(length..)?;
            }
            1 => rest = rest.get(8..)?,
            5 => rest = rest.get(4..)?,
            _ => return None,
        }
    }
    Some(status)
}

fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, after) = rest.split_first()?;
        *rest = after;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

/// Names of codes (<https://grpc.io/docs/guides/status-codes/>).
fn code_name(code: u32) -> &'static str {
    const NAMES: [&str; 17] = [
        "OK",
        "Canceled",
        "Unknown",
        "InvalidArgument",
        "DeadlineExceeded",
        "NotFound",
        "AlreadyExists",
        "PermissionDenied",
        "ResourceExhausted",
        "FailedPrecondition",
        "Aborted",
        "OutOfRange",
        "Unimplemented",
        "Internal",
        "Unavailable",
        "DataLoss",
        "Unauthenticated",
    ];
    NAMES.get(code as usize).copied().unwrap_or("Unknown")
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use http::Response;
    use http_body_util::StreamBody;
    use hyper::body::{Frame, Incoming};
    use hyper::service::service_fn;

    use super::*;

    /// A server that knows the services `""` (well), `sick` and nothing else.
    async fn health(
        request: Request<Incoming>,
    ) -> Result<Response<impl hyper::body::Body<Data = Bytes, Error = Infallible>>, Infallible>
    {
        let known = request.uri().path() == "/grpc.health.v1.Health/Check"
            && request.headers()["content-type"] == "application/grpc";
        let body = request
            .into_body()
            .collect()
            .await
            .expect("a body")
            .to_bytes();
        let service = body.get(7..).unwrap_or_default().to_vec();
        let (frames, code): (Vec<u8>, &str) = match service.as_slice() {
            _ if !known => (Vec::new(), "12"),
            b"" => (vec![0, 0, 0, 0, 2, 8, 1], "0"),
            b"sick" => (vec![0, 0, 0, 0, 2, 8, 2], "0"),
            _ => (Vec::new(), "5"),
        };
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", code.parse().expect("a header"));
        trailers.insert(
            "grpc-message",
            "unknown%20service".parse().expect("a header"),
        );
        let frames = [
            Ok(Frame::data(Bytes::from(frames))),
            Ok(Frame::trailers(trailers)),
        ];
        let mut response = Response::new(StreamBody::new(futures::stream::iter(frames)));
        response.headers_mut().insert(
            "content-type",
            "application/grpc".parse().expect("a header"),
        );
        Ok(response)
    }

    #[tokio::test]
    async fn a_server_is_asked_for_its_health() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port");
        let address = listener.local_addr().expect("it is bound");
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(
                    hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                        .serve_connection(TokioIo::new(stream), service_fn(health)),
                );
            }
        });
        let limit = Duration::from_secs(120);
        assert_eq!(ask(address, "", limit).await, Ok(()));
        assert_eq!(
            ask(address, "sick", limit).await,
            Err("service unhealthy (responded with \"NOT_SERVING\")".into())
        );
        assert_eq!(
            ask(address, "gone", limit).await,
            Err(
                "error: health rpc probe failed: rpc error: code = NotFound desc = unknown service"
                    .into()
            )
        );
    }

    #[test]
    fn answers_are_read() {
        assert_eq!(status(&[0, 0, 0, 0, 0]), Some(0));
        assert_eq!(status(&[0, 0, 0, 0, 2, 8, 1]), Some(1));
        // Unknown fields are passed over.
        assert_eq!(status(&[0, 0, 0, 0, 5, 0x12, 1, 9, 8, 3]), Some(3));
        assert_eq!(status(&[0, 0, 0, 0, 9, 8, 1]), None);
        assert_eq!(status(&[1, 0, 0, 0, 2, 8, 1]), None);
        assert_eq!(status(&[0, 0, 0, 0, 1, 8]), None);
        assert_eq!(status(&[]), None);
    }

    #[test]
    fn the_question_is_framed() {
        assert_eq!(&question("")[..], [0, 0, 0, 0, 0]);
        assert_eq!(&question("ab")[..], [0, 0, 0, 0, 4, 0x0a, 2, b'a', b'b']);
    }
}
