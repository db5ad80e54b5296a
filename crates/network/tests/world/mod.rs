//! A cluster's namespace with pods that answer, and a core that is told of them.

#![allow(dead_code)] // each test file uses its part

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use coracle_client::Key;
use coracle_netdev::nft::Kernel;
use coracle_netdev::{AddressPlan, base, netns, pod};
use coracle_network::policy::{Decision, Flow, PodFacts, decide};
use coracle_network::{Core, Settings};
use k8s_openapi::api::core::v1::{Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use serde_json::{Value, json};

const OUTSIDE: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 7);
const VIP: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 50);
const PORT: u16 = 8080;
const NODE_PORT: u16 = 30080;
const HOST_PORT: u16 = 4080;
const PATIENCE: Duration = Duration::from_secs(120);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    Open,
    Refused,
}

pub struct World {
    core: Core<Kernel>,
    plan: AddressPlan,
    pods: BTreeMap<String, (OwnedFd, Ipv4Addr)>,
    told: Vec<Told>,
}

/// What the core was told, to tell a restarted one.
#[derive(Clone)]
enum Told {
    Service(Key, Option<Value>, Value),
    Pod(Key, Value),
    Policy(Key, Option<Value>),
}

fn settings() -> Settings {
    Settings {
        plan: AddressPlan::default(),
        domain: "cluster.local".into(),
        datagrams: true,
        host_addresses: vec![IpAddr::from([127, 0, 0, 1])],
        listen: Vec::new(),
        authority: None,
    }
}

impl World {
    pub fn new() -> Self {
        let plan = AddressPlan::default();
        base::setup(&plan).expect("base");
        let mut core = Core::new(settings(), Kernel::open().expect("nf_tables"));
        core.resume().expect("rules");
        let world = World {
            core,
            pods: BTreeMap::new(),
            told: Vec::new(),
            plan,
        };
        // Where cluster DNS and egress would be.
        for (address, port, name) in [
            (world.plan.dns(), 53, "dns"),
            (world.plan.node(), world.plan.egress_port, "egress"),
        ] {
            // A second world of the same test finds the first one's server.
            if let Ok(listener) = TcpListener::bind((address, port)) {
                serve(listener, name.to_owned());
            }
        }
        world
    }

    /// Makes a pod that answers on port 8080, called `http`.
    pub fn pod(&mut self, namespace: &str, name: &str, labels: Value) {
        self.unknown_pod(name);
        self.namespace(namespace, json!({}));
        self.relabel(namespace, name, labels);
    }

    /// Makes a pod that the core is not told of.
    pub fn unknown_pod(&mut self, name: &str) {
        let last = 20 + self.pods.len() as u8;
        let address = Ipv4Addr::new(10, 244, 0, last);
        let netns = netns::create().expect("namespace");
        pod::attach(&pod::Attach {
            netns: netns.as_fd(),
            address,
            node: self.plan.node(),
            host_interface: &format!("cor-{name}"),
            mtu: pod::MTU_DEFAULT,
        })
        .expect("attached");
        let listener = netns::enter(netns.as_fd(), || TcpListener::bind((address, PORT)));
        serve(listener.expect("inside").expect("bound"), name.to_owned());
        self.pods.insert(name.to_owned(), (netns, address));
    }

    pub fn relabel(&mut self, namespace: &str, name: &str, labels: Value) {
        // The test's own way to ask for a host port.
        let host_port = labels["host-port"]
            .as_str()
            .and_then(|n| n.parse::<u16>().ok());
        let pod = json!({
            "metadata": {"name": name, "namespace": namespace, "labels": labels},
            "spec": {"containers": [{
                "name": "c", "ports": [{"name": "http", "containerPort": PORT, "hostPort": host_port}],
            }]},
            "status": {"podIP": self.pods[name].1},
        });
        self.tell(Told::Pod(Key::new(namespace, name), pod));
    }

    pub fn namespace(&mut self, name: &str, labels: Value) {
        let labels = serde_json::from_value(labels).expect("labels");
        self.core.set_namespace(name, Some(labels));
    }

    pub fn policy(&mut self, namespace: &str, name: &str, spec: Value) {
        let policy = json!({"metadata": {"name": name, "namespace": namespace}, "spec": spec});
        self.tell(Told::Policy(Key::new(namespace, name), Some(policy)));
    }

    pub fn no_policy(&mut self, namespace: &str, name: &str) {
        self.tell(Told::Policy(Key::new(namespace, name), None));
    }

    /// A Service on port 80 and node port 30080 with these pods behind it.
    pub fn service(&mut self, name: &str, more: Value, pods: &[&str]) {
        let mut service = json!({
            "metadata": {"name": name, "namespace": "a"},
            "spec": {
                "clusterIP": VIP,
                "ports": [{"port": 80, "nodePort": NODE_PORT, "targetPort": PORT}],
            },
        });
        for (key, value) in more.as_object().expect("an object") {
            service["spec"][key] = value.clone();
        }
        let endpoint = |name: &&str| json!({"addresses": [self.pods[*name].1]});
        let endpoints: Vec<Value> = pods.iter().map(endpoint).collect();
        let slice = json!({
            "metadata": {"name": name, "namespace": "a"},
            "addressType": "IPv4",
            "ports": [{"port": PORT, "protocol": "TCP"}],
            "endpoints": endpoints,
        });
        self.tell(Told::Service(Key::new("a", name), Some(service), slice));
    }

    pub fn no_service(&mut self, name: &str) {
        self.tell(Told::Service(Key::new("a", name), None, Value::Null));
    }

    pub fn commit(&mut self) -> usize {
        self.core.commit().expect("committed")
    }

    /// Starts anew with the same world; returns the edits that were needed.
    pub fn restart(&mut self) -> usize {
        self.core = Core::new(settings(), Kernel::open().expect("nf_tables"));
        self.core.set_namespace("a", Some(BTreeMap::new()));
        for told in std::mem::take(&mut self.told) {
            self.tell(told);
        }
        self.core.resume().expect("resumed")
    }

    pub fn connect(&self, from: &str, to: &str) -> Answer {
        answer(self.try_ask(from, to)).unwrap_or_else(|error| panic!("{from} to {to}: {error}"))
    }

    /// Begins to connect; whoever waits for the answer finds it in the thread.
    /// Returns once it was answered or waits for one.
    pub fn begin_to_connect(&self, from: &str, to: &str) -> JoinHandle<std::io::Result<String>> {
        let (source, target) = (self.source(from), self.target(to));
        let netns = self.pods[from].0.try_clone().expect("a descriptor");
        let asked = netns.try_clone().expect("a descriptor");
        let asking = std::thread::spawn(move || {
            netns::enter(netns.as_fd(), || ask(source, target)).expect("inside")
        });
        while !asking.is_finished() && !is_asking(&asked) {
            std::thread::yield_now();
        }
        asking
    }

    pub fn ask(&self, from: &str, to: &str) -> String {
        self.try_ask(from, to).expect("answered")
    }

    pub fn decision(&self, from: &str, to: &str) -> Answer {
        let target = self.target(to);
        let IpAddr::V4(destination) = target.ip() else {
            panic!("IPv4 only");
        };
        let flow = Flow {
            source: self.source(from),
            destination,
            protocol: 6,
            port: target.port(),
        };
        match decide(&self.core.policies(), &self.plan, flow) {
            Decision::Allowed(_) => Answer::Open,
            _ => Answer::Refused,
        }
    }

    fn try_ask(&self, from: &str, to: &str) -> std::io::Result<String> {
        let (source, target) = (self.source(from), self.target(to));
        match self.pods.get(from) {
            Some((netns, _)) => {
                netns::enter(netns.as_fd(), || ask(source, target)).expect("inside")
            }
            None => ask(source, target),
        }
    }

    fn source(&self, name: &str) -> Ipv4Addr {
        match name {
            "node" => self.plan.node(),
            "forwarder" => self.plan.forwarder(),
            pod => self.pods[pod].1,
        }
    }

    fn target(&self, name: &str) -> SocketAddr {
        match name {
            "dns" => (self.plan.dns(), 53).into(),
            "outside" => (OUTSIDE, 443).into(),
            "web" => (VIP, 80).into(),
            "host-port" => (self.plan.node(), HOST_PORT).into(),
            "node-port" => (self.plan.node(), NODE_PORT).into(),
            pod => (self.pods[pod].1, PORT).into(),
        }
    }

    fn tell(&mut self, told: Told) {
        self.told.push(told.clone());
        match told {
            Told::Service(key, service, slice) => {
                let service = service.map(|service| Arc::new(read::<Service>(service)));
                let slices = match slice {
                    Value::Null => Vec::new(),
                    slice => vec![Arc::new(read::<EndpointSlice>(slice))],
                };
                self.core.set_service(&key, service, slices);
            }
            Told::Pod(key, pod) => self.core.set_pod(key, PodFacts::of(&read::<Pod>(pod))),
            Told::Policy(key, policy) => {
                self.core.set_policy(key, policy.map(read::<NetworkPolicy>));
            }
        }
    }
}

fn read<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).expect("an object")
}

fn serve(listener: TcpListener, name: String) {
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("accepted");
            let peer = stream.peer_addr().expect("peer").ip();
            let _ = stream.write_all(format!("{name} {peer}").as_bytes());
        }
    });
}

/// Reads how an attempt to connect went.
pub fn answer(asked: std::io::Result<String>) -> std::io::Result<Answer> {
    let refused = [
        ErrorKind::ConnectionRefused,
        ErrorKind::HostUnreachable,
        ErrorKind::ConnectionReset,
    ];
    match asked {
        Ok(_) => Ok(Answer::Open),
        Err(error) if refused.contains(&error.kind()) => Ok(Answer::Refused),
        Err(error) => Err(error),
    }
}

/// Tells whether a pod has sent the first packet of a connection.
fn is_asking(netns: &OwnedFd) -> bool {
    // `TCP_SYN_SENT` in the column of states (proc_net_tcp(5)).
    let table = || std::fs::read_to_string("/proc/thread-self/net/tcp");
    let table = netns::enter(netns.as_fd(), table).expect("inside");
    let table = table.expect("a table of connections");
    table
        .lines()
        .any(|line| line.split_whitespace().nth(3) == Some("02"))
}

/// Connects with a source address of its own.
fn ask(source: Ipv4Addr, target: SocketAddr) -> std::io::Result<String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let socket = tokio::net::TcpSocket::new_v4()?;
        socket.bind((source, 0).into())?;
        let connecting = tokio::time::timeout(PATIENCE, socket.connect(target));
        let stream = connecting.await??.into_std()?;
        stream.set_nonblocking(false)?;
        read_all(stream)
    })
}

fn read_all(mut stream: TcpStream) -> std::io::Result<String> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text)
}
