//! Sign-up, sign-in, sessions, passwords, origins, limits.

use serde_json::{Value, json};

use crate::support::{Settings, until};

#[test]
fn an_account_from_sign_up_to_sign_out() {
    let server = Settings::new().start();
    let credentials = json!({"email": " Ann@Example.com ", "password": "password-1"});
    let answer = server.post("/api/auth/signup", credentials.clone());
    let cookie = answer.header("set-cookie").expect("cookie").to_owned();
    let body = answer.expect(201);
    assert_eq!(body["user"]["email"], "ann@example.com");
    assert_eq!(body["user"]["name"], "ann");
    assert_eq!(body["token_type"], "bearer");
    assert!(body["user"].get("password_hash").is_none());
    assert!(
        cookie.contains("HttpOnly; SameSite=Lax; Max-Age=604800"),
        "{cookie}"
    );
    assert!(!cookie.contains("Secure"), "{cookie}");

    assert_eq!(
        server
            .post("/api/auth/register", credentials.clone())
            .expect(409)["error_code"],
        "email_taken"
    );
    let session = cookie.split(';').next().expect("pair").to_owned();
    let seen = server
        .send("GET", "/api/auth/session", &[("cookie", &session)], b"")
        .expect(200);
    assert_eq!(seen["user"]["id"], body["user"]["id"]);

    for path in ["/api/auth/signin", "/api/auth/login"] {
        server.post(path, credentials.clone()).expect(200);
    }
    let wrong = server.post(
        "/api/auth/signin",
        json!({"email": "ann@example.com", "password": "wrong"}),
    );
    let unknown = server.post(
        "/api/auth/signin",
        json!({"email": "bob@example.com", "password": "wrong"}),
    );
    assert_eq!(wrong.status, 401);
    let (wrong, unknown) = (wrong.json(), unknown.json());
    assert_eq!(wrong["detail"], unknown["detail"]);
    assert_eq!(wrong["error_code"], "invalid_credentials");

    let out = server.send("POST", "/api/auth/signout", &[("cookie", &session)], b"");
    assert!(
        out.header("set-cookie")
            .expect("cookie")
            .contains("Max-Age=0")
    );
    let secure = server.send(
        "POST",
        "/api/auth/signin",
        &[
            ("x-forwarded-proto", "https"),
            ("content-type", "application/json"),
        ],
        credentials.to_string().as_bytes(),
    );
    assert!(
        secure
            .header("set-cookie")
            .expect("cookie")
            .ends_with("; Secure")
    );
}

#[test]
fn bodies_that_break_a_rule_are_named() {
    let server = Settings::new().start();
    let check = |body: Value, expected: &str| {
        let answer = server.post("/api/auth/signup", body.clone()).expect(422);
        assert_eq!(answer["detail"], expected, "{body}");
        assert!(
            answer["timestamp"]
                .as_str()
                .is_some_and(|text| text.ends_with('Z'))
        );
    };
    check(json!({}), "email is required");
    check(
        json!({"email": "nonsense", "password": "password-1"}),
        "email is no mail address",
    );
    check(
        json!({"email": "a@b.c", "password": "short"}),
        "password must have 8 to 100 characters",
    );
    check(
        json!({"email": "a@b.c", "password": "x".repeat(101)}),
        "password must have 8 to 100 characters",
    );
    check(
        json!({"email": "a@b.c", "password": 5}),
        "password must be text",
    );
    check(json!([]), "the body must be a JSON object");
    let answer = server.send("POST", "/api/auth/signup", &[], b"{");
    assert_eq!(answer.status, 422);
    let large = vec![b' '; 100_000];
    assert_eq!(
        server.send("POST", "/api/auth/signup", &[], &large).status,
        413
    );
    assert_eq!(
        server.send("DELETE", "/api/auth/signup", &[], b"").status,
        405
    );
    assert_eq!(
        server.get("/api/nowhere").expect(404)["error_code"],
        "not_found"
    );
}

#[test]
fn the_profile_changes() {
    let server = Settings::new().start();
    let ann = server.sign_up("ann@example.com");
    let body = json!({"name": "Anna", "timezone": "Asia/Karachi", "language": "ur", "theme": "dark", "email_reminders": false});
    let changed = ann.send("PATCH", "/api/users/me", body).expect(200);
    assert_eq!(changed["name"], "Anna");
    assert_eq!(
        ann.get("/api/users/me").expect(200)["prefs"],
        json!({
            "timezone": "Asia/Karachi", "language": "ur", "theme": "dark", "email_reminders": false
        })
    );
    let wrong = ann
        .send("PATCH", "/api/users/me", json!({"timezone": "Moon/Base"}))
        .expect(422);
    assert_eq!(wrong["detail"], "timezone is not a known IANA name");
}

#[test]
fn a_forgotten_password_is_replaced_once() {
    let server = Settings::new()
        .with("RATE_LIMIT_PER_MINUTE", "1000")
        .start();
    let ann = server.sign_up("ann@example.com");
    let forgot = |email: &str| server.post("/api/auth/forgot-password", json!({"email": email}));
    assert_eq!(forgot("nobody@example.com").status, 202);
    assert_eq!(forgot("ann@example.com").status, 202);
    let mut link = String::new();
    until("the mail is in the outbox", || {
        let mails = ann.get("/api/dev/outbox").expect(200);
        let body = mails[0]["body"].as_str().unwrap_or_default().to_owned();
        link = body
            .lines()
            .find(|line| line.contains("token="))
            .unwrap_or_default()
            .to_owned();
        !link.is_empty()
    });
    assert!(
        link.starts_with(&format!(
            "http://localhost:{}/reset-password?token=",
            server.port
        )),
        "{link}"
    );
    let token = link.rsplit('=').next().expect("token").to_owned();
    assert!(!server.log_text().contains(&token), "the log holds a token");
    let reset = |password: &str| {
        server.post(
            "/api/auth/reset-password",
            json!({"token": token, "password": password}),
        )
    };
    assert_eq!(reset("short").status, 422);
    reset("password-2").expect(200);
    assert_eq!(
        reset("password-3").expect(400)["error_code"],
        "invalid_token"
    );
    let sign_in = |password: &str| {
        server
            .post(
                "/api/auth/signin",
                json!({"email": "ann@example.com", "password": password}),
            )
            .status
    };
    assert_eq!((sign_in("password-1"), sign_in("password-2")), (401, 200));
    // Three an hour for an address, and no more.
    let statuses: Vec<u16> = (0..3).map(|_| forgot("ann@example.com").status).collect();
    assert_eq!(statuses, [202, 202, 429]);
}

#[test]
fn a_link_never_leads_to_a_made_up_host() {
    let server = Settings::new().start();
    let ann = server.sign_up("ann@example.com");
    let body = json!({"email": "ann@example.com"}).to_string();
    server
        .send(
            "POST",
            "/api/auth/forgot-password",
            &[("host", "evil.example")],
            body.as_bytes(),
        )
        .expect(202);
    until("the mail is in the outbox", || {
        let mails = ann.get("/api/dev/outbox").expect(200);
        let body = mails[0]["body"].as_str().unwrap_or_default().to_owned();
        assert!(!body.contains("evil.example"));
        body.contains("\n/reset-password?token=")
    });
}

#[test]
fn origins_decide_who_changes_things() {
    let server = Settings::new()
        .with(
            "CORS_ORIGINS",
            "http://localhost:30000, https://todo.example",
        )
        .start();
    let ann = server.sign_up("ann@example.com");
    let bearer = format!("Bearer {}", ann.token);
    let cookie = format!("todo_session={}", ann.token);
    let check = |headers: &[(&str, &str)], expected: u16| {
        let answer = server.send("POST", "/api/tasks", headers, br#"{"title":"t"}"#);
        assert_eq!(answer.status, expected, "{headers:?}");
    };
    let own = format!("http://localhost:{}", server.port);
    check(&[("authorization", &bearer)], 201);
    check(&[("cookie", &cookie)], 201);
    check(&[("cookie", &cookie), ("origin", &own)], 201);
    check(
        &[("cookie", &cookie), ("origin", "http://localhost:30000")],
        201,
    );
    check(
        &[("cookie", &cookie), ("origin", "https://evil.example")],
        403,
    );
    check(&[("cookie", &cookie), ("origin", "null")], 403);
    check(
        &[("cookie", &cookie), ("sec-fetch-site", "cross-site")],
        403,
    );
    check(
        &[
            ("cookie", &cookie),
            ("x-forwarded-host", "todo.localhost"),
            ("origin", "http://todo.localhost"),
        ],
        201,
    );

    let echo = |origin: &str, path: &str| {
        let answer = server.send("GET", path, &[("origin", origin)], b"");
        answer
            .header("access-control-allow-origin")
            .map(ToOwned::to_owned)
    };
    assert_eq!(
        echo("https://todo.example", "/health").as_deref(),
        Some("https://todo.example")
    );
    assert_eq!(
        echo("https://todo.example", "/api/tasks").as_deref(),
        Some("https://todo.example"),
        "on errors too"
    );
    assert_eq!(echo("https://evil.example", "/health"), None);
    let preflight = server.send(
        "OPTIONS",
        "/api/tasks",
        &[
            ("origin", "https://todo.example"),
            ("access-control-request-method", "POST"),
        ],
        b"",
    );
    assert_eq!(preflight.status, 204);
    assert_eq!(
        preflight.header("access-control-allow-credentials"),
        Some("true")
    );
}

#[test]
fn the_sixty_first_request_waits() {
    let server = Settings::new().with("RATE_LIMIT_PER_MINUTE", "60").start();
    let ann = server.sign_up("ann@example.com");
    let bob = server.sign_up("bob@example.com");
    let mut statuses = Vec::new();
    let mut last = ann.get("/api/auth/session");
    for _ in 0..62 {
        statuses.push(last.status);
        last = ann.get("/api/auth/session");
    }
    // The bucket refills by one a second, so a slow machine gets a few more.
    let refused = statuses.iter().filter(|status| **status == 429).count();
    assert!(
        (1..=3).contains(&refused) || statuses[..60].iter().all(|status| *status == 200),
        "{statuses:?}"
    );
    until("a refusal", || ann.get("/api/auth/session").status == 429);
    let refused = ann.get("/api/auth/session");
    assert!(refused.status == 200 || refused.header("retry-after").is_some());
    bob.get("/api/auth/session").expect(200);
    assert_eq!(server.get("/health").status, 200);
    assert!(server.get("/metrics").text().contains("rate_limited_total"));
}
