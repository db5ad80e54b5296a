//! One HTTP request to a pod, from the node's own address: probes, life-cycle
//! hooks and metrics. Certificates are not verified, as upstream's kubelet does
//! not: a pod's certificate names no address.

use std::net::SocketAddr;
use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use tokio_rustls::rustls::crypto::{
    CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature,
};
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::{self, ClientConfig, DigitallySignedStruct, SignatureScheme};

/// A request for one page.
#[derive(Debug, Clone)]
pub struct Page {
    /// Where to connect to.
    pub address: SocketAddr,
    /// Whether to speak TLS.
    pub tls: bool,
    /// Path and query.
    pub path: String,
    /// Headers, `Host` among them if it differs from the address.
    pub headers: Vec<(String, String)>,
    /// Longest body that is read.
    pub bytes_max: usize,
}

/// What was answered.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// The `Location` header of a redirect.
    pub location: Option<String>,
    /// The body; empty when it was longer than allowed.
    pub body: Bytes,
}

/// A stream that HTTP can be spoken over.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// Connects, over TLS if asked for.
///
/// # Errors
/// Says what failed, as Go would.
pub async fn connect(
    address: SocketAddr,
    tls: bool,
    protocols: &[&str],
) -> Result<Box<dyn Stream>, String> {
    let stream = TcpStream::connect(address)
        .await
        .map_err(|error| format!("dial tcp {address}: connect: {}", words(&error)))?;
    // A late segment would only cost a probe its time.
    let _ = stream.set_nodelay(true);
    if !tls {
        return Ok(Box::new(stream));
    }
    let connector = TlsConnector::from(client_config(protocols));
    let name = ServerName::IpAddress(address.ip().into());
    let stream = connector
        .connect(name, stream)
        .await
        .map_err(|error| tls_words(&error))?;
    Ok(Box::new(stream))
}

/// Gets a page.
///
/// # Errors
/// Says what failed, as Go would.
pub async fn get(page: Page) -> Result<Answer, String> {
    let stream = connect(page.address, page.tls, &["http/1.1"]).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| error.to_string())?;
    // Ends with this request, also when it is given up.
    let mut driving = tokio::task::JoinSet::new();
    driving.spawn(connection);
    let mut request = http::Request::get(page.path.as_str());
    let has = |name: &str| {
        page.headers
            .iter()
            .any(|(known, _)| known.eq_ignore_ascii_case(name))
    };
    if !has("host") {
        request = request.header("host", page.address.to_string());
    }
    for (name, value) in &page.headers {
        request = request.header(name, value);
    }
    if !has("connection") {
        request = request.header("connection", "close");
    }
    let request = request
        .body(Empty::<Bytes>::new())
        .map_err(|error| error.to_string())?;
    let answer = sender
        .send_request(request)
        .await
        .map_err(|error| http_words(&error))?;
    let status = answer.status().as_u16();
    let location = answer
        .headers()
        .get(http::header::LOCATION)
        .and_then(|location| location.to_str().ok())
        .map(str::to_owned);
    let body = Limited::new(answer.into_body(), page.bytes_max)
        .collect()
        .await
        .map_or_else(|_| Bytes::new(), |body| body.to_bytes());
    Ok(Answer {
        status,
        location,
        body,
    })
}

/// Returns what Go says for an error of the system.
pub fn words(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::ConnectionRefused => "connection refused".into(),
        std::io::ErrorKind::ConnectionReset => "connection reset by peer".into(),
        std::io::ErrorKind::HostUnreachable => "no route to host".into(),
        std::io::ErrorKind::NetworkUnreachable => "network is unreachable".into(),
        _ => {
            let text = error.to_string();
            let text = text.split(" (os error").next().unwrap_or(&text);
            text.to_lowercase()
        }
    }
}

fn http_words(error: &hyper::Error) -> String {
    if error.is_incomplete_message() {
        "EOF".into()
    } else if error.is_parse() {
        "malformed HTTP response".into()
    } else {
        error.to_string()
    }
}

fn tls_words(error: &std::io::Error) -> String {
    let inner = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match inner {
        // Go's crypto/tls and net/http say it in these words.
        Some(rustls::Error::InvalidMessage(_)) => {
            "http: server gave HTTP response to HTTPS client".into()
        }
        Some(inner) => format!("tls: {inner}"),
        None if error.kind() == std::io::ErrorKind::UnexpectedEof => "EOF".into(),
        None => words(error),
    }
}

fn client_config(protocols: &[&str]) -> Arc<ClientConfig> {
    static PLAIN: LazyLock<ClientConfig> = LazyLock::new(|| {
        let provider = Arc::new(ring::default_provider());
        ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .expect("the provider has ciphers for the default versions")
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Anyone(provider)))
            .with_no_client_auth()
    });
    let mut config = PLAIN.clone();
    config.alpn_protocols = protocols
        .iter()
        .map(|protocol| protocol.as_bytes().to_vec())
        .collect();
    Arc::new(config)
}

/// Takes any certificate; that its holder has the key is still verified.
#[derive(Debug)]
struct Anyone(Arc<CryptoProvider>);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
