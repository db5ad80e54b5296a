//! How many requests are served at once ([`InFlight`]): reads and writes have
//! limits of their own, a request waits a while for its turn, then is told to
//! come back. Streams and watches are not counted.

use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::status::{ApiError, ApiResult, Details};

/// As upstream's `--max-requests-inflight`.
const READS_MAX: usize = 400;
/// As upstream's `--max-mutating-requests-inflight`.
const WRITES_MAX: usize = 200;
/// Longest wait for a turn.
const WAIT_MAX: Duration = Duration::from_secs(15);

/// Turns for reads and writes.
pub struct InFlight {
    reads: Semaphore,
    writes: Semaphore,
}

impl Default for InFlight {
    fn default() -> InFlight {
        InFlight {
            reads: Semaphore::new(READS_MAX),
            writes: Semaphore::new(WRITES_MAX),
        }
    }
}

impl InFlight {
    /// Waits for a turn.
    ///
    /// # Errors
    /// 429 when none comes in time.
    pub async fn turn(&self, writes: bool) -> ApiResult<SemaphorePermit<'_>> {
        let turns = if writes { &self.writes } else { &self.reads };
        match tokio::time::timeout(WAIT_MAX, turns.acquire()).await {
            Ok(Ok(permit)) => Ok(permit),
            _ => {
                let message = "too many requests, please try again later";
                let details = Details {
                    retry_after_seconds: 1,
                    ..Details::default()
                };
                Err(ApiError::new(429, "TooManyRequests", message).with(details))
            }
        }
    }
}
