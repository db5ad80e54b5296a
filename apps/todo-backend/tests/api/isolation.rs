//! Every route: no token, another user's, an expired one, a wrong algorithm.

use serde_json::{Value, json};

use crate::contract::assert_error_shape;
use crate::keys::sign;
use crate::support::{SECRET, Settings, send};

/// Method and path of every route that needs a token, except those of tasks;
/// `{}` is Ann's id.
const ROUTES: &[(&str, &str)] = &[
    ("POST", "/api/auth/signout"),
    ("POST", "/api/auth/logout"),
    ("GET", "/api/auth/session"),
    ("GET", "/api/users/me"),
    ("PATCH", "/api/users/me"),
    ("POST", "/api/users/me/avatar"),
    ("GET", "/api/{}/stats"),
    ("GET", "/api/stats"),
    ("POST", "/api/{}/chat"),
    ("POST", "/api/chat"),
    ("POST", "/api/v1/chat"),
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

/// What is there below each spelling of the tasks.
const BELOW_TASKS: &[(&str, &str)] = &[
    ("GET", ""),
    ("POST", ""),
    ("GET", "/1"),
    ("PUT", "/1"),
    ("PATCH", "/1"),
    ("DELETE", "/1"),
    ("PATCH", "/1/complete"),
    ("PATCH", "/1/toggle"),
    ("PATCH", "/1/toggle-complete"),
    ("GET", "/1/attachments"),
    ("POST", "/1/attachments"),
    ("DELETE", "/1/attachments/x"),
];

const BELOW_CONVERSATIONS: &[(&str, &str)] = &[
    ("GET", ""),
    ("GET", "/1"),
    ("GET", "/1/messages"),
    ("DELETE", "/1"),
];

/// Every route in every spelling.
fn routes() -> Vec<(&'static str, String)> {
    let mut all: Vec<_> = ROUTES
        .iter()
        .map(|(method, path)| (*method, (*path).to_owned()))
        .collect();
    let mut add = |roots: [&str; 3], below: &[(&'static str, &str)]| {
        for root in roots {
            all.extend(
                below
                    .iter()
                    .map(|(method, end)| (*method, format!("{root}{end}"))),
            );
        }
    };
    add(
        ["/api/{}/tasks", "/api/tasks", "/api/v1/todos"],
        BELOW_TASKS,
    );
    add(
        [
            "/api/{}/conversations",
            "/api/conversations",
            "/api/chat/conversations",
        ],
        BELOW_CONVERSATIONS,
    );
    all
}

#[test]
fn the_matrix_holds_every_documented_route() {
    let server = Settings::new().start();
    let document = server.get("/api/openapi.json").expect(200);
    let known = routes();
    for (path, operations) in document["paths"].as_object().expect("paths") {
        for (method, operation) in operations.as_object().expect("operations") {
            let path = path
                .replace("{user_id}", "{}")
                .replace("{aid}", "x")
                .replace("{id}", "1")
                .replace("{cid}", "1")
                .replace("{nid}", "1");
            let wanted = operation.get("security").is_some();
            let found = known
                .iter()
                .any(|(other, known)| other.eq_ignore_ascii_case(method) && *known == path);
            assert_eq!(found, wanted, "{method} {path}");
        }
    }
}

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
    let empty = unsigned.rsplit_once('.').expect("parts").0;
    let swapped = good.replacen('.', ".e30", 1);
    let bearer = |token: &str| Some(format!("Bearer {token}"));
    let bad = [
        (None, "token_missing"),
        (Some("Bearer".to_owned()), "token_missing"),
        (Some(format!("Basic {good}")), "token_missing"),
        (bearer("x"), "token_malformed"),
        (bearer("a.b.c"), "token_malformed"),
        (bearer(&"x".repeat(6000)), "token_malformed"),
        (bearer(&sign(hs256, &claims(1), SECRET)), "token_expired"),
        (
            bearer(&sign(hs256, &claims(4_000_000_000), "another-secret")),
            "token_signature",
        ),
        (bearer(&swapped), "token_signature"),
        (
            bearer(&sign(r#"{"alg":"HS512"}"#, &claims(4_000_000_000), SECRET)),
            "token_algorithm",
        ),
        (
            bearer(&sign(r#"{"alg":"RS256"}"#, &claims(4_000_000_000), SECRET)),
            "token_algorithm",
        ),
        (bearer(&unsigned), "token_algorithm"),
        (bearer(&format!("{empty}.")), "token_algorithm"),
        (
            bearer(&sign(hs256, r#"{"sub":"u","exp":4000000000}"#, SECRET)),
            "token_audience",
        ),
    ];
    for (method, path) in routes() {
        let path = path.replace("{}", &ann.id);
        for (token, code) in &bad {
            let mut headers = vec![("content-type", "application/json")];
            headers.extend(
                token
                    .as_ref()
                    .map(|token| ("authorization", token.as_str())),
            );
            let answer = server.send(method, &path, &headers, b"{}");
            let place = format!("{method} {path} {token:?}: {}", answer.text());
            assert_eq!(answer.status, 401, "{place}");
            assert_eq!(answer.header("www-authenticate"), Some("Bearer"), "{place}");
            assert_eq!(answer.json()["error_code"], *code, "{place}");
            assert_error_shape(&answer.json());
        }
    }
    // The MCP server asks for the same.
    let port = server.mcp_port.expect("MCP is on");
    for (token, code) in &bad {
        let headers: Vec<_> = token
            .iter()
            .map(|token| ("authorization", token.as_str()))
            .collect();
        let answer = send(port, "POST", "/mcp", &headers, b"{}");
        assert_eq!(answer.expect(401)["error_code"], *code, "{token:?}");
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
    for (method, path) in routes() {
        if path == "/api/dev/outbox" {
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
