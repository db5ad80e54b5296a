//! Connections to the sites' servers.
//!
//! [`Pool`] keeps connections that wait for a further request. Those to a
//! server that has left the configuration are dropped at once, so that no
//! request meets a server that is about to end; requests under way finish.

use std::collections::{HashMap, HashSet};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1, http2};
use hyper::rt::{Read, Write};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use parking_lot::{Mutex, RwLock};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;

use super::believe;
use super::body::Payload;
use crate::config::Protocol;
use crate::socket;

/// Servers that end waiting connections by themselves rarely do so earlier.
const IDLE: Duration = Duration::from_secs(10);
/// A request that cannot be sent twice goes on a connection used this lately
/// or on a new one, so that it does not meet the server's end of an old one.
const YOUNG: Duration = Duration::from_secs(1);
/// Waiting connections to one server.
const IDLE_MAX: usize = 64;

/// A server and what it speaks.
pub(super) type Place = (SocketAddr, Protocol);

/// Which waiting connection a request may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Age {
    /// Any.
    Any,
    /// One that was used a moment ago.
    Young,
    /// None.
    New,
}

/// Connections by server.
#[derive(Debug)]
pub(super) struct Pool {
    source: RwLock<Option<Ipv4Addr>>,
    state: Mutex<State>,
    tls: [Arc<ClientConfig>; 2],
}

#[derive(Debug, Default)]
struct State {
    era: u64,
    wanted: HashSet<Place>,
    idle: HashMap<Place, Vec<(Instant, http1::SendRequest<Payload>)>>,
    shared: HashMap<Place, http2::SendRequest<Payload>>,
    sweeping: bool,
}

/// A connection for one request.
#[derive(Debug)]
pub(super) struct Lease {
    /// Whether it has carried a request before.
    pub reused: bool,
    place: Place,
    era: u64,
    sender: Sender,
}

#[derive(Debug)]
enum Sender {
    One(http1::SendRequest<Payload>),
    Many(http2::SendRequest<Payload>),
}

impl Pool {
    /// Returns an empty pool.
    pub(super) fn new() -> Result<Self, rustls::Error> {
        Ok(Pool {
            source: RwLock::new(None),
            state: Mutex::default(),
            tls: [believe::client(false)?, believe::client(true)?],
        })
    }

    /// Tells which servers there are now; in a new era no connection of an
    /// earlier one is used again.
    pub(super) fn set(&self, source: Option<Ipv4Addr>, wanted: HashSet<Place>, era: u64) {
        *self.source.write() = source;
        let mut state = self.state.lock();
        let is_same = state.era == era;
        state
            .idle
            .retain(|place, _| is_same && wanted.contains(place));
        state
            .shared
            .retain(|place, _| is_same && wanted.contains(place));
        state.era = era;
        state.wanted = wanted;
    }

    /// Returns a connection to a server.
    pub(super) async fn lease(
        &self,
        place: Place,
        age: Age,
        within: Duration,
    ) -> io::Result<Lease> {
        let era = self.state.lock().era;
        if let Some(sender) = self.take(place, age) {
            return Ok(Lease {
                reused: true,
                place,
                era,
                sender,
            });
        }
        let connected = timeout(within, self.connect(place)).await;
        let sender = connected.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        if let Sender::Many(shared) = &sender {
            let mut state = self.state.lock();
            if state.era == era && state.wanted.contains(&place) {
                state.shared.insert(place, shared.clone());
            }
        }
        Ok(Lease {
            reused: false,
            place,
            era,
            sender,
        })
    }

    fn take(&self, place: Place, age: Age) -> Option<Sender> {
        let mut state = self.state.lock();
        if is_http2(place.1) {
            let usable =
                |sender: &&http2::SendRequest<Payload>| age != Age::New && !sender.is_closed();
            return state
                .shared
                .get(&place)
                .filter(usable)
                .cloned()
                .map(Sender::Many);
        }
        let oldest = match age {
            Age::Any => IDLE,
            Age::Young => YOUNG,
            Age::New => return None,
        };
        let idle = state.idle.get_mut(&place)?;
        // The latest is at the end; older ones before it wait for the sweep.
        while let Some((since, sender)) = idle.pop() {
            if since.elapsed() > oldest {
                idle.push((since, sender));
                return None;
            }
            if sender.is_ready() {
                return Some(Sender::One(sender));
            }
        }
        None
    }

    /// Takes a connection back once its answer has been read.
    pub(super) fn give_back(self: &Arc<Self>, lease: Lease) {
        let Sender::One(mut sender) = lease.sender else {
            return;
        };
        if sender.is_ready() {
            return self.put(lease.place, lease.era, sender);
        }
        let pool = self.clone();
        tokio::spawn(async move {
            if sender.ready().await.is_ok() {
                pool.put(lease.place, lease.era, sender);
            }
        });
    }

    fn put(self: &Arc<Self>, place: Place, era: u64, sender: http1::SendRequest<Payload>) {
        let mut state = self.state.lock();
        if state.era != era || !state.wanted.contains(&place) {
            return;
        }
        let idle = state.idle.entry(place).or_default();
        if idle.len() < IDLE_MAX {
            idle.push((Instant::now(), sender));
        }
        if !std::mem::replace(&mut state.sweeping, true) {
            tokio::spawn(self.clone().sweep());
        }
    }

    /// Drops connections that waited too long, until there are none.
    async fn sweep(self: Arc<Self>) {
        loop {
            tokio::time::sleep(IDLE).await;
            let mut state = self.state.lock();
            state.idle.retain(|_, idle| {
                idle.retain(|(since, sender)| since.elapsed() <= IDLE && !sender.is_closed());
                !idle.is_empty()
            });
            if state.idle.is_empty() {
                state.sweeping = false;
                return;
            }
        }
    }

    async fn connect(&self, (address, protocol): Place) -> io::Result<Sender> {
        let source = *self.source.read();
        let stream = dial(address, source).await?;
        let http2 = is_http2(protocol);
        if matches!(protocol, Protocol::Http | Protocol::Grpc) {
            return shake(TokioIo::new(stream), http2).await;
        }
        let config = self.tls[usize::from(http2)].clone();
        let name = ServerName::IpAddress(IpAddr::into(address.ip()));
        let stream = TlsConnector::from(config).connect(name, stream).await?;
        shake(TokioIo::new(stream), http2).await
    }
}

async fn dial(address: SocketAddr, source: Option<Ipv4Addr>) -> io::Result<TcpStream> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    if let (Some(source), SocketAddr::V4(_)) = (source, address) {
        socket::choose_port_late(socket.as_fd())?;
        socket.bind((source, 0).into())?;
    }
    let stream = socket.connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

fn is_http2(protocol: Protocol) -> bool {
    matches!(protocol, Protocol::Grpc | Protocol::Grpcs)
}

async fn shake<T>(stream: T, http2: bool) -> io::Result<Sender>
where
    T: Read + Write + Unpin + Send + 'static,
{
    if http2 {
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder.timer(TokioTimer::new()).adaptive_window(true);
        let (sender, connection) = builder.handshake(stream).await.map_err(io::Error::other)?;
        tokio::spawn(async move { ended(connection.await) });
        return Ok(Sender::Many(sender));
    }
    let (sender, connection) = http1::Builder::new()
        .handshake(stream)
        .await
        .map_err(io::Error::other)?;
    tokio::spawn(async move { ended(connection.with_upgrades().await) });
    Ok(Sender::One(sender))
}

fn ended(result: hyper::Result<()>) {
    if let Err(error) = result {
        tracing::debug!(%error, "connection to a server ended");
    }
}

impl Lease {
    /// Sends a request and waits for the head of its answer. A request that
    /// was not sent comes back with the error.
    pub(super) async fn send(
        &mut self,
        request: Request<Payload>,
    ) -> Result<Response<Incoming>, TrySendError<Request<Payload>>> {
        match &mut self.sender {
            Sender::One(sender) => sender.try_send_request(request).await,
            Sender::Many(sender) => sender.try_send_request(request).await,
        }
    }
}
