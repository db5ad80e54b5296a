//! Requests to the API: a connection for each, so that the Service spreads
//! them over the pods and no idle connection outlives its pod.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use axum::body::Body;
use http::header::{HOST, HeaderValue};
use http::{Request, Response};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::resolve::{ResolveError, Resolver};
use crate::config::{UPSTREAM_KEYS, Upstream};

const CONNECT_MAX: Duration = Duration::from_secs(10);
const READ_MAX: Duration = Duration::from_secs(60);

/// Why the API gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    /// No variable names the API.
    #[error("no backend is configured: set {}", UPSTREAM_KEYS.join(" or "))]
    NotConfigured,
    /// The name has no address.
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    /// No address answered.
    #[error("{address} cannot be reached: {reason}")]
    Connect {
        /// Host and port.
        address: String,
        /// What the system said.
        reason: String,
    },
    /// The connection broke before an answer.
    #[error("{address} closed the connection without an answer: {reason}")]
    Broken {
        /// Host and port.
        address: String,
        /// What happened.
        reason: String,
    },
    /// The answer took too long.
    #[error("{0} did not answer in time")]
    Slow(String),
}

/// The API as the pages use it.
pub struct Client {
    upstream: Option<Upstream>,
    resolver: Resolver,
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

impl Client {
    /// Returns a client; nothing is connected yet.
    pub fn new(upstream: Option<Upstream>) -> Self {
        Self {
            upstream,
            resolver: Resolver::default(),
        }
    }

    /// Returns where the API is.
    pub fn upstream(&self) -> Option<&Upstream> {
        self.upstream.as_ref()
    }

    /// Sends a request whose URI is a path, and returns the answer as it
    /// begins.
    ///
    /// # Errors
    /// As [`UpstreamError`] says.
    pub async fn send(
        &self,
        mut request: Request<Body>,
    ) -> Result<Response<Incoming>, UpstreamError> {
        let upstream = self.upstream.as_ref().ok_or(UpstreamError::NotConfigured)?;
        let address = upstream.text();
        let broken = |error: hyper::Error| UpstreamError::Broken {
            address: address.clone(),
            reason: error.to_string(),
        };
        let stream = match timeout(CONNECT_MAX, self.connect(upstream)).await {
            Ok(stream) => stream?,
            Err(_) => return Err(UpstreamError::Slow(address)),
        };
        let host = format!("{}:{}", upstream.host, upstream.port);
        if let Ok(host) = HeaderValue::from_str(&host) {
            request.headers_mut().insert(HOST, host);
        }
        let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream));
        let (mut sender, connection) = handshake.await.map_err(broken)?;
        // The task ends with the answer's body or with its reader.
        tokio::spawn(connection);
        match timeout(READ_MAX, sender.send_request(request)).await {
            Ok(answer) => answer.map_err(broken),
            Err(_) => Err(UpstreamError::Slow(address)),
        }
    }

    async fn connect(&self, upstream: &Upstream) -> Result<Box<dyn Stream>, UpstreamError> {
        let addresses = self.resolver.lookup(&upstream.host).await?;
        let tcp = connect_any(&addresses, upstream.port)
            .await
            .map_err(|error| failed(upstream, &error))?;
        // Small requests should not wait for one another's acknowledgement.
        let _ = tcp.set_nodelay(true);
        if !upstream.tls {
            return Ok(Box::new(tcp));
        }
        let name = ServerName::try_from(upstream.host.clone())
            .map_err(|error| failed(upstream, &error))?;
        let connector = tokio_rustls::TlsConnector::from(Arc::clone(&TLS));
        let tls = connector
            .connect(name, tcp)
            .await
            .map_err(|error| failed(upstream, &error))?;
        Ok(Box::new(tls))
    }
}

fn failed(upstream: &Upstream, error: &dyn std::fmt::Display) -> UpstreamError {
    UpstreamError::Connect {
        address: upstream.text(),
        reason: error.to_string(),
    }
}

async fn connect_any(addresses: &[IpAddr], port: u16) -> std::io::Result<TcpStream> {
    let mut last = std::io::Error::from(std::io::ErrorKind::AddrNotAvailable);
    for address in addresses {
        match TcpStream::connect(SocketAddr::new(*address, port)).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

static TLS: LazyLock<Arc<rustls::ClientConfig>> = LazyLock::new(|| {
    let roots = rustls::RootCertStore {
        roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the ring provider supports the default versions");
    Arc::new(builder.with_root_certificates(roots).with_no_client_auth())
});
