//! Counters in the Prometheus text format (version 0.0.4).

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use axum::extract::State;
use axum::response::IntoResponse;
use http::header::CONTENT_TYPE;

use super::AppState;
use crate::db::Usage;

/// The counters of a process.
#[derive(Default)]
pub struct Metrics {
    requests: Mutex<BTreeMap<(String, String, u16), u64>>,
    inflight: AtomicI64,
    chat_inflight: AtomicI64,
    rate_limited: AtomicU64,
}

/// Counts one thing under way until it is dropped.
pub struct Inflight<'a>(&'a AtomicI64);

impl Drop for Inflight<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Metrics {
    /// Counts a request that begins.
    pub fn begin(&self) -> Inflight<'_> {
        self.inflight.fetch_add(1, Ordering::Relaxed);
        Inflight(&self.inflight)
    }

    /// Counts a turn of the assistant that begins.
    pub fn begin_chat(&self) -> Inflight<'_> {
        self.chat_inflight.fetch_add(1, Ordering::Relaxed);
        Inflight(&self.chat_inflight)
    }

    /// Counts an answered request under its route, not its path: paths hold
    /// ids and would grow without bound.
    pub fn answered(&self, method: &str, route: &str, status: u16) {
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        *requests
            .entry((route.to_owned(), method.to_owned(), status))
            .or_default() += 1;
    }

    /// Counts a refused request.
    pub fn limited(&self) {
        self.rate_limited.fetch_add(1, Ordering::Relaxed);
    }

    fn text(&self, usage: Usage) -> String {
        let mut text = String::from(
            "# HELP todo_http_requests_total Requests answered.\n\
             # TYPE todo_http_requests_total counter\n",
        );
        let requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        for ((route, method, status), count) in requests.iter() {
            let labels = format!(r#"method="{method}",route="{route}",status="{status}""#);
            let _ = writeln!(text, "todo_http_requests_total{{{labels}}} {count}");
        }
        drop(requests);
        let gauges = [
            (
                "todo_http_inflight_requests",
                "gauge",
                "Requests under way.",
                self.inflight.load(Ordering::Relaxed),
            ),
            (
                "todo_chat_inflight",
                "gauge",
                "Turns of the assistant under way.",
                self.chat_inflight.load(Ordering::Relaxed),
            ),
            (
                "rate_limited_total",
                "counter",
                "Requests refused by the limit.",
                self.rate_limited.load(Ordering::Relaxed) as i64,
            ),
            (
                "db_pool_size",
                "gauge",
                "Database connections kept open.",
                i64::from(usage.size),
            ),
            (
                "db_pool_max",
                "gauge",
                "Most database connections.",
                i64::from(usage.max),
            ),
            (
                "db_pool_in_use",
                "gauge",
                "Database connections in use.",
                i64::from(usage.in_use),
            ),
        ];
        for (name, kind, help, value) in gauges {
            let _ = write!(
                text,
                "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n"
            );
        }
        text
    }
}

/// `GET /metrics`.
pub async fn show(State(state): State<AppState>) -> impl IntoResponse {
    let text = state.metrics().text(state.database().usage());
    (
        [(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")],
        text,
    )
}
