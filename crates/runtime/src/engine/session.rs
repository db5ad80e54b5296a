//! Streams between the engine and a container's programs. The main types are
//! [`ExecSession`] and [`Attachment`].

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::unix::pipe;
use tokio::sync::Mutex;

use super::link::Link;
use crate::protocol::{self, Kind, Reply, Request};
use crate::pty;
use crate::record::Exit;

/// A further program in a container. Its streams do not pass the shim.
#[derive(Debug)]
pub struct ExecSession {
    /// Its process id, in the engine's pid namespace.
    pub pid: i32,
    /// Its standard input, if it was asked for. Dropping it ends the input.
    pub stdin: Option<pipe::Sender>,
    /// Its standard output, without a terminal.
    pub stdout: Option<pipe::Receiver>,
    /// Its standard error, without a terminal.
    pub stderr: Option<pipe::Receiver>,
    /// Its terminal, if it was asked for.
    pub pty: Option<Pty>,
    pub(super) link: Link,
}

impl ExecSession {
    pub(super) fn new(pid: i32, link: Link) -> Self {
        Self {
            pid,
            stdin: None,
            stdout: None,
            stderr: None,
            pty: None,
            link,
        }
    }

    /// Waits for its end. May be cancelled and called again.
    ///
    /// # Errors
    ///
    /// When the shim is lost.
    pub async fn wait(&mut self) -> io::Result<Exit> {
        while let Some(reply) = self.link.reply().await? {
            if let Reply::Exited(exit) = reply {
                return Ok(exit);
            }
        }
        Err(io::ErrorKind::UnexpectedEof.into())
    }

    /// Sends it a signal.
    ///
    /// # Errors
    ///
    /// When the shim is lost. A program that has ended is no error.
    pub async fn kill(&mut self, signal: i32) -> io::Result<()> {
        let frame = protocol::control(&Request::Signal { signal })?;
        self.link.send(&frame, &[]).await
    }
}

/// The controlling side of a terminal. Clones are the same terminal, so that
/// one can read while another writes.
#[derive(Debug, Clone)]
pub struct Pty(Arc<AsyncFd<OwnedFd>>);

impl Pty {
    pub(super) fn new(fd: OwnedFd) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(&fd, true)?;
        // SAFETY: the descriptor is owned and never exchanged; AsyncFd keeps it
        // open for its own lifetime.
        Ok(Self(Arc::new(unsafe { AsyncFd::register(fd) }?)))
    }

    /// Tells the program how large the terminal is.
    ///
    /// # Errors
    ///
    /// When the terminal is gone.
    pub fn resize(&self, columns: u16, rows: u16) -> io::Result<()> {
        pty::resize(self.0.as_fd(), columns, rows)
    }
}

impl AsyncRead for Pty {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            let mut guard = ready!(self.0.poll_read_ready(cx))?;
            let read =
                guard.try_io(|fd| Ok(rustix::io::read(fd.get_ref(), buf.initialize_unfilled())?));
            match read {
                Ok(Ok(length)) => {
                    buf.advance(length);
                    return Poll::Ready(Ok(()));
                }
                // tty(4): no program has the other side open any more.
                Ok(Err(error)) if error.raw_os_error() == Some(libc::EIO) => {
                    return Poll::Ready(Ok(()));
                }
                Ok(Err(error)) => return Poll::Ready(Err(error)),
                Err(_would_block) => {}
            }
        }
    }
}

impl AsyncWrite for Pty {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        loop {
            let mut guard = ready!(self.0.poll_write_ready(cx))?;
            match guard.try_io(|fd| Ok(rustix::io::write(fd.get_ref(), bytes)?)) {
                Ok(result) => return Poll::Ready(result),
                Err(_would_block) => {}
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// The streams of a container's own program, from the moment of attaching.
#[derive(Debug)]
pub struct Attachment {
    /// What the container says.
    pub output: AttachOutput,
    /// What it is told.
    pub input: AttachInput,
}

impl Attachment {
    pub(super) fn new(link: Link) -> Self {
        let input = AttachInput(Arc::new(Mutex::new(link.twin())));
        Self {
            output: AttachOutput(link),
            input,
        }
    }
}

/// What an attached container does.
#[derive(Debug, PartialEq, Eq)]
pub enum AttachEvent {
    /// It wrote to standard output, or to its terminal.
    Stdout(Vec<u8>),
    /// It wrote to standard error.
    Stderr(Vec<u8>),
    /// It ended.
    Exited(Exit),
}

/// Receives from an attached container.
#[derive(Debug)]
pub struct AttachOutput(Link);

/// Sends to an attached container. Clones send to the same one.
#[derive(Debug, Clone)]
pub struct AttachInput(Arc<Mutex<Link>>);

impl AttachOutput {
    /// Waits for the next event; `None` when the shim let go, which it does
    /// with a client that takes nothing for ten seconds.
    ///
    /// # Errors
    ///
    /// When the connection breaks.
    pub async fn next(&mut self) -> io::Result<Option<AttachEvent>> {
        while let Some((kind, payload)) = self.0.frame().await? {
            match kind {
                Kind::Stdout => return Ok(Some(AttachEvent::Stdout(payload))),
                Kind::Stderr => return Ok(Some(AttachEvent::Stderr(payload))),
                Kind::Control => match protocol::parse(&payload)? {
                    Reply::Exited(exit) => return Ok(Some(AttachEvent::Exited(exit))),
                    Reply::Error(text) => return Err(io::Error::other(text)),
                    _ => {}
                },
                _ => {}
            }
        }
        Ok(None)
    }
}

impl AttachInput {
    /// Writes to the container's standard input.
    ///
    /// # Errors
    ///
    /// When the connection breaks.
    pub async fn write(&self, bytes: &[u8]) -> io::Result<()> {
        for chunk in bytes.chunks(16 * 1024) {
            self.send(Kind::Stdin, chunk).await?;
        }
        Ok(())
    }

    /// Says that there is no more input. It ends the container's standard
    /// input if the container was to have it once.
    ///
    /// # Errors
    ///
    /// When the connection breaks.
    pub async fn close(&self) -> io::Result<()> {
        self.send(Kind::StdinEnd, &[]).await
    }

    async fn send(&self, kind: Kind, payload: &[u8]) -> io::Result<()> {
        let mut frame = Vec::with_capacity(payload.len() + 8);
        protocol::put(&mut frame, kind, payload);
        self.0.lock().await.send(&frame, &[]).await
    }
}
