//! Any request for a page gets an answer: cookies, queries, forms and paths of
//! every form, also when the API is away.
//!
//! An input is lines: method and path, `Cookie`, `Content-Type`; the rest is
//! the body.
#![no_main]

use std::sync::OnceLock;

use axum::Router;
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Full};
use todo_frontend::config::Config;
use todo_frontend::server::{App, router};
use tower::ServiceExt as _;

struct World {
    router: Router,
    runtime: tokio::runtime::Runtime,
}

fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| World {
        router: router(App::new(
            Config::from_variables(&|_| None).expect("every key has a default"),
        )),
        runtime: tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime"),
    })
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let mut parts = bytes.splitn(4, |byte| *byte == b'\n');
    let mut line = || parts.next().unwrap_or_default();
    let first = std::str::from_utf8(line()).unwrap_or_default();
    let Some((method, path)) = first.split_once(' ') else {
        return;
    };
    let mut request = Request::builder().method(method).uri(path);
    for name in ["cookie", "content-type"] {
        let value = line();
        if !value.is_empty() {
            request = request.header(name, value);
        }
    }
    let Ok(request) = request.body(Full::new(Bytes::copy_from_slice(line()))) else {
        return;
    };
    let world = world();
    world.runtime.block_on(async {
        let answer = world.router.clone().oneshot(request).await;
        let _ = answer.expect("an answer").into_body().collect().await;
    });
});
