//! One HTTP exchange over a dialled connection: TLS, proxies, timeouts.

use std::collections::BTreeSet;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, Uri, header};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Empty, Full, Limited};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::dial::{Connection, Dial, Proxies, Proxy, is_loopback};
use super::error::RegistryError;
use super::tls::Trust;

/// Time without an answer after which a connection counts as broken.
pub(super) const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
/// Most bytes of an error answer that are read.
const ERROR_BYTES_MAX: usize = 64 << 10;

/// A request's body.
pub(super) type Body = BoxBody<Bytes, io::Error>;

/// Returns an empty body.
pub(super) fn empty() -> Body {
    Empty::new().map_err(|never| match never {}).boxed()
}

/// Returns a body of these bytes.
pub(super) fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into())
        .map_err(|never| match never {})
        .boxed()
}

/// Makes requests.
pub(super) struct Http {
    pub(super) dial: Arc<dyn Dial>,
    pub(super) trust: Trust,
    pub(super) proxies: Proxies,
    /// Hosts (with port) that may be spoken to without TLS.
    pub(super) insecure: BTreeSet<String>,
    /// Hosts found to speak plain HTTP.
    pub(super) plain: Mutex<BTreeSet<String>>,
    pub(super) user_agent: String,
}

impl Http {
    /// Sends one request and returns the answer's head and body stream.
    pub(super) async fn send(
        &self,
        request: Request<Body>,
    ) -> Result<Response<Incoming>, RegistryError> {
        let uri = request.uri().clone();
        let host = uri.host().unwrap_or_default().to_owned();
        let tls = uri.scheme_str() == Some("https");
        let port = uri.port_u16().unwrap_or(if tls { 443 } else { 80 });
        let proxy = self.proxies.proxy(&host, tls);
        let stream = self.connect(&host, port, tls, proxy.as_ref()).await?;
        let request = self.finish(request, &uri, tls, proxy.as_ref())?;
        exchange(stream, request, &host).await
    }

    /// Returns `https` or, for a host that is allowed to and does, `http`.
    pub(super) async fn scheme(&self, host: &str) -> &'static str {
        let name = host_name(host);
        if !is_loopback(name) && !self.insecure.contains(host) && !self.insecure.contains(name) {
            return "https";
        }
        if self.is_plain(host) {
            return "http";
        }
        // Whether it speaks TLS is found by trying.
        let uri = format!("https://{host}/").parse::<Uri>();
        let port = uri.ok().and_then(|uri| uri.port_u16()).unwrap_or(443);
        let proxy = self.proxies.proxy(name, true);
        match self.connect(name, port, true, proxy.as_ref()).await {
            Err(RegistryError::Tls { .. }) => {
                if let Ok(mut plain) = self.plain.lock() {
                    plain.insert(host.to_owned());
                }
                "http"
            }
            // Without a port, plain HTTP is elsewhere.
            Err(_) if !host.contains(':') => "http",
            _ => "https",
        }
    }

    fn is_plain(&self, host: &str) -> bool {
        self.plain.lock().is_ok_and(|plain| plain.contains(host))
    }

    fn finish(
        &self,
        request: Request<Body>,
        uri: &Uri,
        tls: bool,
        proxy: Option<&Proxy>,
    ) -> Result<Request<Body>, RegistryError> {
        let (mut parts, body) = request.into_parts();
        let answer = |reason: String| RegistryError::Answer {
            host: uri.host().unwrap_or_default().to_owned(),
            reason,
        };
        let authority = uri
            .authority()
            .map(|authority| authority.as_str())
            .unwrap_or_default();
        let value =
            |text: &str| HeaderValue::from_str(text).map_err(|error| answer(error.to_string()));
        parts.headers.insert(header::HOST, value(authority)?);
        parts
            .headers
            .insert(header::USER_AGENT, value(&self.user_agent)?);
        // A plain request through a proxy names the whole address (RFC 9112,
        // section 3.2.2).
        if tls || proxy.is_none() {
            let path = uri
                .path_and_query()
                .map(|path| path.as_str())
                .unwrap_or("/");
            parts.uri = path
                .parse()
                .map_err(|_| answer(format!("\"{path}\" is no path")))?;
        } else if let Some(login) = proxy.and_then(Proxy::authorization) {
            parts
                .headers
                .insert(header::PROXY_AUTHORIZATION, value(&login)?);
        }
        Ok(Request::from_parts(parts, body))
    }

    async fn connect(
        &self,
        host: &str,
        port: u16,
        tls: bool,
        proxy: Option<&Proxy>,
    ) -> Result<Box<dyn Connection>, RegistryError> {
        let (dial_host, dial_port) = match proxy {
            Some(proxy) => (proxy.host.as_str(), proxy.port),
            None => (host, port),
        };
        let dialled = self.dial.dial(dial_host, dial_port).await;
        let mut stream = dialled.map_err(|source| RegistryError::Connect {
            host: format!("{dial_host}:{dial_port}"),
            source,
        })?;
        if !tls {
            return Ok(stream);
        }
        if let Some(proxy) = proxy {
            stream = tunnel(stream, proxy, host, port).await?;
        }
        let failed = |reason: String| RegistryError::Tls {
            host: format!("{host}:{port}"),
            reason,
        };
        let name = host.trim_matches(['[', ']']).to_owned();
        let name = ServerName::try_from(name).map_err(|error| failed(error.to_string()))?;
        let tls = self.trust.connector(host, port)?;
        let shaken = tokio::time::timeout(ANSWER_TIMEOUT, tls.connect(name, stream)).await;
        match shaken {
            Ok(Ok(stream)) => Ok(Box::new(stream)),
            Ok(Err(error)) if is_distrust(&error) => Err(RegistryError::Certificate {
                host: format!("{host}:{port}"),
                reason: error.to_string(),
            }),
            Ok(Err(error)) => Err(failed(error.to_string())),
            Err(_) => Err(failed("no answer to the handshake".to_owned())),
        }
    }
}

fn is_distrust(error: &io::Error) -> bool {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    matches!(inner, Some(rustls::Error::InvalidCertificate(_)))
}

/// Returns a host without its port.
pub(super) fn host_name(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => name,
        _ => host,
    }
}

impl Proxy {
    fn authorization(&self) -> Option<String> {
        use base64::Engine;
        let login = self.login.as_ref()?;
        Some(format!(
            "Basic {}",
            base64::engine::general_purpose::STANDARD.encode(login)
        ))
    }
}

async fn exchange(
    stream: Box<dyn Connection>,
    request: Request<Body>,
    host: &str,
) -> Result<Response<Incoming>, RegistryError> {
    let broken = |reason: String| RegistryError::Broken {
        host: host.to_owned(),
        reason,
    };
    let shaken = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = shaken.map_err(|error| broken(error.to_string()))?;
    // It ends with the exchange: the answer's body keeps it alive.
    tokio::spawn(connection);
    sender.send_request(request).await.map_err(|error| {
        use std::error::Error;
        let cause = error
            .source()
            .map(|cause| format!(": {cause}"))
            .unwrap_or_default();
        broken(format!("{error}{cause}"))
    })
}

// RFC 9110, section 9.3.6.
async fn tunnel(
    mut stream: Box<dyn Connection>,
    proxy: &Proxy,
    host: &str,
    port: u16,
) -> Result<Box<dyn Connection>, RegistryError> {
    let broken = |source| RegistryError::Connect {
        host: format!(
            "{host}:{port} through the proxy {}:{}",
            proxy.host, proxy.port
        ),
        source,
    };
    let mut request = format!("CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n");
    if let Some(login) = proxy.authorization() {
        request.push_str(&format!("Proxy-Authorization: {login}\r\n"));
    }
    request.push_str("\r\n");
    stream.write_all(request.as_bytes()).await.map_err(broken)?;
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        if answer.len() > 8192 {
            return Err(broken(io::Error::other("the proxy's answer is too long")));
        }
        answer.push(stream.read_u8().await.map_err(broken)?);
    }
    let text = String::from_utf8_lossy(&answer);
    let first = text.lines().next().unwrap_or_default();
    match first.split_whitespace().nth(1) {
        Some("200") => Ok(stream),
        _ => Err(broken(io::Error::other(format!(
            "the proxy answered {first}"
        )))),
    }
}

/// Reads a bounded body.
pub(super) async fn read(body: Incoming, limit: usize, host: &str) -> Result<Bytes, RegistryError> {
    let collected = tokio::time::timeout(ANSWER_TIMEOUT, Limited::new(body, limit).collect()).await;
    match collected {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) => Err(RegistryError::Broken {
            host: host.to_owned(),
            reason: error.to_string(),
        }),
        Err(_) => Err(RegistryError::Broken {
            host: host.to_owned(),
            reason: "no answer for a minute".to_owned(),
        }),
    }
}

/// Returns the registry's own words in an error answer (distribution
/// specification, "Error Codes").
pub(super) async fn error_words(response: Response<Incoming>, host: &str) -> String {
    let status = response.status();
    let Ok(bytes) = read(response.into_body(), ERROR_BYTES_MAX, host).await else {
        return status.to_string();
    };
    let json = serde_json::from_slice::<serde_json::Value>(&bytes).unwrap_or_default();
    let first = &json["errors"][0];
    let words = first["message"]
        .as_str()
        .or_else(|| json["message"].as_str());
    match words.filter(|words| !words.is_empty()) {
        Some(words) => words.chars().take(300).collect(),
        None => match first["code"].as_str() {
            Some(code) => code.chars().take(100).collect(),
            None => status.to_string(),
        },
    }
}
