//! Registries as a cluster reaches them: the gateway dials them and says how
//! the host uses them ([`Host`]); the node asks it ([`Inside`]). Logins travel
//! in memory only.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;

use coracle_dataplane::config::Proto;
use coracle_dataplane::host::{Client, Direct, HostPorts, Policy};
use coracle_image::registry::{Connection, Dial, Dialing, RegistryOptions};
use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::net::TcpStream;
use tokio::time::{Duration, timeout};

use super::succession::Predecessor;
use crate::registries::RegistryFlags;

/// A registry that is silent for this long is given up.
const CONNECT_WITHIN: Duration = Duration::from_secs(15);

/// The host's side: what the data plane gets, and registries.
pub struct Host {
    /// Sockets of this process's own.
    pub direct: Direct,
    /// Sockets of the gateway before this one.
    pub before: Predecessor,
}

impl HostPorts for Host {
    fn bind(&self, proto: Proto, address: SocketAddr) -> BoxFuture<'_, io::Result<OwnedFd>> {
        async move {
            match self.before.socket(proto, address).await {
                Some(fd) => Ok(fd),
                None => self.direct.bind(proto, address).await,
            }
        }
        .boxed()
    }

    fn release(&self, proto: Proto, address: SocketAddr) -> BoxFuture<'_, io::Result<()>> {
        async move {
            self.before.release(proto, address).await;
            self.direct.release(proto, address).await
        }
        .boxed()
    }

    fn dial(&self, proto: Proto, address: SocketAddr) -> BoxFuture<'_, io::Result<OwnedFd>> {
        self.direct.dial(proto, address)
    }

    fn resolve<'a>(&'a self, query: &'a [u8]) -> BoxFuture<'a, io::Result<Vec<u8>>> {
        self.direct.resolve(query)
    }

    fn dial_registry<'a>(&'a self, host: &'a str, port: u16) -> BoxFuture<'a, io::Result<OwnedFd>> {
        dial(host, port).boxed()
    }

    fn registry_settings<'a>(&'a self, host: &'a str) -> BoxFuture<'a, io::Result<OwnedFd>> {
        let host = host.to_owned();
        async move {
            // Files are read, and perhaps a program is asked for the login.
            let settings = tokio::task::spawn_blocking(move || settings(&host));
            settings.await.map_err(io::Error::other)?
        }
        .boxed()
    }
}

async fn dial(host: &str, port: u16) -> io::Result<OwnedFd> {
    // The loopback is the node's, as it is for any other kubelet; link-local
    // addresses, such as a cloud's metadata service, stay closed.
    let policy = Policy {
        host_ports: vec![port],
        ..Policy::default()
    };
    let resolver = coracle_image::registry::Direct::new();
    let mut last = io::Error::other(format!("{host} has no address"));
    for address in resolver.addresses(host).await? {
        let address = SocketAddr::from((address, port));
        policy.may_dial(address)?;
        match timeout(CONNECT_WITHIN, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                stream.set_nodelay(true)?;
                return Ok(stream.into_std()?.into());
            }
            Ok(Err(error)) => last = error,
            Err(_) => last = io::ErrorKind::TimedOut.into(),
        }
    }
    Err(last)
}

fn settings(host: &str) -> io::Result<OwnedFd> {
    let hosts = BTreeSet::from([host.to_owned()]);
    let options = RegistryFlags::default().options(&hosts);
    let options = options.map_err(|error| io::Error::other(format!("{error:#}")))?;
    let flags = rustix::fs::MemfdFlags::CLOEXEC;
    let mut file = File::from(rustix::fs::memfd_create("registry", flags)?);
    file.write_all(&serde_json::to_vec(&options)?)?;
    Ok(file.into())
}

/// The node's side.
#[derive(Debug, Clone)]
pub struct Inside {
    gateway: Arc<Client>,
}

impl Inside {
    /// Returns the side that asks the gateway at this socket.
    pub fn new(gateway: impl Into<PathBuf>) -> Inside {
        Inside {
            gateway: Arc::new(Client::new(gateway)),
        }
    }
}

impl coracle_node::Registries for Inside {
    fn dial(&self) -> Arc<dyn Dial> {
        Arc::new(self.clone())
    }

    fn options<'a>(&'a self, host: &'a str) -> BoxFuture<'a, io::Result<RegistryOptions>> {
        async move {
            let mut file = File::from(self.gateway.registry_settings(host).await?);
            let mut text = Vec::new();
            file.rewind()?;
            file.read_to_end(&mut text)?;
            Ok(serde_json::from_slice(&text)?)
        }
        .boxed()
    }
}

impl Dial for Inside {
    fn dial<'a>(&'a self, host: &'a str, port: u16) -> Dialing<'a> {
        Box::pin(async move {
            let fd = self.gateway.dial_registry(host, port).await?;
            let stream = std::net::TcpStream::from(fd);
            stream.set_nonblocking(true)?;
            let stream: Box<dyn Connection> = Box::new(TcpStream::from_std(stream)?);
            Ok(stream)
        })
    }
}
