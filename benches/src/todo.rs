//! The todo application's backend under load, on both databases.

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
/// The requirement documents that say how much memory a pod requests.
const DOCUMENTS: [&str; 3] = ["001", "003", "004"];
/// What they request for a pod of the backend, in Mi.
const BACKEND: [u32; 3] = [256, 256, 512];
/// The same for the frontend.
const FRONTEND: [u32; 3] = [128, 512, 256];

type Http = Client<HttpConnector, Full<Bytes>>;

/// Prints requests per second, 99th percentile and memory for each database.
pub fn load(_: &mut Table) -> anyhow::Result<()> {
    println!(
        "\n{:<26} {:>14} {:>14} {:>14} {:>14} {:>12}",
        "todo backend", "list/s", "list p99", "create/s", "create p99", "memory"
    );
    let folder = std::env::temp_dir().join(format!("coracle-bench-todo-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    let embedded = format!("sqlite://{}/todo.db", folder.display());
    let (with_sqlite, frontend) = measure("SQLite", &embedded)?;
    let mut memory = vec![("backend, SQLite", with_sqlite, BACKEND)];
    if Path::new("/usr/lib/postgresql").exists() {
        let postgres = Postgres::start(&folder, ([127, 0, 0, 1], 15_432).into());
        let (with_postgres, _) = measure("PostgreSQL", &postgres.url())?;
        memory.push(("backend, PostgreSQL", with_postgres, BACKEND));
    } else {
        println!("PostgreSQL is not installed: left out");
    }
    memory.push(("frontend", frontend, FRONTEND));
    fs::remove_dir_all(&folder)?;
    let [first, second, third] = DOCUMENTS.map(|document| format!("{document} requests"));
    println!(
        "\n{:<26} {:>14} {first:>14} {second:>14} {third:>14}",
        "memory after the load", "PSS"
    );
    for (name, measured, requested) in memory {
        let [first, second, third] = requested.map(|megabytes| format!("{megabytes} Mi"));
        println!("{name:<26} {measured:>11.1} MB {first:>14} {second:>14} {third:>14}");
    }
    Ok(())
}

/// Measures the backend on a database and the pages before it; returns the
/// memory of each in MB.
fn measure(name: &str, database: &str) -> anyhow::Result<(f64, f64)> {
    let address: SocketAddr = ([127, 0, 0, 1], 18_000).into();
    let backend = start(database, address)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let pid = backend.0.id() as i32;
    let memory = runtime.block_on(async {
        let visitor = Visitor::new(address).await?;
        for _ in 0..20 {
            visitor.create().await?;
        }
        let list = visitor
            .repeat(|visitor| async move { visitor.list().await })
            .await?;
        let create = visitor
            .repeat(|visitor| async move { visitor.create().await })
            .await?;
        let memory = crate::cpu::pss_kilobytes(pid) as f64 / 1024.0;
        println!(
            "{name:<26} {:>14.0} {:>11.1} ms {:>14.0} {:>11.1} ms {memory:>9.1} MB",
            list.per_second, list.p99, create.per_second, create.p99
        );
        anyhow::Ok(memory)
    })?;
    Ok((memory, pages(&runtime, address)?))
}

/// Measures the pages in front of a backend; returns their memory in MB.
fn pages(runtime: &tokio::runtime::Runtime, backend: SocketAddr) -> anyhow::Result<f64> {
    let address: SocketAddr = ([127, 0, 0, 1], 18_001).into();
    let child = Command::new(built("todo-frontend"))
        .env("BACKEND_URL", format!("http://{backend}"))
        .env("PORT", address.port().to_string())
        .env("NODE_ENV", "production")
        .env("LOG_LEVEL", "error")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let frontend = Backend(child);
    let pid = frontend.0.id() as i32;
    runtime.block_on(async {
        let mut visitor = Visitor {
            http: Client::builder(TokioExecutor::new()).build_http(),
            address: backend,
            token: String::new(),
        };
        let person = json!({"email": "ann@example.com", "password": "correct horse battery"});
        let answer = visitor
            .send(Method::POST, "/api/auth/signin", Some(person))
            .await?;
        answer["token"]
            .as_str()
            .context("no token")?
            .clone_into(&mut visitor.token);
        visitor.address = address;
        visitor.reachable("/api/health").await?;
        let page = visitor
            .repeat(|visitor| async move { visitor.page("/dashboard").await })
            .await?;
        let proxied = visitor
            .repeat(|visitor| async move { visitor.list().await })
            .await?;
        let memory = crate::cpu::pss_kilobytes(pid) as f64 / 1024.0;
        println!(
            "{:<26} {:>14.0} {:>11.1} ms {:>14.0} {:>11.1} ms {memory:>9.1} MB  (page, then list by proxy)",
            "  pages before it", page.per_second, page.p99, proxied.per_second, proxied.p99
        );
        anyhow::Ok(memory)
    })
}

/// A server; it ends with this value.
struct Backend(Child);

impl Drop for Backend {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(database: &str, address: SocketAddr) -> anyhow::Result<Backend> {
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
    Ok(Backend(child))
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
