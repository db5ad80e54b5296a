//! Datagrams on their way out.
//!
//! The kernel hands a pod's datagrams to a transparent socket here with their
//! destination unchanged. Each flow has one socket of the host's namespace,
//! and one here that has the destination's address: answers leave by it, and
//! the kernel gives it the flow's further datagrams.

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio::time::timeout;

use super::outside;
use crate::config::Proto;
use crate::held::datagrams;
use crate::host::HostPorts;
use crate::report::{Board, Refusal};
use crate::{leave, socket};

/// A flow without a datagram for this long ends; resolvers, NTP and QUIC come
/// back sooner or start anew.
const IDLE: Duration = Duration::from_secs(60);
/// Flows at once; a datagram that would need another is dropped.
const FLOWS_MAX: usize = 2048;
/// Datagrams that wait for the host's socket.
const WAITING_MAX: usize = 16;
const DATAGRAM_BYTES_MAX: usize = 65_536;

type Key = (SocketAddr, SocketAddr);
type Flows = Arc<Mutex<HashMap<Key, mpsc::Sender<Vec<u8>>>>>;

struct Way {
    host_address: Option<Ipv4Addr>,
    host: Arc<dyn HostPorts>,
    board: Board,
}

/// Takes datagrams in until the task is ended.
pub(super) fn start(
    fd: OwnedFd,
    host_address: Option<Ipv4Addr>,
    host: Arc<dyn HostPorts>,
    board: Board,
) -> io::Result<AbortHandle> {
    let socket = datagrams(fd)?;
    let way = Arc::new(Way {
        host_address,
        host,
        board,
    });
    Ok(tokio::spawn(take_in(socket, way)).abort_handle())
}

async fn take_in(socket: UdpSocket, way: Arc<Way>) {
    let flows = Flows::default();
    let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
    loop {
        let received = socket
            .async_io(Interest::READABLE, || {
                socket::receive_intercepted(socket.as_fd(), &mut buffer)
            })
            .await;
        let Ok((length, source, destination)) = received else {
            tokio::task::yield_now().await;
            continue;
        };
        let key = (source, destination);
        let datagram = buffer[..length].to_vec();
        if let Some(sender) = flows.lock().get(&key) {
            // Full or ended: datagrams may be lost.
            let _ = sender.try_send(datagram);
            continue;
        }
        if flows.lock().len() >= FLOWS_MAX {
            continue;
        }
        let (sender, receiver) = mpsc::channel(WAITING_MAX);
        let _ = sender.try_send(datagram);
        flows.lock().insert(key, sender);
        let (way, flows) = (way.clone(), flows.clone());
        leave::carry(async move {
            if let Err(error) = flow(&way, key, receiver).await {
                tracing::debug!(%source, %destination, %error, "flow not let out");
                way.note(key, &error);
            }
            flows.lock().remove(&key);
        });
    }
}

impl Way {
    fn note(&self, (source, destination): Key, error: &io::Error) {
        if error.kind() == io::ErrorKind::PermissionDenied {
            self.board.refuse(Refusal {
                source,
                destination,
                message: error.to_string(),
            });
        }
    }
}

async fn flow(
    way: &Way,
    (source, destination): Key,
    mut first: mpsc::Receiver<Vec<u8>>,
) -> io::Result<()> {
    let target = outside(destination, way.host_address);
    let outer = datagrams(way.host.dial(Proto::Udp, target).await?)?;
    let inner = datagrams(socket::transparent(destination)?)?;
    inner.connect(source).await?;
    let mut out = vec![0; DATAGRAM_BYTES_MAX];
    let mut back = vec![0; DATAGRAM_BYTES_MAX];
    loop {
        let step = async {
            tokio::select! {
                Some(datagram) = first.recv() => outer.send(&datagram).await.map(drop),
                length = inner.recv(&mut out) => outer.send(&out[..length?]).await.map(drop),
                length = outer.recv(&mut back) => inner.send(&back[..length?]).await.map(drop),
            }
        };
        match timeout(IDLE, step).await {
            Ok(Ok(())) => {}
            // Nobody there (an ICMP answer): the sender is as wise as before.
            Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => {}
            Ok(Err(error)) => return Err(error),
            Err(_) => return Ok(()),
        }
    }
}
