//! The API alone, everything on: TLS, tokens, RBAC, admission, validation,
//! managed fields, every write on disk before it is answered.

mod connection;
mod pod;
mod server;
mod watchers;
mod writers;

use std::time::Instant;

use anyhow::Context as _;
use serde_json::{Value, json};

use crate::cpu;
use crate::table::{Table, median};
use connection::{Access, Connection};
use server::Server;

/// Writers of the second row of creates.
const WRITERS: usize = 64;
/// Pods that one writer creates.
const ALONE: usize = 1_500;
/// Pods that are listed.
const PODS: usize = 11_000;
/// How often lists are repeated; the median counts.
const ROUNDS: usize = 5;

/// kube-apiserver 1.36 with etcd, measured with the same pods on two cores like
/// these, in another run: start (ms), creates by 64 writers (/s), list (ms) and
/// resident memory (MB).
const PEER: &str = "kube-apiserver + etcd";
const PEER_START: f64 = 2_450.0;
const PEER_CREATES: f64 = 1_248.0;
const PEER_LIST: f64 = 679.0;
const PEER_MEMORY: f64 = 1_235.0;

/// Measures creates, lists, watches, memory and the start.
pub fn measure(table: &mut Table) -> anyhow::Result<()> {
    start_time(table)?;
    let server = Server::start()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let access = account(&server).await?;
        creates(&server, &access, table).await?;
        lists(&access, table).await?;
        watchers::fan_out(&access, table).await
    })
}

fn start_time(table: &mut Table) -> anyhow::Result<()> {
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        let since = Instant::now();
        let server = Server::start()?;
        times.push(since.elapsed().as_secs_f64() * 1e3);
        drop(server);
    }
    table.row("API alone: start -> ready", median(times), 150.0, "ms");
    table.peer(PEER, PEER_START);
    Ok(())
}

/// An account that RBAC, not a group of masters, lets in.
async fn account(server: &Server) -> anyhow::Result<Access> {
    let admin = Access::of_kubeconfig(&server.kubeconfig())?;
    let mut connection = Connection::open(&admin).await?;
    for name in ["bench", "watched"] {
        let namespace =
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        connection.create("/api/v1/namespaces", &namespace).await?;
    }
    let account =
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}});
    let accounts = "/api/v1/namespaces/bench/serviceaccounts";
    connection.create(accounts, &account).await?;
    let group = "/apis/rbac.authorization.k8s.io/v1";
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
        "metadata": {"name": "bench"},
        "rules": [{"apiGroups": [""], "resources": ["pods", "configmaps"], "verbs": ["*"]}],
    });
    connection
        .create(&format!("{group}/clusterroles"), &role)
        .await?;
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
        "metadata": {"name": "bench"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "bench"},
        "subjects": [{"kind": "ServiceAccount", "name": "default", "namespace": "bench"}],
    });
    connection
        .create(&format!("{group}/clusterrolebindings"), &binding)
        .await?;
    let request =
        json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}});
    let answer = connection
        .create(&format!("{accounts}/default/token"), &request)
        .await?;
    let answer: Value = serde_json::from_slice(answer)?;
    let token = answer["status"]["token"].as_str().context("a token")?;
    Ok(admin.with_token(token))
}

async fn creates(server: &Server, access: &Access, table: &mut Table) -> anyhow::Result<()> {
    let empty = server.resident_bytes()?;
    let alone = writers::create(access, 1, 0..ALONE).await?;
    table.rate("creates by 1 writer", alone, 1_600.0);
    let before = server.processor_time();
    let together = writers::create(access, WRITERS, ALONE..PODS).await?;
    let spent = server.processor_time().saturating_sub(before);
    table.rate("creates by 64 writers", together, 10_000.0);
    table.peer(PEER, PEER_CREATES);
    let each = spent.as_secs_f64() * 1e6 / (PODS - ALONE) as f64;
    // Two processors make 200 us of each, and the writers need some of it.
    table.row("processor time of a create, server", each, 120.0, "us");
    let full = server.resident_bytes()?;
    table.row(
        format!("resident memory with {PODS} pods"),
        full as f64 / 1e6,
        300.0,
        "MB",
    );
    table.peer(PEER, PEER_MEMORY);
    let per_object = full.saturating_sub(empty) as f64 / 1e3 / PODS as f64;
    table.row("resident memory per pod", per_object, 20.0, "kB");
    Ok(())
}

async fn lists(access: &Access, table: &mut Table) -> anyhow::Result<()> {
    let forms = [
        ("list", "application/json"),
        ("Table", "application/json;as=Table;v=v1;g=meta.k8s.io"),
    ];
    for (name, accept) in forms {
        let mut connection = Connection::open(access).await?;
        let mut times = Vec::new();
        let mut bytes = 0;
        for _ in 0..ROUNDS {
            let since = Instant::now();
            let answer = connection
                .get("/api/v1/namespaces/bench/pods", accept)
                .await?;
            times.push(since.elapsed().as_secs_f64() * 1e3);
            bytes = answer.len();
        }
        let what = format!("{name} of {PODS} pods ({} MB)", bytes / 1_000_000);
        table.row(what, median(times), 50.0, "ms");
        if name == "list" {
            table.peer(PEER, PEER_LIST);
        }
    }
    Ok(())
}

/// Processor time of a process so far.
fn processor_time(pid: u32) -> std::time::Duration {
    let ticks = cpu::ticks(pid as i32) as f64;
    std::time::Duration::from_secs_f64(ticks / rustix::param::clock_ticks_per_second() as f64)
}
