//! Any request of somebody who is signed in gets an answer, and never a fault
//! of the server: JSON bodies, forms with files, words for the assistant,
//! queries, and JSON-RPC at `/mcp`.
//!
//! An input is lines: method and path, `Content-Type`, `Accept`; the rest is
//! the body.
#![no_main]

use std::sync::OnceLock;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use todo_backend::config::Config;
use todo_backend::db::Database;
use todo_backend::http::{AppState, router};
use tower::ServiceExt as _;

struct World {
    state: AppState,
    token: String,
    runtime: tokio::runtime::Runtime,
    _folder: tempfile::TempDir,
}

fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let at = folder.path().display().to_string();
        let variables = |name: &str| match name {
            "DATABASE_URL" => Some(format!("sqlite://{at}/todo.db")),
            "UPLOADS_DIR" => Some(format!("{at}/uploads")),
            "BETTER_AUTH_SECRET" => Some("a secret of more than thirty-two bytes".to_owned()),
            "RATE_LIMIT_PER_MINUTE" => Some("0".to_owned()),
            _ => None,
        };
        let (config, _) = Config::from_variables(&variables).expect("it is a configuration");
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let state = AppState::new(config.clone(), Database::new(&config));
        let token = runtime.block_on(async {
            state.database().connect().await;
            let body = r#"{"email": "ann@example.com", "password": "correct horse battery"}"#;
            let request = Request::post("/api/auth/signup").body(Full::from(body));
            let answer = ask(&state, request.expect("it is a request")).await.1;
            let answer: serde_json::Value = serde_json::from_slice(&answer).expect("it is JSON");
            answer["token"].as_str().expect("a token").to_owned()
        });
        World {
            state,
            token,
            runtime,
            _folder: folder,
        }
    })
}

async fn ask(state: &AppState, request: Request<Full<Bytes>>) -> (u16, Bytes) {
    let is_mcp = request.uri().path().starts_with("/mcp");
    let service = match is_mcp {
        true => todo_backend::mcp::router(state.clone()),
        false => router(state.clone()),
    };
    let answer: Response<_> = service.oneshot(request).await.expect("an answer");
    let status = answer.status().as_u16();
    let body = answer.into_body().collect().await.expect("a body");
    (status, body.to_bytes())
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let mut parts = bytes.splitn(4, |byte| *byte == b'\n');
    let mut line = || parts.next().unwrap_or_default();
    let first = std::str::from_utf8(line()).unwrap_or_default();
    let Some((method, path)) = first.split_once(' ') else {
        return;
    };
    let world = world();
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", "localhost")
        .header("authorization", format!("Bearer {}", world.token));
    for name in ["content-type", "accept"] {
        let value = line();
        if !value.is_empty() {
            request = request.header(name, value);
        }
    }
    let Ok(request) = request.body(Full::new(Bytes::copy_from_slice(line()))) else {
        return;
    };
    let (status, body) = world.runtime.block_on(ask(&world.state, request));
    assert!(status < 500, "{status}: {}", String::from_utf8_lossy(&body));
});
