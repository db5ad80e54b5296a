//! Grants requests with sockets of the calling process's own namespace.
//!
//! [`Direct`] is the heart of the server, and serves in-process where data
//! plane and host share a namespace. It keeps every bound socket, so that one
//! that is asked for again is the same one with its queue.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use rustix::net::{AddressFamily, SocketFlags, SocketType, ipproto, sockopt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

use super::upstream::Resolver;
use super::{HostPorts, Policy};
use crate::config::Proto;

/// Connections that wait to be accepted; cut to `net.core.somaxconn`.
const BACKLOG: i32 = 4096;
/// After this a silent destination is given up, before its client would.
const DIAL_WITHIN: Duration = Duration::from_secs(20);

/// The host's side, without a wire.
pub struct Direct {
    policy: Box<dyn Fn() -> Policy + Send + Sync>,
    resolver: Resolver,
    bound: Mutex<HashMap<(Proto, SocketAddr), Arc<OwnedFd>>>,
}

impl Direct {
    /// Returns a host side that grants what `policy` allows.
    pub fn new(policy: Policy, resolver: Resolver) -> Self {
        Direct::with(move || policy.clone(), resolver)
    }

    /// Returns a host side that asks for its policy whenever it decides.
    pub fn with(policy: impl Fn() -> Policy + Send + Sync + 'static, resolver: Resolver) -> Self {
        Direct {
            policy: Box::new(policy),
            resolver,
            bound: Mutex::default(),
        }
    }

    fn bind_now(&self, proto: Proto, address: SocketAddr) -> io::Result<OwnedFd> {
        (self.policy)().may_bind(address)?;
        let mut bound = self.bound.lock();
        if let Some(fd) = bound.get(&(proto, address)) {
            return fd.try_clone();
        }
        let fd = bind(proto, address)?;
        let kept = fd.try_clone()?;
        // Port 0 means any: such a socket cannot be asked for again.
        if address.port() != 0 {
            bound.insert((proto, address), Arc::new(kept));
        }
        Ok(fd)
    }

    async fn dial_now(&self, proto: Proto, address: SocketAddr) -> io::Result<OwnedFd> {
        (self.policy)().may_dial(address)?;
        match dial(proto, address).await {
            // A server of the host may listen on either loopback address.
            Err(error)
                if error.kind() == io::ErrorKind::ConnectionRefused
                    && matches!(address.ip(), IpAddr::V4(v4) if v4.is_loopback()) =>
            {
                let other = SocketAddr::from((Ipv6Addr::LOCALHOST, address.port()));
                dial(proto, other).await.map_err(|_| error)
            }
            result => result,
        }
    }
}

impl HostPorts for Direct {
    fn bind(&self, proto: Proto, address: SocketAddr) -> BoxFuture<'_, io::Result<OwnedFd>> {
        async move { self.bind_now(proto, address) }.boxed()
    }

    fn release(&self, proto: Proto, address: SocketAddr) -> BoxFuture<'_, io::Result<()>> {
        self.bound.lock().remove(&(proto, address));
        async { Ok(()) }.boxed()
    }

    fn dial(&self, proto: Proto, address: SocketAddr) -> BoxFuture<'_, io::Result<OwnedFd>> {
        self.dial_now(proto, address).boxed()
    }

    fn resolve<'a>(&'a self, query: &'a [u8]) -> BoxFuture<'a, io::Result<Vec<u8>>> {
        self.resolver.ask(query).boxed()
    }
}

fn bind(proto: Proto, address: SocketAddr) -> io::Result<OwnedFd> {
    let family = match address {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    };
    let (kind, protocol) = match proto {
        Proto::Tcp => (SocketType::STREAM, ipproto::TCP),
        Proto::Udp => (SocketType::DGRAM, ipproto::UDP),
    };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let fd = rustix::net::socket_with(family, kind, flags, Some(protocol))?;
    if address.is_ipv6() {
        sockopt::set_ipv6_v6only(&fd, true)?;
    }
    if proto == Proto::Tcp {
        // A port whose last owner has just gone may be bound again at once.
        sockopt::set_socket_reuseaddr(&fd, true)?;
    }
    rustix::net::bind(&fd, &address)?;
    if proto == Proto::Tcp {
        rustix::net::listen(&fd, BACKLOG)?;
    }
    Ok(fd)
}

async fn dial(proto: Proto, address: SocketAddr) -> io::Result<OwnedFd> {
    match proto {
        Proto::Tcp => {
            let late = |_| io::Error::from_raw_os_error(libc::ETIMEDOUT);
            let stream = timeout(DIAL_WITHIN, TcpStream::connect(address))
                .await
                .map_err(late)??;
            Ok(stream.into_std()?.into())
        }
        Proto::Udp => {
            let any: SocketAddr = match address {
                SocketAddr::V4(_) => (std::net::Ipv4Addr::UNSPECIFIED, 0).into(),
                SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
            };
            let socket = UdpSocket::bind(any).await?;
            socket.connect(address).await?;
            Ok(socket.into_std()?.into())
        }
    }
}
