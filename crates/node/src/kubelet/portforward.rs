//! Port-forward: connections into a pod's network namespace, framed as SPDY
//! (also inside a WebSocket, as kubectl does since 1.31) or, for older
//! clients, as WebSocket channels
//! (upstream: staging/src/k8s.io/kubelet/pkg/cri/streaming/portforward).

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use http::{Request, Response};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::protocol::Message;

use super::remote::{Outgoing, Sink};
use super::spdy::{self, Stream};
use super::websocket::{self, Socket};
use super::{Body, Query, Refusal, exec};
use crate::shared::Shared;
use crate::worker::Handle;

const TUNNEL: &str = "SPDY/3.1+portforward.k8s.io";
const CHANNELS: [&str; 3] = ["v4.channel.k8s.io", "portforward.k8s.io", "channel.k8s.io"];
const SPDY_PROTOCOL: &str = "portforward.k8s.io";
/// Bytes of one piece.
const PIECE: usize = 32 * 1024;

/// Where connections go: the network namespace of a pod.
#[derive(Clone)]
struct Pod {
    /// `None` with the node's own network.
    namespace: Option<PathBuf>,
}

impl Pod {
    /// Connects to a port on the pod's loopback, as upstream does.
    async fn connect(&self, port: u16) -> io::Result<TcpStream> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let Some(namespace) = self.namespace.clone() else {
            return TcpStream::connect(address).await;
        };
        let connected = tokio::task::spawn_blocking(move || {
            let file = std::fs::File::open(namespace)?;
            coracle_netdev::netns::enter(std::os::fd::AsFd::as_fd(&file), || {
                std::net::TcpStream::connect(address)
            })
            .map_err(io::Error::other)?
        })
        .await
        .map_err(io::Error::other)??;
        connected.set_nonblocking(true)?;
        TcpStream::from_std(connected)
    }
}

/// Serves port-forward for a pod.
pub async fn serve<B: Send + 'static>(
    request: Request<B>,
    shared: &Arc<Shared>,
    handle: &Handle,
    query: Query,
) -> Result<Response<Body>, Refusal> {
    let uid = handle
        .paths
        .dir
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let sandboxes = shared.machine.sandboxes();
    let sandbox = sandboxes
        .into_iter()
        .find(|sandbox| sandbox.id() == uid && sandbox.is_alive());
    let pod = Pod {
        namespace: sandbox
            .ok_or_else(|| Refusal::not_found("the pod is not running"))?
            .net(),
    };
    if !websocket::is_wanted(request.headers()) {
        let (response, connection, _) = exec::accept_spdy(request, &[SPDY_PROTOCOL])?;
        tokio::spawn(async move {
            if let Some(connection) = connection.await {
                forward(connection, pod).await;
            }
        });
        return Ok(response);
    }
    if websocket::choose(request.headers(), &[TUNNEL]).is_some() {
        let (response, socket) = websocket::accept(request, TUNNEL)?;
        tokio::spawn(async move {
            if let Some(socket) = socket.await {
                forward(tunnel(socket), pod).await;
            }
        });
        return Ok(response);
    }
    let protocol = websocket::choose(request.headers(), &CHANNELS)
        .ok_or_else(|| Refusal::bad("unable to negotiate a stream protocol"))?;
    let ports: Vec<u16> = query
        .all("ports")
        .iter()
        .flat_map(|list| list.split(','))
        .filter_map(|port| port.parse().ok())
        .collect();
    if ports.is_empty() {
        return Err(Refusal::bad("query parameter \"ports\" is required"));
    }
    let (response, socket) = websocket::accept(request, protocol)?;
    tokio::spawn(async move {
        if let Some(socket) = socket.await {
            channels(socket, ports, pod).await;
        }
    });
    Ok(response)
}

/// Carries SPDY inside the messages of a WebSocket.
fn tunnel(socket: Socket) -> spdy::Connection {
    let (mut to_client, mut from_client) = socket.split();
    let (ours, theirs) = tokio::io::duplex(256 * 1024);
    let (mut read, mut write) = tokio::io::split(ours);
    tokio::spawn(async move {
        while let Some(Ok(message)) = from_client.next().await {
            match message {
                Message::Binary(data) if write.write_all(&data).await.is_err() => break,
                Message::Close(_) => break,
                _ => {}
            }
        }
        let _ = write.shutdown().await;
    });
    tokio::spawn(async move {
        let mut buffer = vec![0; PIECE];
        while let Ok(length @ 1..) = read.read(&mut buffer).await {
            if to_client
                .send(Message::Binary(Bytes::copy_from_slice(&buffer[..length])))
                .await
                .is_err()
            {
                return;
            }
        }
        let _ = to_client.close().await;
    });
    let (read, write) = tokio::io::split(theirs);
    spdy::start(read, write)
}

/// Joins the two streams of each request and serves them.
async fn forward(mut connection: spdy::Connection, pod: Pod) {
    let mut waiting: HashMap<String, (Option<Stream>, Option<Stream>)> = HashMap::new();
    while let Some(stream) = connection.streams.recv().await {
        let request = stream.headers.get("requestid").cloned().unwrap_or_default();
        let pair = waiting.entry(request.clone()).or_default();
        match stream.headers.get("streamtype").map(String::as_str) {
            Some("error") => pair.0 = Some(stream),
            Some("data") => pair.1 = Some(stream),
            _ => continue,
        }
        if let (Some(_), Some(_)) = pair
            && let Some((Some(error), Some(data))) = waiting.remove(&request)
        {
            tokio::spawn(one(pod.clone(), connection.out.clone(), error, data));
        }
    }
}

async fn one(pod: Pod, out: Outgoing, error: Stream, data: Stream) {
    let (to_client, errors) = (Sink::new(out.clone(), data.id), Sink::new(out, error.id));
    let port = data
        .headers
        .get("port")
        .and_then(|port| port.parse::<u16>().ok());
    let connected = match port {
        Some(port) => pod.connect(port).await.map_err(|error| {
            format!(
                "failed to connect to localhost:{port} inside the pod's network namespace: {error}"
            )
        }),
        None => Err("the stream names no port".to_owned()),
    };
    match connected {
        Ok(stream) => copy(stream, data.data, &to_client).await,
        Err(message) => {
            errors.send(message).await;
        }
    }
    to_client.finish().await;
    errors.finish().await;
}

/// Copies both ways until the pod has said all and the client too, or the pod is gone.
async fn copy(stream: TcpStream, mut from_client: mpsc::Receiver<Bytes>, to_client: &Sink) {
    let (mut read, mut write) = stream.into_split();
    let upload = tokio::spawn(async move {
        while let Some(data) = from_client.recv().await {
            if write.write_all(&data).await.is_err() {
                return;
            }
        }
        let _ = write.shutdown().await;
    });
    let mut buffer = vec![0; PIECE];
    while let Ok(length @ 1..) = read.read(&mut buffer).await {
        if !to_client
            .send(Bytes::copy_from_slice(&buffer[..length]))
            .await
        {
            break;
        }
    }
    upload.abort();
}

/// The older framing: for each port a channel for data and one for errors,
/// each of which begins with the port's number, little endian.
async fn channels(socket: Socket, ports: Vec<u16>, pod: Pod) {
    let (mut to_client, mut from_client) = socket.split();
    let (out, mut outgoing) = mpsc::channel::<(u32, Option<Bytes>)>(64);
    let mut inputs: HashMap<u8, mpsc::Sender<Bytes>> = HashMap::new();
    for (index, port) in ports.into_iter().enumerate().take(127) {
        let (channel, pod) = (index as u32 * 2, pod.clone());
        let (data, errors) = (
            Sink::new(out.clone(), channel),
            Sink::new(out.clone(), channel + 1),
        );
        let (input, from) = mpsc::channel(64);
        inputs.insert(channel as u8, input);
        tokio::spawn(async move {
            data.send(port.to_le_bytes().to_vec()).await;
            errors.send(port.to_le_bytes().to_vec()).await;
            match pod.connect(port).await {
                Ok(stream) => copy(stream, from, &data).await,
                Err(error) => {
                    errors
                        .send(format!(
                            "failed to connect to port {port} inside the pod: {error}"
                        ))
                        .await;
                }
            }
        });
    }
    drop(out);
    let writer = tokio::spawn(async move {
        while let Some((channel, data)) = outgoing.recv().await {
            let Some(data) = data else { continue };
            if to_client
                .send(Message::Binary(websocket::message(channel as u8, &data)))
                .await
                .is_err()
            {
                return;
            }
        }
        let _ = to_client.close().await;
    });
    while let Some(Ok(message)) = from_client.next().await {
        match message {
            Message::Binary(data) if !data.is_empty() => {
                if let Some(input) = inputs.get(&data[0]) {
                    let _ = input.send(data.slice(1..)).await;
                }
            }
            Message::Close(_) => break,
            _ => {}
        }
    }
    writer.abort();
}
