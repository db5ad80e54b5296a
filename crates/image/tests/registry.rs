//! Pulling and pushing over real sockets on loopback: a small registry of the
//! test's own that can be made to misbehave, and Debian's where installed.

mod support;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use coracle_image::oci::{Descriptor, Index, Platform, media_type};
use coracle_image::registry::{
    Credentials, Direct, Login, Proxies, PullEvent, RegistryClient, RegistryError, RegistryOptions,
};
use coracle_image::{Digest, Image, Reference};
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use support::{CLUSTER, TestStore, context, test_store, tree};
use tokio::net::TcpListener;

/// What the test's registry does wrong or asks for.
#[derive(Default)]
struct Behaviour {
    /// Cut each blob after so many bytes, this many times.
    cuts: usize,
    cut_after: usize,
    /// Answer so many requests with 503 first.
    unavailable: usize,
    /// Ignore ranges.
    no_ranges: bool,
    /// Want this token, to be had with this login.
    token: Option<(&'static str, &'static str)>,
    /// Send blobs from another address, which must not see the token.
    redirect: Option<SocketAddr>,
    /// Change a byte of every blob.
    corrupt: bool,
    /// Manifests by tag.
    tags: BTreeMap<String, (String, Vec<u8>)>,
    blobs: BTreeMap<String, Vec<u8>>,
    /// What was asked, with range and login.
    log: Vec<String>,
}

type Shared = Arc<Mutex<Behaviour>>;

async fn serve(behaviour: Shared) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let address = listener.local_addr().expect("address");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let behaviour = behaviour.clone();
            tokio::spawn(async move {
                let service = hyper::service::service_fn(move |request| {
                    let behaviour = behaviour.clone();
                    async move { Ok::<_, Infallible>(answer(&behaviour, &request, address)) }
                });
                let _ = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            });
        }
    });
    address
}

/// A body of its whole length that is cut: the content ends early.
enum Answer {
    Whole(Bytes),
    /// With the number of polls until the end, so that what was sent leaves.
    Cut(Bytes, u32),
}

impl hyper::body::Body for Answer {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<hyper::body::Frame<Bytes>, std::io::Error>>> {
        let next = match &mut *self {
            Self::Whole(bytes) if bytes.is_empty() => None,
            Self::Whole(bytes) => Some(Ok(std::mem::take(bytes))),
            Self::Cut(bytes, 0) if bytes.is_empty() => Some(Err(std::io::Error::other("cut"))),
            Self::Cut(bytes, polls) if bytes.is_empty() => {
                *polls -= 1;
                context.waker().wake_by_ref();
                return std::task::Poll::Pending;
            }
            Self::Cut(bytes, _) => Some(Ok(std::mem::take(bytes))),
        };
        std::task::Poll::Ready(next.map(|next| next.map(hyper::body::Frame::data)))
    }
}

fn answer(behaviour: &Shared, request: &Request<Incoming>, own: SocketAddr) -> Response<Answer> {
    let mut behaviour = behaviour.lock().expect("lock");
    let header = |name: &str| {
        let value = request
            .headers()
            .get(name)
            .and_then(|value| value.to_str().ok());
        value.unwrap_or_default().to_owned()
    };
    let path = request.uri().path().to_owned();
    behaviour.log.push(format!(
        "{path} {} {}",
        header("range"),
        header("authorization")
    ));
    let reply = |status: u16, body: &[u8]| {
        let body = Answer::Whole(Bytes::copy_from_slice(body));
        Response::builder()
            .status(status)
            .body(body)
            .expect("an answer")
    };
    if behaviour.unavailable > 0 {
        behaviour.unavailable -= 1;
        return reply(503, b"");
    }
    if path == "/token" {
        let (token, login) = behaviour.token.expect("a token is asked for");
        return match header("authorization") == login {
            true => reply(200, format!("{{\"token\":\"{token}\"}}").as_bytes()),
            false => reply(401, br#"{"errors":[{"message":"wrong login"}]}"#),
        };
    }
    if let Some((token, _)) = behaviour.token
        && header("authorization") != format!("Bearer {token}")
    {
        let challenge = format!("Bearer realm=\"http://{own}/token\",service=\"test\"");
        let body = Answer::Whole(Bytes::new());
        let answer = Response::builder()
            .status(401)
            .header("www-authenticate", challenge)
            .body(body);
        return answer.expect("an answer");
    }
    if let Some((_, name)) = path.split_once("/manifests/") {
        return match behaviour.tags.get(name) {
            Some((kind, text)) => {
                let mut answer = reply(200, text);
                answer
                    .headers_mut()
                    .insert("content-type", kind.parse().expect("a type"));
                answer
            }
            None => reply(
                404,
                br#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}"#,
            ),
        };
    }
    let Some((_, name)) = path.split_once("/blobs/") else {
        return reply(200, b"");
    };
    if let Some(elsewhere) = behaviour.redirect {
        let mut answer = reply(307, b"");
        let location = format!("http://{elsewhere}{path}");
        answer
            .headers_mut()
            .insert("location", location.parse().expect("a location"));
        return answer;
    }
    blob(&mut behaviour, name, &header("range"))
}

fn blob(behaviour: &mut Behaviour, name: &str, range: &str) -> Response<Answer> {
    let mut content = behaviour.blobs[name].clone();
    if behaviour.corrupt
        && let Some(byte) = content.last_mut()
    {
        *byte ^= 1;
    }
    let start = range
        .strip_prefix("bytes=")
        .and_then(|range| range.strip_suffix('-'));
    let start = start
        .and_then(|start| start.parse().ok())
        .filter(|_| !behaviour.no_ranges);
    let status = if start.is_some() {
        StatusCode::PARTIAL_CONTENT
    } else {
        StatusCode::OK
    };
    let content = Bytes::from(content).slice(start.unwrap_or(0)..);
    let length = content.len();
    let body = match behaviour.cuts > 0 && length > behaviour.cut_after {
        true => {
            behaviour.cuts -= 1;
            Answer::Cut(content.slice(..behaviour.cut_after), 20)
        }
        false => Answer::Whole(content),
    };
    let answer = Response::builder()
        .status(status)
        .header("content-length", length)
        .body(body);
    answer.expect("an answer")
}

/// An image of two layers, one of them large, and a registry that has it.
fn published() -> (TestStore, Image, Behaviour) {
    let (store, context) = (
        test_store(),
        context(&[("small", "S"), ("dir/large", &"0123456789".repeat(30_000))]),
    );
    store
        .build(
            context.path(),
            "FROM scratch\nCOPY small /\nCOPY dir /dir\nUSER 5:5\n",
        )
        .expect("builds");
    let image = store.image("test:1");
    let mut behaviour = Behaviour::default();
    let read = |digest: Digest| {
        let mut bytes = Vec::new();
        let mut blob = store.store.open_blob(digest).expect("blob");
        std::io::Read::read_to_end(&mut blob, &mut bytes).expect("reads");
        bytes
    };
    let manifest = (media_type::MANIFEST.to_owned(), read(image.digest));
    for name in ["1".to_owned(), image.digest.to_string()] {
        behaviour.tags.insert(name, manifest.clone());
    }
    for digest in image
        .layers
        .iter()
        .map(|layer| layer.blob.digest)
        .chain([image.id])
    {
        behaviour.blobs.insert(digest.to_string(), read(digest));
    }
    (store, image, behaviour)
}

fn client(change: impl FnOnce(&mut RegistryOptions)) -> RegistryClient {
    let mut options = RegistryOptions {
        wait: Duration::from_millis(1),
        ..RegistryOptions::default()
    };
    change(&mut options);
    RegistryClient::new(Arc::new(Direct::new()), options).expect("a client")
}

fn at(address: impl std::fmt::Display, version: &str) -> Reference {
    Reference::parse(&format!("{address}/team/app{version}")).expect("a reference")
}

struct Outcome {
    result: Result<coracle_image::registry::Pulled, RegistryError>,
    store: TestStore,
    events: Vec<PullEvent>,
}

async fn pull(client: &RegistryClient, reference: &Reference) -> Outcome {
    let store = test_store();
    let events = Arc::new(Mutex::new(Vec::new()));
    let heard = events.clone();
    let platform = Platform::parse("linux/amd64").expect("valid");
    let progress = Arc::new(move |event| heard.lock().expect("lock").push(event));
    let result = client
        .pull(&store.store, CLUSTER, reference, &platform, progress)
        .await;
    let events = events.lock().expect("lock").clone();
    Outcome {
        result,
        store,
        events,
    }
}

fn pulled(outcome: &Outcome, image: &Image, reference: &Reference) {
    let pulled = outcome.result.as_ref().expect("pulls");
    assert_eq!((pulled.digest, pulled.id), (image.digest, image.id));
    let got = outcome
        .store
        .store
        .resolve(CLUSTER, reference)
        .expect("whole")
        .expect("known");
    assert_eq!(tree(&got.view()), tree(&image.view()));
}

fn nothing_left(store: &TestStore) {
    assert!(store.store.list(CLUSTER).expect("lists").is_empty());
    assert_eq!(store.store.usage().expect("usage").total_bytes(), 0);
}

#[tokio::test]
async fn a_pull_brings_the_image_and_knows_what_is_here() {
    let (_published, image, behaviour) = published();
    let address = serve(Arc::new(Mutex::new(behaviour))).await;
    let client = client(|_| {});
    let reference = at(address, ":1");
    let outcome = pull(&client, &reference).await;
    pulled(&outcome, &image, &reference);
    let platform = Platform::parse("linux/amd64").expect("valid");
    let again = client
        .pull(
            &outcome.store.store,
            CLUSTER,
            &reference,
            &platform,
            Arc::new(|_| {}),
        )
        .await;
    let again = again.expect("pulls");
    assert_eq!(again.received_bytes, 0);
    assert!(!again.name.is_new_digest_under_old_name());
    assert_eq!(
        client
            .remote_digest(&reference, &platform)
            .await
            .expect("digest"),
        image.digest
    );
    let by_digest = at(address, &format!("@{}", image.digest));
    pulled(&pull(&client, &by_digest).await, &image, &by_digest);
}

#[tokio::test]
async fn broken_downloads_go_on_where_they_broke() {
    for no_ranges in [false, true] {
        let (_published, image, behaviour) = published();
        let behaviour = Arc::new(Mutex::new(Behaviour {
            cuts: 3,
            cut_after: 50_000,
            unavailable: 2,
            no_ranges,
            ..behaviour
        }));
        let reference = at(serve(behaviour.clone()).await, ":1");
        let outcome = pull(&client(|_| {}), &reference).await;
        pulled(&outcome, &image, &reference);
        let retries = outcome
            .events
            .iter()
            .filter(|event| matches!(event, PullEvent::Retry { .. }));
        assert_eq!(
            retries.count(),
            3,
            "{:?} {:?}",
            outcome.events,
            behaviour.lock().expect("lock").log
        );
        let log = behaviour.lock().expect("lock").log.join("\n");
        assert!(log.contains("bytes=50000-"), "{log}");
        assert_eq!(log.contains("bytes=150000-"), !no_ranges, "{log}");
    }
}

#[tokio::test]
async fn a_download_that_keeps_breaking_fails_and_leaves_nothing() {
    let (_published, _, behaviour) = published();
    let behaviour = Behaviour {
        cuts: usize::MAX,
        cut_after: 10,
        ..behaviour
    };
    let reference = at(serve(Arc::new(Mutex::new(behaviour))).await, ":1");
    let outcome = pull(&client(|_| {}), &reference).await;
    assert!(
        matches!(outcome.result, Err(RegistryError::Broken { .. })),
        "{:?}",
        outcome.result
    );
    nothing_left(&outcome.store);
}

#[tokio::test]
async fn content_that_is_not_its_digest_is_refused() {
    let (_published, image, behaviour) = published();
    let corrupt = Behaviour {
        corrupt: true,
        ..behaviour
    };
    let shared = Arc::new(Mutex::new(corrupt));
    let reference = at(serve(shared.clone()).await, ":1");
    let outcome = pull(&client(|_| {}), &reference).await;
    assert!(
        matches!(outcome.result, Err(RegistryError::Mismatch { .. })),
        "{:?}",
        outcome.result
    );
    nothing_left(&outcome.store);
    // A manifest asked for by digest is checked too.
    if let Some((_, text)) = shared
        .lock()
        .expect("lock")
        .tags
        .get_mut(&image.digest.to_string())
    {
        text.push(b' ');
    }
    let by_digest = reference.with_digest(image.digest);
    let outcome = pull(&client(|_| {}), &by_digest).await;
    assert!(
        matches!(outcome.result, Err(RegistryError::Mismatch { .. })),
        "{:?}",
        outcome.result
    );
}

#[tokio::test]
async fn logins_go_to_the_registry_and_nowhere_else() {
    let (_published, image, behaviour) = published();
    let blobs = Behaviour {
        blobs: behaviour.blobs.clone(),
        ..Behaviour::default()
    };
    let blobs = Arc::new(Mutex::new(blobs));
    let elsewhere = serve(blobs.clone()).await;
    let behaviour = Arc::new(Mutex::new(Behaviour {
        token: Some(("t0k3n", "Basic dXNlcjpwYXNz")),
        redirect: Some(elsewhere),
        ..behaviour
    }));
    let address = serve(behaviour.clone()).await;
    let reference = at(address, ":1");
    let login = |password: &str| {
        let mut credentials = Credentials::default();
        let (user, password) = ("user".to_owned(), password.to_owned());
        credentials.insert(&address.to_string(), Login::Password { user, password });
        client(|options| options.credentials = credentials)
    };
    pulled(&pull(&login("pass"), &reference).await, &image, &reference);
    let log = blobs.lock().expect("lock").log.join("\n");
    assert!(
        !log.is_empty() && !log.contains("Bearer") && !log.contains("Basic"),
        "{log}"
    );
    let tokens = behaviour
        .lock()
        .expect("lock")
        .log
        .iter()
        .filter(|line| line.starts_with("/token"))
        .count();
    assert_eq!(tokens, 1, "a token is asked for once");
    for client in [login("wrong"), client(|_| {})] {
        let outcome = pull(&client, &reference).await;
        let error = outcome.result.expect_err("refused").to_string();
        assert!(
            error.contains("refuses pull of team/app: wrong login"),
            "{error}"
        );
        assert!(!error.contains("pass"), "{error}");
    }
}

#[tokio::test]
async fn the_image_of_this_platform_is_chosen() {
    let (_published, image, mut behaviour) = published();
    let entry = |digest: Digest, platform: &str| {
        let mut descriptor = Descriptor::new(media_type::MANIFEST, digest, 1);
        descriptor.platform = Platform::parse(platform);
        descriptor
    };
    let other = Digest::of(b"other");
    let index = |entries: Vec<Descriptor>| {
        let text = serde_json::to_vec(&Index::new(entries)).expect("JSON");
        (media_type::INDEX.to_owned(), text)
    };
    let both = index(vec![
        entry(other, "linux/arm64"),
        entry(image.digest, "linux/amd64"),
    ]);
    let digest = Digest::of(&both.1);
    behaviour.tags.insert("both".to_owned(), both.clone());
    behaviour.tags.insert(digest.to_string(), both);
    behaviour
        .tags
        .insert("arm".to_owned(), index(vec![entry(other, "linux/arm64")]));
    let address = serve(Arc::new(Mutex::new(behaviour))).await;
    let client = client(|_| {});
    pulled(
        &pull(&client, &at(address, ":both")).await,
        &image,
        &at(address, ":both"),
    );
    let by_index = at(address, &format!("@{digest}"));
    pulled(&pull(&client, &by_index).await, &image, &by_index);
    let error = pull(&client, &at(address, ":arm"))
        .await
        .result
        .expect_err("elsewhere")
        .to_string();
    assert!(
        error.contains("not made for linux/amd64, only for linux/arm64"),
        "{error}"
    );
    let error = pull(&client, &at(address, ":none"))
        .await
        .result
        .expect_err("unknown")
        .to_string();
    assert!(
        error.contains("app:none is not on") && error.contains("manifest unknown"),
        "{error}"
    );
}

#[tokio::test]
async fn an_unreachable_registry_is_named() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("binds");
    let address = listener.local_addr().expect("address");
    drop(listener);
    let outcome = pull(&client(|options| options.tries = 2), &at(address, ":1")).await;
    let error = outcome.result.expect_err("nobody there");
    assert!(
        error
            .to_string()
            .contains(&format!("cannot reach {address}")),
        "{error}"
    );
}

#[tokio::test]
async fn plain_http_needs_permission_and_proxies_are_used() {
    let (_published, image, behaviour) = published();
    let behaviour = Arc::new(Mutex::new(behaviour));
    // The registry's own server answers as a plain proxy would.
    let proxy = serve(behaviour.clone()).await;
    let reference = Reference::parse("registry.example:5000/team/app:1").expect("valid");
    let through = |options: &mut RegistryOptions| {
        options.proxies = Proxies {
            http: Some(format!("http://{proxy}")),
            https: Some(format!("http://{proxy}")),
            none: Vec::new(),
        };
    };
    let insecure = client(|options| {
        through(options);
        options.insecure.insert("registry.example:5000".to_owned());
    });
    pulled(&pull(&insecure, &reference).await, &image, &reference);
    let log = behaviour.lock().expect("lock").log.join("\n");
    assert!(log.contains("/v2/team/app/manifests/1"), "{log}");
    let secure = client(through);
    let error = pull(&secure, &reference)
        .await
        .result
        .expect_err("no TLS there")
        .to_string();
    assert!(
        error.contains("registry.example:5000 does not speak TLS"),
        "{error}"
    );
}
