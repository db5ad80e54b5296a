//! Bodies that mean harm, over a real socket: each gets an answer that is a
//! `Status`, the server goes on serving, and its memory stays bounded.
#![allow(missing_docs)]

mod common;

use std::fmt::Write as _;
use std::io::{Read, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use coracle_apiserver::{ApiServer, Identity};
use serde_json::Value;

/// Resident memory that all of it may add.
const GROWTH_MAX_BYTES: u64 = 256 << 20;

/// Serves plain HTTP on loopback as the administrator: what is under test
/// begins behind TLS.
async fn serve(server: ApiServer) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let service = Arc::new(server);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = service.service(Identity::admin());
            tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(
                hyper_util::rt::TokioIo::new(stream),
                hyper_util::service::TowerToHyperService::new(service),
            ));
        }
    });
    address
}

fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
    kilobytes.unwrap().parse::<u64>().unwrap() * 1024
}

/// Method and path with the content type of each kind of body.
const ROUTES: &[(&str, &str)] = &[
    (
        "POST /api/v1/namespaces/default/configmaps",
        "application/json",
    ),
    (
        "POST /api/v1/namespaces/default/configmaps",
        "application/yaml",
    ),
    (
        "POST /api/v1/namespaces/default/pods",
        "application/vnd.kubernetes.protobuf",
    ),
    (
        "PATCH /api/v1/namespaces/default",
        "application/json-patch+json",
    ),
    (
        "PATCH /api/v1/namespaces/default",
        "application/merge-patch+json",
    ),
    (
        "PATCH /api/v1/namespaces/default",
        "application/strategic-merge-patch+json",
    ),
    (
        "PATCH /api/v1/namespaces/default?fieldManager=a",
        "application/apply-patch+yaml",
    ),
    ("DELETE /api/v1/namespaces/none", "application/json"),
];

fn bodies() -> Vec<(&'static str, Vec<u8>)> {
    let deep = |open: &str, close: &str, depth: usize| {
        [open.repeat(depth), close.repeat(depth)]
            .concat()
            .into_bytes()
    };
    let mut wide = String::from("{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"data\":{");
    for number in 0..20_000 {
        let _ = write!(wide, "\"k{number}\":\"v\",");
    }
    wide.push_str("\"z\":\"v\"}}");
    let aliases = (0..12).fold(
        "a0: &a0 [x,x,x,x,x,x,x,x,x]\n".to_owned(),
        |text, number| {
            let next = number + 1;
            let list = vec![format!("*a{number}"); 9].join(",");
            format!("{text}a{next}: &a{next} [{list}]\n")
        },
    );
    vec![
        ("nothing", Vec::new()),
        ("deep lists", deep("[", "]", 200_000)),
        ("deep maps", deep("{\"a\":", "}", 200_000)),
        ("deep maps around a value", deep("{\"metadata\":", "}", 100)),
        ("a flow of braces", b"{".repeat(1_000_000)),
        ("too large", b"x".repeat(4 << 20)),
        ("many members", wide.into_bytes()),
        (
            "the same member twice",
            br#"{"metadata":{"name":"a","name":"b"},"data":5,"data":{}}"#.to_vec(),
        ),
        (
            "wrong types",
            br#"{"apiVersion":7,"kind":[],"metadata":"x","data":[1]}"#.to_vec(),
        ),
        ("no text", vec![0xff, 0xfe, 0x00, 0x80, b'{']),
        (
            "no text in a text",
            b"{\"metadata\":{\"name\":\"\xff\"}}".to_vec(),
        ),
        (
            "a number of many digits",
            [b"[1", &b"0".repeat(100_000)[..], b"]"].concat(),
        ),
        ("aliases of aliases", aliases.into_bytes()),
        (
            "an envelope that promises more",
            b"k8s\0\x0a\xff\xff\xff\xff\x0f\x12\xff\xff\xff\xff\x7f".to_vec(),
        ),
        (
            "an envelope within envelopes",
            b"k8s\0\x0a\x02\x0a\x00\x12\x00".repeat(1000),
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn every_hostile_body_gets_a_status() {
    let fixture = common::fixture();
    let address = serve(fixture.server.clone()).await;
    let before = resident_bytes();
    tokio::task::spawn_blocking(move || {
        for (name, body) in bodies() {
            for (route, content_type) in ROUTES {
                let (code, answer) = send(address, route, content_type, &body);
                let status: Value = serde_json::from_slice(&answer).unwrap_or_default();
                assert!(
                    status["kind"] == "Status" && (400..600).contains(&code)
                        || (200..300).contains(&code),
                    "{name} to {route} as {content_type}: {code} {}",
                    String::from_utf8_lossy(&answer)
                );
                assert!(
                    code != 500 || status["reason"] != "InternalError",
                    "{name}: {status}"
                );
            }
        }
        let (code, _) = send(address, "GET /readyz", "application/json", b"");
        assert_eq!(code, 200);
    })
    .await
    .unwrap();
    let grown = resident_bytes().saturating_sub(before);
    assert!(grown < GROWTH_MAX_BYTES, "{grown} bytes were added");
}

/// Sends one request on a connection of its own; returns status and body.
fn send(address: SocketAddr, route: &str, content_type: &str, body: &[u8]) -> (u16, Vec<u8>) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(300)))
        .unwrap();
    let head = format!(
        "{route} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    // A server that refuses early closes while the rest is still being written.
    let _ = stream.write_all(head.as_bytes());
    let _ = stream.write_all(body);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let end = answer
        .windows(4)
        .position(|part| part == b"\r\n\r\n")
        .map_or(answer.len(), |at| at + 4);
    let status = String::from_utf8_lossy(&answer[..end])
        .split(' ')
        .nth(1)
        .and_then(|code| code.parse().ok());
    (status.unwrap_or(0), answer.split_off(end))
}
