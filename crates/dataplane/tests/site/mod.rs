//! HTTP servers in pods that tell what reached them, and a client that shows
//! what came back.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use coracle_dataplane::ingress::certificate;
use futures::channel::mpsc;
use futures::{SinkExt, StreamExt};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::client::conn::{http1, http2};
use hyper::header::{CONNECTION, HeaderMap, HeaderValue, UPGRADE};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use serde_json::{Map, Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio_rustls::TlsConnector;

use crate::world::{World, runtime};

type Body = BoxBody<Bytes, hyper::Error>;

/// A server in a pod.
pub struct Site {
    pub address: SocketAddr,
    _runtime: Runtime,
}

impl Site {
    pub fn start(world: &World, pod: usize, address: SocketAddr, name: &'static str) -> Site {
        let runtime = runtime(Some(&world.pods[pod]));
        let listener = world
            .in_pod(pod, || std::net::TcpListener::bind(address))
            .expect("bound");
        listener.set_nonblocking(true).expect("set");
        let listener = {
            let _inside = runtime.enter();
            TcpListener::from_std(listener).expect("a listener")
        };
        runtime.spawn(async move {
            loop {
                let (stream, peer) = listener.accept().await.expect("accepted");
                tokio::spawn(async move {
                    let service = service_fn(move |request| answer(name, peer, request));
                    let builder = auto::Builder::new(TokioExecutor::new());
                    let _ = builder
                        .serve_connection_with_upgrades(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        Site {
            address,
            _runtime: runtime,
        }
    }
}

async fn answer(
    name: &str,
    peer: SocketAddr,
    mut request: Request<Incoming>,
) -> Result<Response<Body>, hyper::Error> {
    if request.uri().path() == "/echo" {
        return Ok(Response::new(request.into_body().boxed()));
    }
    if request.uri().path() == "/upgrade" {
        let mut answer = Response::new(Body::default());
        *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        for name in [CONNECTION, UPGRADE] {
            if let Some(value) = request.headers().get(&name).cloned() {
                answer.headers_mut().insert(name, value);
            }
        }
        let upgraded = hyper::upgrade::on(&mut request);
        tokio::spawn(async move {
            let (mut reader, mut writer) = tokio::io::split(TokioIo::new(upgraded.await?));
            let _ = tokio::io::copy(&mut reader, &mut writer).await;
            Ok::<_, hyper::Error>(())
        });
        return Ok(answer);
    }
    let mut facts: Map<String, Value> = request
        .headers()
        .iter()
        .map(|(name, value)| (name.to_string(), json!(value.to_str().expect("text"))))
        .collect();
    facts.insert("site".into(), json!(name));
    facts.insert("peer".into(), json!(peer.ip()));
    let target = request.uri().path_and_query().map(ToString::to_string);
    facts.insert("target".into(), json!(target));
    facts.insert("version".into(), json!(format!("{:?}", request.version())));
    let body = request.into_body().collect().await?.to_bytes();
    facts.insert("body".into(), json!(String::from_utf8_lossy(&body)));
    let text = Full::from(Value::Object(facts).to_string()).map_err(|never| match never {});
    let trailers = HeaderMap::from_iter([(
        "grpc-status".parse().expect("a name"),
        "0".parse().expect("a value"),
    )]);
    let text = text.with_trailers(async move { Some(Ok(trailers)) });
    Ok(Response::new(text.boxed()))
}

/// What came back.
pub struct Answer {
    pub status: u16,
    pub text: String,
    headers: HeaderMap,
    trailers: HeaderMap,
}

impl Answer {
    /// Returns what a [`Site`] tells under a name.
    pub fn fact(&self, name: &str) -> String {
        let facts: Value = serde_json::from_str(&self.text)
            .unwrap_or_else(|_| panic!("{} {}", self.status, self.text));
        facts[name].as_str().unwrap_or_default().to_owned()
    }

    pub fn header(&self, name: &str) -> &str {
        text(self.headers.get(name))
    }

    pub fn trailer(&self, name: &str) -> &str {
        text(self.trailers.get(name))
    }
}

fn text(value: Option<&HeaderValue>) -> &str {
    value
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
}

/// A client with one connection.
pub struct Client {
    runtime: Runtime,
    sender: Sender,
    tls: bool,
}

type Sent = BoxBody<Bytes, Infallible>;

enum Sender {
    One(http1::SendRequest<Sent>),
    Two(http2::SendRequest<Sent>),
}

impl Client {
    pub fn plain(address: SocketAddr) -> Client {
        let runtime = runtime(None);
        let sender = runtime.block_on(async {
            let stream = TcpStream::connect(address).await.expect("connected");
            one(stream).await
        });
        Client {
            runtime,
            sender,
            tls: false,
        }
    }

    pub fn http2(address: SocketAddr) -> Client {
        let runtime = runtime(None);
        let sender = runtime.block_on(async {
            let stream = TcpStream::connect(address).await.expect("connected");
            two(stream).await
        });
        Client {
            runtime,
            sender,
            tls: false,
        }
    }

    /// Shakes hands by TLS; the server must prove that it has this name.
    pub fn tls(address: SocketAddr, name: &str, pki: &Pki, http2: bool) -> std::io::Result<Client> {
        let runtime = runtime(None);
        let config = pki.client(http2);
        let name = name.to_owned().try_into().expect("a name");
        let sender = runtime.block_on(async {
            let stream = TcpStream::connect(address).await?;
            let stream = TlsConnector::from(config).connect(name, stream).await?;
            Ok::<_, std::io::Error>(match http2 {
                true => {
                    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
                    two(stream).await
                }
                false => one(stream).await,
            })
        })?;
        Ok(Client {
            runtime,
            sender,
            tls: true,
        })
    }

    pub fn get(&mut self, host: &str, target: &str) -> Answer {
        self.send("GET", host, target, Sent::default())
    }

    pub fn post(&mut self, host: &str, target: &str, body: &'static str) -> Answer {
        self.send("POST", host, target, Full::from(body).boxed())
    }

    fn request(&self, method: &str, host: &str, target: &str, body: Sent) -> Request<Sent> {
        let builder = Request::builder().method(method).header("te", "trailers");
        let builder = match self.sender {
            Sender::One(_) => builder.uri(target).header("host", host),
            Sender::Two(_) => {
                let scheme = if self.tls { "https" } else { "http" };
                builder.uri(format!("{scheme}://{host}{target}"))
            }
        };
        builder.body(body).expect("a request")
    }

    fn send(&mut self, method: &str, host: &str, target: &str, body: Sent) -> Answer {
        let request = self.request(method, host, target, body);
        let sender = &mut self.sender;
        self.runtime.block_on(async {
            let answer = sender.send(request).await;
            let (parts, body) = answer.into_parts();
            let body = body.collect().await.expect("a whole body");
            Answer {
                status: parts.status.as_u16(),
                headers: parts.headers,
                trailers: body.trailers().cloned().unwrap_or_default(),
                text: String::from_utf8_lossy(&body.to_bytes()).into_owned(),
            }
        })
    }

    /// Sends a part of a body only when the one before has come back.
    pub fn converse(&mut self, host: &str, target: &str) {
        let (mut parts, body) = mpsc::channel::<Bytes>(1);
        let body = BodyExt::boxed(StreamBody::new(body.map(|part| Ok(Frame::data(part)))));
        let request = self.request("POST", host, target, body);
        let sender = &mut self.sender;
        self.runtime.block_on(async {
            parts.send("part 0".into()).await.expect("sent");
            let mut back = sender.send(request).await.into_body();
            for number in 0..5 {
                let frame = back.frame().await.expect("a part").expect("no error");
                let data = frame.into_data().expect("data");
                assert_eq!(data, format!("part {number}"));
                parts
                    .send(format!("part {}", number + 1).into())
                    .await
                    .expect("sent");
            }
        });
        // A connection whose body was left half-way carries nothing further.
        drop(parts);
    }
}

impl Sender {
    async fn send(&mut self, request: Request<Sent>) -> Response<Incoming> {
        let result = match self {
            Sender::One(sender) => {
                sender.ready().await.expect("a connection");
                sender.send_request(request).await
            }
            Sender::Two(sender) => sender.send_request(request).await,
        };
        result.expect("an answer")
    }
}

async fn one<T>(stream: T) -> Sender
where
    T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.expect("HTTP");
    tokio::spawn(connection);
    Sender::One(sender)
}

async fn two<T>(stream: T) -> Sender
where
    T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let builder = http2::Builder::new(TokioExecutor::new());
    let (sender, connection) = builder.handshake(TokioIo::new(stream)).await.expect("HTTP");
    tokio::spawn(connection);
    Sender::Two(sender)
}

/// An authority of a test's own.
pub struct Pki {
    issuer: Issuer<'static, KeyPair>,
    root: rustls::pki_types::CertificateDer<'static>,
}

impl Pki {
    pub fn new() -> Pki {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let root = params.self_signed(&key).expect("a certificate");
        Pki {
            root: root.der().clone(),
            issuer: Issuer::new(params, key),
        }
    }

    /// Returns a chain and a key for these names.
    pub fn issue(&self, names: &[&str]) -> (String, String) {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let params = CertificateParams::new(names).expect("names");
        let key = KeyPair::generate().expect("a key");
        let leaf = params.signed_by(&key, &self.issuer).expect("a certificate");
        let pair = (leaf.pem(), key.serialize_pem());
        certificate::check(&pair.0, &pair.1).expect("a pair");
        pair
    }

    fn client(&self, http2: bool) -> Arc<rustls::ClientConfig> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.root.clone()).expect("a root");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        let protocol: &[u8] = if http2 { b"h2" } else { b"http/1.1" };
        config.alpn_protocols = vec![protocol.to_vec()];
        Arc::new(config)
    }
}
