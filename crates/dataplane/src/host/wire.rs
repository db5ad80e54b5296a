//! Messages between data plane and host, with open sockets in them.
//!
//! One packet of a `SOCK_SEQPACKET` Unix socket is one message: four bytes of
//! header length (little endian), the header as JSON, then raw bytes; an open
//! socket travels beside it. Many requests may be under way at once.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::config::Proto;

/// The largest DNS message and a header fit well into it.
const MESSAGE_BYTES_MAX: usize = 72 << 10;

/// What the data plane asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Ask {
    Bind(Proto, SocketAddr),
    Release(Proto, SocketAddr),
    Dial(Proto, SocketAddr),
    /// The query is the message's raw bytes.
    Resolve,
    DialRegistry(String, u16),
    RegistrySettings(String),
}

/// A request.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Request {
    pub id: u64,
    pub ask: Ask,
}

/// An answer; a socket or raw bytes come beside it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Reply {
    pub id: u64,
    pub error: Option<Fault>,
}

/// An input/output error on its way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Fault {
    /// The error number, where there is one.
    code: Option<i32>,
    /// Whether policy refused it.
    refused: bool,
    message: String,
}

impl From<&io::Error> for Fault {
    fn from(error: &io::Error) -> Self {
        Fault {
            code: error.raw_os_error(),
            refused: error.kind() == io::ErrorKind::PermissionDenied,
            message: error.to_string(),
        }
    }
}

impl From<Fault> for io::Error {
    fn from(fault: Fault) -> Self {
        match fault.code {
            Some(code) => io::Error::from_raw_os_error(code),
            None if fault.refused => io::Error::new(io::ErrorKind::PermissionDenied, fault.message),
            None => io::Error::other(fault.message),
        }
    }
}

/// One message as received.
#[derive(Debug)]
pub(super) struct Parcel<T> {
    pub header: T,
    pub bytes: Vec<u8>,
    pub fd: Option<OwnedFd>,
}

/// One end of the conversation.
#[derive(Debug)]
pub(super) struct Channel {
    fd: AsyncFd<OwnedFd>,
}

impl Channel {
    /// Takes over a connected non-blocking `SOCK_SEQPACKET` socket.
    pub(super) fn new(fd: OwnedFd) -> io::Result<Self> {
        Ok(Channel {
            fd: watch(fd, Interest::READABLE | Interest::WRITABLE)?,
        })
    }

    /// Sends one message.
    pub(super) async fn send(
        &self,
        header: &impl Serialize,
        bytes: &[u8],
        fd: Option<BorrowedFd<'_>>,
    ) -> io::Result<()> {
        let header = serde_json::to_vec(header)?;
        let length = (header.len() as u32).to_le_bytes();
        self.fd
            .async_io(Interest::WRITABLE, |socket| {
                let parts = [
                    IoSlice::new(&length),
                    IoSlice::new(&header),
                    IoSlice::new(bytes),
                ];
                send(socket.as_fd(), &parts, fd)
            })
            .await
    }

    /// Receives one message; `None` when the other end has gone.
    pub(super) async fn receive<T: DeserializeOwned>(
        &self,
        buffer: &mut Vec<u8>,
    ) -> io::Result<Option<Parcel<T>>> {
        buffer.resize(MESSAGE_BYTES_MAX, 0);
        let (length, fd) = self
            .fd
            .async_io(Interest::READABLE, |socket| receive(socket.as_fd(), buffer))
            .await?;
        if length == 0 {
            return Ok(None);
        }
        let (header, bytes) = split(&buffer[..length])?;
        Ok(Some(Parcel {
            header: serde_json::from_slice(header)?,
            bytes: bytes.to_vec(),
            fd,
        }))
    }
}

/// Hands a socket to the runtime's reactor.
pub(super) fn watch(fd: OwnedFd, interest: Interest) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an `OwnedFd` is open, always returns the same descriptor, and is
    // owned by the `AsyncFd` from here on.
    let watched = unsafe { AsyncFd::register_with_interest(fd, interest) };
    watched.map_err(io::Error::from)
}

fn split(message: &[u8]) -> io::Result<(&[u8], &[u8])> {
    let wrong = || io::Error::new(io::ErrorKind::InvalidData, "message cut short");
    let (length, rest) = message.split_first_chunk::<4>().ok_or_else(wrong)?;
    let length = u32::from_le_bytes(*length) as usize;
    rest.split_at_checked(length).ok_or_else(wrong)
}

fn send(
    socket: BorrowedFd<'_>,
    parts: &[IoSlice<'_>],
    fd: Option<BorrowedFd<'_>>,
) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    let fds: Vec<BorrowedFd<'_>> = fd.into_iter().collect();
    if !fds.is_empty() {
        ancillary.push(SendAncillaryMessage::ScmRights(&fds));
    }
    let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    rustix::net::sendmsg(socket, parts, &mut ancillary, flags)?;
    Ok(())
}

fn receive(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<(usize, Option<OwnedFd>)> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let received = rustix::net::recvmsg(
        socket,
        &mut [IoSliceMut::new(buffer)],
        &mut ancillary,
        RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT,
    )?;
    let fd = ancillary
        .drain()
        .filter_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
            _ => None,
        })
        .next();
    Ok((received.bytes, fd))
}
