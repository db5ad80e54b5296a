//! Ten thousand pods of a thousand Deployments on nodes that pretend: API
//! server, controllers, scheduler and nodes as they are, without Linux, in this
//! process.
//!
//! ```text
//! cargo run --release -p coracle-benches --bin scale [DEPLOYMENTS [REPLICAS [NODES]]]
//! ```
//!
//! Prints the time until every pod is ready, what that costs in API requests
//! and memory, and what is asked when nothing happens any more.

mod plane;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::Context;
use coracle_apiserver::Identity;
use coracle_client::Cache;
use coracle_netdev::{AddressPlan, Cidr};
use coracle_node::{Node, Simulated};
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::api::PostParams;
use kube::{Api, Client};
use plane::Plane;
use serde_json::json;

/// Deployments that are created at the same time.
const WRITERS: usize = 32;
/// How long the quiet is watched.
const QUIET: Duration = Duration::from_secs(60);
/// A node that has nothing to do renews its lease this often.
const LEASE: Duration = Duration::from_secs(10);

struct Size {
    deployments: usize,
    replicas: usize,
    nodes: usize,
}

fn size() -> Size {
    let mut words = std::env::args()
        .skip(1)
        .filter_map(|word| word.parse().ok());
    Size {
        deployments: words.next().unwrap_or(1000),
        replicas: words.next().unwrap_or(10),
        nodes: words.next().unwrap_or(10),
    }
}

struct World {
    client: Client,
    plane: Plane,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let size = size();
    let pods = size.deployments * size.replicas;
    let world = start(&size).await?;
    let memory = resident_megabytes()?;
    let requests = world.requests().await?;
    let (since, cpu) = (Instant::now(), cpu_seconds()?);
    world.deploy(&size).await?;
    let created = since.elapsed();
    until_ready(&world.plane.caches.of::<Pod>(), pods).await;
    until_available(&world.plane.caches.of::<Deployment>(), size.deployments).await;
    let (ready, busy) = (since.elapsed(), cpu_seconds()? - cpu);
    println!(
        "{pods} pods of {} Deployments on {} nodes",
        size.deployments, size.nodes
    );
    println!(
        "  Deployments created after {:.1} s, everything ready after {:.1} s",
        created.as_secs_f64(),
        ready.as_secs_f64()
    );
    println!(
        "  processor time {busy:.1} s, {:.2} ms a pod",
        busy * 1e3 / pods as f64
    );
    world.settle().await?;
    let spent = difference(&world.requests().await?, &requests);
    let total: u64 = spent.values().sum();
    println!(
        "  API requests {total}, {:.1} a pod: {}",
        total as f64 / pods as f64,
        words(&spent)
    );
    println!(
        "  memory {memory:.0} MB before, {:.0} MB with them, {:.1} kB a pod",
        resident_megabytes()?,
        (resident_megabytes()? - memory) * 1e3 / pods as f64
    );
    quiet(&world, size.nodes).await
}

/// Watches what is asked when nothing happens.
async fn quiet(world: &World, nodes: usize) -> anyhow::Result<()> {
    let (requests, cpu) = (world.requests().await?, cpu_seconds()?);
    tokio::time::sleep(QUIET).await;
    let spent = difference(&world.requests().await?, &requests);
    let busy = (cpu_seconds()? - cpu) / QUIET.as_secs_f64();
    let leases = QUIET.as_secs() / LEASE.as_secs() * nodes as u64;
    // The question itself is counted when it is asked again.
    println!(
        "  in {} s of quiet: {} ({leases} lease renewals and this question are due), {:.2} % of a processor",
        QUIET.as_secs(),
        words(&spent),
        busy * 100.0
    );
    Ok(())
}

async fn start(size: &Size) -> anyhow::Result<World> {
    let plane = Plane::start()?;
    for number in 0..size.nodes {
        let name = format!("node-{number}");
        let mut simulated = Simulated::new(&name, plane.folder().join(&name));
        let second = u8::try_from(20 + number).context("there are too many nodes")?;
        simulated.plan = AddressPlan {
            pods: Cidr::new([10, second, 0, 0].into(), 16),
            ..AddressPlan::default()
        };
        let client = plane.client(Identity::node(&name));
        let node = Node::simulated(&simulated, plane.caches.clone(), client)?;
        tokio::spawn(node.run());
    }
    plane.ready().await?;
    let world = World {
        client: plane.client(Identity::admin()),
        plane,
    };
    world.settle().await?;
    Ok(world)
}

impl World {
    async fn deploy(&self, size: &Size) -> anyhow::Result<()> {
        let api: Api<Deployment> = Api::default_namespaced(self.client.clone());
        let params = PostParams::default();
        futures::stream::iter((0..size.deployments).map(|number| deployment(number, size.replicas)))
            .map(|object| {
                let (api, params) = (&api, &params);
                async move {
                    api.create(params, &object?)
                        .await
                        .map_err(anyhow::Error::from)
                }
            })
            .buffer_unordered(WRITERS)
            .try_for_each(async |_| Ok(()))
            .await
    }

    /// Returns how many requests were answered, by method.
    async fn requests(&self) -> anyhow::Result<BTreeMap<String, u64>> {
        let request = http::Request::get("/metrics").body(Vec::new())?;
        let text = self.client.request_text(request).await?;
        let mut requests = BTreeMap::new();
        for line in text.lines() {
            let Some(rest) = line.strip_prefix("apiserver_request_total{verb=\"") else {
                continue;
            };
            let verb = rest.split('"').next().unwrap_or_default();
            let count: u64 = rest.rsplit(' ').next().unwrap_or_default().parse()?;
            *requests.entry(verb.to_owned()).or_default() += count;
        }
        Ok(requests)
    }

    /// Waits until a second passes in which nothing is asked but what the wait
    /// itself asks and leases.
    async fn settle(&self) -> anyhow::Result<()> {
        let mut before = self.requests().await?;
        loop {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let now = self.requests().await?;
            let spent: u64 = difference(&now, &before).values().sum();
            if spent <= 4 {
                return Ok(());
            }
            before = now;
        }
    }
}

fn deployment(number: usize, replicas: usize) -> anyhow::Result<Deployment> {
    let name = format!("app-{number}");
    Ok(serde_json::from_value(json!({
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [{
                    "name": "app", "image": "app:1",
                    "ports": [{"containerPort": 8080}],
                    "env": [{"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
                    "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}},
                    "readinessProbe": {"httpGet": {"port": 8080, "path": "/ready"}},
                }]},
            },
        },
    }))?)
}

async fn until_ready(pods: &Cache<Pod>, count: usize) {
    let is_ready = |pod: &Pod| {
        let conditions = pod
            .status
            .iter()
            .flat_map(|status| status.conditions.iter().flatten());
        conditions
            .into_iter()
            .any(|one| one.type_ == "Ready" && one.status == "True")
    };
    while pods.all().iter().filter(|pod| is_ready(pod)).count() < count {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn until_available(deployments: &Cache<Deployment>, count: usize) {
    let is_available = |deployment: &Deployment| {
        let status = deployment.status.as_ref();
        status.is_some_and(|status| {
            status.available_replicas.is_some() && status.unavailable_replicas.is_none()
        })
    };
    while deployments
        .all()
        .iter()
        .filter(|one| is_available(one))
        .count()
        < count
    {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn difference(
    now: &BTreeMap<String, u64>,
    before: &BTreeMap<String, u64>,
) -> BTreeMap<String, u64> {
    now.iter()
        .map(|(verb, count)| (verb.clone(), count - before.get(verb).copied().unwrap_or(0)))
        .filter(|(_, count)| *count > 0)
        .collect()
}

fn words(requests: &BTreeMap<String, u64>) -> String {
    let words: Vec<String> = requests
        .iter()
        .map(|(verb, count)| format!("{count} {verb}"))
        .collect();
    words.join(", ")
}

fn resident_megabytes() -> anyhow::Result<f64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let text = line
        .and_then(|line| line.trim().strip_suffix(" kB"))
        .context("VmRSS is there")?;
    Ok(text.trim().parse::<f64>()? / 1e3)
}

fn cpu_seconds() -> anyhow::Result<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields: Vec<&str> = stat
        .rsplit_once(") ")
        .context("stat is there")?
        .1
        .split(' ')
        .collect();
    let ticks: f64 = fields[11].parse::<f64>()? + fields[12].parse::<f64>()?;
    Ok(ticks / rustix::param::clock_ticks_per_second() as f64)
}
