//! A job in namespaces and a root file system of its own, such as a build:
//! user, mount and pid namespaces that end with the job, whatever becomes of
//! whoever asked for it. The main type is [`Apart`].
//!
//! ```text
//! /coracle/images     the image store
//! /coracle/clusters   the clusters' folders
//! /given/PATH         each folder that the job was given, read-only
//! /dev /proc /sys     of the job's namespaces; /sys is the host's
//! /run /tmp /etc      tmpfs
//! ```
//!
//! The job stays in the network namespace it was started in. What it does is
//! the caller's business.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags};
use rustix::mount::{
    MountAttrFlags, MountFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags, mount,
    mount_bind_recursive, mount_change, move_mount, open_tree,
};

use crate::idmap::{EnterError, IdMap};
use crate::root::{self, RootError, step};
use crate::sys::{self, Fork};

/// Where the image store stands inside.
pub const IMAGES: &str = "/coracle/images";
/// Where the clusters' folders stand inside.
pub const CLUSTERS: &str = "/coracle/clusters";
/// Below this stand the folders that the job was given, by their own paths.
pub const GIVEN: &str = "/given";

/// What a job gets.
#[derive(Debug)]
pub struct Apart<'a> {
    /// The ids inside.
    pub ids: &'a IdMap,
    /// The folder of all clusters.
    pub home: &'a Path,
    /// Folders that the job may read, absolute and without links.
    pub folders: &'a [PathBuf],
}

/// A job could not be set apart.
#[derive(Debug, thiserror::Error)]
pub enum ApartError {
    /// Its namespaces could not be made.
    #[error(transparent)]
    Enter(#[from] EnterError),
    /// Its root file system could not be made.
    #[error(transparent)]
    Root(#[from] RootError),
    /// A process of it could not be started or watched.
    #[error("could not {step}")]
    Process {
        /// What was being done.
        step: &'static str,
        /// Why it failed.
        source: io::Error,
    },
}

fn process(step: &'static str) -> impl FnOnce(io::Error) -> ApartError {
    move |source| ApartError::Process { step, source }
}

/// Returns where a given folder stands inside.
pub fn given(folder: &Path) -> PathBuf {
    Path::new(GIVEN).join(folder.strip_prefix("/").unwrap_or(folder))
}

/// A given folder; as root, its mount was cloned while its files could be read.
struct Folder {
    path: PathBuf,
    tree: Option<OwnedFd>,
}

impl Apart<'_> {
    /// Runs `work` as pid 1 of the job's namespaces and returns its exit code,
    /// 128 and more if a signal ended it. Only for a process with one thread.
    ///
    /// `failed` hears, in whichever process it happens, why the job did not
    /// come to its work.
    ///
    /// # Errors
    /// Fails when the processes of the job cannot be started.
    pub fn run(
        &self,
        work: impl FnOnce() -> i32,
        failed: impl Fn(&ApartError),
    ) -> Result<i32, ApartError> {
        let folders = self.folders.iter().map(|path| self.open(path)).collect();
        let folders: Vec<Folder> = folders;
        let (entered, tell) = io::pipe().map_err(process("make a pipe"))?;
        let (go, start) = io::pipe().map_err(process("make a pipe"))?;
        match sys::fork().map_err(process("fork"))? {
            Fork::Child => {
                drop((entered, start));
                let done = self.enter(&folders, tell, go, work);
                let code = done.unwrap_or_else(|error| {
                    failed(&error);
                    1
                });
                std::process::exit(code)
            }
            Fork::Parent(child) => {
                drop((tell, go));
                if (&entered).read_exact(&mut [0]).is_ok() {
                    self.show(&folders, child);
                    // A child that is gone says why by its exit code.
                    let _ = (&start).write_all(b"1");
                }
                sys::wait_code(child).map_err(process("wait for the job"))
            }
        }
    }

    fn open(&self, path: &Path) -> Folder {
        let flags = OpenTreeFlags::OPEN_TREE_CLONE
            | OpenTreeFlags::OPEN_TREE_CLOEXEC
            | OpenTreeFlags::AT_RECURSIVE;
        let tree = match self.ids {
            IdMap::Shifted { .. } => open_tree(CWD, path, flags).ok(),
            _ => None,
        };
        let tree = tree
            .filter(|tree| sys::restrict(tree.as_fd(), MountAttrFlags::MOUNT_ATTR_RDONLY).is_ok());
        Folder {
            path: path.to_owned(),
            tree,
        }
    }

    /// Shows root's files to the job as its own: with shifted ids it could not
    /// read what only root may. A file system that cannot do so is shown as it
    /// is, and what the job may not read it says.
    fn show(&self, folders: &[Folder], child: i32) {
        let Ok(namespace) = File::open(format!("/proc/{child}/ns/user")) else {
            return;
        };
        for tree in folders.iter().filter_map(|folder| folder.tree.as_ref()) {
            let map = |recursive| sys::map_ids(tree.as_fd(), namespace.as_fd(), recursive);
            let _ = map(true).or_else(|_| map(false));
        }
    }

    fn enter(
        &self,
        folders: &[Folder],
        tell: io::PipeWriter,
        go: io::PipeReader,
        work: impl FnOnce() -> i32,
    ) -> Result<i32, ApartError> {
        rustix::process::chdir(self.home)
            .map_err(io::Error::from)
            .map_err(process("enter the folder of all clusters"))?;
        self.ids.enter()?;
        // After the ids have changed, which forgets it (PR_SET_PDEATHSIG(2const)).
        sys::die_with_parent(libc::SIGKILL);
        let namespaces = libc::CLONE_NEWNS | libc::CLONE_NEWPID;
        sys::unshare(namespaces).map_err(process("make mount and pid namespaces"))?;
        (&tell).write_all(b"1").map_err(process("ask to go on"))?;
        (&go)
            .read_exact(&mut [0])
            .map_err(process("wait to go on"))?;
        match sys::fork().map_err(process("fork"))? {
            Fork::Child => {
                sys::die_with_parent(libc::SIGKILL);
                build_root(folders)?;
                Ok(work())
            }
            Fork::Parent(child) => sys::wait_code(child).map_err(process("wait for the job")),
        }
    }
}

/// Builds the root and pivots into it. The working folder is the home of all
/// clusters.
fn build_root(folders: &[Folder]) -> Result<(), RootError> {
    // An existing folder to build on; in this mount namespace only.
    let place = Path::new("images");
    let images = open_place(place)?;
    let clusters = open_place(Path::new("clusters"))?;
    step(
        "make the mounts private",
        mount_change(
            "/",
            MountPropagationFlags::PRIVATE | MountPropagationFlags::REC,
        ),
    )?;
    let images = clone(&images)?;
    let clusters = clone(&clusters)?;
    tmpfs(place, c"mode=755")?;
    attach(&images, &root::inside(place, IMAGES))?;
    attach(&clusters, &root::inside(place, CLUSTERS))?;
    for folder in folders {
        show_folder(folder, place)?;
    }
    root::devices(place)?;
    file_systems(place)?;
    root::pivot(place)
}

fn open_place(folder: &Path) -> Result<OwnedFd, RootError> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let opened = rustix::fs::openat(CWD, folder, flags, Mode::empty());
    step(format!("open {}", folder.display()), opened)
}

fn clone(folder: &OwnedFd) -> Result<OwnedFd, RootError> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_EMPTY_PATH;
    step("clone a folder of the home", open_tree(folder, "", flags))
}

fn attach(tree: &OwnedFd, target: &Path) -> Result<(), RootError> {
    step(
        format!("make {}", target.display()),
        fs::create_dir_all(target),
    )?;
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
    step(
        format!("mount {}", target.display()),
        move_mount(tree, "", CWD, target, flags),
    )
}

fn show_folder(folder: &Folder, root: &Path) -> Result<(), RootError> {
    let target = root::inside(root, &given(&folder.path).to_string_lossy());
    match &folder.tree {
        Some(tree) => attach(tree, &target),
        None => {
            root::bind(&folder.path, &target)?;
            let shown = step("open a given folder", File::open(&target))?;
            step(
                "make a given folder read-only",
                sys::restrict(shown.as_fd(), MountAttrFlags::MOUNT_ATTR_RDONLY),
            )
        }
    }
}

fn tmpfs(target: &Path, options: &std::ffi::CStr) -> Result<(), RootError> {
    step(
        format!("mount {}", target.display()),
        mount("tmpfs", target, "tmpfs", MountFlags::NOSUID, Some(options)),
    )
}

fn file_systems(root: &Path) -> Result<(), RootError> {
    let make = |name: &str| -> Result<PathBuf, RootError> {
        let path = root.join(name);
        step(format!("make {name}"), fs::create_dir_all(&path))?;
        Ok(path)
    };
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    let proc = mount("proc", make("proc")?, "proc", flags, None);
    step("mount proc", proc)?;
    // A new one would need a network namespace of the job's own; containers,
    // which have one, get theirs only where one can be seen.
    step("bind sys", mount_bind_recursive("/sys", make("sys")?))?;
    tmpfs(&make("run")?, c"mode=755")?;
    tmpfs(&make("tmp")?, c"mode=1777")?;
    make("etc").map(drop)
}
