//! SQLite shared by processes, and a real PostgreSQL.

use serde_json::json;

use crate::support::{Postgres, Server, Settings, until};

/// The same story on any database.
fn story(server: &Server) {
    let ann = server.sign_up("ann@example.com");
    let bob = server.sign_up("bob@example.com");
    assert_eq!(
        server
            .post(
                "/api/auth/signup",
                json!({"email": "ann@example.com", "password": "password-1"})
            )
            .status,
        409
    );
    let body = json!({"title": "Buy milk", "due_date": "2030-01-02T03:04:05.678Z", "tags": ["a"], "priority": "high", "recurrence": {"frequency": "daily"}});
    let task = ann.post("/api/tasks", body).expect(201);
    assert_eq!(
        (&task["id"], &task["due_date"]),
        (&json!(1), &json!("2030-01-02T03:04:05.678Z"))
    );
    ann.add("Second");
    assert_eq!(bob.add("Bob's")["id"], 1);
    let changed = ann
        .send(
            "PATCH",
            "/api/tasks/2",
            json!({"due_date": "2030-01-01", "description": "é ' \" % _"}),
        )
        .expect(200);
    assert_eq!(changed["description"], "é ' \" % _");
    assert_eq!(
        ann.get("/api/tasks?sort=due_date&status=pending&tag=a&q=MILK&due_before=2031-01-01")
            .expect(200)["total"],
        1
    );
    ann.send("PATCH", "/api/tasks/1/complete", json!(null))
        .expect(200);
    assert_eq!(
        ann.get("/api/tasks").expect(200)["total"],
        3,
        "it comes back"
    );
    assert_eq!(
        ann.send("PATCH", "/api/tasks/1", json!({"completed": false}))
            .expect(200)["completed"],
        false
    );
    assert_eq!(ann.get("/api/stats").expect(200)["total"], 3);
    let chat = ann.chat("What's pending?", None);
    ann.chat("delete task 2", chat["conversation_id"].as_i64());
    assert_eq!(
        ann.get("/api/conversations").expect(200)[0]["message_count"],
        4
    );
    assert_eq!(bob.get("/api/conversations").expect(200), json!([]));
    ann.upload("/api/tasks/1/attachments", "a.txt", b"hello")
        .expect(201);
    assert_eq!(ann.send("DELETE", "/api/tasks/1", json!(null)).status, 204);
    ann.send("PATCH", "/api/users/me", json!({"name": "Anna"}))
        .expect(200);
    server
        .post(
            "/api/auth/forgot-password",
            json!({"email": "ann@example.com"}),
        )
        .expect(202);
    until("the mail is kept", || {
        ann.get("/api/dev/outbox").expect(200)[0]["to"] == "ann@example.com"
    });
    let soon = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(30);
    ann.post(
        "/api/tasks",
        json!({"title": "Soon", "due_date": soon.to_string(), "reminders": [{"before": "PT30S"}]}),
    )
    .expect(201);
    until("the reminder fires", || {
        ann.get("/api/notifications").expect(200)["unread"] == 1
    });
}

#[test]
fn the_story_on_sqlite() {
    story(&Settings::new().start());
}

/// Three servers write one file; one is killed on the way.
#[test]
fn sqlite_serves_three_writers_and_survives_a_kill() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let url = format!("sqlite://{}/todo.db", folder.path().display());
    let servers: Vec<Server> = (0..3)
        .map(|_| Settings::new().with("DATABASE_URL", &url).start())
        .collect();
    let token = servers[0].sign_up("ann@example.com").token;
    let bearer = format!("Bearer {token}");
    let write = |server: &Server, title: &str| {
        let body = json!({"title": title}).to_string();
        server
            .send(
                "POST",
                "/api/tasks",
                &[("authorization", &bearer)],
                body.as_bytes(),
            )
            .status
    };
    let written: Vec<usize> = std::thread::scope(|scope| {
        let write = &write;
        let threads: Vec<_> = servers[..2]
            .iter()
            .map(|server| {
                scope.spawn(move || {
                    (0..50)
                        .filter(|n| write(server, &n.to_string()) == 201)
                        .count()
                })
            })
            .collect();
        for n in 0..20 {
            write(&servers[2], &n.to_string());
        }
        servers[2].signal("-KILL");
        threads
            .into_iter()
            .map(|thread| thread.join().expect("no panic"))
            .collect()
    });
    assert_eq!(written, [50, 50]);
    let list = servers[0]
        .send(
            "GET",
            "/api/tasks?limit=1",
            &[("authorization", &bearer)],
            b"",
        )
        .expect(200);
    assert_eq!(list["total"], 120);
    assert_eq!(write(&servers[1], "after the kill"), 201);
}

#[test]
fn the_story_on_postgresql() {
    let Some(postgres) = Postgres::start() else {
        return;
    };
    let server = Settings::new()
        .with("DATABASE_URL", &postgres.url("right", "sslmode=disable"))
        .start();
    story(&server);
    assert!(server.get("/metrics").text().contains("db_pool_max 15"));
}

/// More requests than connections: they wait for one another, none is refused,
/// and the server never sees more than the pool allows.
#[test]
fn requests_wait_for_a_connection() {
    let Some(postgres) = Postgres::start() else {
        return;
    };
    let server = Settings::new()
        .with("DATABASE_URL", &postgres.url("right", "sslmode=disable"))
        // Without overflow none is closed on the way, which would be counted
        // until the server has let it go.
        .with("DATABASE_POOL_SIZE", "3")
        .with("DATABASE_MAX_OVERFLOW", "0")
        .start();
    assert!(server.get("/metrics").text().contains("db_pool_max 3"));
    let ann = server.sign_up("ann@example.com");
    let most = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..12)
            .map(|_| scope.spawn(|| (0..10).for_each(|_| drop(ann.add("t")))))
            .collect();
        // Connections are kept: some are there however late one looks.
        let mut most = postgres.connections();
        while !writers
            .iter()
            .all(std::thread::ScopedJoinHandle::is_finished)
        {
            most = most.max(postgres.connections());
        }
        most
    });
    assert!((1..=3).contains(&most), "{most} connections");
    assert_eq!(ann.get("/api/tasks?limit=1").expect(200)["total"], 120);
    assert_eq!(ann.add("last")["id"], 121, "no number is given twice");
}

/// Two replicas start at once on empty tables.
#[test]
fn replicas_migrate_without_a_race() {
    let Some(postgres) = Postgres::start() else {
        return;
    };
    let url = postgres.url("right", "sslmode=disable");
    let servers: Vec<Server> = (0..3)
        .map(|_| Settings::new().with("DATABASE_URL", &url).start_unready())
        .collect();
    for server in &servers {
        server.wait_for("/ready", 200);
    }
    servers[0].sign_up("ann@example.com");
}

#[test]
fn postgresql_that_goes_and_comes() {
    let Some(mut postgres) = Postgres::start() else {
        return;
    };
    let url = postgres.url("right", "sslmode=disable");
    let server = Settings::new().with("DATABASE_URL", &url).start();
    let ann = server.sign_up("ann@example.com");
    ann.add("before");
    postgres.restart();
    until("reads work again", || ann.get("/api/tasks").status == 200);
    until("writes work again", || {
        ann.post("/api/tasks", json!({"title": "after"})).status == 201
    });
    postgres.stop();
    until("it is noticed", || server.get("/ready").status == 503);
    assert_eq!(server.get("/health").status, 200);
    let health = server.get("/api/health").expect(200);
    assert_eq!(
        (&health["status"], &health["database"]),
        (&json!("degraded"), &json!("disconnected"))
    );
    assert_eq!(ann.get("/api/tasks").status, 503);
    postgres.restart();
    server.wait_for("/ready", 200);
    until("reads work again", || ann.get("/api/tasks").status == 200);
    assert_eq!(ann.titles().first().map(String::as_str), Some("before"));
}

#[test]
fn what_postgresql_refuses_is_named() {
    let Some(postgres) = Postgres::start() else {
        return;
    };
    let good = Settings::new()
        .with("DATABASE_URL", &postgres.url("right", "sslmode=disable"))
        .start();
    drop(good);
    let check = |url: &str, words: &str| {
        let server = Settings::new().with("DATABASE_URL", url).start_unready();
        until(words, || server.get("/ready").text().contains(words));
        assert_eq!(server.get("/api/health").status, 503);
        assert!(!server.log_text().contains("wrong-canary"));
    };
    check(
        &postgres.url("wrong-canary", "sslmode=disable"),
        "password authentication failed",
    );
    check(&postgres.url("right", "sslmode=require"), "TLS");
    check(
        "postgresql://u:p@127.0.0.1:1/d?sslmode=disable",
        "127.0.0.1:1",
    );
    check(
        "postgresql://u:p@no-such-name.invalid/d",
        "no-such-name.invalid",
    );
}

#[test]
fn tls_and_channel_binding_are_used() {
    let Some(mut postgres) = Postgres::start() else {
        return;
    };
    if !postgres.turn_tls_on() {
        return;
    }
    let start = |query: &str| {
        Settings::new()
            .with("DATABASE_URL", &postgres.url("right", query))
            .start_unready()
    };
    start("sslmode=require&channel_binding=require").wait_for("/ready", 200);
    start("sslmode=prefer").wait_for("/ready", 200);
    let roots = postgres.folder().join("root.crt");
    std::fs::copy(postgres.folder().join("data/server.crt"), &roots).expect("copied");
    let unverified = start("sslmode=verify-full");
    until("the certificate is refused", || {
        unverified.get("/ready").text().contains("certificate")
    });
    assert_eq!(unverified.get("/ready").status, 503);
}
