//! The door to a runtime: what `RUN` needs of the caller, [`Execute`].
//!
//! The builder decides what is run over which layers; how a process is
//! started, confined and connected is the caller's business.

use std::path::PathBuf;

use crate::rootfs::ResolvedUser;

/// Runs the command of a `RUN` step.
pub trait Execute: Send + Sync {
    /// Mounts `lowers` below `upper` as the root, runs the command in it and
    /// waits. What the command changed must lie in `upper` afterwards.
    ///
    /// # Errors
    ///
    /// Fails when the command could not be started, or ended with a code other
    /// than zero.
    fn execute(
        &self,
        request: &ExecuteRequest,
        output: &mut dyn FnMut(Stream, &[u8]),
    ) -> Result<(), ExecuteError>;
}

/// One command and the world it runs in.
#[derive(Debug, Clone)]
pub struct ExecuteRequest {
    /// Layer directories, uppermost first, as overlay's `lowerdir`; none
    /// directly after `FROM scratch`.
    pub lowers: Vec<PathBuf>,
    /// The upper directory; mount with `userxattr`.
    pub upper: PathBuf,
    /// Overlay's work directory, empty, on the same file system.
    pub work: PathBuf,
    /// Program and arguments.
    pub arguments: Vec<String>,
    /// Environment.
    pub environment: Vec<(String, String)>,
    /// Working directory; it exists.
    pub working_dir: String,
    /// User and groups.
    pub user: ResolvedUser,
    /// What is mounted besides.
    pub mounts: Vec<ExecuteMount>,
    /// Whether the command has a network.
    pub network: bool,
}

/// A mount of a `RUN` step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecuteMount {
    /// Absolute path in the container; made when missing (the builder removes
    /// it again).
    pub target: PathBuf,
    /// What is mounted.
    pub source: ExecuteSource,
    /// Whether it can be written; what is written to a bind is thrown away or
    /// stays in its source, it never becomes part of the image.
    pub writable: bool,
}

/// Source of a mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExecuteSource {
    /// A file or directory of this machine, links resolved.
    Path(PathBuf),
    /// A directory of merged layers: lower directories, uppermost first. They
    /// never change: a writable mount of them is thrown away with its changes.
    Layers(Vec<PathBuf>),
    /// An empty file system in memory.
    Tmpfs {
        /// Most bytes in it.
        bytes_max: Option<u64>,
    },
}

/// Where output came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// A command that failed.
#[derive(Debug, thiserror::Error)]
pub enum ExecuteError {
    /// It ended with a code other than zero.
    #[error("the command ended with exit code {code}")]
    Exit {
        /// The code; 128 and more is a signal.
        code: i32,
    },
    /// It could not be started.
    #[error("the command could not be started: {reason}")]
    Start {
        /// Why.
        reason: String,
    },
    /// There is nothing to run commands with.
    #[error("RUN needs a runtime, and this build has none; build with `coracle image build`")]
    NoRuntime,
    /// The build was cancelled.
    #[error("cancelled")]
    Cancelled,
}
