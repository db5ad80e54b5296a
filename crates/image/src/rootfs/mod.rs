//! Layers as directories: unpacking an archive into one, reading several as
//! one merged tree, and turning a changed directory back into an archive.
//!
//! Everything walks by directory descriptors or below directories this crate
//! made itself; a link in a layer never leads out of the layer. Mounting is
//! the runtime's business.

mod diff;
mod unpack;
mod users;
mod view;
pub(crate) mod xattr;

pub use diff::{DiffError, DiffSummary, write_layer};
pub use unpack::{Limits, UnpackError, Unpacked, unpack};
pub use users::{ResolvedUser, UserError};
pub use view::{Found, FoundKind, View, ViewError};

pub(crate) use unpack::member_path;
pub(crate) use view::clean;

/// Prefix of a whiteout in a layer archive (OCI image specification 1.1,
/// `layer.md`, "Whiteouts").
pub(crate) const WHITEOUT_PREFIX: &[u8] = b".wh.";
/// The member that hides what lower layers have in its directory.
pub(crate) const OPAQUE_MARK: &[u8] = b".wh..wh..opq";
