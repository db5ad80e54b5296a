//! Any request gets an answer: paths, options, continue tokens, bearer tokens,
//! accept headers and bodies of every form.
//!
//! An input is lines: method and path, `Accept`, `Content-Type`,
//! `Authorization`; the rest is the body.
#![no_main]

use std::sync::OnceLock;

use coracle_apiserver::{ApiServer, Config, Identity};
use http::Request;
use http_body_util::{BodyExt as _, Full};
use tower::Service as _;

struct World {
    server: ApiServer,
    runtime: tokio::runtime::Runtime,
    _folder: tempfile::TempDir,
}

fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let config = Config::new(folder.path().to_owned(), [7; 32]);
        World {
            server: ApiServer::open(config).expect("an empty folder opens"),
            runtime: tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime"),
            _folder: folder,
        }
    })
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let mut parts = bytes.splitn(5, |byte| *byte == b'\n');
    let mut line = || parts.next().unwrap_or_default();
    let Some((method, path)) = std::str::from_utf8(line())
        .ok()
        .and_then(|first| first.split_once(' '))
    else {
        return;
    };
    let mut request = Request::builder().method(method).uri(path);
    for name in ["accept", "content-type", "authorization"] {
        let value = line();
        if !value.is_empty() {
            request = request.header(name, value);
        }
    }
    // Watches do not end by themselves.
    if path.contains("watch") {
        return;
    }
    let Ok(request) = request.body(Full::new(bytes::Bytes::copy_from_slice(line()))) else {
        return;
    };
    let world = world();
    world.runtime.block_on(async {
        let mut service = world.server.service(Identity::admin());
        let answer = service.call(request).await.expect("an answer");
        let _ = answer.into_body().collect().await;
    });
});
