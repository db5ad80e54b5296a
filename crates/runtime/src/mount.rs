//! Mounts that exist before they have a place: trees cloned from the caller's
//! and new file systems, by the mount API of Linux 5.2. The main type is
//! [`Tree`].
//!
//! Not here: which mounts a container has, see `rootfs`.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MoveMountFlags, OpenTreeFlags,
    UnmountFlags, fsconfig_create, fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen,
    move_mount, open_tree,
};

use crate::spec::{Propagation, Rootfs, Upper};
use crate::sys;

/// `fsconfig` takes strings of up to 255 bytes.
const OPTION_BYTES_MAX: usize = 255;

/// A mount that is not attached anywhere yet. Dropped unattached, it is gone.
#[derive(Debug)]
pub(crate) struct Tree(OwnedFd);

impl Tree {
    /// Clones the caller's mount tree at `place`.
    pub(crate) fn clone_of(place: impl AsFd, recursive: bool) -> io::Result<Self> {
        let mut flags = OpenTreeFlags::OPEN_TREE_CLONE
            | OpenTreeFlags::OPEN_TREE_CLOEXEC
            | OpenTreeFlags::AT_EMPTY_PATH;
        if recursive {
            flags |= OpenTreeFlags::AT_RECURSIVE;
        }
        Ok(Self(open_tree(place.as_fd(), "", flags)?))
    }

    /// Makes a new file system with `options` (an empty value is a flag).
    pub(crate) fn new(
        kind: &str,
        options: &[(&str, &str)],
        attributes: MountAttrFlags,
    ) -> io::Result<Self> {
        let context = fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)?;
        for (key, value) in options {
            if value.is_empty() {
                fsconfig_set_flag(context.as_fd(), *key)?;
            } else {
                fsconfig_set_string(context.as_fd(), *key, *value)?;
            }
        }
        fsconfig_set_string(context.as_fd(), "source", kind)?;
        fsconfig_create(context.as_fd())?;
        Ok(Self(fsmount(
            context.as_fd(),
            FsMountFlags::FSMOUNT_CLOEXEC,
            attributes,
        )?))
    }

    /// Sets mount attributes, on the mounts below too if `recursive`.
    pub(crate) fn set(&self, attributes: MountAttrFlags, recursive: bool) -> io::Result<()> {
        if attributes.is_empty() {
            return Ok(());
        }
        sys::mount_setattr(&self.0, recursive, u64::from(attributes.bits()), 0)
    }

    /// Decides what later mounts on either side do.
    pub(crate) fn propagate(&self, propagation: Propagation) -> io::Result<()> {
        let flag = match propagation {
            Propagation::Private => libc::MS_PRIVATE,
            Propagation::Slave => libc::MS_SLAVE,
            // A clone of a shared mount is already in its peer group.
            Propagation::Shared => return Ok(()),
        };
        sys::mount_setattr(&self.0, true, 0, flag)
    }

    /// Attaches the tree on top of `target`.
    pub(crate) fn attach(&self, target: impl AsFd) -> io::Result<()> {
        let flags =
            MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
        Ok(move_mount(self.0.as_fd(), "", target.as_fd(), "", flags)?)
    }

    /// Tells whether the root of the tree is a directory.
    pub(crate) fn is_directory(&self) -> io::Result<bool> {
        is_directory(self.0.as_fd())
    }
}

impl AsFd for Tree {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Tells whether `place` is a directory.
pub(crate) fn is_directory(place: BorrowedFd<'_>) -> io::Result<bool> {
    let mode = rustix::fs::fstat(place)?.st_mode;
    Ok(rustix::fs::FileType::from_raw_mode(mode) == rustix::fs::FileType::Directory)
}

/// Opens a path of the caller as a place.
pub(crate) fn place(path: &Path) -> io::Result<OwnedFd> {
    Ok(rustix::fs::openat(
        CWD,
        path,
        OFlags::PATH | OFlags::CLOEXEC,
        Mode::empty(),
    )?)
}

/// Makes the root file system of `rootfs`, not attached yet. Linux before 6.5
/// takes the layers only as one string.
pub(crate) fn overlay(rootfs: &Rootfs) -> io::Result<Tree> {
    let rootfs = &Rootfs {
        lowers: distinct(&rootfs.lowers),
        ..rootfs.clone()
    };
    if let ([only], None) = (&rootfs.lowers[..], &rootfs.upper) {
        // An overlay needs two layers; one alone is shown as it is.
        let tree = Tree::clone_of(place(only)?, false)?;
        tree.set(MountAttrFlags::MOUNT_ATTR_RDONLY, false)?;
        return Ok(tree);
    }
    // Asking an older kernel would leave a complaint in its log each time.
    match kernel_version() >= (6, 5) {
        true => overlay_by_layers(rootfs),
        false => overlay_by_string(rootfs),
    }
}

/// Leaves of a layer that an image has several times, such as the empty one,
/// only the uppermost: it hides or shows all that the lower ones do, and the
/// kernel refuses to mount a directory twice (ELOOP).
fn distinct(lowers: &[PathBuf]) -> Vec<PathBuf> {
    let mut kept: Vec<PathBuf> = Vec::with_capacity(lowers.len());
    for lower in lowers.iter().rev() {
        if !kept.contains(lower) {
            kept.push(lower.clone());
        }
    }
    kept.reverse();
    kept
}

/// The running kernel's major and minor number.
fn kernel_version() -> (u32, u32) {
    parse_version(&rustix::system::uname().release().to_string_lossy())
}

fn parse_version(release: &str) -> (u32, u32) {
    let mut numbers = release
        .split(|byte: char| !byte.is_ascii_digit())
        .map(str::parse);
    let mut next = || numbers.next().and_then(Result::ok).unwrap_or(0);
    (next(), next())
}

/// A layer's path as the kernel will resolve it: the path itself or, when it
/// is too long or may hold a separator, the name of an open descriptor.
struct Named(Vec<OwnedFd>);

impl Named {
    fn short(&mut self, path: &Path) -> io::Result<String> {
        match path.to_str() {
            Some(text) if text.len() <= OPTION_BYTES_MAX => Ok(text.to_owned()),
            _ => self.number(path),
        }
    }

    fn number(&mut self, path: &Path) -> io::Result<String> {
        let fd = place(path)?;
        let name = format!("/proc/self/fd/{}", fd.as_raw_fd());
        self.0.push(fd);
        Ok(name)
    }
}

fn overlay_by_layers(rootfs: &Rootfs) -> io::Result<Tree> {
    let mut named = Named(Vec::new());
    let context = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
    let fs = context.as_fd();
    fsconfig_set_string(fs, "source", "overlay")?;
    for lower in rootfs.lowers.iter().rev() {
        fsconfig_set_string(fs, "lowerdir+", named.short(lower)?)?;
    }
    if let Some(Upper { dir, work }) = &rootfs.upper {
        fsconfig_set_string(fs, "upperdir", named.short(dir)?)?;
        fsconfig_set_string(fs, "workdir", named.short(work)?)?;
        // The writable layer lives as long as the container; nothing needs it
        // after a power loss, so nothing waits for the disk.
        fsconfig_set_flag(fs, "volatile")?;
    }
    // Trusted attributes are out of reach in a user namespace.
    fsconfig_set_flag(fs, "userxattr")?;
    fsconfig_create(fs)?;
    Ok(Tree(fsmount(
        fs,
        FsMountFlags::FSMOUNT_CLOEXEC,
        MountAttrFlags::empty(),
    )?))
}

/// The same through mount(2): its option string may fill a page, where
/// `fsconfig` takes 255 bytes. Mounted on a place of its own, then picked up.
fn overlay_by_string(rootfs: &Rootfs) -> io::Result<Tree> {
    let mut named = Named(Vec::new());
    let lowers: Vec<String> = rootfs
        .lowers
        .iter()
        .rev()
        .map(|path| named.number(path))
        .collect::<io::Result<_>>()?;
    let mut options = format!("userxattr,lowerdir={}", lowers.join(":"));
    if let Some(Upper { dir, work }) = &rootfs.upper {
        let (dir, work) = (named.number(dir)?, named.number(work)?);
        options.push_str(&format!(",volatile,upperdir={dir},workdir={work}"));
    }
    let options = CString::new(options)?;
    let target = rootfs
        .upper
        .as_ref()
        .map(|upper| &upper.work)
        .or(rootfs.lowers.last());
    let target = target.ok_or(io::ErrorKind::InvalidInput)?;
    rustix::mount::mount(
        "overlay",
        target,
        "overlay",
        MountFlags::empty(),
        Some(&*options),
    )?;
    let tree = Tree::clone_of(place(target)?, false);
    rustix::mount::unmount(target, UnmountFlags::DETACH)?;
    tree
}

/// Mounts a file system in memory at a path of the caller, such as the
/// directory of a volume that must not touch a disk. `bytes_max` of zero is
/// half of the machine's memory.
///
/// # Errors
///
/// When the kernel refuses; `path` must exist.
pub fn mount_tmpfs(path: &Path, bytes_max: u64, mode: u32) -> io::Result<()> {
    tmpfs(bytes_max, mode, safe_attributes())?.attach(place(path)?)
}

/// Shows `source` at `target` too.
///
/// # Errors
///
/// When the kernel refuses; both must exist.
pub fn mount_bind(source: &Path, target: &Path, readonly: bool) -> io::Result<()> {
    let tree = Tree::clone_of(place(source)?, true)?;
    if readonly {
        tree.set(MountAttrFlags::MOUNT_ATTR_RDONLY, true)?;
    }
    tree.attach(place(target)?)
}

/// Shows the merged layers of a root file system at a directory of the caller.
///
/// # Errors
///
/// When the kernel refuses; `target` must exist.
pub fn mount_layers(layers: &Rootfs, target: &Path) -> io::Result<()> {
    overlay(layers)?.attach(place(target)?)
}

/// Takes away what is mounted at `path`, at once for all who look and in
/// truth when the last user is gone. Nothing mounted is no error.
///
/// # Errors
///
/// When the kernel refuses.
pub fn unmount(path: &Path) -> io::Result<()> {
    match rustix::mount::unmount(path, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW) {
        Ok(()) | Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOENT) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

pub(crate) fn tmpfs(bytes_max: u64, mode: u32, attributes: MountAttrFlags) -> io::Result<Tree> {
    let (mode, size) = (format!("{mode:o}"), bytes_max.to_string());
    let mut options = vec![("mode", mode.as_str())];
    if bytes_max > 0 {
        options.push(("size", &size));
    }
    Tree::new("tmpfs", &options, attributes)
}

pub(crate) fn safe_attributes() -> MountAttrFlags {
    MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layer_is_mounted_once_where_it_lies_uppermost() {
        #[track_caller]
        fn check(lowers: &[&str], expected: &[&str]) {
            let lowers: Vec<PathBuf> = lowers.iter().map(PathBuf::from).collect();
            let expected: Vec<PathBuf> = expected.iter().map(PathBuf::from).collect();
            assert_eq!(distinct(&lowers), expected);
        }
        check(&["a", "b"], &["a", "b"]);
        check(&["a", "b", "a", "c"], &["b", "a", "c"]);
        check(&["a", "a"], &["a"]);
    }

    #[test]
    fn kernel_versions_are_compared_by_number() {
        #[track_caller]
        fn check(release: &str, expected: (u32, u32)) {
            assert_eq!(parse_version(release), expected);
        }
        check("6.18.44-fc-v669", (6, 18));
        check("6.1.0-48-cloud-amd64", (6, 1));
        check("5.15.167.4-microsoft-standard-WSL2", (5, 15));
        check("", (0, 0));
        assert!(parse_version("6.18.0") >= (6, 5));
    }
}
