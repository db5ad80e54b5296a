//! Opens paths inside a directory tree that someone else filled. No link in
//! that tree, absolute or with `..`, can lead out of it: the kernel resolves
//! every path with the tree as its root (`openat2`, `RESOLVE_IN_ROOT`).
//!
//! Not here: mounting on what was opened.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

/// The kernel follows 40 links (path_resolution(7)); so do we when we have to
/// do it by hand.
const LINKS_MAX: u32 = 40;

/// What [`ensure`] makes at a path where nothing is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Make {
    Directory(u32),
    File,
}

/// Opens `path` below `root` for use as a place, without reading it.
pub(crate) fn open(root: BorrowedFd<'_>, path: &Path) -> io::Result<OwnedFd> {
    in_root(root, path, OFlags::PATH)
}

/// Opens the regular file at `path` below `root` for reading. Anything else
/// there (a pipe would block) is an error.
pub(crate) fn open_file(root: BorrowedFd<'_>, path: impl AsRef<Path>) -> io::Result<File> {
    let fd = in_root(
        root,
        path.as_ref(),
        OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY,
    )?;
    let stat = rustix::fs::fstat(&fd)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    Ok(File::from(fd))
}

/// Opens `path` below `root`, making what is missing of it.
pub(crate) fn ensure(root: BorrowedFd<'_>, path: &Path, make: Make) -> io::Result<OwnedFd> {
    ensure_following(root, &relative(path), make, LINKS_MAX)
}

/// Opens `path` below `base`. Unlike [`open`], a path or link that points out
/// of `base` is an error instead of being bent back inside. What is missing is
/// made as directories with the permissions of `base`.
pub(crate) fn open_beneath(base: BorrowedFd<'_>, path: &Path) -> io::Result<OwnedFd> {
    if path
        .components()
        .any(|part| !matches!(part, Component::Normal(_) | Component::CurDir))
    {
        return Err(Errno::XDEV.into());
    }
    match beneath(base, path) {
        Err(Errno::NOENT) => {}
        other => return Ok(other?),
    }
    let mode = Mode::from_raw_mode(rustix::fs::fstat(base)?.st_mode & 0o7777);
    let mut at = base.try_clone_to_owned()?;
    for part in path.components() {
        match rustix::fs::mkdirat(&at, part.as_os_str(), mode) {
            // mkdir's mode passes the umask; the volume's mode should not.
            Ok(()) => rustix::fs::chmodat(&at, part.as_os_str(), mode, AtFlags::empty())?,
            Err(Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
        at = beneath(at.as_fd(), Path::new(part.as_os_str()))?;
    }
    Ok(at)
}

fn beneath(base: BorrowedFd<'_>, path: &Path) -> rustix::io::Result<OwnedFd> {
    rustix::fs::openat2(
        base,
        path,
        OFlags::PATH | OFlags::CLOEXEC,
        Mode::empty(),
        ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS,
    )
}

fn in_root(root: BorrowedFd<'_>, path: &Path, flags: OFlags) -> io::Result<OwnedFd> {
    Ok(rustix::fs::openat2(
        root,
        if path.as_os_str().is_empty() {
            Path::new(".")
        } else {
            path
        },
        flags | OFlags::CLOEXEC,
        Mode::empty(),
        ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS,
    )?)
}

fn ensure_following(
    root: BorrowedFd<'_>,
    path: &Path,
    make: Make,
    links_left: u32,
) -> io::Result<OwnedFd> {
    match in_root(root, path, OFlags::PATH) {
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => {}
        other => return other,
    }
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        // A path that ends in `..`: everything before it must exist.
        return Err(io::ErrorKind::NotFound.into());
    };
    let links_left = links_left.checked_sub(1).ok_or(Errno::LOOP)?;
    let directory = ensure_following(root, parent, Make::Directory(0o755), links_left)?;
    match make {
        Make::Directory(mode) => {
            rustix::fs::mkdirat(&directory, name, Mode::from_raw_mode(mode)).or_else(exists)?;
        }
        Make::File => {
            let flags = OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            rustix::fs::openat(&directory, name, flags, Mode::from_raw_mode(0o644))
                .map(drop)
                .or_else(exists)?;
        }
    }
    match rustix::fs::readlinkat(&directory, name, Vec::new()) {
        // A link to something missing: make what it points to, inside the root.
        Ok(target) => {
            let target = PathBuf::from(std::ffi::OsString::from(
                target
                    .into_string()
                    .map_err(|_| io::ErrorKind::InvalidData)?,
            ));
            let next = if target.is_absolute() {
                relative(&target)
            } else {
                parent.join(target)
            };
            ensure_following(root, &next, make, links_left)
        }
        Err(Errno::INVAL) => in_root(root, path, OFlags::PATH),
        Err(error) => Err(error.into()),
    }
}

fn exists(error: Errno) -> rustix::io::Result<()> {
    if error == Errno::EXIST {
        Ok(())
    } else {
        Err(error)
    }
}

/// The path without its leading slash, so that joining cannot replace a base.
fn relative(path: &Path) -> PathBuf {
    path.strip_prefix("/").unwrap_or(path).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{MetadataExt, symlink};

    fn tree() -> (tempfile::TempDir, OwnedFd) {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        fs::create_dir_all(root.join("real/inner")).unwrap();
        fs::create_dir(dir.path().join("outside")).unwrap();
        fs::write(root.join("file"), "text").unwrap();
        symlink("../../../outside", root.join("up")).unwrap();
        symlink(dir.path().join("outside"), root.join("absolute")).unwrap();
        symlink("/real/inner", root.join("short")).unwrap();
        symlink("/nowhere/yet", root.join("dangling")).unwrap();
        symlink("loop", root.join("loop")).unwrap();
        let fd = File::open(&root).unwrap().into();
        (dir, fd)
    }

    fn place(fd: &OwnedFd) -> (u64, u64) {
        let stat = rustix::fs::fstat(fd).unwrap();
        (stat.st_dev, stat.st_ino)
    }

    #[test]
    fn missing_places_are_made_inside() {
        #[track_caller]
        fn check(path: &str, made: &str) {
            let (dir, root) = tree();
            let fd = ensure(root.as_fd(), Path::new(path), Make::Directory(0o755)).unwrap();
            let meta = fs::metadata(dir.path().join("root").join(made)).unwrap();
            assert_eq!(place(&fd), (meta.dev(), meta.ino()));
            assert_eq!(fs::read_dir(dir.path().join("outside")).unwrap().count(), 0);
        }
        check("/", "");
        check("/real", "real");
        check("/a/b/c", "a/b/c");
        check("/short/x", "real/inner/x");
        check("/dangling", "nowhere/yet");
        check("/dangling/more", "nowhere/yet/more");
        // Both links leave the tree; inside it they start at its own root.
        check("/up/x", "outside/x");
        check("/../../x", "x");
    }

    #[test]
    fn files_are_made_as_files() {
        let (dir, root) = tree();
        ensure(root.as_fd(), Path::new("/etc/hosts"), Make::File).unwrap();
        assert!(dir.path().join("root/etc/hosts").is_file());
    }

    #[test]
    fn loops_and_files_in_the_way_are_errors() {
        let (_dir, root) = tree();
        let errno = |path: &str| {
            ensure(root.as_fd(), Path::new(path), Make::Directory(0o755))
                .unwrap_err()
                .raw_os_error()
        };
        assert_eq!(errno("/loop"), Some(libc::ELOOP));
        assert_eq!(errno("/file/below"), Some(libc::ENOTDIR));
    }

    #[test]
    fn sub_paths_never_leave_their_volume() {
        let (dir, root) = tree();
        let errno = |path: &str| {
            open_beneath(root.as_fd(), Path::new(path))
                .map(drop)
                .unwrap_err()
                .raw_os_error()
        };
        assert_eq!(errno("up"), Some(libc::EXDEV));
        assert_eq!(errno("absolute"), Some(libc::EXDEV));
        assert_eq!(errno("../outside"), Some(libc::EXDEV));
        assert_eq!(errno("/etc"), Some(libc::EXDEV));
        assert_eq!(errno("up/new"), Some(libc::EXDEV));
        open_beneath(root.as_fd(), Path::new("new/dir")).unwrap();
        assert!(dir.path().join("root/new/dir").is_dir());
        assert_eq!(fs::read_dir(dir.path().join("outside")).unwrap().count(), 0);
    }

    #[test]
    fn only_regular_files_are_read() {
        let (_dir, root) = tree();
        assert!(open_file(root.as_fd(), "file").is_ok());
        assert!(open_file(root.as_fd(), "real").is_err());
        assert!(open_file(root.as_fd(), "missing").is_err());
    }
}
