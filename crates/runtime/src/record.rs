//! What a shim leaves on disk: who the container is, and how it ended. The
//! main types are [`State`] and [`Exit`]. Nothing of the environment is here.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::user::Credentials;

pub(crate) const STATE: &str = "state.json";
pub(crate) const EXIT: &str = "exit.json";
pub(crate) const SOCKET: &str = "shim.sock";

/// Who a container is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct State {
    pub id: String,
    pub labels: BTreeMap<String, String>,
    pub pid: i32,
    pub started_at_nanos: u64,
    pub cgroup: Option<String>,
    /// Tells its processes from all others, see `usage_by_mount_namespace`.
    pub mount_namespace: u64,
    pub stop_signal: i32,
    /// Tells its first process from a later one with the same id.
    #[serde(default)]
    pub started_ticks: u64,
    /// The user that it began as; an older shim does not say.
    #[serde(default)]
    pub user: Option<Credentials>,
}

/// How a container, or a program in one, ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// The program's exit code; 128 and the signal's number for a signal, as
    /// shells count. 255 when the shim was lost and nobody knows.
    pub code: i32,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// Whether the kernel killed a process of it for want of memory.
    pub oom_killed: bool,
    /// Nanoseconds since 1970.
    pub started_at_nanos: u64,
    /// Nanoseconds since 1970; 0 when nobody knows.
    pub finished_at_nanos: u64,
}

impl Exit {
    /// The exit of a container whose shim was killed before it could tell.
    pub(crate) fn unknown(started_at_nanos: u64) -> Self {
        Self {
            code: 255,
            signal: None,
            oom_killed: false,
            started_at_nanos,
            finished_at_nanos: 0,
        }
    }
}

/// Writes a record so that it is there whole or not at all.
pub(crate) fn write<T: Serialize>(directory: &Path, name: &str, record: &T) -> io::Result<()> {
    let temporary = directory.join(format!(".{name}"));
    let mut file = File::create(&temporary)?;
    file.write_all(&serde_json::to_vec(record)?)?;
    drop(file);
    // No fsync: processes do not outlive a power loss, so neither need this.
    fs::rename(temporary, directory.join(name))
}

/// Reads a record; `None` when it is not there.
pub(crate) fn read<T: DeserializeOwned>(directory: &Path, name: &str) -> io::Result<Option<T>> {
    match fs::read(directory.join(name)) {
        Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
