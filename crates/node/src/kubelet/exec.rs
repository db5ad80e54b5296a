//! Exec and attach over WebSocket and SPDY
//! (upstream: pkg/kubelet/server, staging/src/k8s.io/streaming).

use bytes::Bytes;
use coracle_runtime::{AttachEvent, Container, ExecSession, ExecSpec};
use http::header::{CONNECTION, UPGRADE};
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::time::{Duration, timeout};

use super::remote::{Sink, Streams, Wanted};
use super::spdy;
use super::websocket;
use super::{Body, Query, Refusal};
use crate::worker::chain;

const PROTOCOLS: [&str; 3] = ["v5.channel.k8s.io", "v4.channel.k8s.io", "channel.k8s.io"];
const SPDY_PROTOCOLS: [&str; 4] = [
    "v4.channel.k8s.io",
    "v3.channel.k8s.io",
    "v2.channel.k8s.io",
    "channel.k8s.io",
];
const STREAM_PROTOCOL: &str = "x-stream-protocol-version";
/// How long a client may take to open its streams (upstream: DefaultStreamCreationTimeout).
const OPEN_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a command waits for the size of the client's terminal, so that the
/// first thing it sees is not a terminal without one.
const SIZE_TIMEOUT: Duration = Duration::from_millis(100);

/// Runs a command in a container.
pub async fn exec<B: Send + 'static>(
    request: Request<B>,
    container: Container,
    query: Query,
) -> Result<Response<Body>, Refusal> {
    let command = query.all("command").to_vec();
    if command.is_empty() {
        return Err(Refusal::bad("you must specify at least one command to run"));
    }
    let wanted = wanted(&query)?;
    serve(request, wanted, move |streams| async move {
        run(container, command, wanted, streams).await
    })
}

/// Joins the streams of a container's own program.
pub async fn attach<B: Send + 'static>(
    request: Request<B>,
    container: Container,
    query: Query,
) -> Result<Response<Body>, Refusal> {
    let wanted = wanted(&query)?;
    serve(request, wanted, move |streams| async move {
        join(container, streams).await
    })
}

fn wanted(query: &Query) -> Result<Wanted, Refusal> {
    let wanted = Wanted::of(query);
    if !wanted.stdin && !wanted.stdout && !wanted.stderr {
        return Err(Refusal::bad(
            "you must specify at least one of stdin, stdout, stderr",
        ));
    }
    Ok(wanted)
}

/// Answers the upgrade and hands the streams to `work`.
fn serve<B, F, W>(request: Request<B>, wanted: Wanted, work: W) -> Result<Response<Body>, Refusal>
where
    B: Send + 'static,
    W: FnOnce(Streams) -> F + Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    if websocket::is_wanted(request.headers()) {
        let protocol = websocket::choose(request.headers(), &PROTOCOLS)
            .ok_or_else(|| Refusal::bad("unable to negotiate a stream protocol"))?;
        let (response, socket) = websocket::accept(request, protocol)?;
        tokio::spawn(async move {
            if let Some(socket) = socket.await {
                work(websocket::streams(socket, wanted, protocol)).await;
            }
        });
        return Ok(response);
    }
    let (response, connection, protocol) = accept_spdy(request, &SPDY_PROTOCOLS)?;
    tokio::spawn(async move {
        let Some(connection) = connection.await else {
            return;
        };
        match timeout(OPEN_TIMEOUT, spdy_streams(connection, wanted, protocol)).await {
            Ok(Some(streams)) => work(streams).await,
            _ => tracing::debug!("the client did not open its streams"),
        }
    });
    Ok(response)
}

/// Makes the answer to an upgrade to SPDY and the connection that follows it.
pub fn accept_spdy<B: Send + 'static>(
    mut request: Request<B>,
    known: &[&'static str],
) -> Result<
    (
        Response<Body>,
        impl Future<Output = Option<spdy::Connection>> + Send,
        &'static str,
    ),
    Refusal,
> {
    let is_spdy = request
        .headers()
        .get(UPGRADE)
        .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"SPDY/3.1"));
    if !is_spdy {
        return Err(Refusal::bad(
            "this request must be upgraded to a WebSocket or to SPDY/3.1",
        ));
    }
    let offered: Vec<String> = request
        .headers()
        .get_all(STREAM_PROTOCOL)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|value| value.trim().to_owned())
        .collect();
    let protocol = known
        .iter()
        .find(|protocol| offered.iter().any(|offer| offer == *protocol))
        .or(if offered.is_empty() {
            known.last()
        } else {
            None
        })
        .copied()
        .ok_or_else(|| {
            Refusal(
                StatusCode::FORBIDDEN,
                "unable to negotiate a stream protocol".into(),
            )
        })?;
    let upgrade = hyper::upgrade::on(&mut request);
    let mut response = Response::new(Empty::new().map_err(|never| match never {}).boxed());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("SPDY/3.1"));
    headers.insert(STREAM_PROTOCOL, HeaderValue::from_static(protocol));
    let connection = async move {
        let upgraded = upgrade.await.ok()?;
        let (read, write) = tokio::io::split(TokioIo::new(upgraded));
        Some(spdy::start(read, write))
    };
    Ok((response, connection, protocol))
}

/// Waits for the streams that the client was to open.
async fn spdy_streams(
    mut connection: spdy::Connection,
    wanted: Wanted,
    protocol: &str,
) -> Option<Streams> {
    let resizes = wanted.tty && matches!(protocol, "v4.channel.k8s.io" | "v3.channel.k8s.io");
    let expected = 1 + [wanted.stdin, wanted.stdout, wanted.stderr, resizes]
        .iter()
        .filter(|one| **one)
        .count();
    let (mut stdin, mut stdout, mut stderr, mut error, mut resize) = (None, None, None, None, None);
    for _ in 0..expected {
        let stream = connection.streams.recv().await?;
        let sink = Sink::new(connection.out.clone(), stream.id);
        match stream.headers.get("streamtype").map(String::as_str) {
            Some("stdin") => stdin = Some(stream.data),
            Some("stdout") => stdout = Some(sink),
            Some("stderr") => stderr = Some(sink),
            Some("error") => error = Some(sink),
            Some("resize") => resize = Some(stream.data),
            _ => return None,
        }
    }
    Some(Streams {
        stdin,
        stdout,
        stderr,
        error: error?,
        resize,
        structured: protocol == "v4.channel.k8s.io",
        done: connection.done,
    })
}

async fn run(container: Container, command: Vec<String>, wanted: Wanted, mut streams: Streams) {
    let spec = ExecSpec {
        args: command,
        terminal: wanted.tty,
        stdin: wanted.stdin,
        size: first_size(wanted, &mut streams).await,
        ..ExecSpec::default()
    };
    let outcome = match container.exec(spec).await {
        Ok(session) => follow(session, &mut streams).await,
        Err(error) => Err(format!(
            "error executing command in container: {}",
            chain(&error)
        )),
    };
    finish(streams, outcome).await;
}

/// Returns the size that the client's terminal has now, if it says so soon.
async fn first_size(wanted: Wanted, streams: &mut Streams) -> Option<(u16, u16)> {
    let resize = streams.resize.as_mut().filter(|_| wanted.tty)?;
    let first = timeout(SIZE_TIMEOUT, resize.recv()).await.ok()??;
    size_of(&first)
}

/// Copies between client and command until the command has ended.
async fn follow(mut session: ExecSession, streams: &mut Streams) -> Result<i32, String> {
    let mut outputs = tokio::task::JoinSet::new();
    let mut inputs = tokio::task::JoinSet::new();
    if let Some(pty) = session.pty.take() {
        if let Some(sink) = streams.stdout.clone() {
            outputs.spawn(copy_out(pty.clone(), sink));
        }
        if let Some(mut resize) = streams.resize.take() {
            let terminal = pty.clone();
            inputs.spawn(async move {
                while let Some(size) = resize.recv().await {
                    if let Some((columns, rows)) = size_of(&size) {
                        let _ = terminal.resize(columns, rows);
                    }
                }
            });
        }
        if let Some(stdin) = streams.stdin.take() {
            inputs.spawn(copy_in(stdin, pty));
        }
    } else {
        if let (Some(stdout), Some(sink)) = (session.stdout.take(), streams.stdout.clone()) {
            outputs.spawn(copy_out(stdout, sink));
        }
        if let (Some(stderr), Some(sink)) = (session.stderr.take(), streams.stderr.clone()) {
            outputs.spawn(copy_out(stderr, sink));
        }
        if let (Some(to), Some(stdin)) = (session.stdin.take(), streams.stdin.take()) {
            inputs.spawn(copy_in(stdin, to));
        }
    }
    let exit = session.wait().await.map_err(|error| error.to_string())?;
    // What was written before the end is still on its way; a child that was
    // left behind may hold the pipe for ever.
    let _ = timeout(Duration::from_secs(2), async {
        while outputs.join_next().await.is_some() {}
    })
    .await;
    inputs.abort_all();
    Ok(exit.code)
}

async fn copy_out(mut from: impl AsyncRead + Unpin, to: Sink) {
    let mut buffer = vec![0; 32 * 1024];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        if !to.send(Bytes::copy_from_slice(&buffer[..read])).await {
            return;
        }
    }
}

async fn copy_in(mut from: mpsc::Receiver<Bytes>, mut to: impl tokio::io::AsyncWrite + Unpin) {
    while let Some(data) = from.recv().await {
        if to.write_all(&data).await.is_err() {
            return;
        }
    }
    let _ = to.shutdown().await;
}

/// Reads the size of a terminal: `{"Width":80,"Height":24}`.
fn size_of(text: &[u8]) -> Option<(u16, u16)> {
    let size: serde_json::Value = serde_json::from_slice(text).ok()?;
    let number = |name: &str| u16::try_from(size[name].as_u64()?).ok();
    Some((number("Width")?, number("Height")?))
}

async fn join(container: Container, mut streams: Streams) {
    let attached = container
        .attach(
            streams.stdin.is_some(),
            streams.stdout.is_some(),
            streams.stderr.is_some(),
        )
        .await;
    let mut attachment = match attached {
        Ok(attachment) => attachment,
        Err(error) => return finish(streams, Err(chain(&error))).await,
    };
    let mut inputs = tokio::task::JoinSet::new();
    if let Some(mut stdin) = streams.stdin.take() {
        let input = attachment.input.clone();
        inputs.spawn(async move {
            while let Some(data) = stdin.recv().await {
                if input.write(&data).await.is_err() {
                    return;
                }
            }
            let _ = input.close().await;
        });
    }
    if let Some(mut resize) = streams.resize.take() {
        let container = container.clone();
        inputs.spawn(async move {
            while let Some(size) = resize.recv().await {
                if let Some((columns, rows)) = size_of(&size) {
                    let _ = container.resize(columns, rows).await;
                }
            }
        });
    }
    while let Ok(Some(event)) = attachment.output.next().await {
        let (sink, data) = match event {
            AttachEvent::Stdout(data) => (&streams.stdout, data),
            AttachEvent::Stderr(data) => (&streams.stderr, data),
            AttachEvent::Exited(_) => break,
        };
        if let Some(sink) = sink
            && !sink.send(data).await
        {
            break;
        }
    }
    inputs.abort_all();
    finish(streams, Ok(0)).await;
}

/// Tells how the command ended and ends all streams.
async fn finish(streams: Streams, outcome: Result<i32, String>) {
    for sink in [&streams.stdout, &streams.stderr].into_iter().flatten() {
        sink.finish().await;
    }
    let text = if streams.structured {
        Some(status(&outcome).to_string())
    } else {
        plain(&outcome)
    };
    if let Some(text) = text {
        streams.error.send(text).await;
    }
    streams.error.finish().await;
    let Streams {
        stdout,
        stderr,
        error,
        done,
        ..
    } = streams;
    drop((stdout, stderr, error));
    // The writer ends when the last sink is gone.
    let _ = timeout(OPEN_TIMEOUT, done).await;
}

/// Returns the Status that protocols 4 and 5 end with
/// (upstream: staging/src/k8s.io/kubelet/pkg/cri/streaming/remotecommand).
fn status(outcome: &Result<i32, String>) -> serde_json::Value {
    match outcome {
        Ok(0) => json!({"metadata": {}, "status": "Success"}),
        Ok(code) => json!({
            "metadata": {},
            "status": "Failure",
            "message": format!("command terminated with non-zero exit code: exit status {code}"),
            "reason": "NonZeroExitCode",
            "details": {"causes": [{"reason": "ExitCode", "message": code.to_string()}]},
        }),
        Err(message) => json!({
            "metadata": {},
            "status": "Failure",
            "message": message,
            "reason": "InternalError",
            "details": {"causes": [{"message": message}]},
            "code": 500,
        }),
    }
}

fn plain(outcome: &Result<i32, String>) -> Option<String> {
    match outcome {
        Ok(0) => None,
        Ok(code) => Some(format!("command terminated with exit code {code}")),
        Err(message) => Some(message.clone()),
    }
}
