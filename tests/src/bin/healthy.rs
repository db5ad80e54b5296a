//! A container's program for tests: it is asked for its health over HTTP (port
//! 8080), HTTPS (8443) and gRPC (9090), and writes down who asked.
//!
//! `/ready` and the gRPC service `ready` are well while `/tmp/well` exists, all
//! else is well while `/tmp/ill` does not. A line for each question goes to
//! the file that `ASKED` names, or to `/tmp/asked`.

use std::convert::Infallible;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, StreamBody, combinators::BoxBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

type Body = BoxBody<Bytes, Infallible>;
type Error = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let acceptor = TlsAcceptor::from(Arc::new(certificate()?));
    let plain = TcpListener::bind("0.0.0.0:8080").await?;
    let secure = TcpListener::bind("0.0.0.0:8443").await?;
    let rpc = TcpListener::bind("0.0.0.0:9090").await?;
    loop {
        tokio::select! {
            stream = plain.accept() => {
                tokio::spawn(pages("http", stream?.0));
            }
            stream = secure.accept() => {
                let (stream, acceptor) = (stream?.0, acceptor.clone());
                tokio::spawn(async move {
                    if let Ok(stream) = acceptor.accept(stream).await {
                        pages("https", stream).await;
                    }
                });
            }
            stream = rpc.accept() => {
                let stream = TokioIo::new(stream?.0);
                let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                tokio::spawn(server.serve_connection(stream, service_fn(check)));
            }
        }
    }
}

/// Nobody vouches for the certificate: probes do not ask.
fn certificate() -> Result<ServerConfig, Error> {
    let made = rcgen::generate_simple_self_signed(vec!["nobody.test".to_owned()])?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth();
    Ok(config.with_single_cert(vec![made.cert.der().clone()], key)?)
}

fn is_well(what: &str) -> bool {
    match what {
        "ready" => Path::new("/tmp/well").exists(),
        _ => !Path::new("/tmp/ill").exists(),
    }
}

fn note(line: &str) {
    let path = std::env::var("ASKED").unwrap_or_else(|_| "/tmp/asked".into());
    let file = std::fs::OpenOptions::new()
        .append(true)
        .create(true)
        .open(path);
    if let Ok(mut file) = file {
        // A test that misses the line says so.
        let _ = writeln!(file, "{line}");
    }
}

async fn pages(scheme: &'static str, stream: impl AsyncRead + AsyncWrite + Unpin) {
    let answer = move |request: Request<Incoming>| async move {
        let path = request.uri().path().to_owned();
        let agent = request.headers().get("user-agent");
        let agent = agent.and_then(|agent| agent.to_str().ok()).unwrap_or("");
        note(&format!("{scheme} {path} {agent}"));
        let mut response = Response::new(Full::new(Bytes::from_static(b"asked\n")));
        if !is_well(path.trim_start_matches('/')) {
            *response.status_mut() = hyper::StatusCode::SERVICE_UNAVAILABLE;
        }
        Ok::<_, Infallible>(response)
    };
    let server = hyper::server::conn::http1::Builder::new();
    // Who asked has gone away; the next one is served all the same.
    let _ = server
        .serve_connection(TokioIo::new(stream), service_fn(answer))
        .await;
}

/// `grpc.health.v1.Health/Check`: field 1 of the question is a name, field 1 of
/// the answer is 1 (serving) or 2 (not serving).
async fn check(request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    let question = request.into_body().collect().await;
    let question = question.map(|body| body.to_bytes()).unwrap_or_default();
    let service = String::from_utf8_lossy(question.get(7..).unwrap_or_default()).into_owned();
    note(&format!("grpc {service}"));
    let status = if is_well(&service) { 1 } else { 2 };
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", "0".parse().expect("a header"));
    let frames = [
        Ok(Frame::data(Bytes::from(vec![0, 0, 0, 0, 2, 8, status]))),
        Ok(Frame::trailers(trailers)),
    ];
    let body = StreamBody::new(tokio_stream::iter(frames));
    let mut response = Response::new(BodyExt::boxed(body));
    let kind = "application/grpc".parse().expect("a header");
    response.headers_mut().insert("content-type", kind);
    Ok(response)
}
