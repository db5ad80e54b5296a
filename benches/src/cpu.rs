//! What an idle cluster with the todo application costs.

use std::fs;
use std::time::Duration;

use coracle_tests::cluster::{Cluster, arguments, descendants};

use crate::table::Table;

/// How long the idle cluster is watched.
const WATCHED: Duration = Duration::from_secs(20);

/// Memory and processor time of our own processes, those of pods left out.
pub fn idle(cluster: &Cluster, table: &mut Table) -> anyhow::Result<()> {
    std::thread::sleep(Duration::from_secs(5));
    let ours: Vec<i32> = own_processes(cluster);
    let memory: u64 = ours.iter().map(|pid| pss_kilobytes(*pid)).sum();
    let before: u64 = ours.iter().map(|pid| ticks(*pid)).sum();
    std::thread::sleep(WATCHED);
    let after: u64 = ours.iter().map(|pid| ticks(*pid)).sum();
    let per_second = rustix::param::clock_ticks_per_second() as f64;
    let share = (after - before) as f64 / per_second / WATCHED.as_secs_f64() * 100.0;
    table.row(
        format!("idle memory of our {} processes (PSS)", ours.len()),
        memory as f64 / 1024.0,
        64.0,
        "MB",
    );
    table.row("idle processor time (of one core)", share, 0.5, "%");
    Ok(())
}

fn own_processes(cluster: &Cluster) -> Vec<i32> {
    let record =
        fs::read(cluster.home().join("home/clusters/bench/run/cluster.json")).unwrap_or_default();
    let record: serde_json::Value = serde_json::from_slice(&record).unwrap_or_default();
    let roots = ["init", "gateway"].map(|name| record[name]["pid"].as_i64().unwrap_or(0) as i32);
    let mut pids: Vec<i32> = roots.into_iter().flat_map(descendants).collect();
    pids.sort_unstable();
    pids.dedup();
    pids.retain(|pid| {
        arguments(*pid)
            .first()
            .is_some_and(|program| program == "coracle")
    });
    pids
}

/// Proportional set size (proc_pid_smaps(5)).
pub fn pss_kilobytes(pid: i32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"));
    line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok())
        .unwrap_or(0)
}

/// User and system time (proc_pid_stat(5), fields 14 and 15).
pub fn ticks(pid: i32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields: Vec<&str> = text
        .rsplit_once(')')
        .map(|(_, rest)| rest.split_whitespace().collect())
        .unwrap_or_default();
    [11, 12]
        .iter()
        .filter_map(|at| fields.get(*at)?.parse::<u64>().ok())
        .sum()
}
