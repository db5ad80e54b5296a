//! A netlink socket that asks one question at a time.
//!
//! [`Netlink`] sends a message, waits for its acknowledgement or dump, and turns
//! a refusal into an error with the object's name and the kernel's text
//! (extended acknowledgements, Linux 4.12). It keeps the namespace it was
//! opened in. It does not subscribe to anything.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use crate::error::{Error, Result};
use crate::netns;
use crate::wire::{self, Builder};

const SOL_NETLINK: i32 = 270;
const NETLINK_CAP_ACK: i32 = 10;
const NETLINK_EXT_ACK: i32 = 11;
/// What we ask the kernel for; it gives what `net.core.wmem_max` allows.
const BUFFER: i32 = 8 << 20;
/// Larger than any datagram the kernel sends.
const RECEIVE: usize = 64 << 10;

/// An open netlink socket of one protocol in one network namespace.
#[derive(Debug)]
pub struct Netlink {
    fd: OwnedFd,
    sequence: u32,
    send_bytes_max: usize,
}

/// One answer of a dump: the message type and all behind the header.
pub type Answer = (u16, Vec<u8>);

impl Netlink {
    /// Opens rtnetlink in the calling thread's namespace.
    pub fn route() -> Result<Self> {
        Self::open(libc::NETLINK_ROUTE)
    }

    /// Opens netfilter's netlink in the calling thread's namespace.
    pub fn netfilter() -> Result<Self> {
        Self::open(libc::NETLINK_NETFILTER)
    }

    /// Opens rtnetlink in another namespace.
    pub fn route_in(netns: BorrowedFd<'_>) -> Result<Self> {
        netns::enter(netns, Self::route)?
    }

    /// Returns the largest transmission the kernel takes in one piece.
    pub fn send_bytes_max(&self) -> usize {
        self.send_bytes_max
    }

    /// Returns the next unused sequence number.
    pub fn next_sequence(&mut self) -> u32 {
        self.sequence = self.sequence.wrapping_add(1).max(1);
        self.sequence
    }

    /// Sends a change and waits until the kernel has made it.
    ///
    /// # Errors
    /// [`Error::Refused`] with the object and the kernel's words.
    pub fn change(&mut self, builder: Builder, object: &str) -> Result<()> {
        let sequence = self.ask(builder, object)?;
        let mut buffer = vec![0; RECEIVE];
        loop {
            let length = self.receive(&mut buffer, object)?;
            for received in wire::messages(&buffer[..length]) {
                if received.sequence == sequence && received.kind == wire::KIND_ERROR {
                    return acknowledged(&received, object);
                }
            }
        }
    }

    /// Sends a question for every object of a kind and returns the answers.
    pub fn dump(&mut self, builder: Builder, object: &str) -> Result<Vec<Answer>> {
        let sequence = self.ask(builder, object)?;
        let mut buffer = vec![0; RECEIVE];
        let mut answers = Vec::new();
        loop {
            let length = self.receive(&mut buffer, object)?;
            for received in wire::messages(&buffer[..length]) {
                if received.sequence != sequence {
                    continue;
                }
                match received.kind {
                    wire::KIND_DONE => return Ok(answers),
                    wire::KIND_ERROR => {
                        acknowledged(&received, object)?;
                        return Ok(answers);
                    }
                    kind => answers.push((kind, received.body.to_vec())),
                }
            }
        }
    }

    /// Sends bytes that carry their own headers.
    pub fn send(&self, bytes: &[u8], object: &str) -> Result<()> {
        let failed = |source| Error::Send {
            object: object.to_owned(),
            source,
        };
        loop {
            // SAFETY: the pointer and the length describe `bytes`, which
            // outlives the call; the fd is open.
            let sent =
                unsafe { libc::send(self.fd.as_raw_fd(), bytes.as_ptr().cast(), bytes.len(), 0) };
            if sent >= 0 {
                return Ok(());
            }
            let error = io::Error::last_os_error();
            if error.kind() != io::ErrorKind::Interrupted {
                return Err(failed(error));
            }
        }
    }

    /// Receives one datagram.
    pub fn receive(&self, buffer: &mut [u8], object: &str) -> Result<usize> {
        loop {
            // SAFETY: the pointer and the length describe `buffer`, which is
            // exclusively ours during the call; the fd is open.
            let received = unsafe {
                libc::recv(
                    self.fd.as_raw_fd(),
                    buffer.as_mut_ptr().cast(),
                    buffer.len(),
                    0,
                )
            };
            if received >= 0 {
                return Ok(received as usize);
            }
            let source = io::Error::last_os_error();
            if source.kind() != io::ErrorKind::Interrupted {
                return Err(Error::Receive {
                    object: object.to_owned(),
                    source,
                });
            }
        }
    }

    fn ask(&mut self, builder: Builder, object: &str) -> Result<u32> {
        let sequence = self.next_sequence();
        let bytes = builder
            .finish(sequence)
            .ok_or_else(|| Error::TooLong(object.to_owned()))?;
        self.send(&bytes, object)?;
        Ok(sequence)
    }

    fn open(protocol: i32) -> Result<Self> {
        // SAFETY: plain system call; the result is checked before use.
        let fd = unsafe {
            libc::socket(
                libc::AF_NETLINK,
                libc::SOCK_RAW | libc::SOCK_CLOEXEC,
                protocol,
            )
        };
        if fd < 0 {
            return Err(Error::Open(io::Error::last_os_error()));
        }
        // SAFETY: the kernel has just given us this fd and nobody else has it.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        set(&fd, SOL_NETLINK, NETLINK_EXT_ACK, 1).map_err(Error::Open)?;
        set(&fd, SOL_NETLINK, NETLINK_CAP_ACK, 1).map_err(Error::Open)?;
        // Forcing needs a capability of the initial namespace; the plain
        // option is cut to the machine's maximum instead of refused.
        for (forced, plain) in [
            (libc::SO_SNDBUFFORCE, libc::SO_SNDBUF),
            (libc::SO_RCVBUFFORCE, libc::SO_RCVBUF),
        ] {
            if set(&fd, libc::SOL_SOCKET, forced, BUFFER).is_err() {
                set(&fd, libc::SOL_SOCKET, plain, BUFFER).map_err(Error::Open)?;
            }
        }
        // netlink_sendmsg refuses more than the buffer less 32 bytes.
        let buffer = get(&fd, libc::SOL_SOCKET, libc::SO_SNDBUF).map_err(Error::Open)?;
        Ok(Netlink {
            fd,
            sequence: 0,
            send_bytes_max: usize::try_from(buffer).unwrap_or(0).saturating_sub(64),
        })
    }
}

/// Turns an acknowledgement into a result that names the object.
pub(crate) fn acknowledged(received: &wire::Received<'_>, object: &str) -> Result<()> {
    match received.acknowledgement() {
        Some((0, _)) => Ok(()),
        Some((code, message)) => Err(Error::Refused {
            object: object.to_owned(),
            message,
            source: io::Error::from_raw_os_error(code),
        }),
        None => Err(Error::Malformed("acknowledgement cut short")),
    }
}

fn set(fd: &OwnedFd, level: i32, option: i32, value: i32) -> io::Result<()> {
    // SAFETY: the pointer and the size describe a live i32, as the options ask.
    let result = unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            level,
            option,
            (&raw const value).cast(),
            size_of::<i32>() as libc::socklen_t,
        )
    };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

fn get(fd: &OwnedFd, level: i32, option: i32) -> io::Result<i32> {
    let mut value = 0i32;
    let mut length = size_of::<i32>() as libc::socklen_t;
    // SAFETY: the pointer and the size describe a live, writable i32.
    let result = unsafe {
        libc::getsockopt(
            fd.as_raw_fd(),
            level,
            option,
            (&raw mut value).cast(),
            &raw mut length,
        )
    };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(value)
}
