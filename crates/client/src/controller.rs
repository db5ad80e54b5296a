//! The loop that every resident shares: take a key, reconcile it, and let it
//! come again when that failed or when it asked for it.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use crate::cache::Key;
use crate::is_conflict;
use crate::queue::Queue;

/// What a reconciliation asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing more to do until something changes.
    Done,
    /// Come again after this time, even if nothing changes.
    Again(Duration),
}

/// Reconciles the keys of `queue` with `workers` tasks at a time, for ever.
///
/// Conflicts (another writer was faster) are tried again without a word.
pub async fn run<F, Fut>(name: &'static str, queue: Queue<Key>, workers: usize, reconcile: F)
where
    F: Fn(Key) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Outcome, kube::Error>> + Send + 'static,
{
    let reconcile = Arc::new(reconcile);
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..workers {
        let (queue, reconcile) = (queue.clone(), reconcile.clone());
        tasks.spawn(async move {
            loop {
                let key = queue.next().await;
                let result = reconcile(key.clone()).await;
                settle(name, &queue, key, result);
            }
        });
    }
    tasks.join_all().await;
}

fn settle(name: &str, queue: &Queue<Key>, key: Key, result: Result<Outcome, kube::Error>) {
    queue.done(&key);
    match result {
        Ok(outcome) => {
            queue.succeeded(&key);
            if let Outcome::Again(delay) = outcome {
                queue.add_after(key, delay);
            }
        }
        Err(error) => {
            if !is_conflict(&error) {
                tracing::warn!(controller = name, %key, %error, "reconciliation failed, trying again");
            }
            queue.failed(key);
        }
    }
}
