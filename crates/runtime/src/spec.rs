//! What a container is: the words in which a caller asks for one. The main
//! type is [`ContainerSpec`].
//!
//! Everything here is data. It crosses a socket to the shim and is never
//! written to disk, because `env` may hold secrets.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::caps::CapSet;

/// Paths of /proc and /sys that tell a container about its host; covered in
/// every container that is not privileged (moby `oci/defaults.go`).
pub const MASKED_PATHS: [&str; 13] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
    "/sys/devices/system/cpu/cpu0/thermal_throttle",
];

/// Paths of /proc that are read-only in every container that is not
/// privileged (moby `oci/defaults.go`).
pub const READONLY_PATHS: [&str; 5] = [
    "/proc/bus",
    "/proc/fs",
    "/proc/irq",
    "/proc/sys",
    "/proc/sysrq-trigger",
];

/// One container.
#[derive(Clone, Serialize, Deserialize)]
#[serde(default)]
pub struct ContainerSpec {
    /// Names the container; also the name of its directory, so no slashes.
    pub id: String,
    /// The caller's notes, given back on adoption. Written to disk.
    pub labels: BTreeMap<String, String>,
    /// What is mounted at `/`.
    pub root: Rootfs,
    /// The program and its arguments. The program is searched for in the
    /// container, along the `PATH` of `env`.
    pub args: Vec<String>,
    /// The environment. `PATH` and `HOME` are added where missing, and `TERM`
    /// with a terminal.
    pub env: Vec<(String, String)>,
    /// The working directory, made when missing. Empty means `/`.
    pub cwd: String,
    /// Whom the program runs as.
    pub user: User,
    /// Set in the container's own UTS namespace; an error with a shared one.
    pub hostname: Option<String>,
    /// Mounts beyond /proc, /dev and /sys, in the order in which they are made.
    pub mounts: Vec<Mount>,
    /// Which namespaces are shared.
    pub namespaces: Namespaces,
    /// Capabilities; see capabilities(7).
    pub capabilities: Capabilities,
    /// Whether set-user-ID programs and file capabilities have no effect.
    pub no_new_privileges: bool,
    /// The system call filter.
    pub seccomp: Seccomp,
    /// Resource limits; see getrlimit(2).
    pub rlimits: Vec<Rlimit>,
    /// Paths covered so that they read as empty.
    pub masked_paths: Vec<String>,
    /// Paths made read-only.
    pub readonly_paths: Vec<String>,
    /// Device nodes beyond null, zero, full, random, urandom and tty.
    pub devices: Vec<Device>,
    /// All capabilities, no masked or read-only paths, a writable /sys and no
    /// system call filter; still inside the caller's user namespace.
    pub privileged: bool,
    /// Whether the program has a terminal.
    pub terminal: bool,
    /// Whether standard input can be written to by attaching; otherwise it is
    /// /dev/null.
    pub stdin: bool,
    /// Whether standard input ends when the first attached client leaves.
    pub stdin_once: bool,
    /// Where output is kept. `None` discards it.
    pub log: Option<Log>,
    /// The container's cgroup, relative to the delegated one. `None` leaves it
    /// in the caller's, without limits of its own.
    pub cgroup: Option<String>,
    /// Limits that the cgroup enforces.
    pub resources: Resources,
    /// See proc_pid_oom_score_adj(5). It can only be raised without privilege
    /// over the host; a lower value than the caller's own is left at that.
    pub oom_score_adj: i32,
    /// The signal that asks the program to stop.
    pub stop_signal: i32,
}

impl Default for ContainerSpec {
    fn default() -> Self {
        Self {
            id: String::new(),
            labels: BTreeMap::new(),
            root: Rootfs::default(),
            args: Vec::new(),
            env: Vec::new(),
            cwd: String::new(),
            user: User::default(),
            hostname: None,
            mounts: Vec::new(),
            namespaces: Namespaces::default(),
            capabilities: Capabilities::default(),
            no_new_privileges: false,
            seccomp: Seccomp::Default,
            rlimits: Vec::new(),
            masked_paths: MASKED_PATHS.map(str::to_owned).to_vec(),
            readonly_paths: READONLY_PATHS.map(str::to_owned).to_vec(),
            devices: Vec::new(),
            privileged: false,
            terminal: false,
            stdin: false,
            stdin_once: false,
            log: None,
            cgroup: None,
            resources: Resources::default(),
            oom_score_adj: 0,
            stop_signal: libc::SIGTERM,
        }
    }
}

/// Shows no environment: a spec may end in a log, and secrets must not.
impl fmt::Debug for ContainerSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ContainerSpec")
            .field("id", &self.id)
            .field("args", &self.args.first())
            .finish_non_exhaustive()
    }
}

/// The container's root file system: image layers under a writable directory.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Rootfs {
    /// Layer directories, **bottom first**, as an image lists them.
    pub lowers: Vec<PathBuf>,
    /// Where changes go. Without it nothing can be written.
    pub upper: Option<Upper>,
    /// Whether the program sees a read-only root. Mount points that the image
    /// lacks are still made in `upper`.
    pub readonly: bool,
}

/// The writable part of a root file system. Both directories must exist on
/// one file system that is not itself an overlay. The container's `/` gets its
/// owner and permissions from `dir`; mount points that the image lacks (`/proc`,
/// `/dev`, `/sys` among them) are made in it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Upper {
    /// Holds what the container changed.
    pub dir: PathBuf,
    /// The overlay's own scratch directory, empty at start.
    pub work: PathBuf,
}

/// Whom a program runs as.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default)]
pub struct User {
    /// As an image writes it: empty (root), `name`, `uid`, `name:group`,
    /// `uid:gid` and the mixtures. Names are looked up in the container.
    pub name: String,
    /// Replaces the group that `name` gives.
    pub gid: Option<u32>,
    /// Supplementary groups; all of them or the start fails.
    pub additional_gids: Vec<u32>,
    /// Whether the groups that the container's /etc/group lists for the user
    /// are added too, as far as the caller's id map has them.
    pub image_groups: bool,
}

impl Default for User {
    fn default() -> Self {
        Self {
            name: String::new(),
            gid: None,
            additional_gids: Vec::new(),
            image_groups: true,
        }
    }
}

impl User {
    /// The user with these numbers and no further groups.
    pub fn ids(uid: u32, gid: u32) -> Self {
        Self {
            name: uid.to_string(),
            gid: Some(gid),
            ..Self::default()
        }
    }
}

/// A mount in the container.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Mount {
    /// What is mounted.
    pub source: Source,
    /// Where, resolved inside the container's root whatever links the image
    /// holds; made when missing.
    pub target: String,
    /// How.
    #[serde(default)]
    pub options: MountOptions,
}

/// What a [`Mount`] shows.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// A file or directory of the caller.
    Bind(Bind),
    /// A new file system in memory.
    Tmpfs {
        /// Zero means half of the machine's memory.
        bytes_max: u64,
        /// Permission bits of its root, such as `0o1777`.
        mode: u32,
    },
}

/// A file or directory of the caller, in its mount namespace.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Bind {
    /// The path.
    pub path: PathBuf,
    /// A directory that `path` cannot leave: it is the root for `path` and for
    /// every link on the way. For paths that a container's owner may choose.
    pub inside: Option<PathBuf>,
    /// What to make where nothing is.
    pub create: Create,
    /// A path below all this that must not lead out of it, by `..` or by link.
    /// What is missing of it is made as directories.
    pub sub_path: Option<PathBuf>,
}

/// What to make at the source of a mount.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Create {
    /// Nothing; that it is missing is an error.
    #[default]
    Nothing,
    /// A directory, with those above it.
    Directory,
    /// An empty file, with the directories above it.
    File,
}

impl Source {
    /// The file or directory at `path`.
    pub fn bind(path: impl Into<PathBuf>) -> Self {
        Self::Bind(Bind {
            path: path.into(),
            ..Bind::default()
        })
    }
}

/// How a [`Mount`] is made.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct MountOptions {
    /// Writes are refused.
    pub readonly: bool,
    /// Read-only includes the mounts below the source.
    pub readonly_recursive: bool,
    /// Set-user-ID bits have no effect.
    pub nosuid: bool,
    /// Device nodes cannot be opened.
    pub nodev: bool,
    /// Programs cannot be started.
    pub noexec: bool,
    /// What later mounts do; see mount_namespaces(7).
    pub propagation: Propagation,
}

/// Whether mounts made later on one side appear on the other.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Propagation {
    /// Neither way.
    #[default]
    Private,
    /// From the caller into the container.
    Slave,
    /// Both ways, if the source's mount is shared.
    Shared,
}

/// A device node of the caller shown in the container.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Device {
    /// In the caller's mount namespace.
    pub source: PathBuf,
    /// Below `/dev` in the container.
    pub target: String,
}

/// Where one kind of namespace comes from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Namespace {
    /// A new one.
    #[default]
    Own,
    /// The caller's.
    Host,
    /// The one that this file (an nsfs mount or a /proc link) names.
    Path(PathBuf),
}

/// The namespaces of a container. Mount and cgroup namespaces are always its
/// own.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Namespaces {
    /// Network.
    pub net: Namespace,
    /// System V and POSIX message queues, semaphores, shared memory.
    pub ipc: Namespace,
    /// Host name.
    pub uts: Namespace,
    /// Process ids.
    pub pid: Namespace,
}

/// The capability sets of the program at its start.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default)]
pub struct Capabilities {
    /// The most the program and its children can ever have.
    pub bounding: CapSet,
    /// Kept through exec even by a user that is not root.
    pub ambient: CapSet,
}

impl Default for Capabilities {
    fn default() -> Self {
        Self {
            bounding: CapSet::container_default(),
            ambient: CapSet::EMPTY,
        }
    }
}

/// The system call filter of a container.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Seccomp {
    /// The list that container engines use by default.
    #[default]
    Default,
    /// No filter.
    Unconfined,
    /// A profile in Docker's JSON format.
    Profile(String),
}

/// One resource limit.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Rlimit {
    /// Such as `RLIMIT_NOFILE` or `nofile`.
    pub name: String,
    /// What counts now. `None` is no limit.
    pub soft: Option<u64>,
    /// What `soft` can be raised to. `None` is no limit.
    pub hard: Option<u64>,
}

/// Where the shim keeps a container's output.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Log {
    /// The current file, in the CRI format. Rotated ones get `.1`, `.2`…
    pub path: PathBuf,
    /// A file longer than this is rotated. Zero never rotates.
    pub file_bytes_max: u64,
    /// How many files are kept, the current one included.
    pub files_max: u32,
}

impl Log {
    /// A log at `path` with the usual limits, 5 files of 10 MB.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            file_bytes_max: 10_000_000,
            files_max: 5,
        }
    }
}

/// Limits. `None` is unlimited.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Resources {
    /// Memory and swap together; swap is not given at all.
    pub memory_bytes_max: Option<u64>,
    /// Processor time in microseconds per `cpu_period_us`.
    pub cpu_quota_us: Option<u64>,
    /// Usually 100 000.
    pub cpu_period_us: Option<u64>,
    /// Relative share when processors are scarce, 2 to 262 144, as cgroup v1
    /// counts; 1024 is one processor's worth in Kubernetes.
    pub cpu_shares: Option<u64>,
    /// Processes and threads.
    pub pids_max: Option<u64>,
}

/// A further program in a running container. The container's own settings
/// hold for what is not said here.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ExecSpec {
    /// The program and its arguments.
    pub args: Vec<String>,
    /// Added to the container's environment.
    pub env: Vec<(String, String)>,
    /// Replaces the working directory.
    pub cwd: Option<String>,
    /// Replaces the user.
    pub user: Option<User>,
    /// Whether it has a terminal; then there is one stream and no stderr.
    pub terminal: bool,
    /// Whether standard input is wanted; otherwise it is /dev/null.
    pub stdin: bool,
    /// Columns and rows of the terminal at start.
    pub size: Option<(u16, u16)>,
}

impl fmt::Debug for ExecSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExecSpec")
            .field("args", &self.args.first())
            .finish_non_exhaustive()
    }
}
