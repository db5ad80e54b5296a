//! Every configuration key has an effect.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::support::{SECRET, Server, Settings, until};

const OTHER: &str = "fedcba9876543210fedcba9876543210";

fn header_of(token: &str) -> Value {
    let part = token.split('.').next().expect("header");
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).expect("base64")).expect("JSON")
}

fn status_with(settings: Settings, token: &str) -> (u16, Value) {
    let server = settings.start();
    let bearer = format!("Bearer {token}");
    let answer = server.send("GET", "/api/tasks", &[("authorization", &bearer)], b"");
    (
        answer.status,
        serde_json::from_slice(&answer.bytes).unwrap_or_default(),
    )
}

#[test]
fn secrets_sign_and_verify() {
    let token = {
        let server = Settings::new().start();
        server.sign_up("ann@example.com").token
    };
    assert_eq!(status_with(Settings::new(), &token).0, 200);
    let changed = status_with(Settings::new().with("BETTER_AUTH_SECRET", OTHER), &token);
    assert_eq!(
        (changed.0, changed.1["error_code"].as_str()),
        (401, Some("token_signature"))
    );
    // JWT_SECRET signs from now on, the old secret still verifies.
    assert_eq!(
        status_with(Settings::new().with("JWT_SECRET", OTHER), &token).0,
        200
    );
    let server = Settings::new().with("JWT_SECRET", OTHER).start();
    assert!(
        server
            .log_text()
            .contains("JWT_SECRET and BETTER_AUTH_SECRET differ")
    );
    let signed = server.sign_up("ann@example.com").token;
    assert_eq!(status_with(Settings::new(), &signed).0, 401);
    assert_eq!(
        status_with(Settings::new().with("BETTER_AUTH_SECRET", OTHER), &signed).0,
        200
    );
    let alone = Settings::new()
        .without("BETTER_AUTH_SECRET")
        .with("JWT_SECRET", SECRET);
    assert_eq!(status_with(alone, &token).0, 200);
}

/// Links without a session end with BETTER_AUTH_SECRET, whatever signs tokens.
#[test]
fn the_secret_marks_links() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let path = folder.path().display();
    let settings = |secret: &str| {
        Settings::new()
            .with("DATABASE_URL", &format!("sqlite://{path}/todo.db"))
            .with("UPLOADS_DIR", &format!("{path}/uploads"))
            .with("JWT_SECRET", "fedcba9876543210fedcba98765432ff")
            .with("BETTER_AUTH_SECRET", secret)
    };
    let server = settings(SECRET).start();
    let ann = server.sign_up("ann@example.com");
    ann.add("With a file");
    let stored = ann
        .upload("/api/tasks/1/attachments", "a.txt", b"hello")
        .expect(201);
    let link = stored["signed_url"].as_str().expect("a link").to_owned();
    let forgot = json!({"email": "ann@example.com"});
    server
        .post("/api/auth/forgot-password", forgot.clone())
        .expect(202);
    server.post("/api/auth/forgot-password", forgot).expect(202);
    let mut tokens = Vec::new();
    until("both mails are there", || {
        let mails = ann.get("/api/dev/outbox").expect(200).to_string();
        tokens = mails
            .split("token=")
            .skip(1)
            .filter_map(|rest| rest.split('\\').next())
            .map(ToOwned::to_owned)
            .collect();
        tokens.len() == 2
    });
    let reset = |server: &Server, token: &str| {
        let body = json!({"token": token, "password": "password-2"});
        server.post("/api/auth/reset-password", body).status
    };
    assert_eq!(server.get(&link).status, 200);
    let changed = settings(OTHER).start();
    assert_eq!(changed.get(&link).status, 404);
    assert_eq!(reset(&changed, &tokens[0]), 400);
    drop(changed);
    assert_eq!(reset(&server, &tokens[0]), 200);
    assert_eq!(reset(&server, &tokens[1]), 400, "one of them is enough");
}

#[test]
fn algorithm_life_and_strictness() {
    let server = Settings::new().with("JWT_ALGORITHM", "HS512").start();
    let token = server.sign_up("ann@example.com").token;
    assert_eq!(header_of(&token)["alg"], "HS512");
    assert_eq!(
        status_with(Settings::new(), &token).1["error_code"],
        "token_algorithm"
    );

    let short = Settings::new()
        .with("JWT_EXPIRATION_HOURS", "0.0003")
        .start();
    let ann = short.sign_up("ann@example.com");
    until("the token expires", || ann.get("/api/tasks").status == 401);
    assert_eq!(ann.get("/api/tasks").json()["error_code"], "token_expired");

    let bare = sign(
        r#"{"alg":"HS256"}"#,
        r#"{"sub":"u","exp":4000000000}"#,
        SECRET,
    );
    assert_eq!(
        status_with(Settings::new(), &bare).1["error_code"],
        "token_audience"
    );
    assert_eq!(
        status_with(Settings::new().with("AUTH_STRICT", "false"), &bare).0,
        200
    );
}

/// Signs a token by hand.
pub fn sign(header: &str, payload: &str, secret: &str) -> String {
    let signed = format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(header),
        URL_SAFE_NO_PAD.encode(payload)
    );
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret.as_bytes());
    let tag = ring::hmac::sign(&key, signed.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag))
}

#[test]
fn what_cannot_be_right_does_not_start() {
    let check = |settings: Settings, words: &str| {
        let (code, output) = settings.refused();
        assert_eq!(code, Some(78), "{words}");
        assert!(output.contains(words), "{words} is not in {output}");
        assert!(!output.contains(SECRET));
    };
    check(
        Settings::new().without("DATABASE_URL"),
        "DATABASE_URL is not set",
    );
    check(
        Settings::new().with("DATABASE_URL", "mysql://u:canary@h/d"),
        "DATABASE_URL is not usable",
    );
    check(
        Settings::new().without("BETTER_AUTH_SECRET"),
        "BETTER_AUTH_SECRET (or JWT_SECRET) is not set",
    );
    check(
        Settings::new().with("BETTER_AUTH_SECRET", ""),
        "BETTER_AUTH_SECRET (or JWT_SECRET) is not set",
    );
    check(
        Settings::new().with("JWT_ALGORITHM", "none"),
        "expected HS256, HS384 or HS512",
    );
    check(
        Settings::new()
            .with("PORT", "8001")
            .with("MCP_SERVER_PORT", "8001"),
        "expected another port than PORT",
    );
    let production = || Settings::new().with("ENVIRONMENT", "production");
    check(
        production(),
        "Console email provider not allowed in production. Use 'resend' or 'gmail'.",
    );
    let mail = || production().with("EMAIL_PROVIDER", "resend");
    check(mail(), "RESEND_API_KEY is not set");
    check(
        mail()
            .with("RESEND_API_KEY", "r")
            .with("BETTER_AUTH_SECRET", "your-secret"),
        "JWT_SECRET must be at least 32 characters in production",
    );
    check(
        mail()
            .with("RESEND_API_KEY", "r")
            .with("FRONTEND_URL", "http://todo.example"),
        "FRONTEND_URL must use HTTPS in production",
    );
}

#[test]
fn environment_closes_the_documentation_and_shapes_the_log() {
    let production = Settings::new()
        .with("ENVIRONMENT", "production")
        .with("EMAIL_PROVIDER", "resend")
        .with("RESEND_API_KEY", "r")
        .start();
    assert_eq!(production.get("/api/docs").status, 404);
    assert_eq!(production.get("/api/openapi.json").status, 404);
    let line = production
        .log_text()
        .lines()
        .next()
        .expect("a line")
        .to_owned();
    assert_eq!(
        serde_json::from_str::<Value>(&line).expect("JSON")["level"],
        "INFO"
    );
    let development = Settings::new().start();
    assert_eq!(development.get("/api/docs").status, 200);
}

#[test]
fn log_level_filters_and_unknown_ones_are_noted() {
    let debug = Settings::new().with("LOG_LEVEL", "DEBUG").start();
    debug.sign_up("ann@example.com");
    until("SQL is shown", || {
        debug.log_text().contains("INSERT INTO users")
    });
    assert!(!debug.log_text().contains("password-1"));
    let error = Settings::new().with("LOG_LEVEL", "loud").start();
    let noted = r#"LOG_LEVEL is "loud", which is no level; info is used"#;
    until("it is noted", || error.log_text().contains(noted));
}

#[test]
fn health_answers_as_the_documents_say() {
    let server = Settings::new().start();
    for path in ["/health", "/live", "/health/live"] {
        assert_eq!(server.get(path).text(), r#"{"status":"healthy"}"#, "{path}");
    }
    for path in ["/ready", "/health/ready"] {
        assert_eq!(server.get(path).status, 200, "{path}");
    }
    let health = server.get("/api/health").expect(200);
    assert_eq!(
        (&health["status"], &health["database"], &health["pod"]),
        (&json!("healthy"), &json!("connected"), &json!("pod-1"))
    );
    assert_eq!(server.get("/health").header("x-served-by"), Some("pod-1"));
    // A request is under way until the server knows that its answer has gone.
    until("this request alone is under way", || {
        let metrics = server.get("/metrics").text();
        metrics.contains("todo_http_inflight_requests 1\n")
    });
    let metrics = server.get("/metrics").text();
    for name in [
        "todo_http_requests_total",
        "todo_chat_inflight 0",
        "db_pool_max 15",
        "db_pool_size 5",
        "rate_limited_total 0",
    ] {
        assert!(metrics.contains(name), "{name} is not in {metrics}");
    }
    let sized = Settings::new()
        .with("DATABASE_POOL_SIZE", "2")
        .with("DATABASE_MAX_OVERFLOW", "1")
        .start();
    assert!(sized.get("/metrics").text().contains("db_pool_max 3"));
    assert_eq!(
        server.get("/api/auth/jwks").expect(200),
        json!({"keys": []})
    );
}

#[test]
fn a_database_that_is_away_is_told_apart() {
    let server = Settings::new()
        .with("DATABASE_URL", "sqlite:///nowhere/todo.db")
        .start_unready();
    assert_eq!(server.get("/health").status, 200);
    until("the reason is known", || {
        server.get("/ready").text().contains("/nowhere/todo.db")
    });
    assert_eq!(server.get("/ready").status, 503);
    assert_eq!(server.get("/api/health").status, 503);
    let refused = server.post(
        "/api/auth/signup",
        json!({"email": "a@b.c", "password": "password-1"}),
    );
    assert_eq!(refused.header("retry-after"), Some("2"));
    assert_eq!(refused.expect(503)["error_code"], "database_unavailable");
}

#[test]
fn the_effective_configuration_hides_secrets() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let path = folder.path().join("key");
    std::fs::write(&path, "sk-canary\n").expect("written");
    let path = path.to_string_lossy().into_owned();
    let server = Settings::new()
        .with("OPENAI_API_KEY_FILE", &path)
        .with("LOG_LEVEL", "info")
        .start();
    let ann = server.sign_up("ann@example.com");
    assert_eq!(server.get("/api/config/effective").status, 401);
    let shown = ann.get("/api/config/effective").expect(200);
    assert!(!shown.to_string().contains("sk-canary") && !shown.to_string().contains(SECRET));
    let key = |name: &str| {
        shown["keys"]
            .as_array()
            .expect("keys")
            .iter()
            .find(|key| key["key"] == name)
            .cloned()
            .expect("key")
    };
    assert_eq!(key("OPENAI_API_KEY")["source"], format!("file {path}"));
    assert_eq!(key("OPENAI_API_KEY")["value"], "«set»");
    assert_eq!(key("LOG_LEVEL")["source"], "environment");
    assert_eq!(key("DATABASE_POOL_SIZE")["source"], "default");
    assert_eq!(shown["assistant"], json!(["openai", "local"]));
    assert_eq!(shown["keys"].as_array().map(Vec::len), Some(44));

    // The mounted file changes; SIGHUP reads it again.
    std::fs::write(&path, "").expect("written");
    server.signal("-HUP");
    until("the file is read again", || {
        ann.get("/api/config/effective").expect(200)["assistant"] == json!(["local"])
    });
}

#[test]
fn signals_drain_and_end() {
    let mut server = Settings::new().start();
    server.signal("-TERM");
    assert_eq!(server.wait(), Some(0));
    until("it has said so", || server.log_text().contains("draining"));
}

#[test]
fn the_image_checks_itself() {
    let server = Settings::new().start();
    let check = |port: u16| {
        let mut command = Settings::new().with("PORT", &port.to_string()).command();
        command
            .arg("healthcheck")
            .output()
            .expect("runs")
            .status
            .code()
    };
    assert_eq!(check(server.port), Some(0));
    assert_eq!(check(1), Some(1));
}

#[test]
fn lines_leave_at_once_or_soon() {
    let buffered = Settings::new().without("PYTHONUNBUFFERED").start();
    buffered.sign_up("ann@example.com");
    until("the line leaves", || {
        buffered.log_text().contains("/api/auth/signup")
    });
}
