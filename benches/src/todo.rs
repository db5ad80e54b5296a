//! The todo application under load, on both databases.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context;
use bytes::Bytes;
use coracle_tests::cluster::built;
use coracle_tests::postgres::Postgres;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};

use crate::table::{Table, percentile};

/// Requests in flight at once.
const CLIENTS: usize = 16;
/// How long each kind of request is made.
const WATCHED: Duration = Duration::from_secs(5);
/// The least memory that a requirement document requests for a pod of the
/// backend (001 and 003), in MiB.
const BACKEND_REQUEST: f64 = 256.0;
/// The same for the frontend (001).
const FRONTEND_REQUEST: f64 = 128.0;

type Http = Client<HttpConnector, Full<Bytes>>;

/// Measures requests per second, 99th percentile and memory on each database.
pub fn load(table: &mut Table) -> anyhow::Result<()> {
    let folder = std::env::temp_dir().join(format!("coracle-bench-todo-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    let embedded = format!("sqlite://{}/todo.db", folder.display());
    measure("SQLite", &embedded, table)?;
    if Path::new("/usr/lib/postgresql").exists() {
        let postgres = Postgres::start(&folder, ([127, 0, 0, 1], 15_432).into());
        measure("PostgreSQL", &postgres.url(), table)?;
    } else {
        eprintln!("PostgreSQL is not installed: left out");
    }
    Ok(fs::remove_dir_all(&folder)?)
}

/// Measures the backend on a database and the pages before it.
fn measure(name: &str, database: &str, table: &mut Table) -> anyhow::Result<()> {
    let address: SocketAddr = ([127, 0, 0, 1], 18_000).into();
    let backend = start(database, address)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let visitor = Visitor::new(address).await?;
        for _ in 0..20 {
            visitor.create().await?;
        }
        let list = visitor
            .repeat(|visitor| async move { visitor.list().await })
            .await?;
        list.add(table, &format!("todo on {name}: list of 20 tasks"));
        let create = visitor
            .repeat(|visitor| async move { visitor.create().await })
            .await?;
        create.add(table, &format!("todo on {name}: create a task"));
        let what = format!("todo on {name}: backend (budget: what 001 requests)");
        table.row(what, megabytes(&backend), BACKEND_REQUEST, "MB");
        pages(name, &visitor, table).await
    })
}

/// Measures the pages in front of a backend with the tasks that are there.
async fn pages(name: &str, visitor: &Visitor, table: &mut Table) -> anyhow::Result<()> {
    let address: SocketAddr = ([127, 0, 0, 1], 18_001).into();
    let child = Command::new(built("todo-frontend"))
        .env("BACKEND_URL", format!("http://{}", visitor.address))
        .env("PORT", address.port().to_string())
        .env("NODE_ENV", "production")
        .env("LOG_LEVEL", "error")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let frontend = Server(child);
    let stats = visitor.send(Method::GET, "/api/stats", None).await?;
    let visitor = Visitor {
        address,
        ..visitor.clone()
    };
    visitor.reachable("/api/health").await?;
    let page = visitor
        .repeat(|visitor| async move { visitor.page("/dashboard").await })
        .await?;
    let total = &stats["total"];
    page.add(table, &format!("todo on {name}: list page, {total} tasks"));
    let proxied = visitor
        .repeat(|visitor| async move { visitor.list().await })
        .await?;
    proxied.add(table, &format!("todo on {name}: list through the pages"));
    let what = format!("todo on {name}: frontend (budget: what 001 requests)");
    table.row(what, megabytes(&frontend), FRONTEND_REQUEST, "MB");
    Ok(())
}

/// Returns the memory of a server in MB (PSS).
fn megabytes(server: &Server) -> f64 {
    crate::cpu::pss_kilobytes(server.0.id() as i32) as f64 / 1024.0
}

/// A server; it ends with this value.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(database: &str, address: SocketAddr) -> anyhow::Result<Server> {
    let child = Command::new(built("todo-backend"))
        .env("DATABASE_URL", database)
        .env(
            "BETTER_AUTH_SECRET",
            "a secret of at least thirty-two bytes",
        )
        .env("PORT", address.port().to_string())
        .env("MCP_SERVER_PORT", "0")
        .env("RATE_LIMIT_PER_MINUTE", "0")
        .env("LOG_LEVEL", "error")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    Ok(Server(child))
}

/// Somebody who is signed up.
#[derive(Clone)]
struct Visitor {
    http: Http,
    address: SocketAddr,
    token: String,
}

/// What a kind of request can do.
struct Figures {
    per_second: f64,
    p99: f64,
}

impl Figures {
    /// Adds a row for each figure.
    fn add(&self, table: &mut Table, what: &str) {
        table.figure(what, self.per_second, "/s");
        table.figure(format!("{what}, p99"), self.p99, "ms");
    }
}

impl Visitor {
    async fn new(address: SocketAddr) -> anyhow::Result<Visitor> {
        let mut visitor = Visitor {
            http: Client::builder(TokioExecutor::new()).build_http(),
            address,
            token: String::new(),
        };
        visitor.reachable("/ready").await?;
        let person =
            json!({"email": "ann@example.com", "password": "correct horse battery", "name": "Ann"});
        let answer = visitor
            .send(Method::POST, "/api/auth/signup", Some(person))
            .await?;
        answer["token"]
            .as_str()
            .context("no token")?
            .clone_into(&mut visitor.token);
        Ok(visitor)
    }

    /// Waits until a path answers well.
    async fn reachable(&self, path: &str) -> anyhow::Result<()> {
        let since = Instant::now();
        while self.send(Method::GET, path, None).await.is_err() {
            anyhow::ensure!(
                since.elapsed() < Duration::from_secs(30),
                "{path} of {} does not answer",
                self.address
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// Fetches a page as a browser does, with the session in a cookie.
    async fn page(&self, path: &str) -> anyhow::Result<()> {
        let request = Request::get(format!("http://{}{path}", self.address))
            .header("cookie", format!("todo_session={}", self.token))
            .body(Full::default())?;
        let answer = self.http.request(request).await?;
        let status = answer.status();
        let body = answer.into_body().collect().await?.to_bytes();
        anyhow::ensure!(
            status == StatusCode::OK && !body.is_empty(),
            "{path}: {status}"
        );
        Ok(())
    }

    async fn list(&self) -> anyhow::Result<()> {
        self.send(Method::GET, "/api/tasks?limit=20", None)
            .await
            .map(drop)
    }

    async fn create(&self) -> anyhow::Result<()> {
        let task = json!({"title": "water the boat", "priority": "high"});
        self.send(Method::POST, "/api/tasks", Some(task))
            .await
            .map(drop)
    }

    async fn send(&self, method: Method, path: &str, body: Option<Value>) -> anyhow::Result<Value> {
        let request = Request::builder()
            .method(method)
            .uri(format!("http://{}{path}", self.address))
            .header("content-type", "application/json")
            .header("authorization", format!("Bearer {}", self.token))
            .body(Full::from(
                body.map(|body| body.to_string()).unwrap_or_default(),
            ))?;
        let answer = self.http.request(request).await?;
        let status = answer.status();
        let body = answer.into_body().collect().await?.to_bytes();
        let text = String::from_utf8_lossy(&body);
        anyhow::ensure!(
            status == StatusCode::OK || status == StatusCode::CREATED,
            "{path}: {status} {text}"
        );
        Ok(serde_json::from_slice(&body)?)
    }

    /// Makes one kind of request for a while, [`CLIENTS`] at a time.
    async fn repeat<F, Fut>(&self, request: F) -> anyhow::Result<Figures>
    where
        F: Fn(Visitor) -> Fut + Copy,
        Fut: Future<Output = anyhow::Result<()>>,
    {
        let since = Instant::now();
        let client = || async {
            let mut times = Vec::new();
            while since.elapsed() < WATCHED {
                let sent = Instant::now();
                request(self.clone()).await?;
                times.push(sent.elapsed().as_secs_f64() * 1e3);
            }
            anyhow::Ok(times)
        };
        let all = futures::future::try_join_all((0..CLIENTS).map(|_| client())).await?;
        let mut times: Vec<f64> = all.into_iter().flatten().collect();
        times.sort_by(f64::total_cmp);
        Ok(Figures {
            per_second: times.len() as f64 / since.elapsed().as_secs_f64(),
            p99: percentile(&times, 0.99),
        })
    }
}
