//! SQLite behind [`Engine`]: the embedded default.
//!
//! WAL, a busy timeout and immediate transactions let several processes on
//! one machine share the file. Writers of this process wait for each other
//! without polling; readers never wait for them. A batch runs on a blocking
//! thread.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, ErrorCode, ToSql, params_from_iter};

use super::migrations::{BOOKKEEPING, MIGRATIONS};
use super::{DbError, Engine, Row, Statement, Usage, Value};

/// How long a writer waits for another process.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a request waits for a connection of this process.
const POOL_TIMEOUT: Duration = Duration::from_secs(10);

/// The engine over one file.
pub struct Sqlite {
    shared: Arc<Shared>,
    permits: tokio::sync::Semaphore,
    writer: tokio::sync::Mutex<()>,
    size: u32,
    max: u32,
}

struct Shared {
    path: PathBuf,
    keep: usize,
    idle: Mutex<Vec<Connection>>,
    in_use: AtomicU32,
}

impl Sqlite {
    /// Returns an engine that opens the file when it is first used.
    pub fn new(path: PathBuf, size: u32, overflow: u32) -> Self {
        let size = size.max(1);
        let max = size.saturating_add(overflow);
        let shared = Shared {
            path,
            keep: size as usize,
            idle: Mutex::default(),
            in_use: AtomicU32::new(0),
        };
        Self {
            shared: Arc::new(shared),
            permits: tokio::sync::Semaphore::new(max as usize),
            writer: tokio::sync::Mutex::default(),
            size,
            max,
        }
    }

    async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, DbError> {
        let waited = tokio::time::timeout(POOL_TIMEOUT, self.permits.acquire());
        let _permit = waited
            .await
            .map_err(|_| DbError::Busy)?
            .map_err(|_| DbError::Busy)?;
        let shared = Arc::clone(&self.shared);
        let task = tokio::task::spawn_blocking(move || shared.lend(work));
        task.await
            .map_err(|error| DbError::Refused(error.to_string()))?
    }
}

impl Engine for Sqlite {
    fn run(&self, batch: Vec<Statement>) -> BoxFuture<'_, Result<Vec<Vec<Row>>, DbError>> {
        Box::pin(async move {
            if batch.iter().all(Statement::reads_only) {
                return self.with(move |connection| read(connection, &batch)).await;
            }
            let _turn = self.writer.lock().await;
            self.with(move |connection| write(connection, &batch)).await
        })
    }

    fn migrate(&self) -> BoxFuture<'_, Result<(), DbError>> {
        Box::pin(async move {
            let _turn = self.writer.lock().await;
            self.with(migrate).await
        })
    }

    fn usage(&self) -> Usage {
        Usage {
            size: self.size,
            max: self.max,
            in_use: self.shared.in_use.load(Ordering::Relaxed),
        }
    }
}

impl Shared {
    fn lend<T>(
        &self,
        work: impl FnOnce(&mut Connection) -> rusqlite::Result<T>,
    ) -> Result<T, DbError> {
        let idle = self
            .idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop();
        let mut connection = match idle {
            Some(connection) => connection,
            None => open(&self.path).map_err(|error| unreachable(&self.path, &error))?,
        };
        self.in_use.fetch_add(1, Ordering::Relaxed);
        let outcome = work(&mut connection);
        self.in_use.fetch_sub(1, Ordering::Relaxed);
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < self.keep {
            idle.push(connection);
        }
        outcome.map_err(translate)
    }
}

fn open(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(64);
    // A commit that was acknowledged survives a power loss: FULL, not NORMAL
    // (https://www.sqlite.org/pragma.html#pragma_synchronous).
    connection.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; \
         PRAGMA cache_size = -1024;",
    )?;
    Ok(connection)
}

fn read(connection: &mut Connection, batch: &[Statement]) -> rusqlite::Result<Vec<Vec<Row>>> {
    if let [statement] = batch {
        return Ok(vec![rows(connection, statement)?]);
    }
    // A deferred transaction gives all the statements one snapshot.
    let transaction = connection.transaction()?;
    let all = batch
        .iter()
        .map(|statement| rows(&transaction, statement))
        .collect();
    transaction.commit()?;
    all
}

fn write(connection: &mut Connection, batch: &[Statement]) -> rusqlite::Result<Vec<Vec<Row>>> {
    // Immediate: the lock is taken before the first read, so a later upgrade
    // cannot fail with SQLITE_BUSY (https://www.sqlite.org/lang_transaction.html).
    let transaction =
        connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let mut all = Vec::with_capacity(batch.len());
    for statement in batch {
        all.push(rows(&transaction, statement)?);
    }
    transaction.commit()?;
    Ok(all)
}

fn rows(connection: &Connection, statement: &Statement) -> rusqlite::Result<Vec<Row>> {
    let mut prepared = connection.prepare_cached(&statement.sql)?;
    let columns: Arc<[String]> = prepared
        .column_names()
        .into_iter()
        .map(ToOwned::to_owned)
        .collect();
    let mut found = prepared.query(params_from_iter(&statement.params))?;
    let mut rows = Vec::new();
    while let Some(row) = found.next()? {
        let cells = (0..columns.len()).map(|place| row.get_ref(place).map(cell));
        let cells = cells.collect::<rusqlite::Result<Vec<Value>>>()?;
        rows.push(Row::new(Arc::clone(&columns), cells));
    }
    Ok(rows)
}

fn cell(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => Value::Int(number),
        // No column is a float; SQLite gives one only for an overflowing sum.
        ValueRef::Real(number) => Value::Int(number as i64),
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => {
            Value::Text(String::from_utf8_lossy(bytes).into_owned())
        }
    }
}

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Bool(truth) => ValueRef::Integer(i64::from(*truth)),
            Self::Int(number) | Self::Time(number) => ValueRef::Integer(*number),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
        }))
    }
}

fn migrate(connection: &mut Connection) -> rusqlite::Result<()> {
    let transaction =
        connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    transaction.execute_batch(BOOKKEEPING)?;
    let newest: i64 = transaction.query_row(
        "SELECT COALESCE(MAX(version), 0) FROM schema_migrations",
        [],
        |row| row.get(0),
    )?;
    for migration in MIGRATIONS
        .iter()
        .filter(|migration| migration.version > newest)
    {
        for statement in migration.statements("INTEGER", "INTEGER") {
            transaction.execute_batch(&statement)?;
        }
        transaction.execute(
            "INSERT INTO schema_migrations (version) VALUES (?1)",
            [migration.version],
        )?;
    }
    transaction.commit()
}

fn unreachable(path: &Path, error: &rusqlite::Error) -> DbError {
    DbError::Unreachable(format!("{}: {error}", path.display()))
}

fn translate(error: rusqlite::Error) -> DbError {
    match error.sqlite_error_code() {
        Some(ErrorCode::ConstraintViolation) => DbError::Conflict,
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => DbError::Busy,
        Some(ErrorCode::CannotOpen | ErrorCode::DiskFull | ErrorCode::ReadOnly) => {
            DbError::Unreachable(error.to_string())
        }
        _ => DbError::Refused(error.to_string()),
    }
}
