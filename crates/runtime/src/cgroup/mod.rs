//! Control groups of either version, behind one face. The main types are
//! [`Cgroups`], the part of the tree that was handed to us, and [`Cgroup`], a
//! group in it.
//!
//! Not here: how that part comes to be ours, see `delegation`.

mod delegation;
mod usage;
mod v1;
mod v2;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use delegation::{Delegation, DelegationError};
pub use usage::{Usage, usage_by_mount_namespace};

use crate::spec::Resources;

/// Controllers this crate sets limits or reads counters with.
const CONTROLLERS: [&str; 5] = ["cpu", "cpuacct", "cpuset", "memory", "pids"];

/// Where groups can be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cgroups {
    /// A directory for each controller (cgroup v1, also beside v2).
    V1(BTreeMap<String, PathBuf>),
    /// One tree (cgroup v2).
    V2(PathBuf),
    /// Nowhere; containers have no limits, and this is why.
    None(String),
}

/// A group. It exists or not; this only names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cgroup {
    /// Its directory under each controller.
    V1(BTreeMap<String, PathBuf>),
    /// Its directory.
    V2(PathBuf),
}

impl Cgroups {
    /// Looks at what lies at `root`: a v2 tree, or a directory for each v1
    /// controller. A v2 tree is made ready: its processes move to a group
    /// `init`, because a group with processes cannot have limited children
    /// (cgroup-v2.rst, "No Internal Process Constraint").
    pub fn open(root: &Path) -> Self {
        if root.join("cgroup.controllers").exists() {
            return match v2::prepare(root) {
                Ok(()) => Self::V2(root.to_owned()),
                Err(error) => Self::None(format!("{} is not delegated: {error}", root.display())),
            };
        }
        let directories: BTreeMap<String, PathBuf> = CONTROLLERS
            .iter()
            .map(|name| ((*name).to_owned(), root.join(name)))
            .filter(|(_, directory)| writable(&directory.join("cgroup.procs")))
            .collect();
        match directories.contains_key("memory") && directories.contains_key("cpu") {
            true => Self::V1(directories),
            false => Self::None(format!("no delegated cgroups at {}", root.display())),
        }
    }

    /// Names the group at `path`, relative to what was handed to us.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a path that leads out, `Unsupported` without cgroups.
    pub fn at(&self, path: &str) -> io::Result<Cgroup> {
        let relative = Path::new(path);
        if !relative
            .components()
            .all(|part| matches!(part, Component::Normal(_)))
        {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "not a plain relative path",
            ));
        }
        match self {
            Self::V1(directories) => Ok(Cgroup::V1(
                directories
                    .iter()
                    .map(|(name, dir)| (name.clone(), dir.join(relative)))
                    .collect(),
            )),
            Self::V2(root) => Ok(Cgroup::V2(root.join(relative))),
            Self::None(why) => Err(io::Error::new(io::ErrorKind::Unsupported, why.clone())),
        }
    }

    /// Makes the group at `path`, with the groups above it, and sets limits.
    /// It may exist.
    ///
    /// # Errors
    ///
    /// As [`Cgroups::at`], and when the kernel refuses.
    pub fn create(&self, path: &str, resources: &Resources) -> io::Result<Cgroup> {
        let cgroup = self.at(path)?;
        match (self, &cgroup) {
            (Self::V1(bases), Cgroup::V1(directories)) => {
                for (controller, directory) in directories {
                    v1::create(controller, &bases[controller], directory)?;
                }
            }
            (Self::V2(base), Cgroup::V2(directory)) => v2::create(base, directory)?,
            _ => unreachable!("a group is of its tree's version"),
        }
        cgroup.limit(resources)?;
        Ok(cgroup)
    }

    /// Names the controllers that were delegated, of `cpu`, `memory`, `pids` and
    /// others. A limit whose controller is missing is not enforced.
    pub fn controllers(&self) -> Vec<String> {
        match self {
            Self::V1(directories) => directories.keys().cloned().collect(),
            Self::V2(root) => fs::read_to_string(root.join("cgroup.subtree_control"))
                .unwrap_or_default()
                .split_ascii_whitespace()
                .map(str::to_owned)
                .collect(),
            Self::None(_) => Vec::new(),
        }
    }

    /// Tells whether containers can be limited.
    pub fn available(&self) -> bool {
        !matches!(self, Self::None(_))
    }
}

impl Cgroup {
    /// Sets limits, on a running group too. What is `None` stays as it is.
    ///
    /// # Errors
    ///
    /// When the kernel refuses, for example a limit above that of the parent.
    pub fn limit(&self, resources: &Resources) -> io::Result<()> {
        match self {
            Self::V1(directories) => v1::limit(directories, resources),
            Self::V2(directory) => v2::limit(directory, resources),
        }
    }

    /// What its processes use.
    ///
    /// # Errors
    ///
    /// When it does not exist.
    pub fn usage(&self) -> io::Result<Usage> {
        match self {
            Self::V1(directories) => v1::usage(directories),
            Self::V2(directory) => v2::usage(directory),
        }
    }

    /// How often the kernel has killed a process in it for want of memory.
    pub fn oom_kills(&self) -> u64 {
        match self {
            Self::V1(directories) => v1::oom_kills(directories),
            Self::V2(directory) => v2::oom_kills(directory),
        }
    }

    /// The processes in it, not counting the groups below.
    pub fn pids(&self) -> Vec<i32> {
        let text = fs::read_to_string(self.any_directory().join("cgroup.procs"));
        text.unwrap_or_default()
            .lines()
            .filter_map(|line| line.parse().ok())
            .collect()
    }

    /// Kills every process in it, also those that appear meanwhile.
    pub fn kill(&self) {
        if let Self::V2(directory) = self
            && write(&directory.join("cgroup.kill"), "1").is_ok()
        {
            return;
        }
        // A process that forks while it is counted is met in the next round.
        for _ in 0..100 {
            let pids = self.pids();
            if pids.is_empty() {
                return;
            }
            for pid in pids.into_iter().filter_map(rustix::process::Pid::from_raw) {
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            }
        }
    }

    /// Removes it and the groups below it. One that does not exist is no
    /// error.
    ///
    /// # Errors
    ///
    /// When processes remain in it.
    pub fn remove(&self) -> io::Result<()> {
        match self {
            Self::V1(directories) => directories.values().try_for_each(|dir| remove_tree(dir)),
            Self::V2(directory) => remove_tree(directory),
        }
    }

    /// The directory into which a process can be born (v2 only).
    pub(crate) fn birthplace(&self) -> io::Result<Option<OwnedFd>> {
        match self {
            Self::V1(_) => Ok(None),
            Self::V2(directory) => Ok(Some(fs::File::open(directory)?.into())),
        }
    }

    /// Moves the calling process, which must have a single thread, into it.
    pub(crate) fn join_self(&self) -> io::Result<()> {
        match self {
            // Through `tasks`: a write to `cgroup.procs` stops every fork and
            // exit on the machine for a grace period, 10 ms on a busy one.
            // The kernel spares that only a thread that moves itself.
            Self::V1(directories) => directories
                .values()
                .try_for_each(|dir| write(&dir.join("tasks"), "0")),
            Self::V2(directory) => write(&directory.join("cgroup.procs"), "0"),
        }
    }

    fn any_directory(&self) -> &Path {
        match self {
            Self::V1(directories) => directories
                .get("memory")
                .or(directories.values().next())
                .map_or(Path::new(""), |d| d),
            Self::V2(directory) => directory,
        }
    }
}

/// Makes the directories from `base` (which exists) down to `directory`,
/// calling `each` with every parent and child on the way.
fn descend(
    base: &Path,
    directory: &Path,
    each: impl Fn(&Path, &Path) -> io::Result<()>,
) -> io::Result<()> {
    let below = directory
        .strip_prefix(base)
        .map_err(|_| io::ErrorKind::InvalidInput)?;
    let mut parent = base.to_owned();
    for part in below {
        let child = parent.join(part);
        match fs::create_dir(&child) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
        each(&parent, &child)?;
        parent = child;
    }
    Ok(())
}

/// Removes a group's directory and those below. Files in them are the
/// kernel's and do not count.
fn remove_tree(directory: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_tree(&entry.path())?;
        }
    }
    // Processes that were just killed leave a moment later.
    for round in 0..200 {
        match fs::remove_dir(directory) {
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy && round < 199 => {
                std::thread::sleep(Duration::from_millis(5));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            other => return other,
        }
    }
    Ok(())
}

/// Writes a control file in a single write; it must exist.
fn write(path: &Path, text: &str) -> io::Result<()> {
    use std::io::Write;
    let named = |error: io::Error| {
        io::Error::new(
            error.kind(),
            format!("{}: {}", path.display(), crate::error::describe(&error)),
        )
    };
    let mut file = fs::File::options().write(true).open(path).map_err(named)?;
    file.write_all(text.as_bytes()).map_err(named)
}

fn writable(path: &Path) -> bool {
    rustix::fs::access(path, rustix::fs::Access::WRITE_OK).is_ok()
}

fn read_number(path: &Path) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// Finds `key` in a file of lines `key value`.
fn read_keyed(path: &Path, key: &str) -> Option<u64> {
    keyed(&fs::read_to_string(path).ok()?, key)
}

fn keyed(text: &str, key: &str) -> Option<u64> {
    text.lines().find_map(|line| {
        let (name, value) = line.split_once(' ')?;
        (name == key).then(|| value.trim().parse().ok())?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_inside() {
        let cgroups = Cgroups::V2("/sys/fs/cgroup/x".into());
        #[track_caller]
        fn check(cgroups: &Cgroups, path: &str, expected: bool) {
            assert_eq!(cgroups.at(path).is_ok(), expected);
        }
        check(&cgroups, "pods/a/b", true);
        check(&cgroups, "../other", false);
        check(&cgroups, "/absolute", false);
        check(&cgroups, "a/../../b", false);
    }

    #[test]
    fn keyed_lines_are_read() {
        let text = "oom_kill_disable 0\nunder_oom 0\noom_kill 3\nbroken\n";
        assert_eq!(keyed(text, "oom_kill"), Some(3));
        assert_eq!(keyed(text, "oom"), None);
    }

    #[test]
    fn nothing_delegated_says_so() {
        let dir = tempfile::tempdir().unwrap();
        let cgroups = Cgroups::open(dir.path());
        assert!(!cgroups.available());
        assert_eq!(
            cgroups.at("a").unwrap_err().kind(),
            io::ErrorKind::Unsupported
        );
    }
}
