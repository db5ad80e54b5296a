//! Streams from a host port to a target.
//!
//! A target that does not take the connection is passed over for the next one,
//! so a pod that has just gone costs a client nothing.

use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::{Route, Targets};
use crate::pipe::{pipe, reset};
use crate::{leave, socket};

/// A target on this machine answers at once, or is not there.
const CONNECT_WITHIN: Duration = Duration::from_secs(3);
/// A pause when the process has no more file descriptors.
const BREATHE: Duration = Duration::from_millis(20);

/// Accepts on a listening socket until the task is ended.
pub(super) fn start(fd: OwnedFd, route: Arc<Route>) -> io::Result<JoinHandle<()>> {
    let listener = StdListener::from(fd);
    listener.set_nonblocking(true)?;
    let listener = TcpListener::from_std(listener)?;
    Ok(tokio::spawn(accept(listener, route)))
}

async fn accept(listener: TcpListener, route: Arc<Route>) {
    loop {
        match listener.accept().await {
            Ok((stream, client)) => {
                let targets = route.get();
                leave::carry(async move { forward(stream, client, &targets).await });
            }
            Err(error) => {
                tracing::warn!(%error, "connection not accepted");
                tokio::time::sleep(BREATHE).await;
            }
        }
    }
}

async fn forward(stream: TcpStream, client: SocketAddr, targets: &Targets) {
    for target in targets.in_turn(client) {
        match connect(target, targets).await {
            Ok(inner) => return pipe(stream, inner).await,
            Err(error) => tracing::debug!(%target, %error, "target passed over"),
        }
    }
    reset(stream);
}

async fn connect(target: SocketAddr, targets: &Targets) -> io::Result<TcpStream> {
    let socket = match target {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    if let (Some(source), SocketAddr::V4(_)) = (targets.source, target) {
        socket::choose_port_late(socket.as_fd())?;
        socket.bind((source, 0).into())?;
    }
    match timeout(CONNECT_WITHIN, socket.connect(target)).await {
        Ok(result) => result,
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    }
}
