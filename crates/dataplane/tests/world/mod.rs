//! A host, a cluster with two pods, and a data plane between them.
//!
//! The test's own namespace plays the host; the cluster's is made inside it.

#![allow(dead_code)] // each test file uses its part

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use coracle_dataplane::config::{Config, Forward, Proto};
use coracle_dataplane::host::{self, Client, Direct, Policy, Resolver};
use coracle_dataplane::report::Report;
use coracle_dataplane::{Held, Options, control};
use coracle_netdev::{AddressPlan, base, netns, pod};
use tokio::net::UnixListener;
use tokio::sync::watch;

pub const POD_A: Ipv4Addr = Ipv4Addr::new(10, 244, 0, 20);
pub const POD_B: Ipv4Addr = Ipv4Addr::new(10, 244, 0, 21);
pub const PATIENCE: Duration = Duration::from_secs(120);

pub struct World {
    pub cluster: OwnedFd,
    pub pods: Vec<OwnedFd>,
    pub folder: tempfile::TempDir,
    pub direct: Arc<Direct>,
    _host: tokio::runtime::Runtime,
}

/// A data plane in a thread of its own; it ends with this.
pub struct Running {
    config: watch::Sender<Arc<Config>>,
    reports: watch::Receiver<Arc<Report>>,
    runtime: tokio::runtime::Runtime,
}

pub fn world(policy: Policy) -> World {
    let cluster = netns::create().expect("namespace");
    let pods = netns::enter(cluster.as_fd(), || {
        let plan = AddressPlan::default();
        base::setup(&plan).expect("base");
        let pods = [(POD_A, "cor-a"), (POD_B, "cor-b")];
        pods.map(|(address, host_interface)| {
            let netns = netns::create().expect("namespace");
            pod::attach(&pod::Attach {
                netns: netns.as_fd(),
                address,
                node: plan.node(),
                host_interface,
                mtu: pod::MTU_DEFAULT,
            })
            .expect("attached");
            netns
        })
        .into()
    })
    .expect("inside");
    let folder = tempfile::tempdir().expect("folder");
    let resolv = folder.path().join("resolv.conf");
    std::fs::write(
        &resolv,
        "nameserver 127.0.0.53\noptions timeout:30 attempts:1\n",
    )
    .expect("written");
    let direct = Arc::new(Direct::new(policy, Resolver::new(resolv)));
    let runtime = runtime(None);
    let listener = host::listen(&folder.path().join("host.sock")).expect("listening");
    runtime.spawn(host::serve(listener, direct.clone()));
    World {
        cluster,
        pods,
        folder,
        direct,
        _host: runtime,
    }
}

pub fn runtime(netns: Option<&OwnedFd>) -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(1).enable_all();
    if let Some(netns) = netns {
        let netns = netns.try_clone().expect("fd");
        builder.on_thread_start(move || netns::join(&netns).expect("joined"));
    }
    builder.build().expect("runtime")
}

impl World {
    /// Starts a data plane in the cluster's namespace.
    pub fn start(&self, config: Config) -> Running {
        self.start_with(config, Held::default())
    }

    /// The same, with sockets that were handed over.
    pub fn start_with(&self, config: Config, held: Held) -> Running {
        let (config, wanted) = watch::channel(Arc::new(config));
        let (report, reports) = watch::channel(Arc::new(Report::default()));
        let runtime = runtime(Some(&self.cluster));
        runtime.spawn(coracle_dataplane::run(Options {
            config: wanted,
            host: Arc::new(Client::new(self.folder.path().join("host.sock"))),
            held,
            report,
        }));
        let running = Running {
            config,
            reports,
            runtime,
        };
        running.settled();
        running
    }

    /// Starts a data plane process as it runs in a cluster.
    pub fn start_process(&self, saved: std::fs::File) -> tokio::runtime::Runtime {
        let runtime = runtime(Some(&self.cluster));
        let path = self.folder.path().join("control.sock");
        let _ = std::fs::remove_file(&path);
        let host = Arc::new(Client::new(self.folder.path().join("host.sock")));
        let control = {
            let _inside = runtime.enter();
            UnixListener::bind(path).expect("bound")
        };
        runtime.spawn(control::run(control::Process {
            control,
            saved: Some(saved),
            host,
            held: Held::default(),
        }));
        runtime
    }

    /// Runs something in a pod.
    pub fn in_pod<T: Send>(&self, pod: usize, work: impl FnOnce() -> T + Send) -> T {
        netns::enter(self.pods[pod].as_fd(), work).expect("inside")
    }
}

impl Running {
    /// Replaces the configuration and returns the report about it.
    pub fn apply(&self, mut config: Config) -> Arc<Report> {
        config.generation = self.config.borrow().generation + 1;
        self.config.send_replace(Arc::new(config));
        self.settled()
    }

    /// Waits until the configuration is in force.
    pub fn settled(&self) -> Arc<Report> {
        let generation = self.config.borrow().generation;
        self.wait(|report| report.generation == generation && !report.listeners.is_empty())
    }

    /// Waits for a report.
    pub fn wait(&self, mut fits: impl FnMut(&Report) -> bool) -> Arc<Report> {
        let mut reports = self.reports.clone();
        self.runtime.block_on(async {
            let waiting = reports.wait_for(|report| fits(report));
            tokio::time::timeout(PATIENCE, waiting)
                .await
                .expect("a report in time")
                .expect("data plane runs")
                .clone()
        })
    }
}

/// Answers each connection with `name` and the caller's address.
pub fn serve(world: &World, pod: usize, address: Ipv4Addr, name: &'static str) -> SocketAddr {
    let listener = world
        .in_pod(pod, || TcpListener::bind((address, 0)))
        .expect("bound");
    answer(listener, name)
}

pub fn answer(listener: TcpListener, name: &'static str) -> SocketAddr {
    let local = listener.local_addr().expect("address");
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("accepted");
            let peer = stream.peer_addr().expect("peer").ip();
            std::thread::spawn(move || {
                // All of the question first, to see that its end arrives.
                let mut question = String::new();
                let _ = stream.read_to_string(&mut question);
                let _ = stream.write_all(format!("{name} {peer} {question}").as_bytes());
            });
        }
    });
    local
}

/// Sends a question, ends the sending side, and returns the whole answer.
pub fn ask(target: SocketAddr, question: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&target, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(question.as_bytes())?;
    // Whom the other side has turned away hears of it when reading.
    let _ = stream.shutdown(std::net::Shutdown::Write);
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text)
}

/// A port of the host that is free now.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .expect("bound")
        .local_addr()
        .expect("address")
        .port()
}

pub fn forward(name: &str, proto: Proto, port: u16, targets: &[SocketAddr]) -> Forward {
    Forward {
        name: name.into(),
        proto,
        listen: vec![
            (Ipv4Addr::LOCALHOST, port).into(),
            (std::net::Ipv6Addr::LOCALHOST, port).into(),
        ],
        targets: targets.to_vec(),
        sticky: false,
    }
}

pub fn config(forwards: Vec<Forward>) -> Config {
    Config {
        forward_source: Some(AddressPlan::default().forwarder()),
        forwards,
        ..Config::default()
    }
}
