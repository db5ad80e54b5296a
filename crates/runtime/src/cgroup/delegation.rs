//! Hands a part of the host's cgroup tree to a cluster's ids. The main type
//! is [`Delegation`]; it is made, and removed, by the one process that stays
//! outside the cluster's namespaces.
//!
//! Not here: the use of what was handed over, see `Cgroups`.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{CONTROLLERS, remove_tree, v1, v2, writable, write};

/// Directories of the host's cgroup tree that belong to one cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Delegation {
    /// By controller; the name is also the directory's at which
    /// `Cgroups::open` expects it.
    V1(BTreeMap<String, PathBuf>),
    /// One directory.
    V2(PathBuf),
}

/// Why a cluster gets no cgroups.
#[derive(Debug, thiserror::Error)]
pub enum DelegationError {
    /// No cgroup file system with a memory controller is mounted.
    #[error("no cgroup tree with a memory controller is mounted")]
    NoTree,
    /// The caller may not make groups where it is.
    #[error("{} is not writable: run as root, or in a scope with Delegate=yes", .0.display())]
    NotDelegated(PathBuf),
    /// The kernel refused.
    #[error("make the cgroup {}", path.display())]
    Make {
        /// Which.
        path: PathBuf,
        /// Its word for it.
        #[source]
        source: io::Error,
    },
}

impl Delegation {
    /// Makes directories called `name` and gives them to the user and group
    /// with these ids on the host. Existing ones are taken over.
    ///
    /// # Errors
    ///
    /// Without a usable tree, or when the kernel refuses; nothing is left then.
    pub fn create(name: &str, uid: u32, gid: u32) -> Result<Self, DelegationError> {
        plan(&Mounts::read(), name)?.made(uid, gid)
    }

    /// As [`Delegation::create`], in a directory of version 2 that was handed
    /// to the caller, such as a scope's.
    ///
    /// # Errors
    ///
    /// When it was not, or the kernel refuses; nothing is left then.
    pub fn below(base: &Path, name: &str, uid: u32, gid: u32) -> Result<Self, DelegationError> {
        within(base, name)?.made(uid, gid)
    }

    fn made(self, uid: u32, gid: u32) -> Result<Self, DelegationError> {
        for (controller, directory) in self.directories() {
            make(controller, directory, uid, gid).map_err(|source| {
                let _ = self.remove();
                DelegationError::Make {
                    path: directory.to_owned(),
                    source,
                }
            })?;
        }
        Ok(self)
    }

    /// Finds what [`Delegation::create`] made under this name, to remove it.
    pub fn find(name: &str) -> Option<Self> {
        let delegation = plan(&Mounts::read(), name).ok()?;
        let exists = delegation
            .directories()
            .any(|(_, directory)| directory.exists());
        exists.then_some(delegation)
    }

    /// Moves a process into it, 0 for the caller.
    ///
    /// # Errors
    ///
    /// When the kernel refuses.
    pub fn join(&self, pid: u32) -> io::Result<()> {
        self.directories()
            .try_for_each(|(_, directory)| write(&directory.join("cgroup.procs"), &pid.to_string()))
    }

    /// Where each directory is to be shown below the cluster's
    /// `/sys/fs/cgroup`: the path relative to it (empty for v2) and the
    /// directory on the host.
    pub fn directories(&self) -> impl Iterator<Item = (&str, &Path)> {
        let (v1, v2) = match self {
            Self::V1(directories) => (Some(directories), None),
            Self::V2(directory) => (None, Some(("", directory.as_path()))),
        };
        v1.into_iter()
            .flatten()
            .map(|(name, dir)| (name.as_str(), dir.as_path()))
            .chain(v2)
    }

    /// Removes it with everything below, when its processes have ended.
    ///
    /// # Errors
    ///
    /// When processes remain. All directories are tried.
    pub fn remove(&self) -> io::Result<()> {
        let results: Vec<_> = self
            .directories()
            .map(|(_, dir)| remove_tree(dir))
            .collect();
        results.into_iter().collect()
    }
}

/// Where cgroup file systems are mounted.
#[derive(Debug, Default, PartialEq, Eq)]
struct Mounts {
    v1: BTreeMap<String, PathBuf>,
    v2: Option<PathBuf>,
}

impl Mounts {
    fn read() -> Self {
        parse_mounts(&fs::read_to_string("/proc/self/mountinfo").unwrap_or_default())
    }
}

/// Reads mountinfo lines; see proc_pid_mountinfo(5).
fn parse_mounts(mountinfo: &str) -> Mounts {
    let mut mounts = Mounts::default();
    for line in mountinfo.lines() {
        let Some((left, right)) = line.split_once(" - ") else {
            continue;
        };
        let Some(point) = left.split(' ').nth(4) else {
            continue;
        };
        let mut right = right.split(' ');
        match (right.next(), right.nth(1)) {
            (Some("cgroup2"), _) => {
                mounts.v2.get_or_insert_with(|| point.into());
            }
            (Some("cgroup"), Some(options)) => {
                for controller in options.split(',').filter(|name| CONTROLLERS.contains(name)) {
                    mounts
                        .v1
                        .entry(controller.to_owned())
                        .or_insert_with(|| point.into());
                }
            }
            _ => {}
        }
    }
    mounts
}

/// Decides where the directories are.
fn plan(mounts: &Mounts, name: &str) -> Result<Delegation, DelegationError> {
    let root = rustix::process::geteuid().is_root();
    // In hybrid mode the v2 tree is mounted but has no memory controller.
    if let Some(memory) = mounts.v1.get("memory") {
        if !root {
            return Err(DelegationError::NotDelegated(memory.clone()));
        }
        let directories = mounts
            .v1
            .iter()
            .map(|(controller, at)| (controller.clone(), at.join(name)))
            .collect();
        return Ok(Delegation::V1(directories));
    }
    let tree = mounts.v2.as_ref().ok_or(DelegationError::NoTree)?;
    let base = if root { tree.clone() } else { own_group(tree) };
    within(&base, name)
}

/// Decides for a directory of version 2.
fn within(base: &Path, name: &str) -> Result<Delegation, DelegationError> {
    if !has_memory(base) {
        return Err(DelegationError::NoTree);
    }
    match writable(&base.join("cgroup.procs")) {
        true => Ok(Delegation::V2(base.join(name))),
        false => Err(DelegationError::NotDelegated(base.to_owned())),
    }
}

fn has_memory(directory: &Path) -> bool {
    let have = fs::read_to_string(directory.join("cgroup.controllers")).unwrap_or_default();
    have.split_ascii_whitespace().any(|name| name == "memory")
}

/// The group that was delegated to this process: its own, or the one above
/// when [`v2::prepare`] has already moved it into a leaf.
fn own_group(tree: &Path) -> PathBuf {
    let text = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let path = text
        .lines()
        .find_map(|line| line.strip_prefix("0::/"))
        .unwrap_or("");
    let own = tree.join(path);
    match (own.ends_with("init"), own.parent()) {
        (true, Some(parent)) if writable(&parent.join("cgroup.procs")) => parent.to_owned(),
        _ => own,
    }
}

/// Makes one directory and gives it away: the directory and the files that
/// move processes, but not the limits of the directory itself.
fn make(controller: &str, directory: &Path, uid: u32, gid: u32) -> io::Result<()> {
    let parent = directory.parent().ok_or(io::ErrorKind::InvalidInput)?;
    if controller.is_empty() {
        match rustix::process::geteuid().is_root() {
            true => v2::enable(parent)?,
            false => v2::prepare(parent)?,
        }
    }
    match fs::create_dir(directory) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    if controller == "cpuset" {
        v1::copy_cpuset(parent, directory)?;
    }
    for file in [
        "",
        "cgroup.procs",
        "cgroup.threads",
        "cgroup.subtree_control",
        "tasks",
    ] {
        let path = directory.join(file);
        if path.exists() {
            std::os::unix::fs::chown(&path, Some(uid), Some(gid))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &str = "\
30 25 0:26 / /sys/fs/cgroup ro - tmpfs tmpfs ro,mode=755
31 30 0:27 / /sys/fs/cgroup/unified rw shared:9 - cgroup2 cgroup2 rw
32 30 0:30 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
33 30 0:31 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
34 30 0:32 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd
broken line
";

    #[test]
    fn controllers_are_found_where_they_are_mounted() {
        let mounts = parse_mounts(HYBRID);
        let found: Vec<_> = mounts
            .v1
            .iter()
            .map(|(name, at)| (name.as_str(), at.to_str().unwrap()))
            .collect();
        assert_eq!(
            found,
            [
                ("cpu", "/sys/fs/cgroup/cpu,cpuacct"),
                ("cpuacct", "/sys/fs/cgroup/cpu,cpuacct"),
                ("memory", "/sys/fs/cgroup/memory"),
            ]
        );
        assert_eq!(mounts.v2, Some("/sys/fs/cgroup/unified".into()));
    }

    #[test]
    fn nothing_mounted_is_said() {
        let error = plan(&parse_mounts(""), "x").unwrap_err();
        assert!(matches!(error, DelegationError::NoTree));
    }
}
