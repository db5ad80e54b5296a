//! The network of `RUN` steps: a namespace of the builder's own, in which the
//! data plane carries what a container sends to sockets of the host, as it does
//! in a cluster. The main type is [`Network`].
//!
//! The builder itself stays in the host's network namespace and dials there;
//! only one thread of it lives in the new one.

use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};

use anyhow::Context;
use coracle_dataplane::config::{Config, Dns, Egress, Proto};
use coracle_dataplane::host::{Direct, HostPorts, Policy, Resolver};
use coracle_dataplane::{Options, Report};
use coracle_netdev::nft::{Kernel, Table};
use coracle_netdev::plan::AddressPlan;
use coracle_netdev::{Cidr, base, netns, pod};
use coracle_network::base as rules;
use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::runtime::Handle;
use tokio::sync::watch;

/// The end of a step's interface in the builder's namespace; steps follow one
/// another.
const INTERFACE: &str = "run";

/// The way out of `RUN` steps.
pub(super) struct Network {
    plan: AddressPlan,
    namespace: OwnedFd,
}

/// A step's own network namespace.
pub(super) struct StepNetwork {
    pub namespace: OwnedFd,
    /// Its name server; `None` without a way out.
    pub resolver: Option<Ipv4Addr>,
}

impl StepNetwork {
    /// Makes a namespace with nothing but loopback.
    pub(super) fn closed() -> anyhow::Result<StepNetwork> {
        let namespace = netns::create()?;
        pod::prepare(namespace.as_fd())?;
        Ok(StepNetwork {
            namespace,
            resolver: None,
        })
    }
}

impl Network {
    /// Makes the way out. `host_ports` of the host's loopback may be reached.
    pub(super) fn open(threads: &Handle, host_ports: Vec<u16>) -> anyhow::Result<Network> {
        let plan = plan();
        let policy = Policy {
            host_ports,
            ..Policy::default()
        };
        let host = Arc::new(Outside {
            threads: threads.clone(),
            direct: Arc::new(Direct::new(policy, Resolver::new("/etc/resolv.conf"))),
        });
        let (tell, told) = channel();
        let inside = plan.clone();
        std::thread::Builder::new()
            .name("egress".into())
            .spawn(move || live_inside(&inside, host, &tell))
            .context("could not start the thread of the network")?;
        let namespace = told
            .recv()
            .unwrap_or_else(|_| Err(anyhow::anyhow!("its thread ended")))
            .context("could not make the network of RUN")?;
        Ok(Network { plan, namespace })
    }

    /// Connects a namespace for one step.
    pub(super) fn step(&self) -> anyhow::Result<StepNetwork> {
        let namespace = netns::create()?;
        let address = self.plan.pods.nth(coracle_netdev::plan::PODS_RESERVED);
        let attach = pod::Attach {
            netns: namespace.as_fd(),
            address: address.context("the range has no address")?,
            node: self.plan.node(),
            host_interface: INTERFACE,
            mtu: pod::MTU_DEFAULT,
        };
        netns::enter(self.namespace.as_fd(), || pod::attach(&attach))??;
        Ok(StepNetwork {
            namespace,
            resolver: Some(self.plan.dns()),
        })
    }
}

/// Addresses that no server on the way out has: link-local ones, which are
/// never let out anyway (RFC 3927).
fn plan() -> AddressPlan {
    AddressPlan {
        pods: Cidr::new(Ipv4Addr::new(169, 254, 128, 0), 24),
        services: Cidr::new(Ipv4Addr::new(169, 254, 129, 0), 28),
        node_range: Cidr::new(Ipv4Addr::new(169, 254, 130, 0), 28),
        ..AddressPlan::default()
    }
}

/// The whole life of the thread inside; tells when the namespace is ready.
fn live_inside(plan: &AddressPlan, host: Arc<Outside>, tell: &Sender<anyhow::Result<OwnedFd>>) {
    let ready = || -> anyhow::Result<_> {
        netns::join(netns::create()?)?;
        prepare(plan)?;
        let threads = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        Ok((threads, netns::current()?))
    };
    let (threads, namespace) = match ready() {
        Ok(ready) => ready,
        Err(error) => return drop(tell.send(Err(error))),
    };
    threads.block_on(async {
        let (_keep, config) = watch::channel(Arc::new(config(plan)));
        let (report, mut state) = watch::channel(Arc::new(Report::default()));
        let carrying = coracle_dataplane::run(Options {
            config,
            host,
            held: coracle_dataplane::Held::default(),
            report,
        });
        let listening = async {
            let settled = state.wait_for(|report| report.generation > 0).await;
            let _ = tell.send(settled.map(|_| namespace).map_err(Into::into));
        };
        tokio::join!(carrying, listening);
    });
}

fn prepare(plan: &AddressPlan) -> anyhow::Result<()> {
    base::setup(plan)?;
    let mut fragments = vec![(rules::OWNER.to_owned(), Some(rules::fragment(plan)))];
    // Without it a kernel carries streams and names only, which is enough to
    // download.
    if rules::has_datagrams(plan, Kernel::open()?) {
        let datagrams = rules::datagrams(plan);
        fragments.push((rules::DATAGRAMS_OWNER.to_owned(), Some(datagrams)));
    }
    // The rules live as long as the namespace.
    Table::new(rules::TABLE, Kernel::open()?).apply(fragments)?;
    Ok(())
}

fn config(plan: &AddressPlan) -> Config {
    let domain = "build.internal";
    Config {
        generation: 1,
        dns: Some(Dns {
            listen: vec![(plan.dns(), 53).into()],
            records: coracle_network::names::constant(domain, plan.host(), plan.dns()),
            ttl: 30,
            ..Dns::default()
        }),
        egress: Some(Egress {
            listen: (plan.node(), plan.egress_port).into(),
            host: Some(plan.host()),
        }),
        ..Config::default()
    }
}

/// Dials on the builder's other threads, which are in the host's namespace.
struct Outside {
    threads: Handle,
    direct: Arc<Direct>,
}

impl HostPorts for Outside {
    fn bind(&self, _: Proto, _: SocketAddr) -> BoxFuture<'_, std::io::Result<OwnedFd>> {
        async { Err(std::io::ErrorKind::PermissionDenied.into()) }.boxed()
    }

    fn release(&self, _: Proto, _: SocketAddr) -> BoxFuture<'_, std::io::Result<()>> {
        async { Ok(()) }.boxed()
    }

    fn dial(&self, proto: Proto, address: SocketAddr) -> BoxFuture<'_, std::io::Result<OwnedFd>> {
        let direct = self.direct.clone();
        let dialling = async move { direct.dial(proto, address).await };
        let dialling = self.threads.spawn(dialling);
        async { dialling.await.map_err(std::io::Error::other)? }.boxed()
    }

    fn resolve<'a>(&'a self, query: &'a [u8]) -> BoxFuture<'a, std::io::Result<Vec<u8>>> {
        let (direct, query) = (self.direct.clone(), query.to_vec());
        let asking = self
            .threads
            .spawn(async move { direct.resolve(&query).await });
        async { asking.await.map_err(std::io::Error::other)? }.boxed()
    }
}
