//! What /proc tells about the processes of a container. They are known by
//! their mount namespace: every container has one of its own.

use std::fs;
use std::os::unix::fs::MetadataExt;

use rustix::process::{Pid, PidfdFlags, Signal};

/// Some fields of /proc/PID/stat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stat {
    /// Processor time, with that of children waited for.
    pub ticks: u64,
    pub threads: u64,
    /// When the process started, after the machine did. With the process id
    /// it names a process for good.
    pub started_ticks: u64,
}

/// The inode number of a process's mount namespace.
pub(crate) fn mount_namespace(pid: i32) -> Option<u64> {
    let meta = fs::metadata(format!("/proc/{pid}/ns/mnt"));
    meta.ok().map(|meta| meta.ino())
}

/// When a process started, as [`Stat::started_ticks`].
pub(crate) fn started_ticks(pid: i32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    parse_stat(&stat).map(|stat| stat.started_ticks)
}

/// Kills every process in the mount namespace with this inode number, also
/// those that appear meanwhile. The namespace must be known to exist: its
/// number is given to another one when it is gone.
pub(crate) fn kill_in_mount_namespace(namespace: u64) {
    for _ in 0..100 {
        let pids = processes_of_mount_namespace(namespace);
        if pids.is_empty() {
            return;
        }
        for pid in pids.into_iter().filter_map(Pid::from_raw) {
            let _ = rustix::process::kill_process(pid, Signal::KILL);
        }
    }
}

/// Kills a process, if it still is the one that started then.
pub(crate) fn kill_if_same(pid: i32, started: u64) -> bool {
    let Some(raw) = Pid::from_raw(pid) else {
        return false;
    };
    // Opened before it is looked at: from then on the number cannot change
    // hands unnoticed.
    let Ok(pidfd) = rustix::process::pidfd_open(raw, PidfdFlags::empty()) else {
        return false;
    };
    started_ticks(pid) == Some(started)
        && rustix::process::pidfd_send_signal(&pidfd, Signal::KILL).is_ok()
}

fn processes_of_mount_namespace(namespace: u64) -> Vec<i32> {
    let Ok(processes) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    processes
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid| mount_namespace(*pid) == Some(namespace) && !is_dead(*pid))
        .collect()
}

/// A process that only waits to be reaped keeps nothing and cannot be killed.
fn is_dead(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ")
        .is_none_or(|(_, rest)| rest.starts_with(['Z', 'X']))
}

/// Reads a line of /proc/PID/stat; see proc_pid_stat(5), fields 14 to 17, 20
/// and 22.
pub(crate) fn parse_stat(stat: &str) -> Option<Stat> {
    // The name in parentheses may hold anything, spaces and parentheses too.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_ascii_whitespace().collect();
    let number = |field: usize| {
        fields
            .get(field - 3)
            .and_then(|text| text.parse::<u64>().ok())
    };
    let ticks = (14..=17).map(number).sum::<Option<u64>>()?;
    Some(Stat {
        ticks,
        threads: number(20)?,
        started_ticks: number(22)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_lines_are_read_whatever_the_name() {
        let rest = "S 1 2 3 0 -1 4194560 100 0 0 0 7 5 2 1 20 0 3 0 12345 0 0";
        #[track_caller]
        fn check(line: &str, expected: Option<(u64, u64, u64)>) {
            let stat = parse_stat(line);
            assert_eq!(
                stat.map(|s| (s.ticks, s.threads, s.started_ticks)),
                expected
            );
        }
        check(&format!("42 (sh) {rest}"), Some((15, 3, 12345)));
        check(&format!("42 (a) b (c)) {rest}"), Some((15, 3, 12345)));
        check("42 (sh) S 1", None);
        check("", None);
    }

    #[test]
    fn only_the_same_process_is_killed() {
        let mut child = std::process::Command::new("sleep")
            .arg("1000")
            .spawn()
            .unwrap();
        let pid = child.id() as i32;
        let started = started_ticks(pid).unwrap();
        assert!(!kill_if_same(pid, started + 1));
        assert!(child.try_wait().unwrap().is_none());
        assert!(kill_if_same(pid, started));
        assert!(!child.wait().unwrap().success());
    }
}
