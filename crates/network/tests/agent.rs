//! The resident against the real API server, the real data plane and the
//! kernel: what the API says is what connections meet.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use coracle_apiserver::{ApiServer, Config, Identity};
use coracle_client::{Caches, Key};
use coracle_dataplane::control;
use coracle_dataplane::host::{self, Client as HostClient, Direct, Policy, Resolver};
use coracle_netdev::testing::{in_namespace, skip};
use coracle_netdev::{AddressPlan, base, netns, pod};
use coracle_network::{Announcer, Options, Settings, announcements};
use k8s_openapi::api::core::v1::{Event, Namespace, Pod, Service, ServiceAccount};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use kube::{Client, Resource, ResourceExt};
use serde_json::{Value, json};
use tokio::runtime::{Builder, Runtime};

const PATIENCE: Duration = Duration::from_secs(120);
const PORT: u16 = 8080;

struct Cluster {
    inside: OwnedFd,
    pods: Vec<(OwnedFd, Ipv4Addr)>,
    client: Client,
    caches: Caches,
    announcer: Announcer,
    runtime: Runtime,
    _host: Runtime,
    _folder: tempfile::TempDir,
}

impl Cluster {
    fn start() -> Self {
        let folder = tempfile::tempdir().expect("folder");
        let inside = netns::create().expect("namespace");
        netns::enter(inside.as_fd(), || base::setup(&AddressPlan::default()))
            .expect("inside")
            .expect("base");
        let host = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("runtime");
        let door = folder.path().join("host.sock");
        let direct = Direct::new(Policy::default(), Resolver::default());
        {
            let _on = host.enter();
            let listener = host::listen(&door).expect("listening");
            host.spawn(host::serve(listener, Arc::new(direct)));
        }
        let joined = inside.try_clone().expect("fd");
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .on_thread_start(move || netns::join(&joined).expect("joined"))
            .build()
            .expect("runtime");
        let server = ApiServer::open(Config::new(folder.path().join("data"), [7; 32]))
            .expect("the API server opens");
        let client =
            runtime.block_on(async { Client::new(server.service(Identity::admin()), "default") });
        let control = folder.path().join("control.sock");
        let caches = Caches::new(client.clone());
        let (announcer, announcements) = announcements();
        let cluster = Cluster {
            inside,
            pods: Vec::new(),
            client: client.clone(),
            caches: caches.clone(),
            announcer,
            runtime,
            _host: host,
            _folder: folder,
        };
        let socket = control.clone();
        cluster.runtime.spawn(async move {
            control::run(control::Process {
                control: tokio::net::UnixListener::bind(socket).expect("bound"),
                saved: None,
                host: Arc::new(HostClient::new(door)),
                held: coracle_dataplane::Held::default(),
            })
            .await
        });
        cluster.runtime.spawn(async move {
            coracle_network::run(Options {
                client,
                caches,
                settings: Settings {
                    plan: AddressPlan::default(),
                    domain: "cluster.local".into(),
                    datagrams: true,
                    host_addresses: vec![IpAddr::from([127, 0, 0, 1]), Ipv6Addr::LOCALHOST.into()],
                    listen: Vec::new(),
                    authority: None,
                },
                dataplane: control,
                announcements,
            })
            .await
        });
        cluster
    }

    fn api<K>(&self) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>,
    {
        Api::namespaced(self.client.clone(), "default")
    }

    fn create<K>(&self, object: Value) -> K
    where
        K: Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>
            + Clone
            + std::fmt::Debug
            + serde::Serialize
            + serde::de::DeserializeOwned,
    {
        let object: K = serde_json::from_value(object).expect("an object");
        self.runtime
            .block_on(self.api().create(&PostParams::default(), &object))
            .expect("created")
    }

    fn get<K>(&self, name: &str) -> K
    where
        K: Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>
            + Clone
            + std::fmt::Debug
            + serde::de::DeserializeOwned,
    {
        self.runtime.block_on(self.api().get(name)).expect("found")
    }

    /// Makes a running pod that answers with its name and the caller's address.
    fn pod(&mut self, name: &'static str) -> Ipv4Addr {
        let (address, _) = self.starting_pod(name);
        let status =
            json!({"status": {"phase": "Running", "podIP": address, "podIPs": [{"ip": address}]}});
        let api: Api<Pod> = self.api();
        self.runtime
            .block_on(api.patch_status(name, &PatchParams::default(), &Patch::Merge(&status)))
            .expect("patched");
        address
    }

    /// Makes a pod whose status has no address; returns the address and the uid.
    fn starting_pod(&mut self, name: &'static str) -> (Ipv4Addr, String) {
        let address = Ipv4Addr::new(10, 244, 0, 20 + self.pods.len() as u8);
        let netns = netns::create().expect("namespace");
        let attach = || {
            pod::attach(&pod::Attach {
                netns: netns.as_fd(),
                address,
                node: AddressPlan::default().node(),
                host_interface: &format!("cor-{name}"),
                mtu: pod::MTU_DEFAULT,
            })
        };
        netns::enter(self.inside.as_fd(), attach)
            .expect("inside")
            .expect("attached");
        let listener = netns::enter(netns.as_fd(), || TcpListener::bind((address, PORT)))
            .expect("inside")
            .expect("bound");
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.expect("accepted");
                let peer = stream.peer_addr().expect("peer").ip();
                let _ = stream.write_all(format!("{name} {peer}").as_bytes());
            }
        });
        self.pods.push((netns, address));
        let pod: Pod = self.create(json!({
            "metadata": {"name": name, "labels": {"app": name}},
            "spec": {"containers": [{"name": "c", "image": "i"}], "automountServiceAccountToken": false},
        }));
        (address, pod.uid().expect("a uid"))
    }

    fn slice(&self, service: &str, addresses: &[Ipv4Addr]) {
        let endpoints: Vec<Value> = addresses
            .iter()
            .map(|address| json!({"addresses": [address]}))
            .collect();
        let slice = json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
            "metadata": {
                "name": format!("{service}-1"),
                "labels": {"kubernetes.io/service-name": service},
            },
            "addressType": "IPv4",
            "ports": [{"name": "http", "port": PORT, "protocol": "TCP"}],
            "endpoints": endpoints,
        });
        let api: Api<EndpointSlice> = self.api();
        let name = format!("{service}-1");
        let parameters = PatchParams::apply("test").force();
        self.runtime
            .block_on(api.patch(&name, &parameters, &Patch::Apply(&slice)))
            .expect("applied");
    }

    fn service(&self, name: &str, kind: &str, port: u16) -> Service {
        self.create(json!({
            "metadata": {"name": name},
            "spec": {"type": kind, "ports": [{"name": "http", "port": port}]},
        }))
    }

    /// Runs something in a pod.
    fn in_pod<T: Send>(&self, pod: usize, work: impl FnOnce() -> T + Send) -> T {
        netns::enter(self.pods[pod].0.as_fd(), work).expect("inside")
    }

    /// Waits until `fits` holds.
    fn wait<T>(&self, what: &str, mut fits: impl FnMut() -> Option<T>) -> T {
        let deadline = std::time::Instant::now() + PATIENCE;
        while std::time::Instant::now() < deadline {
            if let Some(found) = fits() {
                return found;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("not in time: {what}");
    }

    /// Waits for an event and returns its message.
    fn event(&self, reason: &str) -> String {
        self.wait(reason, || {
            let events: Api<Event> = self.api();
            let list = self.runtime.block_on(events.list(&Default::default()));
            list.ok()?
                .items
                .into_iter()
                .find(|event| event.reason.as_deref() == Some(reason))?
                .message
        })
    }

    fn balancer(&self, name: &str) -> String {
        self.wait("an address for the balancer", || {
            let service: Service = self.get(name);
            service.status?.load_balancer?.ingress?.first()?.ip.clone()
        })
    }
}

fn ask(target: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&target, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text)
}

fn node_port(service: &Service) -> u16 {
    let ports = service.spec.as_ref().and_then(|s| s.ports.as_ref());
    let number = ports
        .and_then(|p| p.first()?.node_port)
        .expect("a node port");
    u16::try_from(number).expect("a port")
}

#[test]
fn what_the_api_says_is_what_connections_meet() {
    in_namespace("what_the_api_says_is_what_connections_meet", || {
        let mut cluster = Cluster::start();
        // A controller's work, and none runs here.
        cluster.create::<ServiceAccount>(json!({"metadata": {"name": "default"}}));
        let (one, two) = (cluster.pod("one"), cluster.pod("two"));
        let web = cluster.service("web", "NodePort", 80);
        cluster.slice("web", &[one]);
        let local = SocketAddr::from((Ipv4Addr::LOCALHOST, node_port(&web)));
        let forwarder = AddressPlan::default().forwarder();
        let answers = |text: String| move || ask(local).ok().filter(|got| *got == text);
        cluster.wait("the node port", answers(format!("one {forwarder}")));
        let local6 = SocketAddr::from((Ipv6Addr::LOCALHOST, local.port()));
        cluster.wait("the node port, IPv6", || ask(local6).ok());

        cluster.slice("web", &[two]);
        cluster.wait("the other pod", answers(format!("two {forwarder}")));
        let vip: Ipv4Addr = web
            .spec
            .and_then(|spec| spec.cluster_ip)
            .and_then(|ip| ip.parse().ok())
            .expect("a ClusterIP");
        let vip = SocketAddr::from((vip, 80));
        cluster.wait("the VIP", || {
            let text = cluster.in_pod(0, || ask(vip)).ok();
            text.filter(|text| *text == format!("two {one}"))
        });
        names(&cluster, vip);
        policies(&cluster, vip, local);
        newcomers(&mut cluster);
        balancers(&cluster);
        refusals(&cluster);
    });
}

/// The built-in Services are there, and names resolve through one of them.
fn names(cluster: &Cluster, vip: SocketAddr) {
    let dig = |name: &str| {
        let arguments = ["+short", "+tries=1", "@10.96.0.10", name];
        let output = cluster.in_pod(0, || Command::new("dig").args(arguments).output());
        output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
    };
    if dig("localhost").is_err() {
        return skip("names in the cluster", "dig is not installed");
    }
    let check = |name: &str, expected: &str| {
        cluster.wait(name, || {
            (dig(name).ok()? == format!("{expected}\n")).then_some(())
        });
    };
    check("web.default.svc.cluster.local", &vip.ip().to_string());
    check("kubernetes.default.svc.cluster.local", "10.96.0.1");
    check("kube-dns.kube-system.svc.cluster.local", "10.96.0.10");
    // The API server's port on the node answers behind its Service.
    let bind = || TcpListener::bind((AddressPlan::default().node(), 6443));
    let api = netns::enter(cluster.inside.as_fd(), bind);
    let api = api.expect("inside").expect("bound");
    let kubernetes = SocketAddr::from(([10, 96, 0, 1], 443));
    cluster.wait("the API", || {
        cluster.in_pod(0, || TcpStream::connect(kubernetes)).ok()
    });
    drop(api);
}

fn policies(cluster: &Cluster, vip: SocketAddr, local: SocketAddr) {
    let deny = json!({
        "metadata": {"name": "deny"},
        "spec": {"podSelector": {"matchLabels": {"app": "two"}}, "policyTypes": ["Ingress"]},
    });
    cluster.create::<NetworkPolicy>(deny);
    cluster.wait("the policy", || cluster.in_pod(0, || ask(vip)).err());
    assert!(ask(local).is_err(), "the forwarder is not the node");
    let api: Api<NetworkPolicy> = cluster.api();
    cluster
        .runtime
        .block_on(api.delete("deny", &DeleteParams::default()))
        .expect("deleted");
    cluster.wait("no policy", || cluster.in_pod(0, || ask(vip)).ok());
    cluster.wait("no policy", || ask(local).ok());
}

/// A pod that was announced is judged, though its status has no address.
fn newcomers(cluster: &mut Cluster) {
    let of = |app: &str| json!({"podSelector": {"matchLabels": {"app": app}}});
    let mut spec = of("late");
    spec["policyTypes"] = json!(["Egress"]);
    spec["egress"] = json!([{"to": [of("one")]}]);
    cluster.create::<NetworkPolicy>(json!({"metadata": {"name": "late"}, "spec": spec}));
    let (late, uid) = cluster.starting_pod("late");
    let number = cluster.pods.len() - 1;
    let [one, two] = [0, 1].map(|pod| SocketAddr::from((cluster.pods[pod].1, PORT)));
    cluster.wait("the pod is held", || {
        let soon = Duration::from_millis(50);
        let asked = cluster.in_pod(number, || TcpStream::connect_timeout(&one, soon));
        asked.err()
    });
    let pods = cluster.caches.of::<Pod>();
    cluster.wait("the pod in the cache", || pods.get("default", "late"));
    let known = cluster
        .announcer
        .announce(Key::new("default", "late"), uid, late);
    cluster.runtime.block_on(known);
    let asked = cluster.in_pod(number, || ask(one));
    assert_eq!(asked.expect("allowed"), format!("one {late}"));
    let refused = cluster.in_pod(number, || ask(two)).expect_err("denied");
    assert_eq!(refused.kind(), ErrorKind::HostUnreachable);
    let api: Api<NetworkPolicy> = cluster.api();
    cluster
        .runtime
        .block_on(api.delete("late", &DeleteParams::default()))
        .expect("deleted");
}

fn balancers(cluster: &Cluster) {
    let one = cluster.pods[0].1;
    let port = 8099;
    cluster.service("first", "LoadBalancer", port);
    cluster.slice("first", &[one]);
    assert_eq!(cluster.balancer("first"), "127.0.0.1");
    let reaches = |address: [u8; 4], port: u16| {
        cluster.wait("the balancer", || ask((address, port).into()).ok());
    };
    reaches([127, 0, 0, 1], port);
    // The port is taken there: a second one has an address of its own.
    cluster.service("second", "LoadBalancer", port);
    cluster.slice("second", &[one]);
    assert_eq!(cluster.balancer("second"), "127.0.0.2");
    reaches([127, 0, 0, 2], port);
    // So it is when another program has it; and an event says so.
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("bound");
    let port = taken.local_addr().expect("address").port();
    cluster.service("third", "LoadBalancer", port);
    cluster.slice("third", &[one]);
    let address = cluster.balancer("third");
    assert_ne!(address, "127.0.0.1");
    let message = cluster.event("PortTaken");
    assert!(message.contains(&format!("127.0.0.1:{port}")), "{message}");
    let namespaces: Api<Namespace> = Api::all(cluster.client.clone());
    assert!(
        cluster
            .runtime
            .block_on(namespaces.get("kube-system"))
            .is_ok()
    );
}

/// A pod that tries to reach the host is told how it could.
fn refusals(cluster: &Cluster) {
    let secret = TcpListener::bind("127.0.0.1:0").expect("bound");
    let port = secret.local_addr().expect("address").port();
    let host = SocketAddr::from((AddressPlan::default().host(), port));
    assert!(cluster.in_pod(0, || ask(host)).is_err());
    let message = cluster.event("EgressRefused");
    assert!(
        message.contains(&format!("--host-port {port}")),
        "{message}"
    );
}
