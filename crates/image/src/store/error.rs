//! What can go wrong in the store: [`StoreError`].

use std::io;
use std::path::{Path, PathBuf};

use crate::digest::Digest;
use crate::rootfs::UnpackError;

/// A failure of the image store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A file operation failed.
    #[error("cannot {step} {path}")]
    Io {
        /// What was tried.
        step: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// The disk is full.
    #[error(
        "no space left on the disk of the image store; remove images with `coracle image rm`, or free space"
    )]
    DiskFull {
        /// The file that found no room.
        path: PathBuf,
    },
    /// The store's own limit is reached.
    #[error(
        "the image store would grow beyond its limit of {limit_bytes} bytes; make room with `coracle image prune` or `coracle image rm`, or raise the limit with `coracle image limit`"
    )]
    Limit {
        /// The limit.
        limit_bytes: u64,
    },
    /// The store was written by a newer version.
    #[error("the image store at {path} has format {found}, this version knows up to {known}")]
    Format {
        /// The store.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// The newest format known here.
        known: u32,
    },
    /// Content is not what its digest says.
    #[error("{what} has digest {found}, expected {expected}")]
    Mismatch {
        /// Which content.
        what: String,
        /// What it should be.
        expected: Digest,
        /// What it is.
        found: Digest,
    },
    /// A document of the store or of an image is broken.
    #[error("{what} is broken: {reason}")]
    Broken {
        /// Which document.
        what: String,
        /// Why.
        reason: String,
    },
    /// Content that should be there is not.
    #[error("{what} {digest} is not in the image store")]
    Missing {
        /// Which content.
        what: &'static str,
        /// Its digest.
        digest: Digest,
    },
    /// No image has this name.
    #[error("no image named {name}; `coracle image ls` lists those there are")]
    NoSuchImage {
        /// The name asked for.
        name: String,
    },
    /// A short id fits several images.
    #[error("the id {id} fits several images: {candidates}")]
    Ambiguous {
        /// The id asked for.
        id: String,
        /// The images it fits.
        candidates: String,
    },
    /// A cluster name that cannot be a file name.
    #[error("\"{0}\" is no cluster name: letters, digits, '.', '-' and '_' only")]
    ClusterName(String),
    /// Another process is adding images.
    #[error(
        "an image is being built, loaded or pulled right now; unused layers stay until it is done"
    )]
    Busy,
    /// A layer was refused or could not be written.
    #[error("cannot unpack layer {diff_id}")]
    Unpack {
        /// Which layer.
        diff_id: Digest,
        /// Why.
        #[source]
        source: UnpackError,
    },
}

impl StoreError {
    /// Returns a conversion for file operations that tells a full disk apart.
    pub(crate) fn io(step: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::DiskFull { path },
            _ => Self::Io { step, path, source },
        }
    }

    /// Returns the error for a layer; a full disk stays a full disk.
    pub(crate) fn unpack(diff_id: Digest, path: &Path, source: UnpackError) -> Self {
        match &source {
            UnpackError::Write { source, .. }
                if source.kind() == io::ErrorKind::StorageFull
                    || source.kind() == io::ErrorKind::QuotaExceeded =>
            {
                Self::DiskFull {
                    path: path.to_owned(),
                }
            }
            _ => Self::Unpack { diff_id, source },
        }
    }
}
