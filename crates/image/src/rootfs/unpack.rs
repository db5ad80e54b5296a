//! Unpacks one layer archive into a directory usable as an overlay lower
//! directory: [`unpack`].
//!
//! Whiteouts become overlay's (a 0:0 character device, or an attribute where
//! none can be made). Members are created through directory descriptors that
//! `openat2` resolves inside the root; `..` is refused, device nodes are left
//! out (the runtime makes /dev itself), owners that do not exist here are
//! recorded in an attribute.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, CWD, FileType, Gid, Mode, OFlags, ResolveFlags, Timespec, Timestamps, UTIME_OMIT, Uid,
    chownat, fchmod, fchown, futimens, linkat, makedev, mkdirat, mknodat, openat, openat2, statat,
    symlinkat, unlinkat, utimensat,
};
use rustix::io::Errno;

use super::{OPAQUE_MARK, WHITEOUT_PREFIX, xattr};
use crate::tar::{Kind, Member, TarError, TarReader};

/// Deepest directory nesting accepted.
const DEPTH_MAX: usize = 512;

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

/// Returns a member's path as clean components; the root itself has none.
///
/// # Errors
///
/// Names the reason when the path climbs or is too deep.
pub(crate) fn member_path(path: &[u8]) -> Result<Vec<&[u8]>, &'static str> {
    let mut components = Vec::new();
    for component in path.split(|byte| *byte == b'/') {
        match component {
            b"" | b"." => {}
            b".." => return Err("a path must not climb with \"..\""),
            _ if component.len() > 255 => return Err("a file name is longer than 255 bytes"),
            _ => components.push(component),
        }
    }
    match components.len() {
        ..=DEPTH_MAX => Ok(components),
        _ => Err("the path is too deep"),
    }
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

    fn later(&mut self, member: &Member, path: PathBuf) {
        let mode = Mode::from_raw_mode(member.mode);
        self.directories.push((path, mode, timestamps(member)));
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

    fn place_whiteout(
        &mut self,
        member: &Member,
        parent: BorrowedFd<'_>,
        name: &[u8],
    ) -> Result<(), UnpackError> {
        if matches!(name, b"" | b"." | b"..") {
            return Err(refused(member, "this whiteout hides nothing"));
        }
        let existing = file_type(parent, name).map_err(|e| write_failed(member, e))?;
        match existing {
            // Whiteouts speak of lower layers only; what this layer brings stays.
            Some(FileType::Directory) => {
                let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let directory = openat(parent, name, flags, Mode::empty());
                let directory = directory.map_err(|e| write_failed(member, e.into()))?;
                self.make_opaque(member, directory.as_fd())
            }
            Some(_) => Ok(()),
            None => self.make_whiteout(member, parent, name),
        }
    }

    fn make_whiteout(
        &mut self,
        member: &Member,
        parent: BorrowedFd<'_>,
        name: &[u8],
    ) -> Result<(), UnpackError> {
        // Linux lets everyone make the 0:0 device since 5.8.
        let device = FileType::CharacterDevice;
        match mknodat(parent, name, device, Mode::empty(), makedev(0, 0)) {
            Ok(()) => Ok(()),
            Err(Errno::PERM) => {
                attribute_whiteout(parent, name).map_err(|e| write_failed(member, e))
            }
            Err(error) => Err(write_failed(member, error.into())),
        }
    }

    fn make_opaque(
        &mut self,
        member: &Member,
        directory: BorrowedFd<'_>,
    ) -> Result<(), UnpackError> {
        let reopened = reopen(directory);
        let marked = reopened.and_then(|directory| xattr::set(directory, xattr::OPAQUE, b"y"));
        marked.map_err(|error| write_failed(member, error))
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

    fn open_parent(
        &mut self,
        member: &Member,
        components: &[&[u8]],
        path: &Path,
    ) -> Result<OwnedFd, UnpackError> {
        if let Some((known, directory)) = self.parent.take()
            && known == path
        {
            return Ok(directory);
        }
        match self.open_in_root(path, OFlags::PATH | OFlags::DIRECTORY) {
            Ok(directory) => Ok(directory),
            Err(Errno::NOENT) => self.make_parents(member, components),
            Err(error) => Err(bad_parent(member, error)),
        }
    }

    fn make_parents(
        &mut self,
        member: &Member,
        components: &[&[u8]],
    ) -> Result<OwnedFd, UnpackError> {
        let flags = OFlags::PATH | OFlags::DIRECTORY;
        let opened = self.open_in_root(Path::new("."), flags);
        let mut directory = opened.map_err(|error| bad_parent(member, error))?;
        for depth in 1..=components.len() {
            let path = join(&components[..depth]);
            directory = match self.open_in_root(&path, flags) {
                Ok(next) => next,
                Err(Errno::NOENT) => {
                    let mode = Mode::from_raw_mode(0o755);
                    mkdirat(&directory, components[depth - 1], mode)
                        .map_err(|error| bad_parent(member, error))?;
                    self.report.implicit_directories.push(path.clone());
                    self.directories.push((path.clone(), mode, epoch()));
                    let made = self.open_in_root(&path, flags);
                    made.map_err(|error| bad_parent(member, error))?
                }
                Err(error) => return Err(bad_parent(member, error)),
            };
        }
        Ok(directory)
    }

    // Symbolic links of the archive are followed, but only inside the root.
    fn open_in_root(&self, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
        let path = match path.as_os_str().is_empty() {
            true => Path::new("."),
            false => path,
        };
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        openat2(
            &self.root,
            path,
            flags | OFlags::CLOEXEC,
            Mode::empty(),
            resolve,
        )
    }

    fn finish_directories(&mut self) -> Result<(), UnpackError> {
        // Deepest first: a directory without search permission closes what is
        // below it to an ordinary user.
        let mut directories = std::mem::take(&mut self.directories);
        directories.reverse();
        for (path, mode, times) in directories {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW;
            let finished = match self.open_in_root(&path, flags) {
                Ok(directory) => {
                    fchmod(&directory, mode).and_then(|()| futimens(&directory, &times))
                }
                // Replaced by a later member.
                Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(()),
                // Listed twice, and already closed.
                Err(Errno::ACCESS) => Ok(()),
                Err(error) => Err(error),
            };
            finished.map_err(|error| UnpackError::Write {
                member: path.display().to_string(),
                source: error.into(),
            })?;
        }
        Ok(())
    }
}

fn join(components: &[&[u8]]) -> PathBuf {
    components
        .iter()
        .map(|part| OsStr::from_bytes(part))
        .collect()
}

fn refused(member: &Member, reason: &str) -> UnpackError {
    UnpackError::Member {
        member: String::from_utf8_lossy(&member.path).into_owned(),
        reason: reason.to_owned(),
    }
}

fn write_failed(member: &Member, source: io::Error) -> UnpackError {
    UnpackError::Write {
        member: String::from_utf8_lossy(&member.path).into_owned(),
        source,
    }
}

fn bad_parent(member: &Member, error: Errno) -> UnpackError {
    match error {
        Errno::NOTDIR => refused(member, "it lies in something that is no directory"),
        Errno::LOOP => refused(member, "its path is a loop of links"),
        // A link to nothing: opening says "missing", making says "exists".
        Errno::EXIST => refused(member, "its path leads through a link to nothing"),
        error => write_failed(member, error.into()),
    }
}

fn epoch() -> Timestamps {
    let zero = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    Timestamps {
        last_access: zero,
        last_modification: zero,
    }
}

fn timestamps(member: &Member) -> Timestamps {
    Timestamps {
        last_access: Timespec {
            tv_sec: 0,
            tv_nsec: UTIME_OMIT,
        },
        last_modification: Timespec {
            tv_sec: member.mtime,
            tv_nsec: 0,
        },
    }
}

fn file_type(parent: BorrowedFd<'_>, name: &[u8]) -> io::Result<Option<FileType>> {
    match statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(FileType::from_raw_mode(stat.st_mode))),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

// An id without a mapping is EINVAL in a user namespace, EPERM outside one;
// the owner is then kept as an attribute, from which a later archive takes it.
fn own_and_label(member: &Member, file: BorrowedFd<'_>) -> io::Result<()> {
    let (uid, gid) = (Uid::from_raw(member.uid), Gid::from_raw(member.gid));
    let own = (rustix::process::geteuid(), rustix::process::getegid());
    // What this process makes is its own already; a set-group-id parent would
    // show in the file's group, and archives set it only at the end.
    let owned = match (uid, gid) == own {
        true => Ok(()),
        false => fchown(file, Some(uid), Some(gid)),
    };
    match owned {
        Ok(()) => {}
        Err(Errno::INVAL | Errno::PERM) => {
            xattr::record_owner(file, member.uid, member.gid)?;
        }
        Err(error) => return Err(error.into()),
    }
    for (name, value) in &member.xattrs {
        if xattr::is_taken_over(name) {
            xattr::set_if_possible(file, name, value)?;
        }
    }
    Ok(())
}

fn place_symlink(member: &Member, parent: BorrowedFd<'_>, name: &[u8]) -> io::Result<()> {
    symlinkat(member.link.as_slice(), parent, name)?;
    own_and_time_at(member, parent, name)
}

fn place_fifo(member: &Member, parent: BorrowedFd<'_>, name: &[u8]) -> io::Result<()> {
    let mode = Mode::from_raw_mode(member.mode & 0o777);
    mknodat(parent, name, FileType::Fifo, mode, 0)?;
    own_and_time_at(member, parent, name)
}

fn own_and_time_at(member: &Member, parent: BorrowedFd<'_>, name: &[u8]) -> io::Result<()> {
    let (uid, gid) = (Uid::from_raw(member.uid), Gid::from_raw(member.gid));
    match chownat(
        parent,
        name,
        Some(uid),
        Some(gid),
        AtFlags::SYMLINK_NOFOLLOW,
    ) {
        Ok(()) | Err(Errno::INVAL | Errno::PERM) => {}
        Err(error) => return Err(error.into()),
    }
    let times = timestamps(member);
    Ok(utimensat(parent, name, &times, AtFlags::SYMLINK_NOFOLLOW)?)
}

// The kernel's overlayfs.rst, "whiteouts and opaque directories": an empty
// file with the attribute, inside a directory marked "x".
fn attribute_whiteout(parent: BorrowedFd<'_>, name: &[u8]) -> io::Result<()> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let file = openat(parent, name, flags, Mode::empty())?;
    xattr::set(file, xattr::WHITEOUT, b"y")?;
    let parent = reopen(parent)?;
    match xattr::get(&parent, xattr::OPAQUE.as_bytes())? {
        Some(_) => Ok(()),
        None => xattr::set(parent, xattr::OPAQUE, b"x"),
    }
}

// Attributes need a descriptor that is more than a path.
fn reopen(directory: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(openat(directory, ".", flags, Mode::empty())?)
}

fn remove_tree(parent: BorrowedFd<'_>, name: &[u8]) -> io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let directory = openat(parent, name, flags, Mode::empty())?;
    let mut names = Vec::new();
    for entry in rustix::fs::Dir::read_from(&directory)? {
        let name = entry?.file_name().to_bytes().to_vec();
        if name != b"." && name != b".." {
            names.push(name);
        }
    }
    for name in names {
        match unlinkat(&directory, name.as_slice(), AtFlags::empty()) {
            Ok(()) => {}
            Err(Errno::ISDIR) => remove_tree(directory.as_fd(), &name)?,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(unlinkat(parent, name, AtFlags::REMOVEDIR)?)
}
