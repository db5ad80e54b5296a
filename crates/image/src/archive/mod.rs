//! Images as archives: docker-archive (`docker save`) and OCI layout, read
//! from a file or a stream and written to one.
//!
//! Loading takes all images of an archive or none: a broken archive leaves
//! nothing behind.

mod layout;
mod load;
mod save;

pub use load::{LoadEvent, LoadOptions, Loaded, load, load_file};
pub use save::{Format, SaveOptions, save};

use crate::oci::Platform;
use crate::store::StoreError;
use crate::tar::TarError;

/// An archive that is refused or could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The store failed, or content is not what it says.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The stream is no tar archive or a broken one.
    #[error("broken image archive")]
    Tar(#[from] TarError),
    /// Reading or writing the stream failed.
    #[error("cannot {step} the image archive")]
    Io {
        /// "read" or "write".
        step: &'static str,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The archive holds files, but no image.
    #[error(
        "this archive holds no image: neither manifest.json (docker save) nor index.json (OCI layout) is in it"
    )]
    NoImage,
    /// A member is refused.
    #[error("refused archive member {member}: {reason}")]
    Member {
        /// Its path.
        member: String,
        /// Why.
        reason: String,
    },
    /// A document names a file that the archive does not hold.
    #[error("{document} names {member}, which is not in the archive")]
    MissingMember {
        /// The document.
        document: String,
        /// The file it names.
        member: String,
    },
    /// A document of the archive is broken.
    #[error("{document} is broken: {reason}")]
    Document {
        /// The document.
        document: String,
        /// Why.
        reason: String,
    },
    /// No image for this machine.
    #[error("the archive holds no image for {wanted}, only for {found}")]
    Platform {
        /// This machine.
        wanted: Platform,
        /// What there is.
        found: String,
    },
    /// A name was given for an archive with several images.
    #[error("a name can be given to one image only; this archive holds {count}")]
    OneName {
        /// Number of images.
        count: usize,
    },
}
