//! Turns a directory (a changed upper directory of an overlay, or any tree)
//! into a layer archive: [`write_layer`].
//!
//! Members are sorted, times are one fixed time, overlay's whiteouts become
//! archive whiteouts. The directory is brought in line with the archive
//! (times, overlay's traces), so that it can serve as the unpacked layer.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{File, Metadata};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, Timespec, Timestamps, openat, utimensat};

use super::{OPAQUE_MARK, WHITEOUT_PREFIX, xattr};
use crate::tar::{Kind, Member, TarWriter};

/// What an archive of a directory holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DiffSummary {
    /// Number of members.
    pub members: u64,
    /// Bytes of file content.
    pub bytes: u64,
}

/// A directory that could not be archived.
#[derive(Debug, thiserror::Error)]
#[error("cannot archive {path}")]
pub struct DiffError {
    path: PathBuf,
    #[source]
    source: io::Error,
}

/// Writes `root` as a layer archive with all times set to `epoch_seconds`.
///
/// # Errors
///
/// Fails when reading the tree or writing the archive fails.
pub fn write_layer<W: Write>(
    root: &Path,
    archive: W,
    epoch_seconds: i64,
) -> Result<(W, DiffSummary), DiffError> {
    let mut differ = Differ {
        root,
        writer: TarWriter::new(archive),
        epoch_seconds,
        links: HashMap::new(),
        summary: DiffSummary::default(),
    };
    differ.directory(Path::new(""))?;
    let archive = differ.writer.finish().map_err(|source| DiffError {
        path: root.to_owned(),
        source,
    })?;
    Ok((archive, differ.summary))
}

struct Differ<'r, W: Write> {
    root: &'r Path,
    writer: TarWriter<W>,
    epoch_seconds: i64,
    /// First path of every file with several names.
    links: HashMap<(u64, u64), Vec<u8>>,
    summary: DiffSummary,
}

impl<W: Write> Differ<'_, W> {
    fn directory(&mut self, path: &Path) -> Result<(), DiffError> {
        let full = self.root.join(path);
        let fail = |source| DiffError {
            path: path.to_owned(),
            source,
        };
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&full).map_err(fail)? {
            names.push(entry.map_err(fail)?.file_name());
        }
        names.sort();
        for name in names {
            let child = path.join(&name);
            let done = self.entry(&child, &name);
            let is_directory = done.map_err(|source| DiffError {
                path: child.clone(),
                source,
            })?;
            if is_directory {
                self.directory(&child)?;
                self.touch(&child).map_err(fail)?;
            }
        }
        Ok(())
    }

    fn entry(&mut self, path: &Path, name: &OsStr) -> io::Result<bool> {
        let full = self.root.join(path);
        let metadata = std::fs::symlink_metadata(&full)?;
        let kind = metadata.file_type();
        if kind.is_char_device() && metadata.rdev() == 0 {
            self.whiteout(path, name)?;
            return Ok(false);
        }
        // Sockets have no place in an archive; devices cannot be there.
        if kind.is_socket() || kind.is_char_device() || kind.is_block_device() {
            return Ok(false);
        }
        let mut member = self.describe(path, &metadata)?;
        if kind.is_dir() {
            self.directory_entry(&full, member)?;
            return Ok(true);
        }
        if kind.is_file() {
            self.file_entry(path, &full, &metadata, member)?;
        } else {
            if kind.is_symlink() {
                member.link = std::fs::read_link(&full)?
                    .into_os_string()
                    .into_encoded_bytes();
                member.mode = 0o777;
            }
            self.put(&member)?;
        }
        self.touch(path)?;
        Ok(false)
    }

    fn describe(&self, path: &Path, metadata: &Metadata) -> io::Result<Member> {
        let kind = match metadata.file_type() {
            kind if kind.is_dir() => Kind::Directory,
            kind if kind.is_symlink() => Kind::Symlink,
            kind if kind.is_fifo() => Kind::Fifo,
            _ => Kind::File,
        };
        let mut member = Member::new(path.as_os_str().as_bytes(), kind, metadata.mode() & 0o7777);
        (member.uid, member.gid) = (metadata.uid(), metadata.gid());
        member.mtime = self.epoch_seconds;
        Ok(member)
    }

    fn directory_entry(&mut self, full: &Path, mut member: Member) -> io::Result<()> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let directory = openat(CWD, full, flags, Mode::empty())?;
        self.label(&mut member, directory.as_fd())?;
        let path = member.path.clone();
        member.path.push(b'/');
        self.put(&member)?;
        let opaque = xattr::get(&directory, xattr::OPAQUE.as_bytes())?;
        xattr::remove_overlay_traces(&directory)?;
        if opaque.is_some_and(|value| value == b"y") {
            let mark = [path.as_slice(), b"/", OPAQUE_MARK].concat();
            self.put(&self.empty_file(mark))?;
        }
        Ok(())
    }

    fn file_entry(
        &mut self,
        path: &Path,
        full: &Path,
        metadata: &Metadata,
        mut member: Member,
    ) -> io::Result<()> {
        if metadata.nlink() > 1 {
            let identity = (metadata.dev(), metadata.ino());
            if let Some(first) = self.links.get(&identity) {
                member.kind = Kind::HardLink;
                member.link.clone_from(first);
                return self.put(&member);
            }
            self.links.insert(identity, member.path.clone());
        }
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut file = File::from(openat(CWD, full, flags, Mode::empty())?);
        if metadata.len() == 0 && xattr::get(&file, xattr::WHITEOUT.as_bytes())?.is_some() {
            let name = path.file_name().unwrap_or_default();
            return self.whiteout(path, name);
        }
        self.label(&mut member, file.as_fd())?;
        member.size = metadata.len();
        self.summary.members += 1;
        self.summary.bytes += member.size;
        self.writer.file(&member, &mut file)?;
        xattr::remove_overlay_traces(&file)
    }

    fn label(&self, member: &mut Member, file: impl AsFd) -> io::Result<()> {
        member.xattrs = xattr::taken_over(&file)?;
        if let Some((uid, gid)) = xattr::recorded_owner(&file)? {
            (member.uid, member.gid) = (uid, gid);
        }
        Ok(())
    }

    fn whiteout(&mut self, path: &Path, name: &OsStr) -> io::Result<()> {
        let parent = path.parent().unwrap_or(Path::new(""));
        let mark = [WHITEOUT_PREFIX, name.as_bytes()].concat();
        let mark = parent.join(OsStr::from_bytes(&mark));
        let member = self.empty_file(mark.into_os_string().into_encoded_bytes());
        self.put(&member)
    }

    fn empty_file(&self, path: Vec<u8>) -> Member {
        let mut member = Member::new(path, Kind::File, 0);
        member.mtime = self.epoch_seconds;
        member
    }

    fn put(&mut self, member: &Member) -> io::Result<()> {
        self.summary.members += 1;
        self.writer.member(member)
    }

    fn touch(&self, path: &Path) -> io::Result<()> {
        let time = Timespec {
            tv_sec: self.epoch_seconds,
            tv_nsec: 0,
        };
        let times = Timestamps {
            last_access: time,
            last_modification: time,
        };
        let full = self.root.join(path);
        Ok(utimensat(CWD, &full, &times, AtFlags::SYMLINK_NOFOLLOW)?)
    }
}
