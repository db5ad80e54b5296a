//! The root file system of a cluster: an empty tmpfs with what its processes
//! need, into which pid 1 pivots; the host's `/` is detached.
//!
//! ```text
//! /coracle/cluster   the cluster's folder
//! /coracle/images    the image store
//! /coracle/shares    folders of the host that the pods see
//! /dev /proc /sys    new ones of the cluster's namespaces
//! /run /tmp          tmpfs
//! ```

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustix::mount::{
    MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_bind, mount_bind_recursive,
    mount_change, unmount,
};

use crate::share::{self, Opened};

/// Where the cluster's folder stands inside.
pub const CLUSTER: &str = "/coracle/cluster";
/// Where the image store stands inside.
pub const IMAGES: &str = "/coracle/images";

/// Devices that every process may expect; an unprivileged mount namespace
/// cannot make nodes, so the host's are bound.
const DEVICES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];

/// A step of building the root failed.
#[derive(Debug, thiserror::Error)]
#[error("could not {step}")]
pub struct RootError {
    step: String,
    source: io::Error,
}

pub(crate) fn step<T, E: Into<io::Error>>(
    text: impl Into<String>,
    result: Result<T, E>,
) -> Result<T, RootError> {
    result.map_err(|source| RootError {
        step: text.into(),
        source: source.into(),
    })
}

/// Builds the root of cluster `name` and pivots into it.
///
/// The working folder must be the home of all clusters; `cgroups` are pairs of
/// a host directory and its place below `/sys/fs/cgroup`.
pub fn enter(
    name: &str,
    cgroups: &[(PathBuf, PathBuf)],
    shares: &[Opened],
) -> Result<(), RootError> {
    let cluster = Path::new("clusters").join(name);
    let root = cluster.join("run/root");
    step(
        "make the mounts private",
        mount_change(
            "/",
            MountPropagationFlags::PRIVATE | MountPropagationFlags::REC,
        ),
    )?;
    step("make the root folder", fs::create_dir_all(&root))?;
    step(
        "mount the root",
        mount(
            "tmpfs",
            &root,
            "tmpfs",
            MountFlags::NOSUID,
            Some(c"mode=755"),
        ),
    )?;

    for (source, target) in [(cluster.as_path(), CLUSTER), (Path::new("images"), IMAGES)] {
        bind(source, &inside(&root, target))?;
    }
    share::show(shares, &root)?;
    devices(&root)?;
    file_systems(&root)?;
    for (source, target) in cgroups {
        let target = root.join("sys/fs/cgroup").join(target);
        step(
            format!("make {}", target.display()),
            fs::create_dir_all(&target),
        )?;
        step(
            format!("bind {}", source.display()),
            mount_bind_recursive(source, &target),
        )?;
    }
    files(&root)?;
    pivot(&root)
}

/// Returns where an absolute path stands below `root`.
pub(crate) fn inside(root: &Path, path: &str) -> PathBuf {
    root.join(path.trim_start_matches('/'))
}

/// Shows a folder at a path below the root, which is made.
pub(crate) fn bind(source: &Path, target: &Path) -> Result<(), RootError> {
    step(
        format!("make {}", target.display()),
        fs::create_dir_all(target),
    )?;
    step(
        format!("bind {}", source.display()),
        mount_bind(source, target),
    )
}

/// Makes `/dev`.
pub(crate) fn devices(root: &Path) -> Result<(), RootError> {
    let dev = root.join("dev");
    step("make dev", fs::create_dir_all(dev.join("pts")))?;
    step("make dev/shm", fs::create_dir_all(dev.join("shm")))?;
    for device in DEVICES {
        let target = dev.join(device);
        step(
            format!("make {}", target.display()),
            fs::write(&target, b""),
        )?;
        step(
            format!("bind /dev/{device}"),
            mount_bind(Path::new("/dev").join(device), &target),
        )?;
    }
    step(
        "mount devpts",
        mount(
            "devpts",
            dev.join("pts"),
            "devpts",
            MountFlags::NOSUID,
            Some(c"newinstance,ptmxmode=0666,mode=620"),
        ),
    )?;
    step(
        "link ptmx",
        std::os::unix::fs::symlink("pts/ptmx", dev.join("ptmx")),
    )?;
    for (name, target) in [
        ("fd", "/proc/self/fd"),
        ("stdin", "fd/0"),
        ("stdout", "fd/1"),
        ("stderr", "fd/2"),
    ] {
        step(
            format!("link {name}"),
            std::os::unix::fs::symlink(target, dev.join(name)),
        )?;
    }
    step(
        "mount shm",
        mount(
            "tmpfs",
            dev.join("shm"),
            "tmpfs",
            MountFlags::NOSUID,
            Some(c"mode=1777"),
        ),
    )
}

fn file_systems(root: &Path) -> Result<(), RootError> {
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    for (kind, target, data) in [
        ("proc", "proc", None),
        ("sysfs", "sys", None),
        ("tmpfs", "sys/fs/cgroup", Some(c"mode=755")),
        ("tmpfs", "run", Some(c"mode=755")),
        ("tmpfs", "tmp", Some(c"mode=1777")),
    ] {
        let path = root.join(target);
        if kind != "tmpfs" || target != "sys/fs/cgroup" {
            step(
                format!("make {}", path.display()),
                fs::create_dir_all(&path),
            )?;
        }
        step(
            format!("mount {target}"),
            mount(kind, &path, kind, flags, data),
        )?;
    }
    Ok(())
}

fn files(root: &Path) -> Result<(), RootError> {
    let etc = root.join("etc");
    step("make etc", fs::create_dir_all(&etc))?;
    step(
        "write etc/hosts",
        fs::write(etc.join("hosts"), "127.0.0.1 localhost\n::1 localhost\n"),
    )?;
    step(
        "write etc/passwd",
        fs::write(etc.join("passwd"), "root:x:0:0:root:/:/\n"),
    )
}

/// Makes `root` the root of the mount namespace and detaches the old one.
pub(crate) fn pivot(root: &Path) -> Result<(), RootError> {
    step("enter the root", rustix::process::chdir(root))?;
    step("pivot into the root", rustix::process::pivot_root(".", "."))?;
    step("detach the host", unmount(".", UnmountFlags::DETACH))?;
    step("enter /", rustix::process::chdir("/"))
}
