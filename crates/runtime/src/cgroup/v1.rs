//! Version 1: a tree for each controller (Linux `admin-guide/cgroup-v1`).

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::{Usage, descend, keyed, read_keyed, read_number, write};
use crate::spec::Resources;

type Directories = BTreeMap<String, PathBuf>;

/// Makes one controller's directory.
pub(super) fn create(controller: &str, base: &Path, directory: &Path) -> io::Result<()> {
    descend(base, directory, |parent, child| match controller {
        "cpuset" => copy_cpuset(parent, child),
        _ => Ok(()),
    })
}

/// A new cpuset has no processor and no memory node, and nothing can join it.
pub(super) fn copy_cpuset(parent: &Path, child: &Path) -> io::Result<()> {
    for file in ["cpuset.cpus", "cpuset.mems"] {
        if fs::read_to_string(child.join(file))?.trim().is_empty() {
            write(
                &child.join(file),
                fs::read_to_string(parent.join(file))?.trim(),
            )?;
        }
    }
    Ok(())
}

/// Sets limits.
pub(super) fn limit(directories: &Directories, resources: &Resources) -> io::Result<()> {
    if let (Some(dir), Some(bytes)) = (directories.get("memory"), resources.memory_bytes_max) {
        limit_memory(dir, &bytes.to_string())?;
    }
    if let Some(dir) = directories.get("cpu") {
        if let Some(shares) = resources.cpu_shares {
            write(&dir.join("cpu.shares"), &shares.max(2).to_string())?;
        }
        if let Some(period) = resources.cpu_period_us {
            write(&dir.join("cpu.cfs_period_us"), &period.to_string())?;
        }
        if let Some(quota) = resources.cpu_quota_us {
            write(&dir.join("cpu.cfs_quota_us"), &quota.to_string())?;
        }
    }
    if let (Some(dir), Some(count)) = (directories.get("pids"), resources.pids_max) {
        write(&dir.join("pids.max"), &count.to_string())?;
    }
    Ok(())
}

/// Memory alone can never exceed memory with swap, so the order depends on
/// the direction of the change.
fn limit_memory(dir: &Path, bytes: &str) -> io::Result<()> {
    let (memory, both) = (
        dir.join("memory.limit_in_bytes"),
        dir.join("memory.memsw.limit_in_bytes"),
    );
    if !both.exists() {
        return write(&memory, bytes);
    }
    match write(&memory, bytes) {
        Ok(()) => write(&both, bytes),
        Err(_) => {
            write(&both, bytes)?;
            write(&memory, bytes)
        }
    }
}

/// Reads counters.
pub(super) fn usage(directories: &Directories) -> io::Result<Usage> {
    let directory = |name: &str| directories.get(name).ok_or(io::ErrorKind::NotFound);
    let memory = directory("memory")?;
    let current =
        read_number(&memory.join("memory.usage_in_bytes")).ok_or(io::ErrorKind::NotFound)?;
    let stat = fs::read_to_string(memory.join("memory.stat"))?;
    let inactive = keyed(&stat, "total_inactive_file").unwrap_or(0);
    let cpu = directory("cpuacct")
        .ok()
        .and_then(|dir| read_number(&dir.join("cpuacct.usage")));
    let pids = directory("pids")
        .ok()
        .and_then(|dir| read_number(&dir.join("pids.current")));
    Ok(Usage {
        cpu_nanos: cpu.unwrap_or(0),
        memory_bytes: current.saturating_sub(inactive),
        memory_rss_bytes: keyed(&stat, "total_rss").unwrap_or(0),
        pids: pids.unwrap_or(0),
    })
}

/// Counts kills for want of memory.
pub(super) fn oom_kills(directories: &Directories) -> u64 {
    let memory = directories.get("memory");
    memory
        .and_then(|dir| read_keyed(&dir.join("memory.oom_control"), "oom_kill"))
        .unwrap_or(0)
}
