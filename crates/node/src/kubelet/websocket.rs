//! Streams over WebSocket: one connection, the first byte of each message
//! names the stream (upstream: apimachinery/pkg/util/remotecommand,
//! KEP-4006; RFC 6455).

use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use http::header::{
    CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, UPGRADE,
};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::sync::mpsc;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::frame::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{Message, Role};

use super::remote::{Sink, Streams, Wanted};
use super::{Body, Refusal};

const STDIN: u8 = 0;
const STDOUT: u32 = 1;
const STDERR: u32 = 2;
const ERROR: u32 = 3;
const RESIZE: u8 = 4;
/// In protocol 5: the next byte names a stream that the client has ended.
const CLOSE: u8 = 255;

/// A connection after its handshake.
pub type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// Returns whether the request asks for a WebSocket.
pub fn is_wanted(headers: &HeaderMap) -> bool {
    headers
        .get(UPGRADE)
        .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

/// Chooses the first of `known` protocols that the client offers.
pub fn choose(headers: &HeaderMap, known: &[&'static str]) -> Option<&'static str> {
    let offered: Vec<&str> = headers
        .get_all(SEC_WEBSOCKET_PROTOCOL)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .collect();
    known
        .iter()
        .find(|protocol| offered.contains(protocol))
        .copied()
}

/// Makes the answer to the handshake and the connection that follows it.
pub fn accept<B: Send + 'static>(
    mut request: Request<B>,
    protocol: &'static str,
) -> Result<(Response<Body>, impl Future<Output = Option<Socket>> + Send), Refusal> {
    let key = request
        .headers()
        .get(SEC_WEBSOCKET_KEY)
        .ok_or_else(|| Refusal::bad("the WebSocket handshake lacks Sec-WebSocket-Key"))?
        .clone();
    let upgrade = hyper::upgrade::on(&mut request);
    let mut response = Response::new(Empty::new().map_err(|never| match never {}).boxed());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(protocol));
    if let Ok(accept) = derive_accept_key(key.as_bytes()).parse() {
        headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    }
    let socket = async move {
        let upgraded = upgrade.await.ok()?;
        Some(WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, None).await)
    };
    Ok((response, socket))
}

/// Splits a connection into the streams of a command.
pub fn streams(socket: Socket, wanted: Wanted, protocol: &str) -> Streams {
    let (mut write, mut read) = socket.split();
    let (out, mut outgoing) = mpsc::channel::<(u32, Option<Bytes>)>(16);
    let (stdin_to, stdin) = mpsc::channel::<Bytes>(16);
    let (resize_to, resize) = mpsc::channel::<Bytes>(4);
    let done = tokio::spawn(async move {
        while let Some((stream, data)) = outgoing.recv().await {
            let Some(data) = data else { continue };
            if write
                .send(Message::Binary(message(stream as u8, &data)))
                .await
                .is_err()
            {
                return;
            }
        }
        // Without code 1000 a client takes the end for a failure.
        let close = CloseFrame {
            code: CloseCode::Normal,
            reason: "".into(),
        };
        let _ = write.send(Message::Close(Some(close))).await;
        let _ = write.close().await;
    });
    tokio::spawn(async move {
        let mut stdin_to = Some(stdin_to);
        while let Some(Ok(message)) = read.next().await {
            let Message::Binary(data) = message else {
                if message.is_close() {
                    return;
                }
                continue;
            };
            match data.first() {
                Some(&STDIN) => {
                    if let Some(to) = &stdin_to {
                        let _ = to.send(data.slice(1..)).await;
                    }
                }
                Some(&RESIZE) => {
                    let _ = resize_to.send(data.slice(1..)).await;
                }
                Some(&CLOSE) if data.get(1) == Some(&STDIN) => stdin_to = None,
                _ => {}
            }
        }
    });
    let sink = |stream| Sink::new(out.clone(), stream);
    Streams {
        stdin: wanted.stdin.then_some(stdin),
        stdout: wanted.stdout.then(|| sink(STDOUT)),
        stderr: wanted.stderr.then(|| sink(STDERR)),
        error: sink(ERROR),
        resize: wanted.tty.then_some(resize),
        structured: matches!(protocol, "v5.channel.k8s.io" | "v4.channel.k8s.io"),
        done,
    }
}

/// Puts the number of a stream before its data.
pub fn message(stream: u8, data: &[u8]) -> Bytes {
    let mut bytes = Vec::with_capacity(data.len() + 1);
    bytes.push(stream);
    bytes.extend_from_slice(data);
    bytes.into()
}
