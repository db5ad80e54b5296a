//! The data plane's side of the wire.
//!
//! Main type: [`Client`]. It connects when first asked and again after the
//! other side was restarted; a request that was under way then is sent once
//! more.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures::FutureExt;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use rustix::net::SocketAddrUnix;
use tokio::sync::oneshot;

use super::HostPorts;
use super::server::seqpacket;
use super::wire::{Ask, Channel, Parcel, Reply, Request};
use crate::config::Proto;

/// Asks the process outside.
#[derive(Debug)]
pub struct Client {
    path: PathBuf,
    connection: Mutex<Option<Arc<Connection>>>,
    next: AtomicU64,
}

type Waiting = Mutex<Option<HashMap<u64, oneshot::Sender<Parcel<Reply>>>>>;

#[derive(Debug)]
struct Connection {
    channel: Channel,
    /// `None` once the other side has gone.
    waiting: Waiting,
}

impl Client {
    /// Returns a client of the socket file at `path`.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Client {
            path: path.into(),
            connection: Mutex::new(None),
            next: AtomicU64::new(1),
        }
    }

    async fn ask(&self, ask: Ask, bytes: &[u8]) -> io::Result<Parcel<Reply>> {
        let parcel = match self.ask_once(ask.clone(), bytes).await {
            Err(error) if is_gone(&error) => self.ask_once(ask, bytes).await?,
            result => result?,
        };
        match parcel.header.error {
            Some(fault) => Err(fault.into()),
            None => Ok(parcel),
        }
    }

    async fn ask_once(&self, ask: Ask, bytes: &[u8]) -> io::Result<Parcel<Reply>> {
        let connection = self.connection()?;
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (sender, receiver) = oneshot::channel();
        match connection.waiting.lock().as_mut() {
            Some(waiting) => waiting.insert(id, sender),
            None => return Err(gone()),
        };
        // Forgets the request when the caller gives up half-way, too.
        let _forget = Forget {
            connection: &connection,
            id,
        };
        let request = Request { id, ask };
        connection.channel.send(&request, bytes, None).await?;
        receiver.await.map_err(|_| gone())
    }

    async fn ask_for_socket(&self, ask: Ask) -> io::Result<OwnedFd> {
        let parcel = self.ask(ask, &[]).await?;
        parcel
            .fd
            .ok_or_else(|| io::Error::other("an answer without its socket"))
    }

    fn connection(&self) -> io::Result<Arc<Connection>> {
        let mut current = self.connection.lock();
        if let Some(connection) = current.as_ref()
            && connection.waiting.lock().is_some()
        {
            return Ok(connection.clone());
        }
        let fd = seqpacket()?;
        rustix::net::connect(&fd, &SocketAddrUnix::new(&self.path)?)?;
        let connection = Arc::new(Connection {
            channel: Channel::new(fd)?,
            waiting: Mutex::new(Some(HashMap::new())),
        });
        tokio::spawn(distribute(connection.clone()));
        *current = Some(connection.clone());
        Ok(connection)
    }
}

struct Forget<'a> {
    connection: &'a Connection,
    id: u64,
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        if let Some(waiting) = self.connection.waiting.lock().as_mut() {
            waiting.remove(&self.id);
        }
    }
}

/// Hands answers to those who wait for them, until the other side has gone.
async fn distribute(connection: Arc<Connection>) {
    let mut buffer = Vec::new();
    while let Ok(Some(parcel)) = connection.channel.receive::<Reply>(&mut buffer).await {
        let sender = connection
            .waiting
            .lock()
            .as_mut()
            .and_then(|waiting| waiting.remove(&parcel.header.id));
        if let Some(sender) = sender {
            // Whoever asked may have given up.
            let _ = sender.send(parcel);
        }
    }
    connection.waiting.lock().take();
}

fn gone() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionReset, "the host's side has gone")
}

fn is_gone(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe | io::ErrorKind::NotConnected
    )
}

impl HostPorts for Client {
    fn bind(&self, proto: Proto, address: SocketAddr) -> BoxFuture<'_, io::Result<OwnedFd>> {
        self.ask_for_socket(Ask::Bind(proto, address)).boxed()
    }

    fn release(&self, proto: Proto, address: SocketAddr) -> BoxFuture<'_, io::Result<()>> {
        async move {
            self.ask(Ask::Release(proto, address), &[]).await?;
            Ok(())
        }
        .boxed()
    }

    fn dial(&self, proto: Proto, address: SocketAddr) -> BoxFuture<'_, io::Result<OwnedFd>> {
        self.ask_for_socket(Ask::Dial(proto, address)).boxed()
    }

    fn resolve<'a>(&'a self, query: &'a [u8]) -> BoxFuture<'a, io::Result<Vec<u8>>> {
        async move { Ok(self.ask(Ask::Resolve, query).await?.bytes) }.boxed()
    }

    fn dial_registry<'a>(&'a self, host: &'a str, port: u16) -> BoxFuture<'a, io::Result<OwnedFd>> {
        self.ask_for_socket(Ask::DialRegistry(host.to_owned(), port))
            .boxed()
    }

    fn registry_settings<'a>(&'a self, host: &'a str) -> BoxFuture<'a, io::Result<OwnedFd>> {
        self.ask_for_socket(Ask::RegistrySettings(host.to_owned()))
            .boxed()
    }
}
