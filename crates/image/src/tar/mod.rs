//! Tar streams: a bounded reader for archives of strangers and a writer whose
//! output depends on its input alone.
//!
//! By hand because both ends need it: the reader must bound every allocation
//! by what it reads, the writer must give the same bytes in every version.
//! Formats: POSIX.1-2017 `pax` (ustar and pax), GNU long names. Sparse members
//! are refused.

mod read;
mod write;

pub use read::{TarError, TarReader};
pub use write::TarWriter;

use std::collections::BTreeMap;
use std::io::{self, Read};

/// Size of a block; content is padded to it.
pub(crate) const BLOCK: usize = 512;
const XATTR_PREFIX: &[u8] = b"SCHILY.xattr.";

/// What a member is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Regular file.
    File,
    /// Another name for an earlier member.
    HardLink,
    /// Symbolic link.
    Symlink,
    /// Character device.
    Char,
    /// Block device.
    Block,
    /// Directory.
    Directory,
    /// Named pipe.
    Fifo,
}

/// One member's header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Path as written in the archive.
    pub path: Vec<u8>,
    /// What it is.
    pub kind: Kind,
    /// Target of a hard or symbolic link.
    pub link: Vec<u8>,
    /// Permission bits, with setuid, setgid and sticky.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Content size in bytes; zero for all but files.
    pub size: u64,
    /// Modification time, seconds since 1970.
    pub mtime: i64,
    /// Extended attributes.
    pub xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl Member {
    /// Returns a member of the given kind, owned by root, of the year 1970.
    pub fn new(path: impl Into<Vec<u8>>, kind: Kind, mode: u32) -> Self {
        Self {
            path: path.into(),
            kind,
            link: Vec::new(),
            mode,
            uid: 0,
            gid: 0,
            size: 0,
            mtime: 0,
            xattrs: BTreeMap::new(),
        }
    }
}

/// A reader that knows how far it is.
pub(crate) struct Counted<R> {
    inner: R,
    count: u64,
}

impl<R: Read> Counted<R> {
    pub(crate) fn new(inner: R) -> Self {
        Self { inner, count: 0 }
    }
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.count += count as u64;
        Ok(count)
    }
}

impl<R: Read> TarReader<Counted<R>> {
    /// Returns how many bytes were read so far: after a header, where the
    /// member's content starts.
    pub(crate) fn position(&self) -> u64 {
        self.inner_ref().count
    }
}
