//! The errors of this crate: which step failed, and on which object.

use std::io;

/// What went wrong between us and the kernel's network.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A netlink socket could not be opened or set up.
    #[error("cannot open a netlink socket")]
    Open(#[source] io::Error),
    /// A request could not be handed to the kernel.
    #[error("cannot send to the kernel: {object}")]
    Send {
        /// What the request was about.
        object: String,
        /// Why it could not be sent.
        source: io::Error,
    },
    /// The kernel's answer could not be received.
    #[error("cannot receive the kernel's answer: {object}")]
    Receive {
        /// What the request was about.
        object: String,
        /// Why nothing was received.
        source: io::Error,
    },
    /// The kernel refused a request; nothing of its transaction took effect.
    #[error("kernel refused {object}{}", detail(.message))]
    Refused {
        /// What the request was about.
        object: String,
        /// The kernel's own words, where it has any.
        message: Option<String>,
        /// The error number.
        source: io::Error,
    },
    /// The kernel's answer does not follow the protocol.
    #[error("malformed netlink answer: {0}")]
    Malformed(&'static str),
    /// A message would not fit the protocol's 16-bit lengths or the socket.
    #[error("message too long: {0}")]
    TooLong(String),
    /// A name is longer than the kernel takes, or empty.
    #[error("not a usable interface name: {0:?}")]
    Name(String),
    /// A network namespace could not be made or entered.
    #[error("cannot {step} a network namespace")]
    Namespace {
        /// Which step failed.
        step: &'static str,
        /// Why.
        source: io::Error,
    },
    /// A switch under /proc/sys could not be set.
    #[error("cannot set {path}")]
    Sysctl {
        /// The file.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// The kernel's table may no longer equal the one remembered here.
    #[error("table {0} must be read back before it is changed again")]
    Uncertain(String),
}

/// The crate's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// Returns the kernel's error number when it refused a request.
    pub fn errno(&self) -> Option<i32> {
        match self {
            Error::Refused { source, .. } => source.raw_os_error(),
            _ => None,
        }
    }

    /// Tells whether the object is already there.
    pub fn is_exists(&self) -> bool {
        self.errno() == Some(libc::EEXIST)
    }

    /// Tells whether the object is not there.
    pub fn is_missing(&self) -> bool {
        matches!(
            self.errno(),
            Some(libc::ENOENT | libc::ENODEV | libc::ESRCH | libc::EADDRNOTAVAIL)
        )
    }
}

fn detail(message: &Option<String>) -> String {
    message
        .as_deref()
        .map(|text| format!(": {text}"))
        .unwrap_or_default()
}
