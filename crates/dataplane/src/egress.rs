//! The transparent way out.
//!
//! The kernel redirects a pod's connection to the outside here; its original
//! destination is dialled from the host's network namespace. A dial that
//! fails reaches the pod as a reset at once. What may be dialled is decided by
//! the host's side.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::config::{self, Proto};
use crate::host::HostPorts;
use crate::pipe::{pipe, reset};
use crate::report::{Board, Refusal};
use crate::socket;

const NAME: &str = "egress";
const BREATHE: Duration = Duration::from_millis(20);

/// The running proxy, if one is wanted.
pub(crate) struct Egress {
    host: Arc<dyn HostPorts>,
    board: Board,
    running: Option<(config::Egress, JoinHandle<()>)>,
    failed: Option<SocketAddr>,
}

impl Egress {
    pub(crate) fn new(host: Arc<dyn HostPorts>, board: Board) -> Self {
        Egress {
            host,
            board,
            running: None,
            failed: None,
        }
    }

    /// Makes the proxy equal to the configuration.
    pub(crate) async fn apply(&mut self, wanted: Option<&config::Egress>) {
        if self.running.as_ref().map(|(running, _)| running) == wanted && self.failed.is_none() {
            return;
        }
        self.stop();
        let Some(wanted) = wanted else {
            return;
        };
        let place = (NAME.to_owned(), Proto::Tcp, wanted.listen);
        match TcpListener::bind(wanted.listen).await {
            Ok(listener) => {
                let (host, board) = (self.host.clone(), self.board.clone());
                let task = tokio::spawn(accept(listener, wanted.clone(), host, board));
                self.running = Some((wanted.clone(), task));
                self.board.listener(place, Ok(()));
            }
            Err(error) => {
                self.failed = Some(wanted.listen);
                self.board.listener(place, Err((&error).into()));
            }
        }
    }

    fn stop(&mut self) {
        let running = self.running.take().map(|(wanted, task)| {
            task.abort();
            wanted.listen
        });
        for address in running.into_iter().chain(self.failed.take()) {
            self.board.forget(&(NAME.to_owned(), Proto::Tcp, address));
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
                tokio::spawn(async move {
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
