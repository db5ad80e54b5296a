//! What the whole machine uses, as its kernel counts it: the node's figures
//! stand beside a capacity that is the machine's.

use std::time::Instant;

use super::window::Sample;

/// Reads the machine's counters; `None` where /proc does not tell.
pub fn sample() -> Option<Sample> {
    let stat = std::fs::read_to_string("/proc/stat").ok()?;
    let meminfo = std::fs::read_to_string("/proc/meminfo").ok()?;
    Some(Sample {
        at: Instant::now(),
        cpu_nanos: busy_nanos(&stat)?,
        memory_bytes: used_bytes(&meminfo)?,
    })
}

/// Sums up all time that was not idle; see proc_stat(5). Guests' time is part of
/// the user's, waiting for disks is idleness.
fn busy_nanos(stat: &str) -> Option<u64> {
    let line = stat.lines().find_map(|line| line.strip_prefix("cpu "))?;
    let ticks: Vec<u64> = line
        .split_ascii_whitespace()
        .map_while(|field| field.parse().ok())
        .collect();
    let [user, nice, system, _idle, _iowait, irq, softirq, steal, ..] = *ticks.as_slice() else {
        return None;
    };
    let busy = user + nice + system + irq + softirq + steal;
    Some(busy * (1_000_000_000 / rustix::param::clock_ticks_per_second().max(1)))
}

/// Memory that is in use for good; see proc_meminfo(5).
fn used_bytes(meminfo: &str) -> Option<u64> {
    Some(field(meminfo, "MemTotal:")?.saturating_sub(available_bytes(meminfo)?))
}

/// Memory that could be had at once for something new.
pub fn available_bytes(meminfo: &str) -> Option<u64> {
    field(meminfo, "MemAvailable:")
}

fn field(meminfo: &str, name: &str) -> Option<u64> {
    let rest = meminfo.lines().find_map(|line| line.strip_prefix(name))?;
    let kilobytes: u64 = rest.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_tables_are_read() {
        let tick = 1_000_000_000 / rustix::param::clock_ticks_per_second();
        assert_eq!(
            busy_nanos("cpu  1 2 3 400 50 6 7 8 0 0\ncpu0 9 9\n"),
            Some(27 * tick)
        );
        assert_eq!(busy_nanos("cpu  1 2\n"), None);
        let meminfo = "MemTotal:  100 kB\nMemFree: 1 kB\nMemAvailable:   40 kB\n";
        assert_eq!(used_bytes(meminfo), Some(60 * 1024));
        assert!(sample().is_some());
    }
}
