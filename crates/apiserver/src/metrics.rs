//! Counters in Prometheus' text form, under upstream's names where it has one.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use http::{Method, StatusCode};
use parking_lot::Mutex;

use crate::server::Core;

#[derive(Default)]
struct Series {
    count: u64,
    seconds: f64,
}

/// What is counted.
#[derive(Default)]
pub struct Metrics(Mutex<BTreeMap<(String, u16), Series>>);

impl Metrics {
    /// Counts an answered request. The time is that until the answer began.
    pub fn observe(&self, method: &Method, status: StatusCode, time: Duration) {
        let mut series = self.0.lock();
        let one = series
            .entry((known_method(method).to_owned(), status.as_u16()))
            .or_default();
        one.count += 1;
        one.seconds += time.as_secs_f64();
    }

    /// Writes all series.
    pub fn text(&self, core: &Core) -> String {
        let mut out = String::from("# TYPE apiserver_request_total counter\n");
        let series = self.0.lock();
        for ((method, code), one) in series.iter() {
            let _ = writeln!(
                out,
                "apiserver_request_total{{verb=\"{method}\",code=\"{code}\"}} {}",
                one.count
            );
        }
        out.push_str("# TYPE apiserver_request_duration_seconds summary\n");
        for ((method, code), one) in series.iter() {
            let labels = format!("{{verb=\"{method}\",code=\"{code}\"}}");
            let _ = writeln!(
                out,
                "apiserver_request_duration_seconds_sum{labels} {}",
                one.seconds
            );
            let _ = writeln!(
                out,
                "apiserver_request_duration_seconds_count{labels} {}",
                one.count
            );
        }
        out.push_str("# TYPE coracle_store_revision counter\n");
        let _ = writeln!(out, "coracle_store_revision {}", core.store.revision());
        out
    }
}

/// A client may send any word as a method; it must not grow the series.
fn known_method(method: &Method) -> &str {
    match method.as_str() {
        known @ ("GET" | "POST" | "PUT" | "PATCH" | "DELETE" | "HEAD" | "OPTIONS") => known,
        _ => "other",
    }
}
