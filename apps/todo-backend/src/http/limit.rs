//! A token bucket for each user, or for each address where no one signed in.
//!
//! The buckets are in this process: with several replicas each has its own.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, PoisonError};

use axum::extract::{ConnectInfo, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode};

use super::AppState;
use super::error::ApiError;
use crate::auth::caller::identify;
use crate::time::{Millis, now};

/// Buckets that are full again are dropped when there are this many.
const BUCKETS_MAX: usize = 10_000;

/// What a request was granted.
#[derive(Debug, PartialEq, Eq)]
pub struct Grant {
    /// Whether it may pass.
    pub allowed: bool,
    /// Whole requests left.
    pub remaining: u32,
    /// Seconds until one is free.
    pub retry_after_seconds: u64,
    /// Seconds until all are free.
    pub reset_seconds: u64,
}

struct Bucket {
    tokens: f64,
    at: Millis,
}

/// The buckets of a process.
#[derive(Default)]
pub struct Limiter(Mutex<HashMap<String, Bucket>>);

impl Limiter {
    /// Takes one token; a bucket holds `burst` and refills over `period_ms`.
    pub fn take(&self, key: &str, burst: u32, period_ms: Millis, at: Millis) -> Grant {
        let mut buckets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let rate = f64::from(burst) / period_ms as f64;
        if buckets.len() >= BUCKETS_MAX {
            buckets.retain(|_, bucket| at - bucket.at < period_ms);
        }
        let full = f64::from(burst);
        let bucket = buckets
            .entry(key.to_owned())
            .or_insert(Bucket { tokens: full, at });
        let gained = (at - bucket.at).max(0) as f64 * rate;
        bucket.tokens = (bucket.tokens + gained).min(full);
        bucket.at = at;
        let allowed = bucket.tokens >= 1.0;
        if allowed {
            bucket.tokens -= 1.0;
        }
        let missing = (1.0 - bucket.tokens).max(0.0);
        Grant {
            allowed,
            remaining: bucket.tokens as u32,
            retry_after_seconds: (missing / rate / 1000.0).ceil() as u64,
            reset_seconds: ((full - bucket.tokens) / rate / 1000.0).ceil() as u64,
        }
    }
}

/// Refuses what exceeds `RATE_LIMIT_PER_MINUTE`.
pub async fn limit(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let burst = state.config().rate_limit;
    if burst == 0 {
        return next.run(request).await;
    }
    let key = match identify(request.headers(), &state) {
        Ok(caller) => format!("user {}", caller.id),
        Err(_) => format!("address {}", client_address(&request)),
    };
    let grant = state.limiter().take(&key, burst, 60_000, now());
    let mut response = if grant.allowed {
        next.run(request).await
    } else {
        state.metrics().limited();
        too_many(grant.retry_after_seconds).into_response()
    };
    let headers = response.headers_mut();
    headers.insert("x-ratelimit-limit", HeaderValue::from(burst));
    headers.insert("x-ratelimit-remaining", HeaderValue::from(grant.remaining));
    headers.insert("x-ratelimit-reset", HeaderValue::from(grant.reset_seconds));
    response
}

/// Returns the answer for too many requests.
pub fn too_many(retry_after_seconds: u64) -> ApiError {
    ApiError::new(
        StatusCode::TOO_MANY_REQUESTS,
        "rate_limited",
        "too many requests, wait a little",
    )
    .retry_after(retry_after_seconds.max(1))
}

/// Returns the address of the client: the one our own proxy reports, when
/// the request comes from the pod network.
pub fn client_address(request: &Request) -> IpAddr {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
    let peer = peer.map_or(IpAddr::from([0, 0, 0, 0]), |peer| peer.0.ip());
    if is_private(peer) {
        forwarded(request.headers()).unwrap_or(peer)
    } else {
        peer
    }
}

/// The last entry is the one the nearest proxy wrote; earlier ones are the
/// client's own words.
fn forwarded(headers: &HeaderMap) -> Option<IpAddr> {
    let text = headers.get("x-forwarded-for")?.to_str().ok()?;
    text.rsplit(',').next()?.trim().parse().ok()
}

/// Whether an address is of a pod, a node or this machine.
pub fn is_private(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(four) => {
            let shared = four.octets()[0] == 100 && four.octets()[1] & 0xc0 == 64;
            four.is_private() || four.is_loopback() || four.is_link_local() || shared
        }
        IpAddr::V6(six) => {
            six.is_loopback() || six.is_unique_local() || six.is_unicast_link_local()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_empty_and_fill() {
        let limiter = Limiter::default();
        let check =
            |key: &str, at: Millis, allowed: bool, remaining: u32, retry: u64, reset: u64| {
                let expected = Grant {
                    allowed,
                    remaining,
                    retry_after_seconds: retry,
                    reset_seconds: reset,
                };
                assert_eq!(limiter.take(key, 3, 60_000, at), expected, "{key} at {at}");
            };
        check("a", 0, true, 2, 0, 20);
        check("a", 0, true, 1, 0, 40);
        check("a", 0, true, 0, 20, 60);
        check("a", 0, false, 0, 20, 60);
        check("b", 0, true, 2, 0, 20);
        check("a", 10_000, false, 0, 10, 50);
        check("a", 20_000, true, 0, 20, 60);
        check("a", 600_000, true, 2, 0, 20);
    }

    #[test]
    fn addresses_of_the_cluster_are_known() {
        let check = |text: &str, expected: bool| {
            assert_eq!(
                is_private(text.parse().expect("address")),
                expected,
                "{text}"
            );
        };
        check("127.0.0.1", true);
        check("10.42.0.7", true);
        check("100.64.3.2", true);
        check("169.254.1.1", true);
        check("::1", true);
        check("fd00::1", true);
        check("::ffff:10.0.0.1", true);
        check("8.8.8.8", false);
        check("2001:db8::1", false);
    }
}
