//! `todo-frontend healthcheck [URL]`: asks `GET /api/health` of the server on
//! this machine, or any URL (the chart's test does), and exits 0 or 1, so
//! that the image needs no shell and no curl.

use std::process::ExitCode;

use axum::body::Body;
use http::Request;

use crate::config::{DEFAULT_PORT, Upstream};
use crate::net::upstream::Client;

/// Exits 0 when the answer is 200.
pub fn run(url: Option<String>) -> ExitCode {
    let port = std::env::var("PORT")
        .ok()
        .and_then(|port| port.parse().ok());
    let own = format!(
        "http://127.0.0.1:{}/api/health",
        port.unwrap_or(DEFAULT_PORT)
    );
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let outcome = match runtime {
        Ok(runtime) => runtime.block_on(ask(&url.unwrap_or(own))),
        Err(error) => Err(error.to_string()),
    };
    match outcome {
        Ok(200) => ExitCode::SUCCESS,
        Ok(status) => {
            crate::say(&format!("unhealthy: status {status}\n"));
            ExitCode::FAILURE
        }
        Err(error) => {
            crate::say(&format!("unhealthy: {error}\n"));
            ExitCode::FAILURE
        }
    }
}

async fn ask(url: &str) -> Result<u16, String> {
    let uri: http::Uri = url.parse().map_err(|_| format!("{url} is no URL"))?;
    let path = uri
        .path_and_query()
        .map_or("/", http::uri::PathAndQuery::as_str)
        .to_owned();
    let upstream = Upstream::parse("URL", url).ok_or_else(|| format!("{url} is no http URL"))?;
    let request = Request::get(path)
        .body(Body::empty())
        .map_err(|error| error.to_string())?;
    let answer = Client::new(Some(upstream)).send(request).await;
    answer
        .map(|answer| answer.status().as_u16())
        .map_err(|error| error.to_string())
}
