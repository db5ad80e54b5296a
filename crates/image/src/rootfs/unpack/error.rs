//! Why an archive is not unpacked: [`UnpackError`].

use std::io;

use rustix::io::Errno;

use crate::tar::{Member, TarError};

/// An archive that is refused, or that could not be written out.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// The archive is broken.
    #[error(transparent)]
    Tar(#[from] TarError),
    /// A member reaches out of the root or is nonsense.
    #[error("refused member {member}: {reason}")]
    Member {
        /// Its path.
        member: String,
        /// Why it is refused.
        reason: String,
    },
    /// The archive is larger than allowed.
    #[error(
        "the layer unpacks to more than {limit} {unit}; raise the limit if the image is trusted"
    )]
    TooLarge {
        /// The bound.
        limit: u64,
        /// Its unit.
        unit: &'static str,
    },
    /// Writing failed.
    #[error("cannot write {member}")]
    Write {
        /// The member.
        member: String,
        /// Why.
        #[source]
        source: io::Error,
    },
}

pub(super) fn refused(member: &Member, reason: &str) -> UnpackError {
    UnpackError::Member {
        member: String::from_utf8_lossy(&member.path).into_owned(),
        reason: reason.to_owned(),
    }
}

pub(super) fn write_failed(member: &Member, source: io::Error) -> UnpackError {
    UnpackError::Write {
        member: String::from_utf8_lossy(&member.path).into_owned(),
        source,
    }
}

pub(super) fn bad_parent(member: &Member, error: Errno) -> UnpackError {
    match error {
        Errno::NOTDIR => refused(member, "it lies in something that is no directory"),
        Errno::LOOP => refused(member, "its path is a loop of links"),
        // A link to nothing: opening says "missing", making says "exists".
        Errno::EXIST => refused(member, "its path leads through a link to nothing"),
        error => write_failed(member, error.into()),
    }
}
