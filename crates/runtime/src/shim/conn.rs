//! One connection of the engine to a shim: frames in, frames out, never
//! blocking. The main type is [`Conn`].
//!
//! Not here: what the frames mean, see `serve`.

use std::collections::VecDeque;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Instant;

use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};

use crate::protocol::{self, Kind, Reply};

/// An attached client that has this much to read yet makes the container's
/// own output wait.
const BEHIND_BYTES: usize = 64 * 1024;

const READ_BYTES: usize = 16 * 1024;

/// What a connection is for, beyond answering requests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Role {
    /// It is told when the container ends.
    pub waits: bool,
    /// It gets standard output.
    pub stdout: bool,
    /// It gets standard error.
    pub stderr: bool,
    /// It feeds standard input.
    pub stdin: bool,
}

/// A connection.
pub(super) struct Conn {
    /// Never used twice, so that a program can name the one it belongs to.
    pub number: u64,
    pub role: Role,
    /// Still open in both directions.
    pub open: bool,
    /// When the client last took something.
    pub moved: Instant,
    socket: OwnedFd,
    input: Vec<u8>,
    output: VecDeque<u8>,
    received: VecDeque<OwnedFd>,
    to_send: Option<OwnedFd>,
}

impl Conn {
    pub(super) fn new(number: u64, socket: OwnedFd) -> Self {
        Self {
            number,
            role: Role::default(),
            open: true,
            moved: Instant::now(),
            socket,
            input: Vec::new(),
            output: VecDeque::new(),
            received: VecDeque::new(),
            to_send: None,
        }
    }

    /// Reads what is there. Returns false at the end.
    pub(super) fn fill(&mut self) -> io::Result<bool> {
        let mut bytes = [0; READ_BYTES];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut slices = [IoSliceMut::new(&mut bytes)];
        let flags = RecvFlags::CMSG_CLOEXEC;
        let length = match recvmsg(&self.socket, &mut slices, &mut control, flags) {
            Ok(message) => message.bytes,
            Err(Errno::AGAIN | Errno::INTR) => return Ok(true),
            Err(error) => return Err(error.into()),
        };
        for received in control.drain() {
            if let RecvAncillaryMessage::ScmRights(descriptors) = received {
                self.received.extend(descriptors);
            }
        }
        self.input.extend_from_slice(&bytes[..length]);
        Ok(length > 0)
    }

    /// Takes the next whole frame.
    pub(super) fn next(&mut self) -> io::Result<Option<(Kind, Vec<u8>)>> {
        let Some((kind, payload, end)) = protocol::first(&self.input)? else {
            return Ok(None);
        };
        let payload = payload.to_vec();
        self.input.drain(..end);
        if self.input.is_empty() {
            self.input.shrink_to(READ_BYTES);
        }
        Ok(Some((kind, payload)))
    }

    /// Takes the next descriptor that came along.
    pub(super) fn descriptor(&mut self) -> Option<OwnedFd> {
        self.received.pop_front()
    }

    /// Queues a reply.
    pub(super) fn reply(&mut self, reply: &Reply) {
        if let Ok(frame) = protocol::control(reply) {
            self.output.extend(frame);
        }
    }

    /// Queues a reply with a descriptor.
    pub(super) fn reply_with(&mut self, reply: &Reply, descriptor: Option<OwnedFd>) {
        self.reply(reply);
        self.to_send = descriptor;
    }

    /// Queues output of the container.
    pub(super) fn stream(&mut self, kind: Kind, bytes: &[u8]) {
        let mut frame = Vec::with_capacity(bytes.len() + 8);
        protocol::put(&mut frame, kind, bytes);
        self.output.extend(frame);
    }

    /// Writes what the client takes now.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        while !self.output.is_empty() {
            let (bytes, _) = self.output.as_slices();
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
            let mut control = SendAncillaryBuffer::new(&mut space);
            let descriptors: Vec<BorrowedFd<'_>> =
                self.to_send.iter().map(|fd| fd.as_fd()).collect();
            if !descriptors.is_empty() {
                control.push(SendAncillaryMessage::ScmRights(&descriptors));
            }
            let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
            let sent = match sendmsg(&self.socket, &[IoSlice::new(bytes)], &mut control, flags) {
                Ok(sent) => sent,
                Err(Errno::AGAIN | Errno::INTR) => return Ok(()),
                Err(error) => return Err(error.into()),
            };
            self.to_send = None;
            self.output.drain(..sent);
            self.moved = Instant::now();
        }
        self.output.shrink_to(READ_BYTES);
        Ok(())
    }

    pub(super) fn has_output(&self) -> bool {
        !self.output.is_empty()
    }

    /// Tells whether the client is too slow for the container's output.
    pub(super) fn is_behind(&self) -> bool {
        self.output.len() > BEHIND_BYTES
    }
}

impl AsFd for Conn {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
