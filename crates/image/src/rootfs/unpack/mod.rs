//! Unpacks one layer archive into a directory usable as an overlay lower
//! directory: [`unpack`].
//!
//! Whiteouts become overlay's (a 0:0 character device, or an attribute where
//! none can be made). Members are created through directory descriptors that
//! `openat2` resolves inside the root; `..` is refused, device nodes are left
//! out (the runtime makes /dev itself), owners that do not exist here are
//! recorded in an attribute.

mod directories;
mod entry;
mod error;
mod whiteout;

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, Timestamps, fchmod, futimens, linkat, mkdirat, openat,
    unlinkat,
};
use rustix::io::Errno;

use super::{OPAQUE_MARK, WHITEOUT_PREFIX};
use crate::tar::{Kind, Member, TarError, TarReader};
use directories::join;
pub(crate) use directories::member_path;
use entry::{file_type, own_and_label, place_fifo, place_symlink, remove_tree, timestamps};
pub use error::UnpackError;
use error::{refused, write_failed};

/// Bounds on what an archive may unpack to.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Bytes of file content in one layer.
    pub layer_bytes_max: u64,
    /// Members in one layer.
    pub members_max: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            layer_bytes_max: 32 << 30,
            members_max: 2_000_000,
        }
    }
}

/// What an archive held.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unpacked {
    /// Number of members.
    pub members: u64,
    /// Bytes of file content.
    pub bytes: u64,
    /// Device nodes left out.
    pub devices_skipped: u64,
    /// Directories that exist only because something lies in them; their
    /// owner and mode must come from the layers below.
    pub implicit_directories: Vec<PathBuf>,
}

/// Unpacks the archive read from `stream` into the existing, empty `root`.
///
/// # Errors
///
/// Fails on a broken or hostile archive and when writing fails; the content
/// of `root` is then of no use.
pub fn unpack(stream: impl Read, root: &Path, limits: &Limits) -> Result<Unpacked, UnpackError> {
    let mut unpacker = Unpacker::new(root, limits)?;
    let mut reader = TarReader::new(stream);
    while let Some(member) = reader.next_member()? {
        unpacker.count(&member)?;
        unpacker.place(&member, &mut reader)?;
    }
    unpacker.finish_directories()?;
    Ok(unpacker.report)
}

struct Unpacker<'l> {
    root: OwnedFd,
    limits: &'l Limits,
    report: Unpacked,
    /// The directory of the last member: archives list neighbours together.
    parent: Option<(PathBuf, OwnedFd)>,
    /// Modes and times of directories, set last so that they stay.
    directories: Vec<(PathBuf, Mode, Timestamps)>,
    buffer: Vec<u8>,
}

impl<'l> Unpacker<'l> {
    fn new(root: &Path, limits: &'l Limits) -> Result<Self, UnpackError> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = openat(CWD, root, flags, Mode::empty());
        let root = opened.map_err(|error| UnpackError::Write {
            member: root.display().to_string(),
            source: error.into(),
        })?;
        Ok(Self {
            root,
            limits,
            report: Unpacked::default(),
            parent: None,
            directories: Vec::new(),
            buffer: vec![0; 256 << 10],
        })
    }

    fn count(&mut self, member: &Member) -> Result<(), UnpackError> {
        self.report.members += 1;
        self.report.bytes = self.report.bytes.saturating_add(member.size);
        let too_large = |limit, unit| Err(UnpackError::TooLarge { limit, unit });
        if self.report.members > self.limits.members_max {
            return too_large(self.limits.members_max, "files");
        }
        if self.report.bytes > self.limits.layer_bytes_max {
            return too_large(self.limits.layer_bytes_max, "bytes");
        }
        Ok(())
    }

    fn place(&mut self, member: &Member, content: &mut impl Read) -> Result<(), UnpackError> {
        let components = member_path(&member.path).map_err(|reason| refused(member, reason))?;
        let Some((name, parents)) = components.split_last() else {
            return self.place_root(member);
        };
        let parent_path = join(parents);
        let parent = self.open_parent(member, parents, &parent_path)?;
        let placed = match name.strip_prefix(WHITEOUT_PREFIX) {
            Some(_) if *name == OPAQUE_MARK => self.make_opaque(member, parent.as_fd()),
            // AUFS bookkeeping (`.wh..wh.plnk` and the like).
            Some(rest) if rest.starts_with(WHITEOUT_PREFIX) => Ok(()),
            Some(rest) => self.place_whiteout(member, parent.as_fd(), rest),
            None => {
                let path = parent_path.join(OsStr::from_bytes(name));
                self.place_named(member, parent.as_fd(), name, path, content)
            }
        };
        self.parent = Some((parent_path, parent));
        placed
    }

    fn place_root(&mut self, member: &Member) -> Result<(), UnpackError> {
        if member.kind != Kind::Directory {
            return Err(refused(member, "only a directory can be the root"));
        }
        let root = self.open_in_root(Path::new("."), OFlags::RDONLY | OFlags::DIRECTORY);
        let root = root.map_err(|error| write_failed(member, error.into()))?;
        self.own_directory(member, root.as_fd())?;
        self.later(member, PathBuf::from("."));
        Ok(())
    }

    fn place_named(
        &mut self,
        member: &Member,
        parent: BorrowedFd<'_>,
        name: &[u8],
        path: PathBuf,
        content: &mut impl Read,
    ) -> Result<(), UnpackError> {
        match member.kind {
            Kind::Directory => self.place_directory(member, parent, name, path),
            Kind::Char | Kind::Block => {
                self.report.devices_skipped += 1;
                Ok(())
            }
            Kind::File => {
                self.clear(member, parent, name)?;
                self.place_file(member, parent, name, content)
            }
            Kind::HardLink => self.place_hard_link(member, parent, name),
            Kind::Symlink => {
                self.clear(member, parent, name)?;
                place_symlink(member, parent, name).map_err(|e| write_failed(member, e))
            }
            Kind::Fifo => {
                self.clear(member, parent, name)?;
                place_fifo(member, parent, name).map_err(|e| write_failed(member, e))
            }
        }
    }

    fn place_directory(
        &mut self,
        member: &Member,
        parent: BorrowedFd<'_>,
        name: &[u8],
        path: PathBuf,
    ) -> Result<(), UnpackError> {
        let existing = file_type(parent, name).map_err(|e| write_failed(member, e))?;
        if existing != Some(FileType::Directory) {
            self.clear(member, parent, name)?;
            mkdirat(parent, name, Mode::RWXU).map_err(|e| write_failed(member, e.into()))?;
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let directory = openat(parent, name, flags, Mode::empty());
        let directory = directory.map_err(|e| write_failed(member, e.into()))?;
        if existing == Some(FileType::CharacterDevice) {
            // A whiteout and a directory of one name: the lower one is hidden,
            // this one is new.
            self.make_opaque(member, directory.as_fd())?;
        }
        self.own_directory(member, directory.as_fd())?;
        self.report
            .implicit_directories
            .retain(|known| *known != path);
        self.later(member, path);
        Ok(())
    }

    fn own_directory(&self, member: &Member, directory: BorrowedFd<'_>) -> Result<(), UnpackError> {
        let owned = own_and_label(member, directory);
        owned.map_err(|error| write_failed(member, error))
    }

    fn place_file(
        &mut self,
        member: &Member,
        parent: BorrowedFd<'_>,
        name: &[u8],
        content: &mut impl Read,
    ) -> Result<(), UnpackError> {
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = openat(parent, name, flags, Mode::RUSR | Mode::WUSR);
        let file = opened.map_err(|e| write_failed(member, e.into()))?;
        let mut file = File::from(file);
        self.copy(member, content, &mut file)?;
        let finished = own_and_label(member, file.as_fd()).and_then(|()| {
            // After the owner: a change of owner clears setuid.
            fchmod(&file, Mode::from_raw_mode(member.mode))?;
            Ok(futimens(&file, &timestamps(member))?)
        });
        finished.map_err(|error| write_failed(member, error))
    }

    fn copy(
        &mut self,
        member: &Member,
        content: &mut impl Read,
        file: &mut File,
    ) -> Result<(), UnpackError> {
        loop {
            let count = match content.read(&mut self.buffer) {
                Ok(0) => return Ok(()),
                Ok(count) => count,
                Err(error) => return Err(TarError::Io(error).into()),
            };
            let written = file.write_all(&self.buffer[..count]);
            written.map_err(|error| write_failed(member, error))?;
        }
    }

    fn place_hard_link(
        &mut self,
        member: &Member,
        parent: BorrowedFd<'_>,
        name: &[u8],
    ) -> Result<(), UnpackError> {
        let target = member_path(&member.link).map_err(|reason| refused(member, reason))?;
        let Some((target_name, target_parents)) = target.split_last() else {
            return Err(refused(member, "a hard link needs a target"));
        };
        if join(&target) == join(&member_path(&member.path).unwrap_or_default()) {
            return Ok(());
        }
        let missing = |error: io::Error| match error.raw_os_error() {
            Some(number) if number == Errno::NOENT.raw_os_error() => {
                let target = String::from_utf8_lossy(&member.link);
                refused(
                    member,
                    &format!("its hard link target {target} is not in this layer"),
                )
            }
            _ => write_failed(member, error),
        };
        let directory = self.open_in_root(&join(target_parents), OFlags::PATH | OFlags::DIRECTORY);
        let directory = directory.map_err(|e| missing(e.into()))?;
        let kind = file_type(directory.as_fd(), target_name).map_err(missing)?;
        if kind == Some(FileType::Directory) {
            return Err(refused(member, "a hard link must not name a directory"));
        }
        self.clear(member, parent, name)?;
        let linked = linkat(&directory, *target_name, parent, name, AtFlags::empty());
        linked.map_err(|error| missing(error.into()))
    }

    /// Removes what has this name, so that nothing is written through it.
    fn clear(
        &mut self,
        member: &Member,
        parent: BorrowedFd<'_>,
        name: &[u8],
    ) -> Result<(), UnpackError> {
        match unlinkat(parent, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(Errno::ISDIR) => {
                self.parent = None;
                remove_tree(parent, name).map_err(|e| write_failed(member, e))
            }
            Err(error) => Err(write_failed(member, error.into())),
        }
    }
}
