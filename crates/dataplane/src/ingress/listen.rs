//! Accepts clients and speaks HTTP with them: HTTP/1.1 and HTTP/2, by TLS's
//! word or by the client's first bytes.

use std::convert::Infallible;
use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::AtomicU16;
use std::time::Duration;

use http::header::{CONNECTION, HeaderValue};
use http::{Request, Response, StatusCode, Version};
use hyper::body::Incoming;
use hyper::rt::{Read, Write};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::body::Payload;
use super::header::Origin;
use super::proxy::{Gate, Proxy};
use crate::leave;

/// A client that says nothing for so long is let go (nginx' keepalive_timeout).
const SILENCE: Duration = Duration::from_secs(75);
/// How long the two sides may take to agree on TLS.
const HANDSHAKE: Duration = Duration::from_secs(15);
/// A pause when the process has no more file descriptors.
const BREATHE: Duration = Duration::from_millis(20);

/// What a listener serves with.
#[derive(Clone)]
pub(super) struct Server {
    pub proxy: Arc<Proxy>,
    pub tls: Option<TlsAcceptor>,
    /// The port of HTTPS beside it; 0 where there is none.
    pub secure: Arc<AtomicU16>,
}

/// Accepts on a listening socket until the task is ended.
pub(super) fn start(fd: OwnedFd, server: Server) -> io::Result<JoinHandle<()>> {
    let listener = StdListener::from(fd);
    listener.set_nonblocking(true)?;
    let port = listener.local_addr()?.port();
    let listener = TcpListener::from_std(listener)?;
    Ok(tokio::spawn(accept(listener, port, server)))
}

async fn accept(listener: TcpListener, port: u16, server: Server) {
    loop {
        match listener.accept().await {
            Ok((stream, client)) => {
                let server = server.clone();
                leave::carry(async move { serve(stream, client, port, server).await });
            }
            Err(error) => {
                tracing::warn!(%error, "connection not accepted");
                tokio::time::sleep(BREATHE).await;
            }
        }
    }
}

async fn serve(stream: TcpStream, client: SocketAddr, port: u16, server: Server) {
    // Only latency is lost where this is refused.
    let _ = stream.set_nodelay(true);
    let gate = Gate {
        origin: Origin {
            client: client.ip(),
            port,
            tls: server.tls.is_some(),
        },
        secure: server.secure,
    };
    let Some(tls) = server.tls else {
        return converse(TokioIo::new(stream), gate, server.proxy).await;
    };
    match timeout(HANDSHAKE, tls.accept(stream)).await {
        Ok(Ok(stream)) => converse(TokioIo::new(stream), gate, server.proxy).await,
        Ok(Err(error)) => tracing::debug!(%client, %error, "no TLS with a client"),
        Err(_) => tracing::debug!(%client, "a client was silent"),
    }
}

async fn converse<T>(stream: T, gate: Gate, proxy: Arc<Proxy>)
where
    T: Read + Write + Unpin + Send + 'static,
{
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(SILENCE);
    builder
        .http2()
        .timer(TokioTimer::new())
        .adaptive_window(true);
    let last = Arc::new(Notify::new());
    let told = last.clone();
    let service = service_fn(move |request: Request<Incoming>| {
        let (gate, proxy, last) = (gate.clone(), proxy.clone(), last.clone());
        async move {
            let version = request.version();
            let mut response = proxy.answer(&gate, request).await;
            if leave::is_near() {
                end_after(&mut response, version, &last);
            }
            Ok::<_, Infallible>(response)
        }
    });
    let conversation = builder.serve_connection_with_upgrades(stream, service);
    let mut conversation = std::pin::pin!(conversation);
    let result = tokio::select! {
        result = conversation.as_mut() => result,
        () = told.notified() => {
            conversation.as_mut().graceful_shutdown();
            conversation.await
        }
    };
    if let Err(error) = result {
        tracing::debug!(%error, "conversation with a client ended");
    }
}

/// Says with an answer that it is the connection's last. A client that is idle
/// is not cut off: its next request may be under way.
fn end_after(response: &mut Response<Payload>, version: Version, last: &Notify) {
    if version == Version::HTTP_2 {
        last.notify_one();
    } else if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        // RFC 9112, section 9.6.
        let headers = response.headers_mut();
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
}
