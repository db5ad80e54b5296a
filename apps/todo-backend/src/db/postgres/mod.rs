//! PostgreSQL behind [`Engine`], fit for Neon and other transaction poolers.
//!
//! Statements are unnamed and their parameters typed by us, so nothing of a
//! session outlives a transaction. `sslmode` means what it means to libpq. A
//! connection that sat idle is asked before it is used.

mod batch;
mod target;
mod tls;
mod wire;

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use tokio_postgres::Client;

use super::{DbError, Engine, Row, Statement, Usage};
use batch::{migrate, run, translate};
use target::Target;

/// How long a request waits for a connection of this process.
const POOL_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a batch may take before its connection is given up.
const BATCH_MAX: Duration = Duration::from_secs(15);
/// Connections idle for longer are asked before they are used.
const IDLE_TRUSTED: Duration = Duration::from_secs(5);

/// The engine over one server.
pub struct Postgres {
    target: Result<Target, String>,
    permits: tokio::sync::Semaphore,
    pool: Mutex<Vec<Idle>>,
    in_use: AtomicU32,
    size: u32,
    max: u32,
}

struct Idle {
    client: Client,
    since: Instant,
}

impl Postgres {
    /// Returns an engine that connects when it is first used.
    pub fn new(url: &str, size: u32, overflow: u32) -> Self {
        let size = size.max(1);
        let max = size.saturating_add(overflow);
        Self {
            target: Target::parse(url),
            permits: tokio::sync::Semaphore::new(max as usize),
            pool: Mutex::default(),
            in_use: AtomicU32::new(0),
            size,
            max,
        }
    }

    async fn checkout(&self) -> Result<Client, DbError> {
        loop {
            let idle = self
                .pool
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .pop();
            let Some(idle) = idle else {
                let target = self
                    .target
                    .as_ref()
                    .map_err(|text| DbError::Unreachable(text.clone()))?;
                return target.connect().await.map_err(DbError::Unreachable);
            };
            if is_alive(&idle).await {
                return Ok(idle.client);
            }
        }
    }

    fn give_back(&self, client: Client) {
        let mut pool = self.pool.lock().unwrap_or_else(PoisonError::into_inner);
        if pool.len() < self.size as usize && !client.is_closed() {
            pool.push(Idle {
                client,
                since: Instant::now(),
            });
        }
    }

    async fn execute(&self, batch: &[Statement]) -> Result<Vec<Vec<Row>>, DbError> {
        let waited = tokio::time::timeout(POOL_TIMEOUT, self.permits.acquire());
        let _permit = waited
            .await
            .map_err(|_| DbError::Busy)?
            .map_err(|_| DbError::Busy)?;
        let _counted = Counted::new(&self.in_use);
        let client = self.checkout().await?;
        // A client that is dropped on the way closes its connection, and the
        // server rolls back: nothing half done is ever given back.
        let outcome = match tokio::time::timeout(BATCH_MAX, run(&client, batch)).await {
            Ok(outcome) => outcome,
            Err(_) => return Err(DbError::Unreachable("no answer in time".to_owned())),
        };
        self.give_back(client);
        outcome
    }
}

struct Counted<'a>(&'a AtomicU32);

impl<'a> Counted<'a> {
    fn new(count: &'a AtomicU32) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Engine for Postgres {
    fn run(&self, batch: Vec<Statement>) -> BoxFuture<'_, Result<Vec<Vec<Row>>, DbError>> {
        Box::pin(async move {
            match self.execute(&batch).await {
                // The connection broke under a batch that changes nothing: a
                // restarted server is worth one more try.
                Err(DbError::Unreachable(_)) if batch.iter().all(Statement::reads_only) => {
                    self.execute(&batch).await
                }
                outcome => outcome,
            }
        })
    }

    fn migrate(&self) -> BoxFuture<'_, Result<(), DbError>> {
        Box::pin(async move {
            let client = self.checkout().await?;
            migrate(&client).await.map_err(|error| translate(&error))?;
            self.give_back(client);
            Ok(())
        })
    }

    fn usage(&self) -> Usage {
        Usage {
            size: self.size,
            max: self.max,
            in_use: self.in_use.load(Ordering::Relaxed),
        }
    }
}

async fn is_alive(idle: &Idle) -> bool {
    if idle.client.is_closed() {
        return false;
    }
    if idle.since.elapsed() < IDLE_TRUSTED {
        return true;
    }
    let asked = tokio::time::timeout(Duration::from_secs(2), idle.client.simple_query(""));
    matches!(asked.await, Ok(Ok(_)))
}
