//! The way to the API: which address, which headers, what when it is away.

use serde_json::json;

use crate::support::{Mock, frontend, send, until};

/// A token whose payload is `{"name":"Ann"}`.
const TOKEN: &str = "x.eyJuYW1lIjoiQW5uIn0.x";

#[test]
fn requests_are_relayed_with_the_session() {
    let api = Mock::json(200, &json!({"tasks": [], "total": 0}));
    let server = frontend(&[(
        "NEXT_PUBLIC_API_URL",
        &format!("http://localhost:{}", api.port),
    )]);
    let cookie = format!("todo_session={TOKEN}; other=1");
    let headers = [
        ("cookie", cookie.as_str()),
        ("x-forwarded-for", "203.0.113.9"),
        ("connection", "x-drop"),
        ("x-drop", "1"),
    ];
    let answer = send(server.port, "GET", "/api/tasks?q=a%20b", &headers, b"");
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("x-backend-pod"), Some("back-7"));
    assert_eq!(answer.header("x-frontend-pod"), Some("front-1"));
    let asked = &api.asked()[0];
    assert_eq!(asked.path, "/api/tasks?q=a%20b");
    assert_eq!(asked.headers["authorization"], format!("Bearer {TOKEN}"));
    assert_eq!(asked.headers["x-forwarded-for"], "203.0.113.9");
    assert_eq!(
        asked.headers["x-forwarded-host"],
        format!("localhost:{}", server.port)
    );
    assert_eq!(asked.headers["host"], format!("localhost:{}", api.port));
    assert!(!asked.headers.contains_key("x-drop"));

    let own = [
        ("authorization", "Bearer mine"),
        ("cookie", cookie.as_str()),
    ];
    send(server.port, "POST", "/api/tasks", &own, br#"{"title":"t"}"#);
    let asked = api.asked();
    assert_eq!(asked[1].headers["authorization"], "Bearer mine");
    assert_eq!(asked[1].body, br#"{"title":"t"}"#);
    let foreign = [
        ("cookie", cookie.as_str()),
        ("origin", "https://evil.example"),
    ];
    assert_eq!(
        send(server.port, "POST", "/api/tasks", &foreign, b"{}").status,
        403
    );
    assert_eq!(api.asked().len(), 2, "it did not reach the API");
}

#[test]
fn the_key_that_wins_and_the_one_that_is_missing() {
    let (one, two) = (Mock::json(200, &json!({})), Mock::json(200, &json!({})));
    let (first, second) = (
        format!("http://127.0.0.1:{}", one.port),
        format!("http://127.0.0.1:{}/", two.port),
    );
    let check = |variables: &[(&str, &str)], expected: (usize, usize)| {
        let before = (one.asked().len(), two.asked().len());
        frontend(variables).get("/api/tasks");
        assert_eq!(
            (one.asked().len() - before.0, two.asked().len() - before.1),
            expected,
            "{variables:?}"
        );
    };
    check(
        &[("NEXT_PUBLIC_API_URL", &first), ("BACKEND_URL", &second)],
        (1, 0),
    );
    check(
        &[
            ("NEXT_PUBLIC_BACKEND_URL", &second),
            ("BACKEND_URL", &first),
        ],
        (0, 1),
    );
    check(&[("BACKEND_URL", &second)], (0, 1));

    let none = frontend(&[("NODE_ENV", "production")]);
    assert_eq!(none.get("/api/health").text(), r#"{"status":"healthy"}"#);
    assert_eq!(none.get("/api/tasks").status, 502);
    let cookie = format!("todo_session={TOKEN}");
    let page = send(none.port, "GET", "/dashboard", &[("cookie", &cookie)], b"");
    assert_eq!(page.status, 502);
    assert!(
        page.text()
            .contains("NEXT_PUBLIC_API_URL or NEXT_PUBLIC_BACKEND_URL or BACKEND_URL")
    );
}

#[test]
fn an_api_that_is_away_is_a_page_not_a_crash() {
    let hangup = Mock::start("");
    let cookie = format!("todo_session={TOKEN}");
    let check = |url: &str, mode: &str, words: &str| {
        let server = frontend(&[("BACKEND_URL", url), ("NODE_ENV", mode)]);
        let page = send(
            server.port,
            "GET",
            "/dashboard",
            &[("cookie", &cookie)],
            b"",
        );
        assert_eq!(page.status, 502);
        assert!(page.text().contains("We cannot reach your tasks"));
        assert_eq!(page.header("refresh"), Some("5"), "it recovers by itself");
        assert_eq!(
            page.text().contains(words),
            mode == "development",
            "{words}"
        );
        let api = server.get("/api/tasks");
        assert_eq!(
            (api.status, api.header("content-type")),
            (502, Some("application/json"))
        );
        assert!(api.text().contains("backend_unavailable"));
        assert_eq!(server.get("/api/health").status, 200);
        assert_eq!(server.get("/status").status, 200);
    };
    check("http://127.0.0.1:1", "development", "127.0.0.1:1");
    check("http://127.0.0.1:1", "production", "127.0.0.1:1");
    check(
        &format!("http://127.0.0.1:{}", hangup.port),
        "development",
        "closed the connection",
    );
    check(
        "http://no-such-name.invalid:8000",
        "development",
        "no-such-name.invalid",
    );
}

#[test]
fn assets_are_kept_in_production_only() {
    for (mode, expected) in [
        ("production", "public, max-age=31536000, immutable"),
        ("development", "no-store"),
    ] {
        let server = frontend(&[("NODE_ENV", mode)]);
        let page = server.get("/").text();
        let path = page
            .split("href=\"")
            .find(|part| part.contains(".css\""))
            .and_then(|part| part.split('"').next())
            .expect("a style sheet");
        let asset = send(
            server.port,
            "GET",
            path,
            &[("accept-encoding", "gzip")],
            b"",
        );
        assert_eq!(asset.header("cache-control"), Some(expected), "{mode}");
        assert_eq!(asset.header("content-encoding"), Some("gzip"));
        assert_eq!(
            asset.header("content-type"),
            Some("text/css; charset=utf-8")
        );
        assert!(server.get(path).text().starts_with("/* One style sheet"));
        assert_eq!(server.get("/_app/none.css").status, 404);
        let csp = server
            .get("/")
            .header("content-security-policy")
            .expect("a policy")
            .to_owned();
        assert!(
            csp.starts_with("default-src 'self'") && !csp.contains("unsafe"),
            "{csp}"
        );
    }
}

#[test]
fn streams_arrive_as_they_are_written() {
    use std::io::{Read, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("address").port();
    let (release, released) = std::sync::mpsc::channel::<()>();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("asked");
        let mut head = [0u8; 4096];
        let _ = stream.read(&mut head);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\nevent: token\n\n");
        let _ = released.recv();
        let _ = stream.write_all(b"event: done\n\n");
    });
    let server = frontend(&[("BACKEND_URL", &format!("http://127.0.0.1:{port}"))]);
    let mut client = std::net::TcpStream::connect(("127.0.0.1", server.port)).expect("connected");
    client.write_all(b"POST /api/chat HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: 0\r\n\r\n").expect("sent");
    let mut seen = String::new();
    until("the first event arrives before the last is written", || {
        let mut piece = [0u8; 4096];
        let read = client.read(&mut piece).expect("read");
        seen.push_str(&String::from_utf8_lossy(&piece[..read]));
        seen.contains("event: token")
    });
    assert!(!seen.contains("event: done"));
    release.send(()).expect("the API waits");
    client.read_to_string(&mut seen).expect("read");
    assert!(seen.contains("event: done"));
}

#[test]
fn the_image_checks_itself_and_others() {
    let server = frontend(&[]);
    let check = |arguments: &[&str], port: &str| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_todo-frontend"));
        command
            .env_clear()
            .env("PORT", port)
            .arg("healthcheck")
            .args(arguments)
            .output()
            .expect("runs")
            .status
            .code()
    };
    let port = server.port.to_string();
    assert_eq!(check(&[], &port), Some(0));
    assert_eq!(check(&[], "1"), Some(1));
    assert_eq!(
        check(&[&format!("http://localhost:{port}/health")], "1"),
        Some(0)
    );
    assert_eq!(
        check(&[&format!("http://localhost:{port}/nowhere")], "1"),
        Some(1)
    );
}
