//! Files: kinds, sizes, owners, hostile names, and Cloudinary.

use serde_json::{Value, json};

use crate::support::{Mock, Reply, Settings};

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n and the rest";

#[test]
fn an_attachment_comes_back_to_its_owner_only() {
    let server = Settings::new().start();
    let (ann, bob) = (
        server.sign_up("ann@example.com"),
        server.sign_up("bob@example.com"),
    );
    ann.add("With a file");
    let stored = ann
        .upload("/api/tasks/1/attachments", "../../etc/\"x\".txt", b"hello")
        .expect(201);
    assert_eq!(stored["storage"], "local");
    assert_eq!(stored["content_type"], "text/plain; charset=utf-8");
    let url = stored["url"].as_str().expect("url");
    let file = ann.get(url);
    assert_eq!((file.status, file.text().as_str()), (200, "hello"));
    assert_eq!(file.header("x-content-type-options"), Some("nosniff"));
    assert!(
        file.header("content-disposition")
            .is_some_and(|value| value.starts_with("attachment; filename="))
    );
    assert_eq!(bob.get(url).status, 404);
    assert_eq!(server.get(url).status, 401);
    let signed = stored["signed_url"].as_str().expect("signed");
    assert_eq!(server.get(signed).status, 200);
    assert_eq!(server.get(&signed.replace("until=", "until=9")).status, 404);
    assert_eq!(
        bob.upload("/api/tasks/1/attachments", "a.txt", b"x").status,
        404
    );
    assert_eq!(
        ann.get("/api/tasks/1/attachments")
            .expect(200)
            .as_array()
            .map(Vec::len),
        Some(1)
    );
    let one = format!(
        "/api/tasks/1/attachments/{}",
        stored["id"].as_str().expect("id")
    );
    assert_eq!(bob.send("DELETE", &one, Value::Null).status, 404);
    assert_eq!(ann.send("DELETE", &one, Value::Null).status, 204);
    assert_eq!(ann.get(url).status, 404);
}

#[test]
fn paths_and_contents_that_are_refused() {
    let server = Settings::new().start();
    let ann = server.sign_up("ann@example.com");
    ann.add("With a file");
    for path in [
        "/uploads/../Cargo.toml",
        "/uploads/%2e%2e/%2e%2e/etc/passwd",
        "/uploads/avatars/..%2f..%2fetc%2fpasswd",
        "/uploads//etc/passwd",
        "/uploads/avatars",
    ] {
        let status = ann.get(path).status;
        assert!(status == 404, "{path} answers {status}");
    }
    let check = |name: &str, bytes: &[u8], expected: u16| {
        assert_eq!(
            ann.upload("/api/tasks/1/attachments", name, bytes).status,
            expected,
            "{name}"
        );
    };
    check("picture.png", b"\x7fELF", 415);
    check("page.html", b"<script>\0</script>", 415);
    check("empty.txt", b"", 415);
    check("large.txt", &vec![b'a'; 5 * 1024 * 1024 + 1], 413);
    check("huge.txt", &vec![b'a'; 8 * 1024 * 1024], 413);
    check("full.txt", &vec![b'a'; 5 * 1024 * 1024], 201);
    assert_eq!(
        ann.post("/api/tasks/1/attachments", json!({})).expect(422)["detail"],
        "send the file as multipart/form-data"
    );
}

#[test]
fn an_avatar_replaces_the_last_one() {
    let server = Settings::new().start();
    let ann = server.sign_up("ann@example.com");
    let first = ann
        .upload("/api/users/me/avatar", "me.png", PNG)
        .expect(200);
    let url = first["avatar_url"].as_str().expect("url").to_owned();
    assert_eq!(
        ann.get("/api/users/me").expect(200)["avatar_url"],
        url.as_str()
    );
    assert_eq!(ann.get(&url).header("content-type"), Some("image/png"));
    assert_eq!(server.sign_up("bob@example.com").get(&url).status, 404);
    ann.upload("/api/users/me/avatar", "me.png", PNG)
        .expect(200);
    assert_eq!(ann.get(&url).status, 404);
    assert_eq!(
        ann.upload("/api/users/me/avatar", "me.pdf", b"%PDF-1.4")
            .status,
        415
    );
}

#[test]
fn a_volume_that_cannot_be_written_is_said() {
    let server = Settings::new().with("UPLOADS_DIR", "/proc/nowhere").start();
    let ann = server.sign_up("ann@example.com");
    let answer = ann
        .upload("/api/users/me/avatar", "me.png", PNG)
        .expect(503);
    assert_eq!(answer["error_code"], "storage_unavailable");
    assert!(!answer.to_string().contains("/proc"));
}

#[test]
fn cloudinary_gets_a_signed_upload() {
    let mock = Mock::start(|_, _| {
        Reply::Json(
            200,
            json!({"secure_url": "https://res.cloudinary.com/demo/x.png"}),
        )
    });
    let settings = || {
        Settings::new()
            .with("CLOUDINARY_CLOUD_NAME", "demo")
            .with("CLOUDINARY_API_KEY", "key-1")
            .with("CLOUDINARY_BASE_URL", &mock.url())
    };
    let server = settings()
        .with("CLOUDINARY_API_SECRET", "secret-canary")
        .start();
    let ann = server.sign_up("ann@example.com");
    let answer = ann
        .upload("/api/users/me/avatar", "me.png", PNG)
        .expect(200);
    assert_eq!(
        answer,
        json!({"avatar_url": "https://res.cloudinary.com/demo/x.png", "storage": "cloudinary"})
    );
    let asked = mock.asked();
    assert_eq!(asked[0].path, "/v1_1/demo/auto/upload");
    let body = String::from_utf8_lossy(&asked[0].body).into_owned();
    let field = |name: &str| {
        let after = body
            .split(&format!("name=\"{name}\"\r\n\r\n"))
            .nth(1)
            .expect(name);
        after.split("\r\n").next().expect("value").to_owned()
    };
    let signed = format!(
        "folder={}&timestamp={}secret-canary",
        field("folder"),
        field("timestamp")
    );
    let hash = ring::digest::digest(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY, signed.as_bytes());
    let hash: String = hash
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert_eq!(
        (field("signature"), field("api_key")),
        (hash, "key-1".to_owned())
    );
    assert!(!body.contains("secret-canary") && !server.log_text().contains("secret-canary"));

    let partial = settings().start();
    assert!(
        partial
            .log_text()
            .contains("Cloudinary needs name, key and secret")
    );
    let ann = partial.sign_up("ann@example.com");
    assert_eq!(
        ann.upload("/api/users/me/avatar", "me.png", PNG)
            .expect(200)["storage"],
        "local"
    );
}
