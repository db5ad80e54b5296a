//! Requests by node port and Ingress beside the same server asked directly,
//! and the rollout of a larger Deployment.

use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use anyhow::Context;
use coracle_tests::cluster::{Cluster, built};
use coracle_tests::load::{Client, Load};
use coracle_tests::site::{self, HOST};
use coracle_tests::wait::until;

use crate::table::Table;

const NODE_PORT: u16 = 31_485;
const DIRECT_PORT: u16 = 31_486;
const REPLICAS: &str = "20";
const CLIENTS: usize = 16;
const WHILE: Duration = Duration::from_secs(3);

/// The server outside the cluster; it ends with this value.
struct Direct(Child);

impl Drop for Direct {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Measures the three ways to the same program.
pub fn ways(cluster: &Cluster, table: &mut Table) -> anyhow::Result<()> {
    let port = DIRECT_PORT.to_string();
    let _direct = Direct(Command::new(built("site")).env("PORT", port).spawn()?);
    // Where another program has the usual port, the Ingress takes the other.
    let is_taken = TcpStream::connect(("127.0.0.1", 80)).is_ok();
    let front = if is_taken { 8080 } else { 80 };
    cluster.run(&["start", "--quiet"]);
    site::build(cluster);
    site::apply(cluster, &site::objects(NODE_PORT));
    let ways = [
        ("direct", DIRECT_PORT),
        ("node port", NODE_PORT),
        ("Ingress", front),
    ];
    // The direct way comes first and has nothing beside it.
    let mut direct = [f64::NAN; 3];
    for (name, port) in ways {
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        until(&format!("{name} answers"), || open(address));
        let figures = [
            1e6 / rate(address, 1, true),
            rate(address, CLIENTS, true),
            rate(address, CLIENTS, false),
        ];
        let [latency, kept, anew] = direct;
        let rows = [
            ("latency of a request", latency, "us"),
            ("kept connections", kept, "/s"),
            ("a connection each", anew, "/s"),
        ];
        for (figure, (what, beside, unit)) in figures.into_iter().zip(rows) {
            let note = if beside.is_nan() {
                ""
            } else {
                " (budget: direct)"
            };
            table.row(format!("{name}, {what}{note}"), figure, beside, unit);
        }
        if name == "direct" {
            direct = figures;
        }
    }
    Ok(())
}

fn client(address: SocketAddr, keeps: bool) -> Client {
    Client {
        name: "",
        address,
        host: HOST,
        keeps,
        sends: false,
    }
}

fn open(address: SocketAddr) -> Result<(), String> {
    let load = Load::start(&[client(address, false)]);
    std::thread::sleep(Duration::from_millis(100));
    let failures = load.failures();
    load.end();
    match failures.first() {
        None => Ok(()),
        Some(why) => Err(why.clone()),
    }
}

/// Returns requests per second.
fn rate(address: SocketAddr, clients: usize, keeps: bool) -> f64 {
    let load = Load::start(&vec![client(address, keeps); clients]);
    let since = Instant::now();
    std::thread::sleep(WHILE);
    let rate = load.answered() as f64 / since.elapsed().as_secs_f64();
    load.end();
    rate
}

/// Every pod of a Deployment is replaced.
pub fn rollout(cluster: &Cluster, table: &mut Table) -> anyhow::Result<()> {
    let kubectl = |args: &[&str]| {
        cluster
            .kubectl(args)
            .context("kubectl is not on the machine")
    };
    let rolled = ["rollout", "status", "deploy/site", "--timeout=120s"];
    kubectl(&["scale", "deploy/site", "--replicas", REPLICAS])?;
    kubectl(&rolled)?;
    let since = Instant::now();
    kubectl(&["set", "env", "deploy/site", "TURN=2"])?;
    kubectl(&rolled)?;
    let took = since.elapsed().as_secs_f64();
    table.figure(
        format!("rollout of {REPLICAS} replicas, one by one"),
        took,
        "s",
    );
    Ok(())
}
