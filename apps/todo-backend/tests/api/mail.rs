//! Mail by SMTP and by Resend.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use serde_json::json;

use crate::support::{Mock, Reply, Settings, until};

/// An SMTP server that notes what it is told.
fn smtp() -> (u16, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("address").port();
    let told: Arc<Mutex<Vec<String>>> = Arc::default();
    let record = Arc::clone(&told);
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let mut writer = stream.try_clone().expect("cloned");
            let mut say = move |text: &str| {
                let _ = writer.write_all(format!("{text}\r\n").as_bytes());
            };
            say("220 mock");
            let mut in_data = false;
            for line in BufReader::new(stream).lines().map_while(Result::ok) {
                record.lock().expect("no panic").push(line.clone());
                match line.split(' ').next().unwrap_or_default() {
                    "." if in_data => {
                        in_data = false;
                        say("250 ok");
                    }
                    _ if in_data => {}
                    "EHLO" => say("250-mock\r\n250 AUTH PLAIN"),
                    "AUTH" => say("235 ok"),
                    "DATA" => {
                        in_data = true;
                        say("354 go");
                    }
                    "QUIT" => say("221 bye"),
                    _ => say("250 ok"),
                }
            }
        }
    });
    (port, told)
}

#[test]
fn gmail_logs_in_and_sends() {
    let (port, told) = smtp();
    let server = Settings::new()
        .with("EMAIL_PROVIDER", "gmail")
        .with("GMAIL_EMAIL", "me@gmail.example")
        .with("GMAIL_APP_PASSWORD", "app-canary")
        .with("FROM_EMAIL", "noreply@puretasks.com")
        .with("FRONTEND_URL", "http://localhost:30000")
        .with("SMTP_URL", &format!("smtp://127.0.0.1:{port}"))
        .start();
    let ann = server.sign_up("ann@example.com");
    server
        .post(
            "/api/auth/forgot-password",
            json!({"email": "ann@example.com"}),
        )
        .expect(202);
    until("the mail is taken", || {
        told.lock()
            .expect("no panic")
            .iter()
            .any(|line| line == "QUIT")
    });
    let told = told.lock().expect("no panic").clone();
    let login = base64::engine::general_purpose::STANDARD.encode("\0me@gmail.example\0app-canary");
    for expected in [
        format!("AUTH PLAIN {login}"),
        "MAIL FROM:<me@gmail.example>".into(),
        "RCPT TO:<ann@example.com>".into(),
        "From: noreply@puretasks.com".into(),
    ] {
        assert!(told.contains(&expected), "{expected} is not in {told:?}");
    }
    let start = told.iter().position(String::is_empty).expect("a body") + 1;
    let end = told.iter().position(|line| line == ".").expect("an end");
    let text = base64::engine::general_purpose::STANDARD
        .decode(told[start..end].concat())
        .expect("base64");
    assert!(
        String::from_utf8_lossy(&text).contains("http://localhost:30000/reset-password?token=")
    );
    assert!(!server.log_text().contains("app-canary"));
    assert_eq!(
        ann.get("/api/dev/outbox").status,
        404,
        "the outbox is the console's"
    );
}

#[test]
fn resend_is_called() {
    let mock = Mock::start(|_, _| Reply::Json(200, json!({"id": "1"})));
    let server = Settings::new()
        .with("EMAIL_PROVIDER", "resend")
        .with("RESEND_API_KEY", "re-canary")
        .with("RESEND_BASE_URL", &mock.url())
        .with("FROM_EMAIL", "noreply@puretasks.com")
        .with("PUBLIC_URL", "https://todo.example")
        .start();
    server.sign_up("ann@example.com");
    server
        .post(
            "/api/auth/forgot-password",
            json!({"email": "ann@example.com"}),
        )
        .expect(202);
    until("the mail is taken", || !mock.asked().is_empty());
    let asked = &mock.asked()[0];
    assert_eq!(
        (asked.path.as_str(), asked.headers["authorization"].as_str()),
        ("/emails", "Bearer re-canary")
    );
    let body = asked.json();
    assert_eq!(
        (&body["from"], &body["to"]),
        (&json!("noreply@puretasks.com"), &json!(["ann@example.com"]))
    );
    assert!(
        body["text"]
            .as_str()
            .expect("text")
            .contains("https://todo.example/reset-password?token=")
    );
}
