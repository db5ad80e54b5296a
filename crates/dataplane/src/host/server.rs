//! The host's side of the wire.
//!
//! [`listen`] makes the Unix socket, [`serve`] answers whoever connects. Who
//! may connect is a matter of the socket file's permissions.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;

use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use tokio::io::Interest;
use tokio::sync::Semaphore;

use super::HostPorts;
use super::wire::{Ask, Channel, Fault, Parcel, Reply, Request, watch};

/// Requests under way at once for one data plane.
const REQUESTS_MAX: usize = 4096;

/// A listening `SOCK_SEQPACKET` Unix socket.
#[derive(Debug)]
pub struct Listener {
    fd: OwnedFd,
}

impl From<OwnedFd> for Listener {
    /// Takes over a non-blocking listening socket made by [`listen`].
    fn from(fd: OwnedFd) -> Self {
        Listener { fd }
    }
}

/// Makes the socket file, in place of one left behind, for its owner only.
pub fn listen(path: &Path) -> io::Result<Listener> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let fd = seqpacket()?;
    rustix::net::bind(&fd, &SocketAddrUnix::new(path)?)?;
    std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    rustix::net::listen(&fd, 16)?;
    Ok(Listener { fd })
}

/// Returns an unconnected socket of the wire's kind.
pub(super) fn seqpacket() -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    Ok(rustix::net::socket_with(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        flags,
        None,
    )?)
}

/// Answers requests for as long as the listener stands.
///
/// # Errors
/// When the listener itself fails; a connection that fails only ends.
pub async fn serve(listener: Listener, host: Arc<dyn HostPorts>) -> io::Result<()> {
    let listener = watch(listener.fd, Interest::READABLE)?;
    loop {
        let accepted = listener
            .async_io(Interest::READABLE, |fd| {
                let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
                Ok(rustix::net::accept_with(fd.as_fd(), flags)?)
            })
            .await;
        match accepted {
            Ok(fd) => {
                tokio::spawn(converse(fd, host.clone()));
            }
            Err(error) if is_passing(&error) => tokio::task::yield_now().await,
            Err(error) => return Err(error),
        }
    }
}

fn is_passing(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::ECONNABORTED | libc::EINTR | libc::EMFILE | libc::ENFILE | libc::ENOMEM)
    )
}

/// Serves one connection; also for a socket pair instead of a listener.
async fn converse(fd: OwnedFd, host: Arc<dyn HostPorts>) {
    if let Err(error) = answer_all(fd, host).await {
        tracing::warn!(%error, "conversation with the data plane ended");
    }
}

async fn answer_all(fd: OwnedFd, host: Arc<dyn HostPorts>) -> io::Result<()> {
    let channel = Arc::new(Channel::new(fd)?);
    let places = Arc::new(Semaphore::new(REQUESTS_MAX));
    let mut buffer = Vec::new();
    while let Some(parcel) = channel.receive::<Request>(&mut buffer).await? {
        let Ok(place) = places.clone().acquire_owned().await else {
            return Ok(());
        };
        let (channel, host) = (channel.clone(), host.clone());
        tokio::spawn(async move {
            let sent = answer(&channel, &*host, parcel).await;
            drop(place);
            if let Err(error) = sent {
                tracing::debug!(%error, "answer not delivered");
            }
        });
    }
    Ok(())
}

async fn answer(
    channel: &Channel,
    host: &dyn HostPorts,
    parcel: Parcel<Request>,
) -> io::Result<()> {
    let (mut fd, mut bytes) = (None, Vec::new());
    let result = match parcel.header.ask {
        Ask::Bind(proto, address) => host.bind(proto, address).await.map(|got| fd = Some(got)),
        Ask::Dial(proto, address) => host.dial(proto, address).await.map(|got| fd = Some(got)),
        Ask::Release(proto, address) => host.release(proto, address).await,
        Ask::Resolve => host.resolve(&parcel.bytes).await.map(|got| bytes = got),
        Ask::DialRegistry(name, port) => {
            let dialled = host.dial_registry(&name, port).await;
            dialled.map(|got| fd = Some(got))
        }
        Ask::RegistrySettings(name) => {
            let settings = host.registry_settings(&name).await;
            settings.map(|got| fd = Some(got))
        }
    };
    let reply = Reply {
        id: parcel.header.id,
        error: result.err().as_ref().map(Fault::from),
    };
    channel
        .send(&reply, &bytes, fd.as_ref().map(AsFd::as_fd))
        .await
}
