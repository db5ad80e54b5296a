//! A connection to a shim: frames and descriptors over a Unix socket. The
//! main type is [`Link`].

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use tokio::io::Interest;
use tokio::net::UnixStream;

use crate::protocol::{self, Kind, Reply, Request};
use crate::record;

/// A connection. Both directions may be cancelled at any point; nothing is
/// lost.
#[derive(Debug)]
pub(super) struct Link {
    stream: Arc<UnixStream>,
    input: Vec<u8>,
    output: Vec<u8>,
    received: Option<OwnedFd>,
}

impl Link {
    pub(super) fn new(stream: UnixStream) -> Self {
        Self {
            stream: Arc::new(stream),
            input: Vec::new(),
            output: Vec::new(),
            received: None,
        }
    }

    /// Returns a second end of the same connection, so that one can receive
    /// while the other sends.
    pub(super) fn twin(&self) -> Self {
        Self {
            stream: Arc::clone(&self.stream),
            input: Vec::new(),
            output: Vec::new(),
            received: None,
        }
    }

    /// Connects to the shim in `directory`.
    pub(super) async fn connect(directory: &Path) -> io::Result<Self> {
        // A socket's path may have 107 bytes at most (unix(7)); the directory
        // is named by a descriptor, which is short.
        let at = std::fs::File::open(directory)?;
        let path = format!("/proc/self/fd/{}/{}", at.as_raw_fd(), record::SOCKET);
        Ok(Self::new(UnixStream::connect(path).await?))
    }

    /// Sends a whole frame, the descriptors with its first bytes. Cancelled, it
    /// leaves the rest to the next one, so that frames stay whole.
    pub(super) async fn send(
        &mut self,
        frame: &[u8],
        mut descriptors: &[BorrowedFd<'_>],
    ) -> io::Result<()> {
        self.output.extend_from_slice(frame);
        while !self.output.is_empty() {
            let (stream, output) = (&self.stream, &self.output);
            let sent = stream.async_io(Interest::WRITABLE, || {
                let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
                let mut control = SendAncillaryBuffer::new(&mut space);
                if !descriptors.is_empty() {
                    control.push(SendAncillaryMessage::ScmRights(descriptors));
                }
                let slices = [IoSlice::new(output)];
                Ok(sendmsg(stream, &slices, &mut control, SendFlags::NOSIGNAL)?)
            });
            let sent = sent.await?;
            self.output.drain(..sent);
            descriptors = &[];
        }
        Ok(())
    }

    /// Receives the next frame; `None` at the end.
    pub(super) async fn frame(&mut self) -> io::Result<Option<(Kind, Vec<u8>)>> {
        loop {
            if let Some((kind, payload, end)) = protocol::first(&self.input)? {
                let payload = payload.to_vec();
                self.input.drain(..end);
                return Ok(Some((kind, payload)));
            }
            if !self.fill().await? {
                return Ok(None);
            }
        }
    }

    /// Receives the next control message; `None` at the end.
    pub(super) async fn reply(&mut self) -> io::Result<Option<Reply>> {
        while let Some((kind, payload)) = self.frame().await? {
            if kind == Kind::Control {
                return protocol::parse(&payload).map(Some);
            }
        }
        Ok(None)
    }

    /// The descriptor that came with a reply.
    pub(super) fn descriptor(&mut self) -> Option<OwnedFd> {
        self.received.take()
    }

    async fn fill(&mut self) -> io::Result<bool> {
        let mut bytes = vec![0; 16 * 1024];
        let (stream, received) = (&self.stream, &mut self.received);
        let length = stream
            .async_io(Interest::READABLE, || {
                let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
                let mut control = RecvAncillaryBuffer::new(&mut space);
                let mut slices = [IoSliceMut::new(&mut bytes)];
                let flags = RecvFlags::CMSG_CLOEXEC;
                let message = recvmsg(stream, &mut slices, &mut control, flags)?;
                for part in control.drain() {
                    if let RecvAncillaryMessage::ScmRights(mut descriptors) = part {
                        *received = descriptors.next();
                    }
                }
                Ok(message.bytes)
            })
            .await?;
        self.input.extend_from_slice(&bytes[..length]);
        Ok(length > 0)
    }
}

/// Tells whether a shim serves in `directory`.
pub(super) async fn answers(directory: &Path) -> bool {
    let ask = async || {
        let mut link = Link::connect(directory).await?;
        link.send(&protocol::control(&Request::Status)?, &[])
            .await?;
        link.reply().await
    };
    matches!(ask().await, Ok(Some(_)))
}
