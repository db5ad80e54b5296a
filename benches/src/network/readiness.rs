//! The whole way of a pod's readiness: its status is written, its endpoint
//! follows, and the kernel leads there.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use coracle_apiserver::Identity;
use coracle_netdev::{AddressPlan, base, netns};
use coracle_network::{Options, Settings};
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::{Pod, Service};
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::{Value, json};

use super::SERVICES;
use crate::plane::Plane;
use crate::table::{Table, median};

const CHANGES: usize = 50;
const PORT: u16 = 8080;
/// The Service that is looked at, and its address, of those that are only given
/// to who asks for them (KEP-3070).
const NAME: &str = "s1000";
const VIP: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 200);
/// Services that are created at the same time.
const WRITERS: usize = 32;

/// A pod of one of many Services becomes ready, again and again.
pub fn readiness(table: &mut Table) -> anyhow::Result<()> {
    let inside = Arc::new(netns::create()?);
    let plan = AddressPlan::default();
    let listener = netns::enter(inside.as_fd(), || -> anyhow::Result<TcpListener> {
        base::setup(&plan)?;
        Ok(TcpListener::bind((plan.node(), PORT))?)
    })??;
    std::thread::spawn(move || listener.incoming().for_each(drop));
    let joined = inside.clone();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .on_thread_start(move || {
            // A thread that is not inside reaches nothing, which shows.
            let _ = netns::join(&*joined);
        })
        .build()?;
    let times = runtime.block_on(async move { tokio::spawn(changes(plan)).await? })?;
    table.row(
        format!("readiness -> kernel through the API, {SERVICES} Services (median)"),
        median(times),
        1.0,
        "ms",
    );
    Ok(())
}

async fn changes(plan: AddressPlan) -> anyhow::Result<Vec<f64>> {
    let plane = Plane::start()?;
    let client = plane.client(Identity::admin());
    tokio::spawn(coracle_network::run(Options {
        client: client.clone(),
        caches: plane.caches.clone(),
        settings: Settings::new(plan.clone()),
        dataplane: plane.folder().join("nobody"),
        announcements: coracle_network::announcements().1,
    }));
    plane.ready().await?;
    create(&client).await?;
    let pods: Api<Pod> = Api::default_namespaced(client);
    let mut times = Vec::new();
    for turn in 0..=2 * CHANGES {
        let ready = turn % 2 == 1;
        let since = Instant::now();
        let status = Patch::Strategic(status(plan.node(), ready));
        let parameters = PatchParams::default();
        pods.patch_status(NAME, &parameters, &status).await?;
        tokio::task::spawn_blocking(move || until(ready)).await?;
        if ready {
            times.push(since.elapsed().as_secs_f64() * 1e3);
        }
    }
    Ok(times)
}

/// Creates the Services and the pod of one of them.
async fn create(client: &Client) -> anyhow::Result<()> {
    let services: Api<Service> = Api::default_namespaced(client.clone());
    let parameters = PostParams::default();
    futures::stream::iter((0..SERVICES).map(service))
        .map(|object| {
            let (services, parameters) = (&services, &parameters);
            async move {
                let created = services.create(parameters, &object?).await;
                created.map_err(anyhow::Error::from)
            }
        })
        .buffer_unordered(WRITERS)
        .try_for_each(async |_| Ok(()))
        .await?;
    let pod = json!({
        "metadata": {"name": NAME, "labels": {"app": NAME}},
        "spec": {"containers": [{"name": "c", "image": "c:1"}]},
    });
    let pods: Api<Pod> = Api::default_namespaced(client.clone());
    pods.create(&parameters, &serde_json::from_value(pod)?)
        .await?;
    Ok(())
}

fn service(number: u32) -> anyhow::Result<Service> {
    let name = format!("s{number}");
    let mut spec = json!({
        "selector": {"app": name}, "ports": [{"port": 80, "targetPort": PORT}],
    });
    if name == NAME {
        spec["clusterIP"] = json!(VIP);
    }
    let object = json!({"metadata": {"name": name}, "spec": spec});
    Ok(serde_json::from_value(object)?)
}

fn status(address: Ipv4Addr, ready: bool) -> Value {
    let ready = if ready { "True" } else { "False" };
    json!({"status": {
        "phase": "Running", "podIP": address, "podIPs": [{"ip": address}],
        "conditions": [{"type": "Ready", "status": ready}],
    }})
}

/// Connects until that succeeds, or until it does not.
fn until(open: bool) {
    let target = SocketAddr::from((VIP, 80));
    let patience = Duration::from_secs(5);
    while TcpStream::connect_timeout(&target, patience).is_ok() != open {
        std::thread::yield_now();
    }
}
