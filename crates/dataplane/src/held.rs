//! Listening sockets that somebody else holds too and handed to this process:
//! what arrives while one data plane follows another waits in them. A place
//! that was not handed over is bound anew.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use rustix::net::{SocketType, getsockname, sockopt};
use tokio::net::{TcpListener, UdpSocket};

use crate::config::Proto;

/// Sockets by what they listen on.
#[derive(Debug, Default)]
pub struct Held(HashMap<(Proto, SocketAddr), OwnedFd>);

impl Held {
    /// Takes sockets over; what is none, or is bound to nothing, is left aside.
    pub fn new(sockets: impl IntoIterator<Item = OwnedFd>) -> Held {
        let placed = |fd: OwnedFd| Some((place(&fd).ok()?, fd));
        Held(sockets.into_iter().filter_map(placed).collect())
    }

    /// Returns the socket of a place.
    pub(crate) fn socket(&self, proto: Proto, address: SocketAddr) -> Option<OwnedFd> {
        self.0.get(&(proto, address))?.try_clone().ok()
    }

    /// Returns the listener of an address.
    pub(crate) fn listener(&self, address: SocketAddr) -> io::Result<TcpListener> {
        let listener = match self.socket(Proto::Tcp, address) {
            Some(fd) => fd.into(),
            None => std::net::TcpListener::bind(address)?,
        };
        listener.set_nonblocking(true)?;
        TcpListener::from_std(listener)
    }
}

fn place(fd: &OwnedFd) -> io::Result<(Proto, SocketAddr)> {
    let proto = match sockopt::socket_type(fd)? {
        SocketType::DGRAM => Proto::Udp,
        _ => Proto::Tcp,
    };
    Ok((proto, getsockname(fd)?.try_into()?))
}

/// Returns a datagram socket for the runtime.
pub(crate) fn datagrams(fd: OwnedFd) -> io::Result<UdpSocket> {
    let socket = std::net::UdpSocket::from(fd);
    socket.set_nonblocking(true)?;
    UdpSocket::from_std(socket)
}
