//! The line between a process that is becoming a container's program and its
//! shim. It closes by itself when the program starts (close-on-exec), so its
//! end without a message means success. The main types are [`Child`] and
//! [`Note`].

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};

use crate::error::StartError;
use crate::user::Credentials;

/// First bytes of notes; that of a failure is none of them.
const TERMINAL: u8 = b't';
const USER: u8 = b'u';

/// Longer messages are cut: a file name in them may be long, the cause is not.
const MESSAGE_BYTES_MAX: usize = 16_384;

/// The new process's end.
pub(crate) struct Child(OwnedFd);

/// The shim's end.
pub(crate) struct Parent(OwnedFd);

/// What the new process had to say.
pub(crate) enum Note {
    /// The terminal it made; this is the controlling side.
    Terminal(OwnedFd),
    /// The user that it has become.
    User(Credentials),
    /// It gave up.
    Failed(StartError),
    /// It became the program.
    Started,
}

/// Makes a line.
pub(crate) fn pair() -> io::Result<(Parent, Child)> {
    let (one, other) = socketpair(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC,
        None,
    )?;
    Ok((Parent(one), Child(other)))
}

impl Child {
    /// Hands the terminal to the shim.
    pub(crate) fn send_terminal(&self, terminal: BorrowedFd<'_>) -> io::Result<()> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let descriptors = [terminal];
        control.push(SendAncillaryMessage::ScmRights(&descriptors));
        sendmsg(
            &self.0,
            &[IoSlice::new(&[TERMINAL])],
            &mut control,
            SendFlags::NOSIGNAL,
        )?;
        Ok(())
    }

    /// Tells the shim which user the program begins as.
    pub(crate) fn send_user(&self, user: &Credentials) -> io::Result<()> {
        let mut text = vec![USER];
        serde_json::to_writer(&mut text, user)?;
        if text.len() > MESSAGE_BYTES_MAX {
            // So many groups are not told of; the program starts all the same.
            return Ok(());
        }
        rustix::net::send(&self.0, &text, SendFlags::NOSIGNAL)?;
        Ok(())
    }

    /// Tells whether the shim is gone.
    pub(crate) fn is_abandoned(&self) -> bool {
        let mut fds = [PollFd::new(&self.0, PollFlags::empty())];
        let now = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        poll(&mut fds, Some(&now)).is_ok_and(|ready| ready > 0)
    }

    /// Says why there will be no program. Nobody listening is no matter.
    pub(crate) fn send_failure(&self, error: &StartError) {
        let mut text = serde_json::to_vec(error).unwrap_or_default();
        if text.len() > MESSAGE_BYTES_MAX {
            let short = StartError::Shim("the start failed; its message is too long".into());
            text = serde_json::to_vec(&short).unwrap_or_default();
        }
        let _ = rustix::net::send(&self.0, &text, SendFlags::NOSIGNAL);
    }
}

impl Parent {
    /// Waits for the next note.
    pub(crate) fn receive(&self) -> io::Result<Note> {
        let mut bytes = vec![0; MESSAGE_BYTES_MAX];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut slices = [IoSliceMut::new(&mut bytes)];
        let message = loop {
            match recvmsg(&self.0, &mut slices, &mut control, RecvFlags::CMSG_CLOEXEC) {
                Err(rustix::io::Errno::INTR) => {}
                other => break other?,
            }
        };
        for received in control.drain() {
            if let RecvAncillaryMessage::ScmRights(mut descriptors) = received
                && let Some(terminal) = descriptors.next()
            {
                return Ok(Note::Terminal(terminal));
            }
        }
        Ok(match &bytes[..message.bytes] {
            [] => Note::Started,
            [USER, user @ ..] => Note::User(serde_json::from_slice(user)?),
            failure => {
                Note::Failed(serde_json::from_slice(failure).unwrap_or_else(StartError::shim))
            }
        })
    }
}

impl AsFd for Parent {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
