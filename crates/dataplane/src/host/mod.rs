//! The door to the host's network namespace.
//!
//! [`HostPorts`] is what the data plane asks for. [`Client`] asks a process
//! outside over a Unix socket that carries open sockets (`SCM_RIGHTS`), and
//! [`serve`] is that process's side, with the [`Policy`] of what it grants.

mod client;
mod direct;
mod policy;
mod server;
mod upstream;
mod wire;

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use futures::future::BoxFuture;

pub use client::Client;
pub use direct::Direct;
pub use policy::{Policy, Refused};
pub use server::{Listener, listen, serve};
pub use upstream::{ResolvConf, Resolver};

use crate::config::Proto;

/// What the data plane needs of the host's network namespace.
pub trait HostPorts: Send + Sync + 'static {
    /// Returns a listening (or, for datagrams, bound) socket of the host.
    ///
    /// Asked again for the same address, it returns the same socket: a
    /// restarted data plane finds the connections that queued meanwhile.
    fn bind(&self, proto: Proto, address: SocketAddr) -> BoxFuture<'_, io::Result<OwnedFd>>;

    /// Gives a bound socket up for good.
    fn release(&self, proto: Proto, address: SocketAddr) -> BoxFuture<'_, io::Result<()>>;

    /// Returns a socket of the host connected to an address.
    fn dial(&self, proto: Proto, address: SocketAddr) -> BoxFuture<'_, io::Result<OwnedFd>>;

    /// Asks the host's name servers and returns their answer.
    fn resolve<'a>(&'a self, query: &'a [u8]) -> BoxFuture<'a, io::Result<Vec<u8>>>;

    /// Returns a socket of the host connected to the registry at a name or
    /// address. Unlike [`HostPorts::dial`] it is asked by the node itself, for
    /// which a registry on the host's loopback is as good as any.
    fn dial_registry<'a>(&'a self, host: &'a str, port: u16) -> BoxFuture<'a, io::Result<OwnedFd>> {
        let _ = (host, port);
        Box::pin(async { Err(io::ErrorKind::Unsupported.into()) })
    }

    /// Returns an open file that says how the host uses the registry `host`:
    /// its login, authorities, proxies. The data plane does not read it.
    fn registry_settings<'a>(&'a self, host: &'a str) -> BoxFuture<'a, io::Result<OwnedFd>> {
        let _ = host;
        Box::pin(async { Err(io::ErrorKind::Unsupported.into()) })
    }
}

/// Gives a socket of the host up; whoever needs its address next is told what
/// stands in the way, here it is only logged.
pub(crate) async fn give_up(host: &dyn HostPorts, proto: Proto, address: SocketAddr) {
    if let Err(error) = host.release(proto, address).await {
        tracing::warn!(%address, %error, "host port not released");
    }
}
