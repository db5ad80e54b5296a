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

/// A node that has no log, and says why in plain text.
async fn refusing(_: Request<Body>) -> Result<Response<Full<bytes::Bytes>>, Infallible> {
    let answer = Response::builder().status(StatusCode::BAD_REQUEST);
    let text = Full::from("container is waiting to start");
    Ok(answer.body(text).unwrap())
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
        204
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
    fixture.server.set_kubelet(tower::service_fn(refusing));
    let (status, answer) = fixture.call("GET", &format!("{pods}/log"), None).await;
    assert_eq!(status.as_u16(), 400);
    assert_eq!(answer["kind"], "Status");
    assert_eq!(answer["reason"], "BadRequest");
    assert_eq!(answer["message"], "container is waiting to start");
    fixture.server.set_kubelet(tower::service_fn(kubelet));

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

/// Answers as a node that knows the metrics groups.
async fn metrics_node(request: Request<Body>) -> Result<Response<Full<bytes::Bytes>>, Infallible> {
    let resource = |name: &str, kind: &str, namespaced: bool| json!({"name": name, "singularName": "", "namespaced": namespaced, "kind": kind, "verbs": ["get"]});
    let value = match request.uri().path() {
        "/apis/metrics.k8s.io/v1beta1" => {
            json!({"resources": [resource("nodes", "NodeMetrics", false)]})
        }
        "/apis/custom.metrics.k8s.io/v1beta2" => {
            json!({"resources": [resource("pods/hits", "MetricValueList", true)]})
        }
        path if path.starts_with("/apis/custom.metrics.k8s.io/v1beta1") => {
            let mut response = Response::new(Full::from("no"));
            *response.status_mut() = StatusCode::NOT_FOUND;
            return Ok(response);
        }
        _ => json!({"asked": request.uri().to_string()}),
    };
    Ok(Response::new(Full::from(value.to_string())))
}

#[tokio::test]
async fn the_metrics_groups_are_the_nodes() {
    let fixture = fixture();
    let (status, _) = fixture.call("GET", "/apis/metrics.k8s.io", None).await;
    assert_eq!(status, StatusCode::NOT_FOUND, "there is no node yet");
    fixture.server.set_kubelet(tower::service_fn(metrics_node));

    let groups = fixture.ok("GET", "/apis", None).await;
    let names: Vec<&str> = groups["groups"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|group| group["name"].as_str())
        .collect();
    assert!(names.contains(&"metrics.k8s.io") && names.contains(&"custom.metrics.k8s.io"));
    let group = fixture.ok("GET", "/apis/custom.metrics.k8s.io", None).await;
    assert_eq!(group["versions"].as_array().unwrap().len(), 1);
    assert_eq!(group["preferredVersion"]["version"], "v1beta2");
    let resources = fixture
        .ok("GET", "/apis/metrics.k8s.io/v1beta1", None)
        .await;
    assert_eq!(resources["resources"][0]["kind"], "NodeMetrics");

    let path = "/apis/custom.metrics.k8s.io/v1beta2/namespaces/n/pods/*/hits?labelSelector=a%3Db";
    let answer = fixture.ok("GET", path, None).await;
    assert_eq!(answer["asked"], path);
    let (status, _) = fixture
        .call("DELETE", "/apis/metrics.k8s.io/v1beta1/nodes", None)
        .await;
    assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED);
    let nobody = coracle_apiserver::Identity::new("nobody", &[]);
    let (status, _) = common::call_as(&fixture.server, nobody, "GET", path, None).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn aggregated_discovery_lists_what_the_node_serves() {
    use http_body_util::BodyExt as _;
    use tower::Service as _;

    let fixture = fixture();
    fixture.server.set_kubelet(tower::service_fn(metrics_node));
    let request = Request::get("/apis")
        .header(
            "accept",
            "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList",
        )
        .body(Full::<bytes::Bytes>::default())
        .unwrap();
    let admin = coracle_apiserver::Identity::admin();
    let response = fixture.server.service(admin).call(request).await.unwrap();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    let list: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
    let resources = |group: &str| {
        let items = list["items"].as_array().unwrap().iter();
        let mut of = items.filter(|item| item["metadata"]["name"] == group);
        of.next().unwrap()["versions"][0]["resources"].clone()
    };
    let nodes = resources("metrics.k8s.io");
    assert_eq!(nodes[0]["resource"], "nodes");
    assert_eq!(nodes[0]["scope"], "Cluster");
    assert_eq!(nodes[0]["responseKind"]["kind"], "NodeMetrics");
    let pods = resources("custom.metrics.k8s.io");
    assert_eq!(pods[0]["resource"], "pods");
    assert_eq!(pods[0]["subresources"][0]["subresource"], "hits");
}
