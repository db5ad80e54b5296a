//! The contract as a table: every route in every spelling with the status and
//! the shape of its answer, and every refusal in the one shape of errors.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::support::{Settings, User};

/// Checks that a body is an error as clients expect it.
pub fn assert_error_shape(body: &Value) {
    let keys: Vec<_> = body.as_object().expect("an object").keys().collect();
    assert_eq!(keys, ["detail", "error_code", "timestamp"], "{body}");
    assert!(body["detail"].as_str().is_some_and(|text| !text.is_empty()));
    let timestamp = body["timestamp"].as_str().expect("text");
    assert!(timestamp.parse::<jiff::Timestamp>().is_ok(), "{timestamp}");
}

const TASK: &[&str] = &[
    "id",
    "uid",
    "user_id",
    "title",
    "description",
    "completed",
    "priority",
    "due_date",
    "tags",
    "recurrence",
    "reminders",
    "created_at",
    "updated_at",
    "completed_at",
];
const PAGE: &[&str] = &["tasks", "total", "completed", "pending"];
const USER: &[&str] = &["id", "email", "name", "avatar_url", "prefs", "created_at"];
const SESSION: &[&str] = &["token", "access_token", "token_type", "expires_at", "user"];
const TURN: &[&str] = &[
    "conversation_id",
    "message_id",
    "response",
    "tool_calls",
    "provider",
    "model",
    "created_at",
];
const STATS: &[&str] = &[
    "total",
    "completed",
    "pending",
    "overdue",
    "due_soon",
    "completion_rate",
];

/// Checks status and keys; `keys` of a list are those of its members.
fn check(user: &User<'_>, method: &str, path: &str, body: Value, status: u16, keys: &[&str]) {
    let path = path.replace("{}", &user.id);
    let answer = user.send(method, &path, body);
    assert_eq!(answer.status, status, "{method} {path}: {}", answer.text());
    if status == 204 {
        assert!(answer.bytes.is_empty(), "{method} {path}");
        return;
    }
    let kind = answer.header("content-type").unwrap_or_default().to_owned();
    assert!(
        kind.starts_with("application/json"),
        "{method} {path}: {kind}"
    );
    let body = answer.json();
    if status >= 400 {
        return assert_error_shape(&body);
    }
    let objects = body
        .as_array()
        .cloned()
        .unwrap_or_else(|| vec![body.clone()]);
    for object in objects {
        let found: Vec<_> = object.as_object().expect("an object").keys().collect();
        assert_eq!(found, keys, "{method} {path}");
    }
}

#[test]
fn tasks_in_every_spelling() {
    let server = Settings::new().start();
    let ann = server.sign_up("ann@example.com");
    for (root, list) in [
        ("/api/{}/tasks", TASK),
        ("/api/tasks", PAGE),
        ("/api/v1/todos", PAGE),
    ] {
        let id = ann
            .post(&root.replace("{}", &ann.id), json!({"title": "first"}))
            .expect(201)["id"]
            .clone();
        let one = format!("{root}/{id}");
        let none = Value::Null;
        check(&ann, "POST", root, json!({"title": "second"}), 201, TASK);
        check(&ann, "POST", root, json!({"title": ""}), 422, &[]);
        check(
            &ann,
            "POST",
            root,
            json!({"title": "x", "priority": null, "completed": null, "description": null, "due_date": null, "tags": null, "recurrence": null, "reminders": null}),
            201,
            TASK,
        );
        check(&ann, "GET", root, none.clone(), 200, list);
        check(
            &ann,
            "GET",
            &format!("{root}?envelope=1"),
            none.clone(),
            200,
            PAGE,
        );
        check(
            &ann,
            "GET",
            &format!("{root}?status=nonsense"),
            none.clone(),
            422,
            &[],
        );
        check(&ann, "GET", &one, none.clone(), 200, TASK);
        check(&ann, "PUT", &one, json!({"title": "changed"}), 200, TASK);
        check(
            &ann,
            "PATCH",
            &one,
            json!({"priority": "urgent"}),
            200,
            TASK,
        );
        check(&ann, "PATCH", &one, json!({"priority": "soon"}), 422, &[]);
        for verb in ["complete", "toggle", "toggle-complete"] {
            check(
                &ann,
                "PATCH",
                &format!("{one}/{verb}"),
                none.clone(),
                200,
                TASK,
            );
            check(
                &ann,
                "PATCH",
                &format!("{root}/999/{verb}"),
                none.clone(),
                404,
                &[],
            );
        }
        check(
            &ann,
            "GET",
            &format!("{one}/attachments"),
            none.clone(),
            200,
            &[],
        );
        check(
            &ann,
            "DELETE",
            &format!("{one}/attachments/x"),
            none.clone(),
            404,
            &[],
        );
        check(&ann, "DELETE", &one, none.clone(), 204, &[]);
        for (method, body) in [("GET", &none), ("PUT", &json!({})), ("DELETE", &none)] {
            check(&ann, method, &one, body.clone(), 404, &[]);
            check(&ann, method, &format!("{root}/abc"), body.clone(), 404, &[]);
            check(
                &ann,
                method,
                &format!("{root}/99999999999999999999"),
                body.clone(),
                404,
                &[],
            );
        }
        check(&ann, "DELETE", root, none.clone(), 405, &[]);
    }
    for path in ["/api/{}/stats", "/api/stats"] {
        check(&ann, "GET", path, Value::Null, 200, STATS);
    }
}

#[test]
fn accounts_in_every_spelling() {
    let server = Settings::new().start();
    let ann = server.sign_up("ann@example.com");
    for (number, path) in ["/api/auth/signup", "/api/auth/register"]
        .iter()
        .enumerate()
    {
        let body = json!({"email": format!("new{number}@example.com"), "password": "password-1"});
        check(&ann, "POST", path, body.clone(), 201, SESSION);
        check(&ann, "POST", path, body, 409, &[]);
    }
    let body = json!({"email": "ann@example.com", "password": "password-1"});
    for path in ["/api/auth/signin", "/api/auth/login"] {
        check(&ann, "POST", path, body.clone(), 200, SESSION);
        check(
            &ann,
            "POST",
            path,
            json!({"email": "ann@example.com", "password": "no"}),
            401,
            &[],
        );
    }
    check(
        &ann,
        "GET",
        "/api/auth/session",
        Value::Null,
        200,
        &["user", "expires_at"],
    );
    check(&ann, "GET", "/api/auth/jwks", Value::Null, 200, &["keys"]);
    check(&ann, "GET", "/api/users/me", Value::Null, 200, USER);
    check(
        &ann,
        "PATCH",
        "/api/users/me",
        json!({"name": "Anna"}),
        200,
        USER,
    );
    check(
        &ann,
        "PATCH",
        "/api/users/me",
        json!({"theme": "pink"}),
        422,
        &[],
    );
    let forgot = "/api/auth/forgot-password";
    check(
        &ann,
        "POST",
        forgot,
        json!({"email": "ann@example.com"}),
        202,
        &["message"],
    );
    check(
        &ann,
        "POST",
        forgot,
        json!({"email": "nobody@example.com"}),
        202,
        &["message"],
    );
    let reset = json!({"token": "made-up", "password": "password-2"});
    check(&ann, "POST", "/api/auth/reset-password", reset, 400, &[]);
    check(&ann, "POST", "/api/users/me/avatar", json!({}), 422, &[]);
    for path in ["/api/auth/signout", "/api/auth/logout"] {
        check(&ann, "POST", path, Value::Null, 200, &["message"]);
    }
}

#[test]
fn conversations_in_every_spelling() {
    let server = Settings::new().start();
    let ann = server.sign_up("ann@example.com");
    for path in ["/api/{}/chat", "/api/chat", "/api/v1/chat"] {
        check(&ann, "POST", path, json!({"message": "hello"}), 200, TURN);
        check(&ann, "POST", path, json!({}), 422, &[]);
        check(
            &ann,
            "POST",
            path,
            json!({"message": "hello", "conversation_id": 99}),
            404,
            &[],
        );
    }
    let listed = &["id", "title", "message_count", "created_at", "updated_at"];
    let message = &[
        "id",
        "role",
        "content",
        "tool_calls",
        "provider",
        "model",
        "created_at",
    ];
    let roots = [
        "/api/{}/conversations",
        "/api/conversations",
        "/api/chat/conversations",
    ];
    for (number, root) in roots.iter().enumerate() {
        let one = format!("{root}/{}", number + 1);
        check(&ann, "GET", root, Value::Null, 200, listed);
        check(&ann, "GET", &one, Value::Null, 200, message);
        check(
            &ann,
            "GET",
            &format!("{one}/messages"),
            Value::Null,
            200,
            message,
        );
        check(&ann, "DELETE", &one, Value::Null, 204, &[]);
        check(&ann, "DELETE", &one, Value::Null, 404, &[]);
        check(
            &ann,
            "GET",
            &format!("{one}/messages"),
            Value::Null,
            404,
            &[],
        );
    }
}

#[test]
fn the_rest_of_the_routes() {
    let server = Settings::new().start();
    let ann = server.sign_up("ann@example.com");
    let none = Value::Null;
    check(
        &ann,
        "GET",
        "/api/notifications",
        none.clone(),
        200,
        &["notifications", "unread", "due_today"],
    );
    check(
        &ann,
        "PATCH",
        "/api/notifications/9/read",
        none.clone(),
        404,
        &[],
    );
    check(
        &ann,
        "POST",
        "/api/notifications/mark-all-read",
        none.clone(),
        204,
        &[],
    );
    check(&ann, "GET", "/api/dev/outbox", none.clone(), 200, &[]);
    check(
        &ann,
        "GET",
        "/api/openapi.json",
        none.clone(),
        200,
        &["openapi", "info", "paths", "components"],
    );
    check(&ann, "GET", "/health", none.clone(), 200, &["status"]);
    check(&ann, "GET", "/ready", none.clone(), 200, &["status"]);
    let health = &["status", "timestamp", "version", "database", "pod"];
    check(&ann, "GET", "/api/health", none.clone(), 200, health);
    let effective = &[
        "pod",
        "version",
        "environment",
        "database",
        "assistant",
        "mail",
        "uploads",
        "keys",
    ];
    check(
        &ann,
        "GET",
        "/api/config/effective",
        none.clone(),
        200,
        effective,
    );
    let shown = ann.get("/api/config/effective").json();
    for key in shown["keys"].as_array().expect("keys") {
        let found: Vec<_> = key.as_object().expect("an object").keys().collect();
        assert_eq!(found, ["key", "value", "source", "secret", "drives"]);
        assert!(
            key["drives"].as_str().is_some_and(|text| !text.is_empty()),
            "{key}"
        );
        assert!(key["secret"] == false || key["value"].is_null() || key["value"] == "«set»");
    }
    // What no route and no method answers to is refused in the same shape.
    for (method, path, status) in [
        ("GET", "/", 404),
        ("GET", "/api/nowhere", 404),
        ("POST", "/health", 405),
        ("DELETE", "/metrics", 405),
        ("PUT", "/uploads/x", 405),
        ("DELETE", "/api/auth/signup", 405),
        ("GET", "/uploads/%ff", 404),
        ("GET", "/uploads/avatars/x.png?until=soon&signature=x", 404),
    ] {
        check(&ann, method, path, none.clone(), status, &[]);
    }
    let allowed = ann.send("PUT", "/api/tasks", none);
    let allow = allowed.header("allow").unwrap_or_default();
    assert!(allow.contains("GET") && allow.contains("POST"), "{allow}");
}

#[test]
fn a_slash_too_many_leads_to_the_path_without() {
    let server = Settings::new().start();
    for (path, place) in [
        ("/api/tasks/", "/api/tasks"),
        ("/api/tasks/?status=all", "/api/tasks?status=all"),
    ] {
        let answer = server.get(path);
        assert_eq!(
            (answer.status, answer.header("location")),
            (307, Some(place))
        );
    }
    // Never to another host.
    for path in ["/", "//example.com/", "/nowhere/"] {
        assert_eq!(server.get(path).status, 404, "{path}");
    }
}

/// RFC 7519 lets dates have fractions; not every reader does.
#[test]
fn tokens_hold_the_claims_of_the_contract() {
    let server = Settings::new().start();
    let ann = server.sign_up("ann@example.com");
    let part = ann.token.split('.').nth(1).expect("a payload");
    let claims: Value =
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).expect("base64")).expect("JSON");
    assert_eq!(claims["sub"], ann.id);
    assert_eq!(claims["email"], "ann@example.com");
    assert_eq!(
        (&claims["iss"], &claims["aud"]),
        (&json!("todo-app"), &json!("todo-app-api"))
    );
    let (issued, expires) = (claims["iat"].as_i64(), claims["exp"].as_i64());
    let life = expires.expect("whole seconds") - issued.expect("whole seconds");
    assert!((604_800..=604_801).contains(&life), "{life}");
    let session = ann.get("/api/auth/session").expect(200);
    let shown: jiff::Timestamp = session["expires_at"]
        .as_str()
        .expect("text")
        .parse()
        .expect("a time");
    assert_eq!(Some(shown.as_second()), expires);
}

#[test]
fn limits_are_told_in_headers() {
    let server = Settings::new().with("RATE_LIMIT_PER_MINUTE", "2").start();
    let get = || server.get("/api/auth/session");
    let first = get();
    assert_eq!(first.header("x-ratelimit-limit"), Some("2"));
    assert_eq!(first.header("x-ratelimit-remaining"), Some("1"));
    assert_eq!(first.header("x-ratelimit-reset"), Some("30"));
    get();
    let refused = get();
    let wait: u64 = refused
        .header("retry-after")
        .and_then(|text| text.parse().ok())
        .expect("seconds");
    assert!((1..=30).contains(&wait), "{wait}");
    let body = refused.expect(429);
    assert_eq!(body["error_code"], "rate_limited");
    assert_error_shape(&body);
    for path in ["/health", "/ready", "/api/health", "/metrics", "/live"] {
        for _ in 0..5 {
            assert_eq!(server.get(path).status, 200, "{path}");
        }
    }
}

#[test]
fn a_refusal_is_readable_across_origins() {
    let server = Settings::new()
        .with("CORS_ORIGINS", "https://todo.example")
        .with("RATE_LIMIT_PER_MINUTE", "1")
        .start();
    for (path, status) in [("/api/tasks", 401), ("/api/tasks", 429), ("/nowhere", 429)] {
        let answer = server.send("GET", path, &[("origin", "https://todo.example")], b"");
        assert_eq!(answer.status, status);
        let header = |name| answer.header(name).unwrap_or_default().to_owned();
        assert_eq!(
            header("access-control-allow-origin"),
            "https://todo.example"
        );
        assert_eq!(header("access-control-allow-credentials"), "true");
        assert!(header("access-control-expose-headers").contains("x-total-count"));
        assert!(header("vary").contains("origin"));
    }
}
