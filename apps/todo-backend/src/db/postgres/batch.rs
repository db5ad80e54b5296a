//! Statements over one connection: all of them or none, and the migrations.

use std::error::Error as _;
use std::sync::Arc;

use futures::future::{join_all, join3};
use tokio_postgres::Client;
use tokio_postgres::types::{ToSql, Type};

use super::wire::{cell, type_of};
use crate::db::migrations::{BOOKKEEPING, MIGRATIONS};
use crate::db::{DbError, Row, Statement};

/// The lock that migrations take; any number all replicas agree on.
const MIGRATION_LOCK: i64 = 7_046_200_164;

/// Runs all statements or none, and returns the rows of each.
pub(super) async fn run(client: &Client, batch: &[Statement]) -> Result<Vec<Vec<Row>>, DbError> {
    if let [statement] = batch {
        return Ok(vec![
            rows(client, statement)
                .await
                .map_err(|error| translate(&error))?,
        ]);
    }
    match transaction(client, batch).await {
        Ok(all) => Ok(all),
        Err(error) => {
            // A connection that cannot roll back is closed and not kept.
            let _ = client.batch_execute("ROLLBACK").await;
            Err(translate(&error))
        }
    }
}

async fn transaction(
    client: &Client,
    batch: &[Statement],
) -> Result<Vec<Vec<Row>>, tokio_postgres::Error> {
    let begin = if batch.iter().all(Statement::reads_only) {
        "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
    } else {
        "BEGIN"
    };
    // All of it leaves at once and is worked through in order: one journey
    // instead of one for each, and no row stays locked while words travel. When
    // a statement fails the server refuses what follows and turns the COMMIT
    // into a ROLLBACK; the first error is the true one.
    let statements = join_all(batch.iter().map(|statement| rows(client, statement)));
    let (begun, all, ended) = join3(
        client.batch_execute(begin),
        statements,
        client.batch_execute("COMMIT"),
    )
    .await;
    begun?;
    let all = all.into_iter().collect::<Result<_, _>>()?;
    ended?;
    Ok(all)
}

async fn rows(client: &Client, statement: &Statement) -> Result<Vec<Row>, tokio_postgres::Error> {
    let sql = placeholders(&statement.sql);
    let params: Vec<(&(dyn ToSql + Sync), Type)> = statement
        .params
        .iter()
        .map(|value| (value as &(dyn ToSql + Sync), type_of(value)))
        .collect();
    let found = client.query_typed(&sql, &params).await?;
    let Some(first) = found.first() else {
        return Ok(Vec::new());
    };
    let columns: Arc<[String]> = first
        .columns()
        .iter()
        .map(|column| column.name().to_owned())
        .collect();
    let mut rows = Vec::with_capacity(found.len());
    for row in &found {
        let cells = (0..columns.len()).map(|place| cell(row, place));
        rows.push(Row::new(
            Arc::clone(&columns),
            cells.collect::<Result<_, _>>()?,
        ));
    }
    Ok(rows)
}

/// Our `?1` is PostgreSQL's `$1`; no statement of ours has a `?` in text.
fn placeholders(sql: &str) -> String {
    sql.replace('?', "$")
}

/// Brings the tables to the newest version.
pub(super) async fn migrate(client: &Client) -> Result<(), tokio_postgres::Error> {
    let outcome = migrate_locked(client).await;
    if outcome.is_err() {
        // A connection that cannot roll back is closed and not kept.
        let _ = client.batch_execute("ROLLBACK").await;
    }
    outcome
}

async fn migrate_locked(client: &Client) -> Result<(), tokio_postgres::Error> {
    client.batch_execute("BEGIN").await?;
    // The lock ends with the transaction: poolers keep no session locks.
    let lock = format!("SELECT pg_advisory_xact_lock({MIGRATION_LOCK})");
    client.batch_execute(&lock).await?;
    client.batch_execute(BOOKKEEPING).await?;
    let newest = "SELECT COALESCE(MAX(version), 0) FROM schema_migrations";
    let rows = client.query_typed(newest, &[]).await?;
    let newest: i64 = rows.first().map_or(Ok(0), |row| row.try_get(0))?;
    for migration in MIGRATIONS
        .iter()
        .filter(|migration| migration.version > newest)
    {
        for statement in migration.statements("BOOLEAN", "TIMESTAMPTZ") {
            client.batch_execute(&statement).await?;
        }
        let insert = "INSERT INTO schema_migrations (version) VALUES ($1)";
        client
            .query_typed(insert, &[(&migration.version, Type::INT8)])
            .await?;
    }
    client.batch_execute("COMMIT").await
}

/// Returns what an error means to the rest of the program.
pub(super) fn translate(error: &tokio_postgres::Error) -> DbError {
    let Some(refusal) = error.as_db_error() else {
        return DbError::Unreachable(reason(error));
    };
    // Classes: https://www.postgresql.org/docs/current/errcodes-appendix.html
    match refusal.code().code().get(..2) {
        Some("23") => DbError::Conflict,
        Some("08" | "53" | "57" | "28" | "3D") => {
            DbError::Unreachable(refusal.message().to_owned())
        }
        _ => DbError::Refused(refusal.message().to_owned()),
    }
}

/// Returns what went wrong, for people.
pub(super) fn reason(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(refusal) => refusal.message().to_owned(),
        None => error
            .source()
            .map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}")),
    }
}
