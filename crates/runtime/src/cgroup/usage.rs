//! What processes use, and how to learn it from /proc where there are no
//! cgroups. The main type is [`Usage`].

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::procfs::{self, Stat};

/// Counters of a group of processes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Processor time since the group began.
    pub cpu_nanos: u64,
    /// The working set: memory in use without file pages that could be
    /// dropped at once.
    pub memory_bytes: u64,
    /// Memory that belongs to no file.
    pub memory_rss_bytes: u64,
    /// Processes and threads.
    pub pids: u64,
}

/// Sums up the processes of each mount namespace, by its inode number: every
/// container has one of its own, and its processes cannot leave it unnoticed.
pub fn usage_by_mount_namespace() -> HashMap<u64, Usage> {
    let mut sums: HashMap<u64, Usage> = HashMap::new();
    let Ok(processes) = fs::read_dir("/proc") else {
        return sums;
    };
    for process in processes.flatten() {
        let is_process = process
            .file_name()
            .to_string_lossy()
            .bytes()
            .all(|b| b.is_ascii_digit());
        if is_process && let Some((namespace, usage)) = of_process(&process.path()) {
            let sum = sums.entry(namespace).or_default();
            sum.cpu_nanos += usage.cpu_nanos;
            sum.memory_bytes += usage.memory_bytes;
            sum.memory_rss_bytes += usage.memory_rss_bytes;
            sum.pids += usage.pids;
        }
    }
    sums
}

fn of_process(directory: &Path) -> Option<(u64, Usage)> {
    let namespace = fs::metadata(directory.join("ns/mnt")).ok()?.ino();
    let stat = fs::read_to_string(directory.join("stat")).ok()?;
    let Stat { ticks, threads, .. } = procfs::parse_stat(&stat)?;
    let statm = fs::read_to_string(directory.join("statm")).ok()?;
    let pages: Vec<u64> = statm
        .split_ascii_whitespace()
        .filter_map(|n| n.parse().ok())
        .collect();
    let private = pages.get(1)?.saturating_sub(*pages.get(2)?);
    let bytes = private * rustix::param::page_size() as u64;
    let nanos_per_tick = 1_000_000_000 / rustix::param::clock_ticks_per_second().max(1);
    Some((
        namespace,
        Usage {
            cpu_nanos: ticks * nanos_per_tick,
            memory_bytes: bytes,
            memory_rss_bytes: bytes,
            pids: threads,
        },
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_counted() {
        let own = procfs::mount_namespace(std::process::id() as i32).unwrap();
        let usage = usage_by_mount_namespace()[&own];
        assert!(usage.pids > 0 && usage.memory_bytes > 0);
    }
}
