//! One request from a client to a server and its answer back.
//!
//! Nothing is buffered. A server that does not take the connection is passed
//! over for the next one, and so is a request that certainly was not read or
//! that may be asked twice.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use http::header::{CONNECTION, CONTENT_LENGTH, HOST, HeaderMap, HeaderValue, UPGRADE};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Method, Request, Response, StatusCode, Uri, Version};
use hyper::body::Incoming;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use parking_lot::RwLock;
use tokio::io::copy_bidirectional_with_sizes;
use tokio::time::timeout;

use super::body::Payload;
use super::header::{self, Origin};
use super::page;
use super::pool::{Age, Lease, Pool};
use super::route::{Found, Router, plain_host};
use crate::config::{self, Backend, HttpRoute, Protocol};
use crate::leave;

/// A server on this machine accepts at once, or is not there.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// The default of nginx (`proxy_read_timeout`).
const ANSWER_WITHIN: Duration = Duration::from_secs(60);
const BUFFER_BYTES: usize = 64 << 10;

/// The proxy with its latest configuration.
#[derive(Debug)]
pub(super) struct Proxy {
    site: RwLock<Arc<Site>>,
    pool: Arc<Pool>,
    turn: AtomicUsize,
}

/// What is served now.
#[derive(Debug, Default)]
struct Site {
    config: config::Ingress,
    router: Arc<Router>,
}

/// Where a request came in.
#[derive(Debug, Clone)]
pub(super) struct Gate {
    /// Who asked, and how.
    pub origin: Origin,
    /// The port of HTTPS beside it; 0 where there is none.
    pub secure: Arc<AtomicU16>,
}

/// Why a request has no answer of a server.
enum Failure {
    /// No server took it.
    Unreachable,
    /// The server ended the connection in the middle.
    Broken(hyper::Error),
    /// The server was silent for too long.
    Late,
    /// The client sent more than allowed.
    TooLarge,
}

/// What became of one try.
enum Tried {
    Answered(Response<Incoming>),
    /// The request was not read; here is its body again.
    Unread(Payload),
    Failed(Failure),
}

impl Proxy {
    pub(super) fn new() -> Result<Self, rustls::Error> {
        Ok(Proxy {
            site: RwLock::default(),
            pool: Arc::new(Pool::new()?),
            turn: AtomicUsize::new(rand::random::<u32>() as usize),
        })
    }

    /// Replaces what is served; requests under way finish as they began.
    pub(super) fn set(&self, config: &config::Ingress) {
        let before = self.site.read().clone();
        let router = match before.config.routes == config.routes {
            true => before.router.clone(),
            false => Arc::new(Router::new(&config.routes)),
        };
        let wanted: HashSet<_> = config
            .backends
            .values()
            .flat_map(|backend| {
                let protocol = backend.protocol;
                backend
                    .targets
                    .iter()
                    .map(move |target| (*target, protocol))
            })
            .collect();
        let mut config = config.clone();
        // Held elsewhere, and not needed for a request.
        config.certificates.clear();
        *self.site.write() = Arc::new(Site { config, router });
        // After the routes, so that no request brings a connection back to a
        // server that has just gone.
        let site = self.site.read().clone();
        self.pool.set(site.config.source, wanted, site.config.era);
    }

    /// Answers a request.
    pub(super) async fn answer(
        &self,
        gate: &Gate,
        request: Request<Incoming>,
    ) -> Response<Payload> {
        let site = self.site.read().clone();
        let host = header::host(request.uri(), request.headers());
        let host = host.unwrap_or_default().to_owned();
        if request.method() == Method::CONNECT {
            return page::plain(StatusCode::METHOD_NOT_ALLOWED, "this is no forward proxy");
        }
        let path = request.uri().path();
        let Some(found) = site.router.find(&plain_host(&host), path) else {
            return page::not_found(&plain_host(&host), path, &site.router.hosts());
        };
        let route = &site.config.routes[found.route];
        let secure = gate.secure.load(Ordering::Relaxed);
        if route.redirect && !gate.origin.tls && secure != 0 {
            return page::redirect(&elsewhere(&host, secure, request.uri()));
        }
        let Some(backend) = site.config.backends.get(&route.backend) else {
            return no_server(route);
        };
        if backend.targets.is_empty() {
            return no_server(route);
        }
        if is_too_large(request.headers(), route.body_bytes_max) {
            return too_large();
        }
        self.forward(gate, route, backend, &found, host, request)
            .await
    }

    async fn forward(
        &self,
        gate: &Gate,
        route: &HttpRoute,
        backend: &Backend,
        found: &Found,
        host: String,
        mut request: Request<Incoming>,
    ) -> Response<Payload> {
        let upgrade = header::upgrade(request.headers())
            .filter(|_| matches!(backend.protocol, Protocol::Http | Protocol::Https));
        let client = upgrade.is_some().then(|| hyper::upgrade::on(&mut request));
        let (parts, body) = request.into_parts();
        let mut outgoing = Outgoing::new(route, backend, found, gate, &host, parts);
        if let Some(protocol) = upgrade {
            let headers = &mut outgoing.headers;
            headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
            headers.insert(UPGRADE, protocol);
        }
        let payload = Payload::of_request(body, route.body_bytes_max, &outgoing.passed);
        match self.exchange(route, backend, &outgoing, payload).await {
            Ok((answer, lease)) => self.pass_on(answer, lease, client),
            Err(failure) => failed(route, failure),
        }
    }

    /// Tries servers in turn until one answers.
    async fn exchange(
        &self,
        route: &HttpRoute,
        backend: &Backend,
        outgoing: &Outgoing,
        mut payload: Payload,
    ) -> Result<(Response<Incoming>, Lease), Failure> {
        let connect_within = seconds(route.connect_seconds, CONNECT_WITHIN);
        let answer_within = seconds(route.answer_seconds, ANSWER_WITHIN);
        let repeatable = outgoing.method.is_idempotent() && payload.is_empty();
        let count = backend.targets.len();
        let first = self.turn.fetch_add(1, Ordering::Relaxed);
        let mut last = Failure::Unreachable;
        for turn in 0..count {
            let target = backend.targets[first.wrapping_add(turn) % count];
            let mut age = if repeatable { Age::Any } else { Age::Young };
            loop {
                let place = (target, backend.protocol);
                let mut lease = match self.pool.lease(place, age, connect_within).await {
                    Ok(lease) => lease,
                    Err(error) => {
                        tracing::debug!(%target, %error, "server passed over");
                        break;
                    }
                };
                match outgoing.send(&mut lease, payload, answer_within).await {
                    Tried::Answered(answer) => return Ok((answer, lease)),
                    Tried::Unread(back) => payload = back,
                    Tried::Failed(Failure::Broken(error)) if repeatable => {
                        payload = Payload::Empty;
                        last = Failure::Broken(error);
                    }
                    Tried::Failed(failure) => return Err(failure),
                }
                if !lease.reused {
                    break;
                }
                age = Age::New;
            }
        }
        Err(last)
    }

    fn pass_on(
        &self,
        mut answer: Response<Incoming>,
        lease: Lease,
        client: Option<OnUpgrade>,
    ) -> Response<Payload> {
        let server = hyper::upgrade::on(&mut answer);
        let (mut parts, body) = answer.into_parts();
        let protocol = parts.headers.get(UPGRADE).cloned();
        header::strip(&mut parts.headers);
        // The connection to the client has a version of its own.
        parts.version = Version::HTTP_11;
        parts.extensions.clear();
        if parts.status == StatusCode::SWITCHING_PROTOCOLS {
            let Some(client) = client else {
                return page::plain(
                    StatusCode::BAD_GATEWAY,
                    "the server changed its protocol unasked",
                );
            };
            leave::carry(join(client, server));
            let switch = HeaderValue::from_static("upgrade");
            parts.headers.insert(CONNECTION, switch);
            parts
                .headers
                .extend(protocol.map(|protocol| (UPGRADE, protocol)));
            return Response::from_parts(parts, Payload::Empty);
        }
        self.pool.give_back(lease);
        Response::from_parts(parts, Payload::of_answer(body))
    }
}

/// What is sent to a server, as often as it takes.
struct Outgoing {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    passed: Arc<AtomicU64>,
}

impl Outgoing {
    fn new(
        route: &HttpRoute,
        backend: &Backend,
        found: &Found,
        gate: &Gate,
        host: &str,
        parts: http::request::Parts,
    ) -> Self {
        let mut headers = parts.headers;
        header::strip(&mut headers);
        header::forward(&mut headers, gate.origin, host);
        let target = target(found.path.as_deref(), &parts.uri);
        let name = route.server_name.as_deref().unwrap_or(host);
        let mut uri = http::uri::Parts::default();
        uri.path_and_query = Some(target);
        match backend.protocol {
            Protocol::Http | Protocol::Https => {
                headers.insert(HOST, header::value(name));
            }
            // HTTP/2 has pseudo-headers in its place (RFC 9113, 8.3.1).
            Protocol::Grpc | Protocol::Grpcs => {
                headers.remove(HOST);
                uri.scheme = Some(match backend.protocol {
                    Protocol::Grpc => Scheme::HTTP,
                    _ => Scheme::HTTPS,
                });
                let unnamed = || Authority::from_static("localhost");
                uri.authority = Some(name.parse().unwrap_or_else(|_| unnamed()));
            }
        }
        Outgoing {
            method: parts.method,
            uri: Uri::from_parts(uri).unwrap_or_default(),
            headers,
            passed: Arc::default(),
        }
    }

    async fn send(&self, lease: &mut Lease, payload: Payload, within: Duration) -> Tried {
        let mut request = Request::new(payload);
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = self.headers.clone();
        let sending = lease.send(request);
        tokio::pin!(sending);
        let mut passed = self.passed.load(Ordering::Relaxed);
        loop {
            match timeout(within, &mut sending).await {
                Ok(Ok(answer)) => return Tried::Answered(answer),
                Ok(Err(mut error)) => {
                    if let Some(request) = error.take_message() {
                        return Tried::Unread(request.into_body());
                    }
                    return Tried::Failed(reason(error.into_error()));
                }
                Err(_) => {
                    // A long upload is no silence.
                    let now = self.passed.load(Ordering::Relaxed);
                    if now == passed {
                        return Tried::Failed(Failure::Late);
                    }
                    passed = now;
                }
            }
        }
    }
}

fn reason(error: hyper::Error) -> Failure {
    use std::error::Error;
    let cause = error.source().and_then(|cause| cause.downcast_ref());
    match cause {
        Some(super::body::BodyError::TooLarge) => Failure::TooLarge,
        _ => Failure::Broken(error),
    }
}

fn seconds(wanted: u32, usual: Duration) -> Duration {
    match wanted {
        0 => usual,
        wanted => Duration::from_secs(wanted.into()),
    }
}

/// Returns path and query to ask for.
fn target(rewritten: Option<&str>, uri: &Uri) -> PathAndQuery {
    let root = || PathAndQuery::from_static("/");
    let Some(path) = rewritten else {
        return uri.path_and_query().cloned().unwrap_or_else(root);
    };
    let text = match uri.query() {
        Some(query) if path.contains('?') => format!("{path}&{query}"),
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    };
    text.parse().unwrap_or_else(|_| root())
}

/// Returns the same place by HTTPS.
fn elsewhere(host: &str, port: u16, uri: &Uri) -> String {
    let name = plain_host(host);
    let path = uri.path_and_query().map_or("/", PathAndQuery::as_str);
    match port {
        443 => format!("https://{name}{path}"),
        port => format!("https://{name}:{port}{path}"),
    }
}

fn is_too_large(headers: &HeaderMap, bytes_max: u64) -> bool {
    let announced = headers
        .get(CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    bytes_max > 0 && announced.is_some_and(|length| length > bytes_max)
}

fn too_large() -> Response<Payload> {
    page::plain(
        StatusCode::PAYLOAD_TOO_LARGE,
        "the body is larger than the Ingress allows",
    )
}

fn no_server(route: &HttpRoute) -> Response<Payload> {
    let text = format!("{} has no ready endpoint", route.backend);
    page::plain(StatusCode::SERVICE_UNAVAILABLE, &text)
}

fn failed(route: &HttpRoute, failure: Failure) -> Response<Payload> {
    let name = &route.backend;
    match failure {
        Failure::Unreachable => {
            let text = format!("no endpoint of {name} takes connections from the Ingress");
            page::plain(StatusCode::BAD_GATEWAY, &text)
        }
        Failure::Broken(error) => {
            tracing::debug!(%error, backend = name, "answer cut off");
            let text = format!("an endpoint of {name} ended the connection without an answer");
            page::plain(StatusCode::BAD_GATEWAY, &text)
        }
        Failure::Late => {
            let text = format!("an endpoint of {name} did not answer in time");
            page::plain(StatusCode::GATEWAY_TIMEOUT, &text)
        }
        Failure::TooLarge => too_large(),
    }
}

/// Copies between two connections that left HTTP behind.
async fn join(client: OnUpgrade, server: OnUpgrade) {
    let both: Result<(Upgraded, Upgraded), hyper::Error> = tokio::try_join!(client, server);
    let (client, server) = match both {
        Ok(both) => both,
        Err(error) => {
            tracing::debug!(%error, "connection not taken over");
            return;
        }
    };
    let (mut client, mut server) = (TokioIo::new(client), TokioIo::new(server));
    // Each side sees the other's end, whatever its reason.
    let _ =
        copy_bidirectional_with_sizes(&mut client, &mut server, BUFFER_BYTES, BUFFER_BYTES).await;
}
