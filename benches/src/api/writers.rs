//! Writers side by side, each with a connection of its own.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use super::connection::{Access, Connection};
use super::pod;

/// Creates the pods of these numbers and returns how many a second.
///
/// # Errors
/// When one is refused.
pub async fn create(access: &Access, writers: usize, numbers: Range<usize>) -> anyhow::Result<f64> {
    let mut connections = Vec::new();
    for _ in 0..writers {
        connections.push(Connection::open(access).await?);
    }
    let next = Arc::new(AtomicUsize::new(numbers.start));
    let count = numbers.len();
    let since = Instant::now();
    let tasks: Vec<_> = connections
        .into_iter()
        .map(|mut connection| {
            let (next, end) = (next.clone(), numbers.end);
            tokio::spawn(async move {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= end {
                        return Ok(());
                    }
                    let path = "/api/v1/namespaces/bench/pods";
                    connection.post(path, &pod::named(number)).await?;
                }
            })
        })
        .collect();
    for task in tasks {
        let outcome: anyhow::Result<()> = task.await?;
        outcome?;
    }
    Ok(count as f64 / since.elapsed().as_secs_f64())
}
