//! Streams to the node: over a real socket with TLS and a client certificate,
//! an upgrade reaches the kubelet's service and its bytes flow both ways.

mod common;

use std::convert::Infallible;
use std::sync::Arc;

use common::fixture;
use coracle_apiserver::Body;
use http::{Request, Response, StatusCode};
use http_body_util::{Empty, Full};
use hyper_util::rt::TokioIo;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

type Pair = (CertificateDer<'static>, PrivateKeyDer<'static>);

struct Authority {
    certificate: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

fn authority() -> Authority {
    let mut parameters = CertificateParams::new(Vec::new()).unwrap();
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let certificate = parameters.self_signed(&key).unwrap().der().clone();
    Authority {
        certificate,
        issuer: Issuer::new(parameters, key),
    }
}

fn pair(authority: &Authority, names: Vec<String>, user: &str, group: &str) -> Pair {
    let mut parameters = CertificateParams::new(names).unwrap();
    parameters.distinguished_name.push(DnType::CommonName, user);
    parameters
        .distinguished_name
        .push(DnType::OrganizationName, group);
    let key = KeyPair::generate().unwrap();
    let certificate = parameters
        .signed_by(&key, &authority.issuer)
        .unwrap()
        .der()
        .clone();
    (
        certificate,
        PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())),
    )
}

/// Answers plain requests with their path, and echoes upgraded ones.
async fn kubelet(mut request: Request<Body>) -> Result<Response<Full<bytes::Bytes>>, Infallible> {
    let path = request.uri().to_string();
    if !request.headers().contains_key("upgrade") {
        return Ok(Response::new(Full::from(path)));
    }
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let mut stream = TokioIo::new(upgrade.await.unwrap());
        stream.write_all(path.as_bytes()).await.unwrap();
        let mut word = [0; 5];
        stream.read_exact(&mut word).await.unwrap();
        stream.write_all(&word).await.unwrap();
        stream.shutdown().await.unwrap();
    });
    let answer = Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header("upgrade", "SPDY/3.1");
    Ok(answer
        .header("connection", "Upgrade")
        .body(Full::default())
        .unwrap())
}

#[tokio::test]
async fn upgrades_and_logs_reach_the_node() {
    let fixture = fixture();
    fixture
        .ok(
            "POST",
            "/api/v1/namespaces/default/serviceaccounts",
            Some(json!({"metadata": {"name": "default"}})),
        )
        .await;
    let pod =
        json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    fixture
        .ok("POST", "/api/v1/namespaces/default/pods", Some(pod))
        .await;
    let pods = "/api/v1/namespaces/default/pods/p";
    assert_eq!(
        fixture.call("GET", &format!("{pods}/log"), None).await.0,
        400
    );
    let binding = json!({"metadata": {"name": "p"}, "target": {"kind": "Node", "name": "n"}});
    fixture
        .ok("POST", &format!("{pods}/binding"), Some(binding))
        .await;
    let (status, answer) = fixture.call("GET", &format!("{pods}/log"), None).await;
    assert_eq!(
        (status.as_u16(), &answer["reason"]),
        (503, &json!("ServiceUnavailable"))
    );
    fixture.server.set_kubelet(tower::service_fn(kubelet));
    let (_, path) = fixture
        .call("GET", &format!("{pods}/log?tailLines=3"), None)
        .await;
    assert_eq!(path, "/containerLogs/default/p/c?tailLines=3");

    let authority = authority();
    let (address, stop, serving) = serve(&fixture, &authority);
    let mut stream = connect(
        &authority,
        address,
        &pair(&authority, vec![], "ann", "system:masters"),
    )
    .await;
    let request = format!(
        "POST {pods}/exec?command=ls HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\nContent-Length: 0\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    stream.write_all(b"hello").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 101"), "{answer}");
    assert!(
        answer.ends_with("/exec/default/p/c?command=lshello"),
        "{answer}"
    );

    let nobody = pair(&authority, vec![], "nobody", "none");
    let stream = connect(&authority, address, &nobody).await;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection);
    let request = Request::get(pods)
        .header("host", "x")
        .body(Empty::<bytes::Bytes>::new())
        .unwrap();
    assert_eq!(sender.send_request(request).await.unwrap().status(), 403);
    drop(sender);
    stop.send(()).unwrap();
    serving.await.unwrap();
}

fn serve(
    fixture: &common::Fixture,
    authority: &Authority,
) -> (
    std::net::SocketAddr,
    tokio::sync::oneshot::Sender<()>,
    tokio::task::JoinHandle<()>,
) {
    let (certificate, key) = pair(authority, vec!["localhost".to_owned()], "server", "server");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = rustls::RootCertStore::empty();
    roots.add(authority.certificate.clone()).unwrap();
    let verifier = rustls::server::WebPkiClientVerifier::builder_with_provider(
        Arc::new(roots),
        provider.clone(),
    );
    let mut tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier.allow_unauthenticated().build().unwrap())
        .with_single_cert(vec![certificate], key)
        .unwrap();
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel();
    let server = fixture.server.clone();
    let serving = tokio::spawn(async move {
        let stopped = async {
            stopped.await.unwrap();
        };
        server
            .serve(listener, Arc::new(tls), stopped)
            .await
            .unwrap();
    });
    (address, stop, serving)
}

async fn connect(
    authority: &Authority,
    address: std::net::SocketAddr,
    (certificate, key): &Pair,
) -> tokio_rustls::client::TlsStream<tokio::net::TcpStream> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(authority.certificate.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_client_auth_cert(vec![certificate.clone()], key.clone_key())
        .unwrap();
    tls.alpn_protocols = vec![b"http/1.1".to_vec()];
    let stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(tls));
    connector
        .connect(ServerName::try_from("localhost").unwrap(), stream)
        .await
        .unwrap()
}
