//! Datagrams from a host port to a target.
//!
//! Each client address has a socket of its own towards its target, so answers
//! find their way back; it goes when nothing passed for a while.

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket as StdSocket};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

use super::{Route, Targets};

/// As connection tracking keeps a flow that was answered
/// (`nf_conntrack_udp_timeout_stream`).
const IDLE: Duration = Duration::from_secs(120);
/// Clients of one port at once; further ones wait for an idle one to go.
const FLOWS_MAX: usize = 4096;
const DATAGRAM_BYTES_MAX: usize = 65_536;

type Flows = Arc<Mutex<HashMap<SocketAddr, Flow>>>;

struct Flow {
    target: SocketAddr,
    socket: Arc<UdpSocket>,
    last: Arc<Mutex<Instant>>,
    answers: JoinHandle<()>,
}

impl Drop for Flow {
    fn drop(&mut self) {
        self.answers.abort();
    }
}

/// Relays from a bound socket until the task is ended.
pub(super) fn start(fd: OwnedFd, route: Arc<Route>) -> io::Result<JoinHandle<()>> {
    let socket = StdSocket::from(fd);
    socket.set_nonblocking(true)?;
    let socket = Arc::new(UdpSocket::from_std(socket)?);
    Ok(tokio::spawn(relay(socket, route)))
}

async fn relay(socket: Arc<UdpSocket>, route: Arc<Route>) {
    let flows = Flows::default();
    let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
    loop {
        // An error here belongs to an earlier answer whose client has gone.
        let Ok((length, client)) = socket.recv_from(&mut buffer).await else {
            tokio::task::yield_now().await;
            continue;
        };
        let targets = route.get();
        let Some(flow) = flow(&flows, &socket, client, &targets).await else {
            continue;
        };
        // Datagrams may be lost; that is their nature.
        let _ = flow.send(&buffer[..length]).await;
    }
}

/// Returns the client's socket, made anew when its target is no more.
async fn flow(
    flows: &Flows,
    socket: &Arc<UdpSocket>,
    client: SocketAddr,
    targets: &Targets,
) -> Option<Arc<UdpSocket>> {
    {
        let mut flows = flows.lock();
        match flows.get(&client) {
            Some(flow) if targets.addresses.contains(&flow.target) => {
                *flow.last.lock() = Instant::now();
                return Some(flow.socket.clone());
            }
            Some(_) => {
                flows.remove(&client);
            }
            None if flows.len() >= FLOWS_MAX => return None,
            None => {}
        }
    }
    let target = targets.in_turn(client).next()?;
    let towards = match open(target, targets.source).await {
        Ok(towards) => Arc::new(towards),
        Err(error) => {
            tracing::debug!(%target, %error, "no socket for a flow");
            return None;
        }
    };
    let last = Arc::new(Mutex::new(Instant::now()));
    let answers = tokio::spawn(answer(
        towards.clone(),
        socket.clone(),
        client,
        last.clone(),
        flows.clone(),
    ));
    let flow = Flow {
        target,
        socket: towards.clone(),
        last,
        answers,
    };
    flows.lock().insert(client, flow);
    Some(towards)
}

async fn open(target: SocketAddr, source: Option<Ipv4Addr>) -> io::Result<UdpSocket> {
    let from: SocketAddr = match (target, source) {
        (SocketAddr::V4(_), Some(source)) => (source, 0).into(),
        (SocketAddr::V4(_), None) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        (SocketAddr::V6(_), _) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(from).await?;
    socket.connect(target).await?;
    Ok(socket)
}

/// Brings answers back until the flow is idle or its target refuses.
async fn answer(
    towards: Arc<UdpSocket>,
    socket: Arc<UdpSocket>,
    client: SocketAddr,
    last: Arc<Mutex<Instant>>,
    flows: Flows,
) {
    let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
    loop {
        let deadline = *last.lock() + IDLE;
        match timeout_at(deadline, towards.recv(&mut buffer)).await {
            Ok(Ok(length)) => {
                *last.lock() = Instant::now();
                let _ = socket.send_to(&buffer[..length], client).await;
            }
            // Nobody listens there (an ICMP answer): choose again next time.
            Ok(Err(_)) => break,
            Err(_) if *last.lock() + IDLE > deadline => {}
            Err(_) => break,
        }
    }
    let mut flows = flows.lock();
    if flows
        .get(&client)
        .is_some_and(|flow| Arc::ptr_eq(&flow.socket, &towards))
    {
        flows.remove(&client);
    }
}
