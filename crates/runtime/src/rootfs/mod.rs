//! Builds what a container sees at `/` and moves into it. The entry is
//! [`enter`]; it runs in the new process, inside its own mount namespace.
//!
//! Not here: namespaces other than mount, and credentials.

mod dev;
mod hide;

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::mount::{MountAttrFlags, MountPropagationFlags, UnmountFlags};

use crate::cgroup::Cgroup;
use crate::error::{During, StartError};
use crate::idmap::IdMap;
use crate::mount::{self, Tree};
use crate::resolve::{self, Make};
use crate::spec::{Bind, ContainerSpec, Create, Mount, MountOptions, Source};
use crate::user::Identity;

const PROC_SUPER_MAGIC: i64 = 0x9fa0;
const OVERLAYFS_SUPER_MAGIC: i64 = 0x794c_7630;

/// What was learnt while the container's files were at hand.
pub(crate) struct Entered {
    pub identity: Identity,
}

/// Builds the container's mounts on top of `place` and makes them the root of
/// this process.
pub(crate) fn enter(
    spec: &ContainerSpec,
    cgroup: Option<&Cgroup>,
    ids: &IdMap,
    place: &Path,
) -> Result<Entered, StartError> {
    // Sources are opened first: cloned from the caller's tree while it still
    // has its propagation.
    let volumes = spec
        .mounts
        .iter()
        .map(open_source)
        .collect::<Result<Vec<_>, _>>()?;
    rustix::mount::mount_change(
        "/",
        MountPropagationFlags::PRIVATE | MountPropagationFlags::REC,
    )
    .during("make private", "/")?;

    let overlay = mount::overlay(&spec.root).map_err(|error| explain(spec, &error))?;
    let target = mount::place(place).during("open", place.display())?;
    overlay.attach(target).during("mount on", place.display())?;
    let root = mount::place(place).during("open", place.display())?;

    mount_proc(&root)?;
    dev::build(&root, spec, ids)?;
    mount_sys(&root, spec.privileged)?;
    if let Some(cgroup) = cgroup {
        show_cgroup(&root, cgroup, spec.privileged)?;
    }
    for (mount, tree) in spec.mounts.iter().zip(volumes) {
        attach_volume(&root, mount, &tree)?;
    }
    if !spec.privileged {
        hide::readonly(&root, &spec.readonly_paths)?;
        hide::mask(&root, &spec.masked_paths)?;
    }
    let identity = Identity::resolve(&spec.user, root.as_fd())?;
    if !spec.cwd.is_empty() {
        resolve::ensure(root.as_fd(), Path::new(&spec.cwd), Make::Directory(0o755))
            .during("make the working directory", &spec.cwd)?;
    }
    if spec.root.readonly {
        crate::sys::mount_setattr(&root, false, libc::MOUNT_ATTR_RDONLY, 0)
            .during("make read-only", "/")?;
    }
    pivot(&root).during("pivot into", place.display())?;
    Ok(Entered { identity })
}

/// Adds what the kernel does not say about a root file system it refused.
fn explain(spec: &ContainerSpec, error: &io::Error) -> StartError {
    let dir = spec.root.upper.as_ref().map(|upper| upper.dir.as_path());
    let on_overlay = dir.is_some_and(|dir| {
        rustix::fs::statfs(dir).is_ok_and(|stat| stat.f_type == OVERLAYFS_SUPER_MAGIC)
    });
    match (error.raw_os_error(), dir) {
        (Some(libc::ENODEV), _) => StartError::Invalid(
            "this kernel has no overlay file system; load the module `overlay`".into(),
        ),
        (Some(libc::EINVAL), Some(dir)) if on_overlay => StartError::Invalid(format!(
            "the writable layer {} lies on an overlay file system, which cannot hold another; \
             keep it on a disk, a volume or in memory",
            dir.display()
        )),
        _ => StartError::step("mount the root file system of", &spec.id, error),
    }
}

/// Makes `root` the root of this mount namespace and drops the old one.
fn pivot(root: &OwnedFd) -> io::Result<()> {
    rustix::process::fchdir(root)?;
    // pivot_root(2) allows both to be the same; the old root then lies on top.
    rustix::process::pivot_root(".", ".")?;
    rustix::mount::unmount(".", UnmountFlags::DETACH)?;
    Ok(rustix::process::chdir("/")?)
}

fn open_source(mount: &Mount) -> Result<Tree, StartError> {
    let tree = match &mount.source {
        Source::Bind(bind) => {
            let path = bind.path.display();
            let mut place = open_bind(bind).during("open", &path)?;
            if let Some(sub_path) = &bind.sub_path {
                place = resolve::open_beneath(place.as_fd(), sub_path)
                    .during("open the sub path", sub_path.display())?;
            }
            let tree = Tree::clone_of(place, true).during("clone", &path)?;
            tree.propagate(mount.options.propagation)
                .during("propagate", &path)?;
            tree
        }
        Source::Tmpfs { bytes_max, mode } => {
            mount::tmpfs(*bytes_max, *mode, MountAttrFlags::empty())
                .during("make a tmpfs for", &mount.target)?
        }
    };
    let options = &mount.options;
    tree.set(attributes(options), options.readonly_recursive)
        .during("set mount options of", &mount.target)?;
    Ok(tree)
}

fn open_bind(bind: &Bind) -> io::Result<OwnedFd> {
    let root = bind.inside.as_deref().unwrap_or(Path::new("/"));
    let make = match bind.create {
        Create::Nothing if bind.inside.is_none() => return mount::place(&bind.path),
        Create::Nothing => return resolve::open(mount::place(root)?.as_fd(), &bind.path),
        Create::Directory => Make::Directory(0o755),
        Create::File => Make::File,
    };
    resolve::ensure(mount::place(root)?.as_fd(), &bind.path, make)
}

fn attributes(options: &MountOptions) -> MountAttrFlags {
    let mut flags = MountAttrFlags::empty();
    flags.set(
        MountAttrFlags::MOUNT_ATTR_RDONLY,
        options.readonly || options.readonly_recursive,
    );
    flags.set(MountAttrFlags::MOUNT_ATTR_NOSUID, options.nosuid);
    flags.set(MountAttrFlags::MOUNT_ATTR_NODEV, options.nodev);
    flags.set(MountAttrFlags::MOUNT_ATTR_NOEXEC, options.noexec);
    flags
}

fn attach_volume(root: &OwnedFd, mount: &Mount, tree: &Tree) -> Result<(), StartError> {
    let make = match tree.is_directory().during("inspect", &mount.target)? {
        true => Make::Directory(0o755),
        false => Make::File,
    };
    let target = resolve::ensure(root.as_fd(), Path::new(&mount.target), make)
        .during("make the mount point", &mount.target)?;
    // A file of one's own in /proc could fake what a later step writes to,
    // such as /proc/self/attr.
    let file_system = rustix::fs::fstatfs(&target).during("inspect", &mount.target)?;
    if file_system.f_type == PROC_SUPER_MAGIC {
        return Err(StartError::Invalid(format!(
            "mount {}: nothing may be mounted inside /proc",
            mount.target
        )));
    }
    tree.attach(target).during("mount on", &mount.target)
}

fn mount_proc(root: &OwnedFd) -> Result<(), StartError> {
    let attributes = mount::safe_attributes() | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    let tree = Tree::new("proc", &[], attributes).during("mount", "/proc")?;
    attach(root, "proc", &tree)
}

fn mount_sys(root: &OwnedFd, privileged: bool) -> Result<(), StartError> {
    let mut attributes = mount::safe_attributes() | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    if !privileged {
        attributes |= MountAttrFlags::MOUNT_ATTR_RDONLY;
    }
    let tree = match Tree::new("sysfs", &[], attributes) {
        // Refused when the network namespace belongs to an outer user
        // namespace: the caller's /sys then describes the right network.
        Err(error) if error.raw_os_error() == Some(libc::EPERM) => clone_sys(),
        other => other,
    };
    attach(root, "sys", &tree.during("mount", "/sys")?)
}

fn clone_sys() -> io::Result<Tree> {
    let tree = Tree::clone_of(mount::place(Path::new("/sys"))?, true)?;
    tree.set(MountAttrFlags::MOUNT_ATTR_RDONLY, true)?;
    Ok(tree)
}

/// Language runtimes size themselves by what they read at /sys/fs/cgroup.
fn show_cgroup(root: &OwnedFd, cgroup: &Cgroup, writable: bool) -> Result<(), StartError> {
    let show = |target: &str, directory: &Path| -> Result<(), StartError> {
        let place = mount::place(directory).during("open", directory.display())?;
        let tree = Tree::clone_of(place, false).during("clone", directory.display())?;
        let mut attributes = mount::safe_attributes() | MountAttrFlags::MOUNT_ATTR_NOEXEC;
        attributes.set(MountAttrFlags::MOUNT_ATTR_RDONLY, !writable);
        tree.set(attributes, false)
            .during("set mount options of", target)?;
        attach(root, target, &tree)
    };
    match cgroup {
        Cgroup::V2(directory) => show("sys/fs/cgroup", directory),
        Cgroup::V1(directories) => {
            let attributes = mount::safe_attributes() | MountAttrFlags::MOUNT_ATTR_NOEXEC;
            let tree = mount::tmpfs(65_536, 0o755, attributes).during("make", "/sys/fs/cgroup")?;
            attach(root, "sys/fs/cgroup", &tree)?;
            for (controller, directory) in directories {
                show(&format!("sys/fs/cgroup/{controller}"), directory)?;
            }
            if writable {
                return Ok(());
            }
            let readonly = attributes | MountAttrFlags::MOUNT_ATTR_RDONLY;
            tree.set(readonly, false)
                .during("set mount options of", "/sys/fs/cgroup")
        }
    }
}

/// Attaches one of our own trees on a directory, made when missing.
fn attach(root: &OwnedFd, target: &str, tree: &Tree) -> Result<(), StartError> {
    let place = resolve::ensure(root.as_fd(), Path::new(target), Make::Directory(0o755))
        .during("make the mount point", format!("/{target}"))?;
    tree.attach(place).during("mount on", format!("/{target}"))
}
