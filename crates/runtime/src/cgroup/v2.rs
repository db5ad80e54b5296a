//! Version 2: one tree (Linux `admin-guide/cgroup-v2.rst`).

use std::fs;
use std::io;
use std::path::Path;

use super::{Usage, descend, keyed, read_keyed, read_number, write};
use crate::spec::Resources;

const WANTED: [&str; 4] = ["cpu", "cpuset", "memory", "pids"];

/// The group into which the processes of a delegated tree's root move.
const LEAF: &str = "init";

/// Makes a delegated tree ready for limited groups.
pub(super) fn prepare(root: &Path) -> io::Result<()> {
    let leaf = root.join(LEAF);
    match fs::create_dir(&leaf) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    for pid in fs::read_to_string(root.join("cgroup.procs"))?.lines() {
        match write(&leaf.join("cgroup.procs"), pid) {
            Ok(()) => {}
            // It ended meanwhile, or it belongs to someone outside this pid
            // namespace (shown as 0).
            Err(_) if pid == "0" || !Path::new("/proc").join(pid).exists() => {}
            Err(error) => return Err(error),
        }
    }
    enable(root)
}

/// Makes a group.
pub(super) fn create(base: &Path, directory: &Path) -> io::Result<()> {
    descend(base, directory, |parent, _| enable(parent))
}

/// Gives the children of `directory` the controllers that it has itself. Each
/// alone: one that is refused (`cpuset`, where a process of someone else is in
/// the group) must not cost the others.
pub(super) fn enable(directory: &Path) -> io::Result<()> {
    let have = fs::read_to_string(directory.join("cgroup.controllers"))?;
    let given = fs::read_to_string(directory.join("cgroup.subtree_control"))?;
    let has = |list: &str, name: &str| list.split_ascii_whitespace().any(|known| known == name);
    let mut result = Ok(());
    for name in WANTED
        .iter()
        .filter(|name| has(&have, name) && !has(&given, name))
    {
        let enabled = write(
            &directory.join("cgroup.subtree_control"),
            &format!("+{name}"),
        );
        if *name == "memory" {
            result = enabled;
        }
    }
    result
}

/// Sets limits.
pub(super) fn limit(directory: &Path, resources: &Resources) -> io::Result<()> {
    let set = |file: &str, text: String| match directory.join(file) {
        path if path.exists() => write(&path, &text),
        // The controller was not delegated, see `Cgroups::controllers`.
        _ => Ok(()),
    };
    if let Some(bytes) = resources.memory_bytes_max {
        set("memory.max", bytes.to_string())?;
        set("memory.swap.max", "0".into())?;
        // A container dies as a whole, not one process of it.
        set("memory.oom.group", "1".into())?;
    }
    if let Some(shares) = resources.cpu_shares {
        set("cpu.weight", weight(shares).to_string())?;
    }
    if let Some(quota) = resources.cpu_quota_us {
        let period = resources.cpu_period_us.unwrap_or(100_000);
        set("cpu.max", format!("{quota} {period}"))?;
    }
    if let Some(count) = resources.pids_max {
        set("pids.max", count.to_string())?;
    }
    Ok(())
}

/// Maps 2–262 144 (v1) linearly to 1–10 000 (v2), as Kubernetes KEP 2254 does.
fn weight(shares: u64) -> u64 {
    let shares = shares.clamp(2, 262_144);
    1 + (shares - 2) * 9_999 / 262_142
}

/// Reads counters.
pub(super) fn usage(directory: &Path) -> io::Result<Usage> {
    let current = read_number(&directory.join("memory.current")).unwrap_or(0);
    let stat = fs::read_to_string(directory.join("memory.stat")).unwrap_or_default();
    let cpu = fs::read_to_string(directory.join("cpu.stat"))?;
    Ok(Usage {
        cpu_nanos: keyed(&cpu, "usage_usec").unwrap_or(0) * 1000,
        memory_bytes: current.saturating_sub(keyed(&stat, "inactive_file").unwrap_or(0)),
        memory_rss_bytes: keyed(&stat, "anon").unwrap_or(0),
        pids: read_number(&directory.join("pids.current")).unwrap_or(0),
    })
}

/// Counts kills for want of memory.
pub(super) fn oom_kills(directory: &Path) -> u64 {
    read_keyed(&directory.join("memory.events"), "oom_kill").unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_become_weights() {
        #[track_caller]
        fn check(shares: u64, expected: u64) {
            assert_eq!(weight(shares), expected);
        }
        check(0, 1);
        check(2, 1);
        check(1024, 39);
        check(262_144, 10_000);
        check(u64::MAX, 10_000);
    }
}
