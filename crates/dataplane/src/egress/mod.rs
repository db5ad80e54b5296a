//! The transparent way out.
//!
//! The kernel redirects a pod's connection to the outside here; its original
//! destination is dialled from the host's network namespace. A dial that
//! fails reaches the pod as a reset at once. Datagrams are in [`udp`]. What may
//! be dialled is decided by the host's side.

mod udp;

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;

use crate::config::{self, Proto};
use crate::held::Held;
use crate::host::HostPorts;
use crate::pipe::{pipe, reset};
use crate::report::{Board, Refusal};
use crate::{leave, socket};

const NAME: &str = "egress";
const BREATHE: Duration = Duration::from_millis(20);

/// The running proxy, if one is wanted.
pub(crate) struct Egress {
    host: Arc<dyn HostPorts>,
    held: Arc<Held>,
    board: Board,
    wanted: Option<config::Egress>,
    running: Vec<(Proto, AbortHandle)>,
}

impl Egress {
    pub(crate) fn new(host: Arc<dyn HostPorts>, held: Arc<Held>, board: Board) -> Self {
        Egress {
            host,
            held,
            board,
            wanted: None,
            running: Vec::new(),
        }
    }

    /// Makes the proxy equal to the configuration.
    pub(crate) fn apply(&mut self, wanted: Option<&config::Egress>) {
        if self.wanted.as_ref() != wanted {
            self.stop();
            self.wanted = wanted.cloned();
        }
        let Some(wanted) = wanted else {
            return;
        };
        for proto in [Proto::Tcp, Proto::Udp] {
            if self.running.iter().any(|(running, _)| *running == proto) {
                continue;
            }
            let started = self.start(proto, wanted);
            let place = (NAME.to_owned(), proto, wanted.listen);
            let result = started.as_ref().map(drop).map_err(Into::into);
            self.board.listener(place, result);
            self.running.extend(started.ok().map(|task| (proto, task)));
        }
    }

    fn start(&self, proto: Proto, wanted: &config::Egress) -> io::Result<AbortHandle> {
        let (host, board) = (self.host.clone(), self.board.clone());
        match proto {
            Proto::Tcp => {
                let listener = self.held.listener(wanted.listen)?;
                let task = tokio::spawn(accept(listener, wanted.clone(), host, board));
                Ok(task.abort_handle())
            }
            Proto::Udp => {
                let fd = match self.held.socket(proto, wanted.listen) {
                    Some(fd) => socket::intercept(fd)?,
                    None => socket::transparent(wanted.listen)?,
                };
                udp::start(fd, wanted.host, host, board)
            }
        }
    }

    fn stop(&mut self) {
        for (_, task) in self.running.drain(..) {
            task.abort();
        }
        if let Some(wanted) = self.wanted.take() {
            for proto in [Proto::Tcp, Proto::Udp] {
                let place = (NAME.to_owned(), proto, wanted.listen);
                self.board.forget(&place);
            }
        }
    }
}

impl Drop for Egress {
    fn drop(&mut self) {
        self.stop();
    }
}

async fn accept(
    listener: TcpListener,
    config: config::Egress,
    host: Arc<dyn HostPorts>,
    board: Board,
) {
    loop {
        match listener.accept().await {
            Ok((stream, source)) => {
                let (config, host, board) = (config.clone(), host.clone(), board.clone());
                leave::carry(async move {
                    carry(stream, source, &config, &*host, &board).await;
                });
            }
            Err(error) => {
                tracing::warn!(%error, "connection not accepted");
                tokio::time::sleep(BREATHE).await;
            }
        }
    }
}

async fn carry(
    stream: TcpStream,
    source: SocketAddr,
    config: &config::Egress,
    host: &dyn HostPorts,
    board: &Board,
) {
    let Ok(destination) = socket::original_destination(stream.as_fd()) else {
        return reset(stream);
    };
    // Somebody spoke to the proxy itself: there is nowhere to go.
    if destination == config.listen {
        return reset(stream);
    }
    let target = outside(destination, config.host);
    match dial(host, target).await {
        Ok(outer) => pipe(stream, outer).await,
        Err(error) => {
            reset(stream);
            if error.kind() == io::ErrorKind::PermissionDenied {
                board.refuse(Refusal {
                    source,
                    destination,
                    message: error.to_string(),
                });
            }
            tracing::debug!(%source, %destination, %error, "not let out");
        }
    }
}

/// The address that stands for the host leads to its loopback.
fn outside(destination: SocketAddr, host: Option<Ipv4Addr>) -> SocketAddr {
    match (destination.ip(), host) {
        (IpAddr::V4(ip), Some(host)) if ip == host => {
            (Ipv4Addr::LOCALHOST, destination.port()).into()
        }
        _ => destination,
    }
}

async fn dial(host: &dyn HostPorts, target: SocketAddr) -> io::Result<TcpStream> {
    let fd = host.dial(Proto::Tcp, target).await?;
    let stream = std::net::TcpStream::from(fd);
    stream.set_nonblocking(true)?;
    TcpStream::from_std(stream)
}
