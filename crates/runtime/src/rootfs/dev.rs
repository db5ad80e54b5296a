//! The container's /dev: a small tmpfs with the nodes every program expects
//! (OCI runtime specification, "Default Devices"), shown from the caller's
//! /dev because a user namespace cannot make device nodes.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::mount::MountAttrFlags;

use crate::error::{During, StartError};
use crate::idmap::IdMap;
use crate::mount::{self, Tree};
use crate::resolve::{self, Make};
use crate::spec::ContainerSpec;

const NODES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];

const LINKS: [(&str, &str); 6] = [
    ("/proc/self/fd", "fd"),
    ("/proc/self/fd/0", "stdin"),
    ("/proc/self/fd/1", "stdout"),
    ("/proc/self/fd/2", "stderr"),
    ("pts/ptmx", "ptmx"),
    ("/proc/kcore", "core"),
];

/// The group `tty` of every distribution; owns terminals.
const TTY_GID: u32 = 5;

/// What Docker and containerd give /dev/shm.
const SHM_BYTES_MAX: u64 = 64 << 20;

/// Mounts a new /dev below `root`.
pub(super) fn build(root: &OwnedFd, spec: &ContainerSpec, ids: &IdMap) -> Result<(), StartError> {
    let tree = mount::tmpfs(65_536, 0o755, MountAttrFlags::MOUNT_ATTR_NOSUID)
        .during("make a tmpfs for", "/dev")?;
    super::attach(root, "dev", &tree)?;
    let dev = tree.as_fd().try_clone_to_owned().during("open", "/dev")?;

    for node in NODES {
        show_node(&dev, &Path::new("/dev").join(node), node)?;
    }
    for device in &spec.devices {
        let target = Path::new(&device.target);
        let target = target.strip_prefix("/dev").unwrap_or(target);
        show_node(&dev, &device.source, &target.to_string_lossy())?;
    }
    for (target, name) in LINKS {
        rustix::fs::symlinkat(target, &dev, name).during("link", format!("/dev/{name}"))?;
    }
    mount_pts(&dev, ids)?;
    mount_shm(&dev, spec)?;
    mount_mqueue(&dev)
}

fn show_node(dev: &OwnedFd, source: &Path, target: &str) -> Result<(), StartError> {
    let place = mount::place(source).during("open the device", source.display())?;
    let tree = Tree::clone_of(place, false).during("clone the device", source.display())?;
    let target = resolve::ensure(dev.as_fd(), Path::new(target), Make::File)
        .during("make the device", source.display())?;
    tree.attach(target)
        .during("show the device", source.display())
}

fn mount_pts(dev: &OwnedFd, ids: &IdMap) -> Result<(), StartError> {
    let gid = TTY_GID.to_string();
    let mut options = vec![("newinstance", ""), ("ptmxmode", "0666"), ("mode", "0620")];
    if ids.has_gid(TTY_GID) {
        options.push(("gid", &gid));
    }
    let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    let tree = Tree::new("devpts", &options, attributes).during("mount", "/dev/pts")?;
    super::attach(dev, "pts", &tree)
}

fn mount_shm(dev: &OwnedFd, spec: &ContainerSpec) -> Result<(), StartError> {
    if spec.mounts.iter().any(|mount| mount.target == "/dev/shm") {
        return Ok(());
    }
    let attributes = mount::safe_attributes() | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    let tree = mount::tmpfs(SHM_BYTES_MAX, 0o1777, attributes).during("mount", "/dev/shm")?;
    super::attach(dev, "shm", &tree)
}

fn mount_mqueue(dev: &OwnedFd) -> Result<(), StartError> {
    let attributes = mount::safe_attributes() | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    match Tree::new("mqueue", &[], attributes) {
        Ok(tree) => super::attach(dev, "mqueue", &tree),
        // A kernel without POSIX queues, or an IPC namespace of someone else.
        Err(error) if matches!(error.raw_os_error(), Some(libc::ENODEV | libc::EPERM)) => Ok(()),
        Err(error) => Err(StartError::step("mount", "/dev/mqueue", &error)),
    }
}
