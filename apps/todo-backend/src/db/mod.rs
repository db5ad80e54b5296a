//! The data layer: statements with parameters, run as one atomic batch.
//!
//! [`Engine`] is the single trait; SQLite and PostgreSQL stand behind it.
//! SQL is written once, in the dialect both share, with `?1`, `?2`, … for
//! parameters. What a batch needs from its own earlier statements it selects
//! from the tables, so no round trip happens while a lock is held.
//! This module knows no tables; those are in `model`.

mod migrations;
mod postgres;
mod sqlite;
pub mod url;
pub mod value;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;

pub use value::{Row, Value};

use crate::config::Config;
use url::DatabaseUrl;

/// One statement with its parameters.
#[derive(Debug, Clone)]
pub struct Statement {
    /// SQL with `?1`, `?2`, … for parameters.
    pub sql: String,
    /// The parameters, first one first.
    pub params: Vec<Value>,
}

impl Statement {
    /// Returns a statement.
    pub fn new(sql: impl Into<String>, params: Vec<Value>) -> Self {
        Self {
            sql: sql.into(),
            params,
        }
    }

    fn reads_only(&self) -> bool {
        self.sql
            .trim_start()
            .get(..6)
            .is_some_and(|word| word.eq_ignore_ascii_case("select"))
    }
}

/// Makes a [`Statement`] from SQL and values.
#[macro_export]
macro_rules! sql {
    ($sql:expr $(, $value:expr)* $(,)?) => {
        $crate::db::Statement::new($sql, vec![$($crate::db::Value::from($value)),*])
    };
}

/// Why the database did not answer as hoped.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// No connection could be made, or it was lost.
    #[error("the database cannot be reached: {0}")]
    Unreachable(String),
    /// All connections were busy for too long.
    #[error("no database connection became free in time")]
    Busy,
    /// A unique value exists already.
    #[error("the row exists already")]
    Conflict,
    /// The database refused the statement.
    #[error("the database refused a statement: {0}")]
    Refused(String),
    /// A column was absent or of another kind than the code expects.
    #[error("column {0} is absent or of another kind")]
    Shape(String),
}

/// Connections of one process.
#[derive(Debug, Clone, Copy, Default)]
pub struct Usage {
    /// Kept open.
    pub size: u32,
    /// The most there can be.
    pub max: u32,
    /// Busy at this moment.
    pub in_use: u32,
}

/// What a database must do for us.
pub trait Engine: Send + Sync {
    /// Runs all statements or none, and returns the rows of each.
    fn run(&self, batch: Vec<Statement>) -> BoxFuture<'_, Result<Vec<Vec<Row>>, DbError>>;

    /// Brings the tables to the newest version; safe with several replicas.
    fn migrate(&self) -> BoxFuture<'_, Result<(), DbError>>;

    /// Returns the use of connections.
    fn usage(&self) -> Usage;
}

/// The database of the process; connects by itself and says when it did.
#[derive(Clone)]
pub struct Database {
    engine: Arc<dyn Engine>,
    state: Arc<State>,
}

impl Database {
    /// Returns a database that is not connected yet.
    pub fn new(config: &Config) -> Self {
        let engine: Arc<dyn Engine> = match &config.database {
            DatabaseUrl::Sqlite(path) => Arc::new(sqlite::Sqlite::new(
                path.clone(),
                config.pool_size,
                config.pool_overflow,
            )),
            DatabaseUrl::Postgres(url) => Arc::new(postgres::Postgres::new(
                url,
                config.pool_size,
                config.pool_overflow,
            )),
        };
        Self {
            engine,
            state: Arc::default(),
        }
    }

    /// Tries to connect and migrate, with growing pauses, until it succeeds.
    pub async fn connect(&self) {
        let mut pause = Duration::from_millis(100);
        loop {
            match self.engine.migrate().await {
                Ok(()) => break,
                Err(error) => {
                    self.state.failed(&error);
                    tracing::warn!(retry_in_ms = pause.as_millis() as u64, "{error}");
                }
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(5));
        }
        self.state.succeeded();
        tracing::info!("the database is connected and its tables are current");
    }

    /// Whether tables were reached once since the start.
    pub fn was_connected(&self) -> bool {
        self.state.connected.load(Ordering::Relaxed)
    }

    /// Returns the last failure, for people.
    pub fn last_failure(&self) -> Option<String> {
        self.state
            .reason
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Asks for an answer within two seconds.
    ///
    /// # Errors
    /// When there is none.
    pub async fn ping(&self) -> Result<(), DbError> {
        if !self.was_connected() {
            return Err(DbError::Unreachable(
                self.last_failure().unwrap_or("not yet".into()),
            ));
        }
        let asked = self.run(vec![Statement::new("SELECT 1 AS one", Vec::new())]);
        match tokio::time::timeout(Duration::from_secs(2), asked).await {
            Ok(answer) => answer.map(|_| ()),
            Err(_) => Err(DbError::Unreachable(
                "no answer within two seconds".to_owned(),
            )),
        }
    }

    /// Runs all statements or none, and returns the rows of each.
    ///
    /// # Errors
    /// As [`DbError`] says; nothing has been written then.
    pub async fn run(&self, batch: Vec<Statement>) -> Result<Vec<Vec<Row>>, DbError> {
        let started = std::time::Instant::now();
        let shown = tracing::enabled!(tracing::Level::DEBUG).then(|| {
            batch
                .iter()
                .map(|statement| statement.sql.clone())
                .collect::<Vec<_>>()
        });
        let outcome = self.engine.run(batch).await;
        if let Some(sql) = shown {
            let micros = started.elapsed().as_micros() as u64;
            tracing::debug!(micros, sql = %sql.join("; "), "SQL");
        }
        outcome
    }

    /// Runs one statement and returns its rows.
    ///
    /// # Errors
    /// As [`DbError`] says.
    pub async fn rows(&self, statement: Statement) -> Result<Vec<Row>, DbError> {
        Ok(self.run(vec![statement]).await?.pop().unwrap_or_default())
    }

    /// Runs one statement and returns its first row.
    ///
    /// # Errors
    /// As [`DbError`] says.
    pub async fn row(&self, statement: Statement) -> Result<Option<Row>, DbError> {
        Ok(self.rows(statement).await?.into_iter().next())
    }

    /// Returns the use of connections.
    pub fn usage(&self) -> Usage {
        self.engine.usage()
    }
}

/// What is known about the connection.
#[derive(Default)]
struct State {
    connected: AtomicBool,
    reason: Mutex<Option<String>>,
}

impl State {
    fn succeeded(&self) {
        *self.reason.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.connected.store(true, Ordering::Relaxed);
    }

    fn failed(&self, error: &DbError) {
        let text = error.to_string();
        *self.reason.lock().unwrap_or_else(PoisonError::into_inner) = Some(text);
    }
}
