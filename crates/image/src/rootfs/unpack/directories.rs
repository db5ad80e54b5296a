//! The directories that members lie in: found or made inside the root, their
//! modes and times set when everything is in place.

use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, ResolveFlags, fchmod, futimens, mkdirat, openat2};
use rustix::io::Errno;

use super::Unpacker;
use super::entry::{epoch, timestamps};
use super::error::{UnpackError, bad_parent};
use crate::tar::Member;

/// Deepest directory nesting accepted.
const DEPTH_MAX: usize = 512;

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

pub(super) fn join(components: &[&[u8]]) -> PathBuf {
    components
        .iter()
        .map(|part| OsStr::from_bytes(part))
        .collect()
}

impl Unpacker<'_> {
    pub(super) fn open_parent(
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
    pub(super) fn open_in_root(&self, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
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

    pub(super) fn later(&mut self, member: &Member, path: PathBuf) {
        let mode = Mode::from_raw_mode(member.mode);
        self.directories.push((path, mode, timestamps(member)));
    }

    pub(super) fn finish_directories(&mut self) -> Result<(), UnpackError> {
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
