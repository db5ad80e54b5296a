//! The record of a running cluster: which process is its pid 1.
//!
//! A process id alone can be reused; with its start time it names one process
//! since boot (proc(5), field 22 of `stat`), and with the boot one for ever.

use std::io;
use std::net::SocketAddr;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::home::ClusterDir;
use crate::idmap::IdMap;

/// A process, named so that a reused id is not taken for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Process id in the host's pid namespace.
    pub pid: i32,
    /// Start time in clock ticks since boot.
    pub start_ticks: u64,
    /// The beginning of the boot's id; 0 if an older version did not note it.
    #[serde(default)]
    pub boot: u64,
}

/// Returns the beginning of the id that the kernel gave to this boot
/// (random(4)); 0 where it is not told.
fn boot() -> u64 {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let digits: String = id
        .chars()
        .filter(char::is_ascii_hexdigit)
        .take(16)
        .collect();
    u64::from_str_radix(&digits, 16).unwrap_or(0)
}

impl Process {
    /// Returns the process that has `pid` now, if there is one.
    pub fn of(pid: i32) -> Option<Process> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name in brackets may hold blanks and brackets; fields follow the last one.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        if fields.first() == Some(&"Z") {
            return None;
        }
        Some(Process {
            pid,
            start_ticks: fields.get(19)?.parse().ok()?,
            boot: boot(),
        })
    }

    /// Returns whether this very process still runs.
    pub fn is_alive(&self) -> bool {
        Process::of(self.pid).is_some_and(|now| {
            let is_same_boot = self.boot == 0 || self.boot == now.boot;
            is_same_boot && self.start_ticks == now.start_ticks
        })
    }
}

/// The file in a cluster's `run` folder that names its pid 1 from its first moment on.
const INIT: &str = "init.json";

impl Process {
    /// Writes the name of a cluster's pid 1 into its `run` folder.
    ///
    /// # Errors
    /// Returns what the file system reports.
    pub(crate) fn write(&self, run: &Path) -> io::Result<()> {
        std::fs::write(run.join(INIT), serde_json::to_vec(self)?)
    }

    /// Reads the pid 1 that was started last for a cluster, if it still runs.
    pub(crate) fn started(run: &Path) -> Option<Process> {
        let text = std::fs::read(run.join(INIT)).ok()?;
        let process: Process = serde_json::from_slice(&text).ok()?;
        process.is_alive().then_some(process)
    }
}

/// What is known of a running cluster; kept in `run/cluster.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// Pid 1 of the cluster's namespaces.
    pub init: Process,
    /// The keeper of the gateway on the host, where there is one.
    pub gateway: Option<Process>,
    /// Where the API answers on the host.
    pub api: SocketAddr,
    /// The ids inside.
    pub ids: IdMap,
    /// The version that its processes run; empty if an older one did not say.
    #[serde(default)]
    pub version: String,
    /// The gateway of the version before, while its successor takes over.
    #[serde(default)]
    pub predecessor: Option<Process>,
}

impl Record {
    /// Reads the record of a cluster that runs; `None` if it does not.
    pub fn read(cluster: &ClusterDir) -> Option<Record> {
        let text = std::fs::read(cluster.run().join("cluster.json")).ok()?;
        let record: Record = serde_json::from_slice(&text).ok()?;
        record.init.is_alive().then_some(record)
    }

    /// Writes the record, whole or not at all.
    ///
    /// # Errors
    /// Returns what the file system reports.
    pub fn write(&self, cluster: &ClusterDir) -> io::Result<()> {
        let path = cluster.run().join("cluster.json");
        let partial = path.with_extension("partial");
        std::fs::write(&partial, serde_json::to_vec_pretty(self)?)?;
        std::fs::rename(partial, path)
    }

    /// Removes the record.
    pub fn remove(cluster: &ClusterDir) {
        let _ = std::fs::remove_file(cluster.run().join("cluster.json"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_told_from_a_later_one_with_its_id() {
        let own = Process::of(std::process::id() as i32).expect("this process runs");
        assert!(own.is_alive());
        assert!(
            !Process {
                start_ticks: own.start_ticks + 1,
                ..own
            }
            .is_alive()
        );
        let before_a_reboot = Process {
            boot: own.boot ^ 1,
            ..own
        };
        assert!(!before_a_reboot.is_alive());
        let of_an_older_version = Process { boot: 0, ..own };
        assert!(of_an_older_version.is_alive());
    }
}
