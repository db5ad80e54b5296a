//! Style sheet, script and icon, inside the binary.
//!
//! Their URLs hold a hash of the content, so production lets browsers keep
//! them for ever; development lets them keep nothing.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write;
use std::sync::LazyLock;

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::header::{self, HeaderMap};
use http::{HeaderValue, StatusCode};

use crate::server::App;

struct Asset {
    name: String,
    kind: &'static str,
    plain: &'static [u8],
    gzip: Vec<u8>,
}

static STYLE: LazyLock<Asset> = LazyLock::new(|| {
    asset(
        "app",
        "css",
        "text/css; charset=utf-8",
        include_bytes!("../assets/app.css"),
    )
});
static SCRIPT: LazyLock<Asset> = LazyLock::new(|| {
    asset(
        "app",
        "js",
        "text/javascript; charset=utf-8",
        include_bytes!("../assets/app.js"),
    )
});
static ICON: LazyLock<Asset> = LazyLock::new(|| {
    asset(
        "icon",
        "svg",
        "image/svg+xml",
        include_bytes!("../assets/icon.svg"),
    )
});

fn asset(stem: &str, ending: &str, kind: &'static str, plain: &'static [u8]) -> Asset {
    let mut hasher = DefaultHasher::new();
    plain.hash(&mut hasher);
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    // Writing into a vector cannot fail; an empty result falls back to plain.
    let gzip = encoder
        .write_all(plain)
        .and_then(|()| encoder.finish())
        .unwrap_or_default();
    Asset {
        name: format!("{stem}-{:016x}.{ending}", hasher.finish()),
        kind,
        plain,
        gzip,
    }
}

/// Returns the path of the style sheet.
pub fn style_path() -> String {
    format!("/_app/{}", STYLE.name)
}

/// Returns the path of the script.
pub fn script_path() -> String {
    format!("/_app/{}", SCRIPT.name)
}

/// Returns the path of the icon.
pub fn icon_path() -> String {
    format!("/_app/{}", ICON.name)
}

/// `GET /_app/{name}`.
pub async fn serve(
    State(app): State<App>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Response {
    let known = [&STYLE, &SCRIPT, &ICON];
    match known.into_iter().find(|asset| asset.name == name) {
        Some(asset) => answer(asset, app.config().production, &headers),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

/// `GET /favicon.ico`, for browsers that ask without being told.
pub async fn icon(headers: HeaderMap) -> Response {
    answer(&ICON, false, &headers)
}

fn answer(asset: &Asset, keep: bool, headers: &HeaderMap) -> Response {
    let accepted = headers
        .get(header::ACCEPT_ENCODING)
        .and_then(|value| value.to_str().ok());
    let compressed = accepted.is_some_and(|list| list.contains("gzip")) && !asset.gzip.is_empty();
    let body = if compressed {
        asset.gzip.clone()
    } else {
        asset.plain.to_vec()
    };
    let mut response = body.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(asset.kind));
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    if compressed {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    let caching = if keep {
        "public, max-age=31536000, immutable"
    } else {
        "no-store"
    };
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(caching));
    response
}
