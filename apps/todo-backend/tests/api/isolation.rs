//! Every route: no token, another user's, an expired one, a wrong algorithm.

use serde_json::{Value, json};

use crate::keys::sign;
use crate::support::{SECRET, Settings};

/// Method and path of every route that needs a token; `{}` is Ann's id.
const ROUTES: &[(&str, &str)] = &[
    ("POST", "/api/auth/signout"),
    ("GET", "/api/auth/session"),
    ("GET", "/api/users/me"),
    ("PATCH", "/api/users/me"),
    ("POST", "/api/users/me/avatar"),
    ("GET", "/api/{}/tasks"),
    ("POST", "/api/{}/tasks"),
    ("GET", "/api/{}/tasks/1"),
    ("PUT", "/api/{}/tasks/1"),
    ("PATCH", "/api/{}/tasks/1"),
    ("DELETE", "/api/{}/tasks/1"),
    ("PATCH", "/api/{}/tasks/1/complete"),
    ("PATCH", "/api/{}/tasks/1/toggle"),
    ("GET", "/api/{}/tasks/1/attachments"),
    ("POST", "/api/{}/tasks/1/attachments"),
    ("DELETE", "/api/{}/tasks/1/attachments/x"),
    ("GET", "/api/{}/stats"),
    ("POST", "/api/{}/chat"),
    ("GET", "/api/{}/conversations"),
    ("GET", "/api/{}/conversations/1/messages"),
    ("DELETE", "/api/{}/conversations/1"),
    ("GET", "/api/tasks"),
    ("POST", "/api/tasks"),
    ("GET", "/api/tasks/1"),
    ("DELETE", "/api/tasks/1"),
    ("PATCH", "/api/tasks/1/complete"),
    ("GET", "/api/v1/todos"),
    ("GET", "/api/stats"),
    ("POST", "/api/chat"),
    ("POST", "/api/v1/chat"),
    ("GET", "/api/conversations"),
    ("GET", "/api/conversations/1/messages"),
    ("GET", "/api/chat/conversations"),
    ("GET", "/api/notifications"),
    ("PATCH", "/api/notifications/1/read"),
    ("POST", "/api/notifications/mark-all-read"),
    ("GET", "/api/config/effective"),
    ("GET", "/api/dev/outbox"),
    (
        "GET",
        "/uploads/avatars/0123456789abcdef0123456789abcdef.png",
    ),
];

#[test]
fn no_route_opens_to_a_bad_token() {
    let server = Settings::new().start();
    let ann = server.sign_up("ann@example.com");
    let claims = |exp: u64| {
        json!({"sub": ann.id, "exp": exp, "iss": "todo-app", "aud": "todo-app-api"}).to_string()
    };
    let hs256 = r#"{"alg":"HS256","typ":"JWT"}"#;
    let good = sign(hs256, &claims(4_000_000_000), SECRET);
    assert_eq!(
        server
            .send(
                "GET",
                "/api/tasks",
                &[("authorization", &format!("Bearer {good}"))],
                b""
            )
            .status,
        200
    );
    let unsigned = sign(r#"{"alg":"none"}"#, &claims(4_000_000_000), SECRET);
    let bad = [
        None,
        Some("Bearer".to_owned()),
        Some("Bearer x".to_owned()),
        Some(format!("Basic {good}")),
        Some(format!("Bearer {}", sign(hs256, &claims(1), SECRET))),
        Some(format!(
            "Bearer {}",
            sign(hs256, &claims(4_000_000_000), "another-secret")
        )),
        Some(format!(
            "Bearer {}",
            sign(r#"{"alg":"HS512"}"#, &claims(4_000_000_000), SECRET)
        )),
        Some(format!("Bearer {unsigned}")),
        Some(format!(
            "Bearer {}.",
            unsigned.rsplit_once('.').expect("parts").0
        )),
    ];
    for (method, path) in ROUTES {
        let path = path.replace("{}", &ann.id);
        for token in &bad {
            let mut headers = vec![("content-type", "application/json")];
            headers.extend(
                token
                    .as_ref()
                    .map(|token| ("authorization", token.as_str())),
            );
            let answer = server.send(method, &path, &headers, b"{}");
            assert_eq!(
                answer.status,
                401,
                "{method} {path} {token:?}: {}",
                answer.text()
            );
            assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
        }
    }
}

#[test]
fn no_route_shows_another_user() {
    let server = Settings::new().start();
    let (ann, bob) = (
        server.sign_up("ann@example.com"),
        server.sign_up("bob@example.com"),
    );
    ann.add("Ann's canary");
    ann.chat("hello canary", None);
    for (method, path) in ROUTES {
        if *path == "/api/dev/outbox" {
            continue;
        }
        let named = path.contains("{}");
        let path = path.replace("{}", &ann.id);
        let answer = bob.send(method, &path, json!({"title": "t", "message": "hello"}));
        assert!(
            !answer.text().contains("canary"),
            "{method} {path}: {}",
            answer.text()
        );
        if named {
            assert_eq!(answer.status, 403, "{method} {path}");
        }
    }
    assert_eq!(
        ann.titles(),
        ["Ann's canary"],
        "nothing of hers was changed"
    );
    let own: Value = ann.get("/api/conversations/1/messages").expect(200);
    assert_eq!(own[0]["content"], "hello canary");
}

#[test]
fn secrets_are_in_no_answer_and_no_line() {
    let server = Settings::new()
        .with("LOG_LEVEL", "debug")
        .with("OPENAI_API_KEY", "sk-canary")
        .with("OPENAI_BASE_URL", "http://127.0.0.1:1")
        .with("CLOUDINARY_API_SECRET", "cloud-canary")
        .start();
    let ann = server.sign_up("ann@example.com");
    let mut seen = String::new();
    seen.push_str(&ann.chat("hello", None).to_string());
    seen.push_str(&ann.get("/api/config/effective").text());
    seen.push_str(&server.get("/metrics").text());
    seen.push_str(&server.get("/api/nowhere").text());
    seen.push_str(&server.log_text());
    for secret in [
        "sk-canary",
        "cloud-canary",
        SECRET,
        "password-1",
        ann.token.as_str(),
    ] {
        assert!(!seen.contains(secret), "{secret} is shown");
    }
}
