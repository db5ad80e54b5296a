//! PostgreSQL behind [`Engine`], fit for Neon and other transaction poolers.
//!
//! Statements are unnamed and their parameters typed by us, so nothing of a
//! session outlives a transaction. `sslmode` means what it means to libpq. A
//! connection that sat idle is asked before it is used.

use std::error::Error as _;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::{BufMut, BytesMut};
use futures::future::{BoxFuture, join_all, join3};
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};
use tokio_postgres::{Client, Config, NoTls};

use super::migrations::{BOOKKEEPING, MIGRATIONS};
use super::postgres_tls::Connector;
use super::{DbError, Engine, Row, Statement, Usage, Value};
use crate::net::tls::{Check, configured};
use crate::time::Millis;

/// How long a request waits for a connection of this process.
const POOL_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a batch may take before its connection is given up.
const BATCH_MAX: Duration = Duration::from_secs(15);
/// Connections idle for longer are asked before they are used.
const IDLE_TRUSTED: Duration = Duration::from_secs(5);
/// The lock that migrations take; any number all replicas agree on.
const MIGRATION_LOCK: i64 = 7_046_200_164;
/// Milliseconds from 1970 to 2000, where PostgreSQL counts from.
const EPOCH_2000_MS: Millis = 946_684_800_000;

/// The engine over one server.
pub struct Postgres {
    target: Result<Target, String>,
    permits: tokio::sync::Semaphore,
    pool: Mutex<Vec<Idle>>,
    in_use: AtomicU32,
    size: u32,
    max: u32,
}

struct Target {
    config: Config,
    tls: Arc<rustls::ClientConfig>,
    hosts: Vec<(String, u16)>,
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

/// Parameters of a URL that tokio-postgres knows.
const KNOWN: [&str; 11] = [
    "options",
    "application_name",
    "connect_timeout",
    "target_session_attrs",
    "channel_binding",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_retries",
    "tcp_user_timeout",
    "sslnegotiation",
];

impl Target {
    /// Reads a URL, with the parameters of libpq and of poolers.
    fn parse(url: &str) -> Result<Self, String> {
        let (base, query) = url.split_once('?').unwrap_or((url, ""));
        let mut mode = "prefer";
        let mut roots = None;
        let mut kept = Vec::new();
        for (key, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
            match key {
                "sslmode" | "ssl" => mode = value,
                "sslrootcert" => roots = Some(value.replace("%2F", "/")),
                key if KNOWN.contains(&key) => kept.push(format!("{key}={value}")),
                // Settings of other drivers and poolers mean nothing here.
                _ => {}
            }
        }
        let (ssl, check) = ssl_of(mode, roots.is_some())?;
        let url = if kept.is_empty() {
            base.to_owned()
        } else {
            format!("{base}?{}", kept.join("&"))
        };
        let mut config: Config = url.parse().map_err(|error: tokio_postgres::Error| {
            let cause = error.source().map(ToString::to_string);
            format!(
                "DATABASE_URL cannot be read: {}",
                cause.unwrap_or_else(|| error.to_string())
            )
        })?;
        config.ssl_mode(ssl);
        config.application_name("todo-backend");
        let tls = configured(check, roots.as_deref())?;
        let ports = config.get_ports();
        let hosts = config
            .get_hosts()
            .iter()
            .enumerate()
            .filter_map(|(place, host)| match host {
                Host::Tcp(name) => {
                    let port = ports.get(place).or(ports.first()).copied().unwrap_or(5432);
                    Some((name.clone(), port))
                }
                #[allow(unreachable_patterns)]
                _ => None,
            });
        let hosts: Vec<_> = hosts.collect();
        if hosts.is_empty() {
            return Err("DATABASE_URL names no host".to_owned());
        }
        Ok(Self { config, tls, hosts })
    }

    async fn connect(&self) -> Result<Client, String> {
        let mut last = String::new();
        for (host, port) in &self.hosts {
            match self.connect_host(host, *port).await {
                Ok(client) => return Ok(client),
                Err(error) => last = format!("{host}:{port}: {error}"),
            }
        }
        Err(last)
    }

    async fn connect_host(&self, host: &str, port: u16) -> Result<Client, String> {
        let stream = crate::net::connect(host, port).await?;
        let limit = Duration::from_secs(10);
        match tokio::time::timeout(limit, self.log_in(host, stream)).await {
            Ok(outcome) => outcome,
            Err(_) => Err("no log-in in time".to_owned()),
        }
    }

    async fn log_in(&self, host: &str, stream: TcpStream) -> Result<Client, String> {
        let wrong = |error: tokio_postgres::Error| reason(&error);
        if self.config.get_ssl_mode() == SslMode::Disable {
            let (client, connection) = self
                .config
                .connect_raw(stream, NoTls)
                .await
                .map_err(wrong)?;
            tokio::spawn(connection);
            return Ok(client);
        }
        let name = ServerName::try_from(host.to_owned()).map_err(|error| error.to_string())?;
        let connector = Connector {
            config: Arc::clone(&self.tls),
            name,
        };
        let (client, connection) = self
            .config
            .connect_raw(stream, connector)
            .await
            .map_err(wrong)?;
        tokio::spawn(connection);
        Ok(client)
    }
}

/// What `sslmode` means: whether TLS is used, and what is checked
/// (https://www.postgresql.org/docs/current/libpq-ssl.html, table 34.1).
fn ssl_of(mode: &str, has_roots: bool) -> Result<(SslMode, Check), String> {
    match mode {
        "disable" | "false" => Ok((SslMode::Disable, Check::Nothing)),
        "allow" | "prefer" => Ok((SslMode::Prefer, Check::Nothing)),
        // With roots at hand, libpq checks the chain for `require` too.
        "require" | "true" if has_roots => Ok((SslMode::Require, Check::Chain)),
        "require" | "true" => Ok((SslMode::Require, Check::Nothing)),
        "verify-ca" => Ok((SslMode::Require, Check::Chain)),
        "verify-full" => Ok((SslMode::Require, Check::Full)),
        _ => Err(format!(
            "sslmode is {mode:?}, expected disable, prefer, require, verify-ca or verify-full"
        )),
    }
}

async fn run(client: &Client, batch: &[Statement]) -> Result<Vec<Vec<Row>>, DbError> {
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

fn type_of(value: &Value) -> Type {
    match value {
        // The server infers the type, as it does for an untyped literal.
        Value::Null => Type::UNKNOWN,
        Value::Bool(_) => Type::BOOL,
        Value::Int(_) => Type::INT8,
        Value::Text(_) => Type::TEXT,
        Value::Time(_) => Type::TIMESTAMPTZ,
    }
}

fn cell(row: &tokio_postgres::Row, place: usize) -> Result<Value, tokio_postgres::Error> {
    let kind = row
        .columns()
        .get(place)
        .map_or(Type::TEXT, |column| column.type_().clone());
    Ok(match kind {
        Type::BOOL => row
            .try_get::<_, Option<bool>>(place)?
            .map_or(Value::Null, Value::Bool),
        Type::INT2 => row
            .try_get::<_, Option<i16>>(place)?
            .map_or(Value::Null, |n| Value::Int(n.into())),
        Type::INT4 => row
            .try_get::<_, Option<i32>>(place)?
            .map_or(Value::Null, |n| Value::Int(n.into())),
        Type::INT8 => row
            .try_get::<_, Option<i64>>(place)?
            .map_or(Value::Null, Value::Int),
        Type::TIMESTAMPTZ => row
            .try_get::<_, Option<Instant2000>>(place)?
            .map_or(Value::Null, |at| Value::Time(at.0)),
        _ => row
            .try_get::<_, Option<String>>(place)?
            .map_or(Value::Null, Value::Text),
    })
}

/// An instant as PostgreSQL sends it: microseconds since 2000.
struct Instant2000(Millis);

impl<'a> tokio_postgres::types::FromSql<'a> for Instant2000 {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        let micros = i64::from_be_bytes(raw.try_into()?);
        Ok(Self(micros.div_euclid(1000) + EPOCH_2000_MS))
    }

    fn accepts(kind: &Type) -> bool {
        *kind == Type::TIMESTAMPTZ
    }
}

impl ToSql for Value {
    fn to_sql(
        &self,
        _: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        match self {
            Self::Null => return Ok(IsNull::Yes),
            Self::Bool(truth) => out.put_u8(u8::from(*truth)),
            Self::Int(number) => out.put_i64(*number),
            Self::Text(text) => out.put_slice(text.as_bytes()),
            Self::Time(at) => out.put_i64((at - EPOCH_2000_MS).saturating_mul(1000)),
        }
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        // Each parameter is sent with the type that `type_of` gives it.
        true
    }

    to_sql_checked!();
}

async fn migrate(client: &Client) -> Result<(), tokio_postgres::Error> {
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

fn translate(error: &tokio_postgres::Error) -> DbError {
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

fn reason(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(refusal) => refusal.message().to_owned(),
        None => error
            .source()
            .map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_of_neon_and_others_are_read() {
        let check = |url: &str, expected: Result<(SslMode, &str, u16), &str>| {
            let found = Target::parse(url);
            let found = found.as_ref().map(|target| {
                let (host, port) = &target.hosts[0];
                (target.config.get_ssl_mode(), host.as_str(), *port)
            });
            assert_eq!(found.map_err(String::as_str), expected, "{url}");
        };
        check(
            "postgresql://u:p@ep-x-pooler.eu.neon.tech/db?sslmode=require&channel_binding=require",
            Ok((SslMode::Require, "ep-x-pooler.eu.neon.tech", 5432)),
        );
        check(
            "postgresql://u:p@h:6543/db?pgbouncer=true&sslmode=disable",
            Ok((SslMode::Disable, "h", 6543)),
        );
        check("postgresql://u:p@h/db", Ok((SslMode::Prefer, "h", 5432)));
        check(
            "postgresql://u:p@h/db?sslmode=verify-full",
            Ok((SslMode::Require, "h", 5432)),
        );
        check(
            "postgresql://u:p@h/db?sslmode=maybe",
            Err(
                r#"sslmode is "maybe", expected disable, prefer, require, verify-ca or verify-full"#,
            ),
        );
        check("postgresql://u:p@/db", Err("DATABASE_URL names no host"));
    }
}
