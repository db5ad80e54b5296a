//! Limits and counters.

use std::fs;

use anyhow::{Result, ensure};
use coracle_runtime::spec::Resources;

use super::cases;
use crate::support::Ctx;

cases![
    memory_is_limited,
    processor_time_is_limited,
    processes_are_limited,
    limits_are_seen_inside,
    limits_can_be_changed,
    usage_is_counted,
    without_cgroups_there_is_still_usage,
];

/// Says loudly that a case did not run.
#[allow(clippy::print_stdout)]
fn unlimited(ctx: &Ctx) -> bool {
    if !ctx.limited() {
        println!("SKIPPED: no cgroups were delegated");
    }
    !ctx.limited()
}

async fn memory_is_limited(ctx: Ctx) -> Result<()> {
    if unlimited(&ctx) {
        return Ok(());
    }
    let memory = |megabytes: u64| Resources {
        memory_bytes_max: Some(megabytes << 20),
        ..Resources::default()
    };
    let mut spec = ctx.spec("eat 100");
    spec.resources = memory(32);
    let exit = ctx.output(spec).await?.exit;
    assert_eq!(
        (exit.code, exit.signal, exit.oom_killed),
        (137, Some(9), true)
    );
    let mut spec = ctx.spec("eat 100");
    spec.resources = memory(200);
    assert_eq!(ctx.spec_says(spec).await?, "ate 100\n");
    Ok(())
}

async fn processor_time_is_limited(ctx: Ctx) -> Result<()> {
    if unlimited(&ctx) {
        return Ok(());
    }
    let stat = if ctx.base.join("cgroup/cpu").exists() {
        "cpu/cpu.stat"
    } else {
        "cpu.stat"
    };
    let mut spec = ctx.spec(&format!("burn 100; cat /sys/fs/cgroup/{stat}"));
    // So little that it is more than enough on a busy machine, too.
    spec.resources.cpu_quota_us = Some(5_000);
    spec.resources.cpu_period_us = Some(100_000);
    let said = ctx.spec_says(spec).await?;
    let throttled = said
        .lines()
        .find_map(|line| line.strip_prefix("nr_throttled "));
    ensure!(
        throttled
            .and_then(|n| n.parse::<u32>().ok())
            .is_some_and(|n| n > 2),
        "{said}"
    );
    Ok(())
}

async fn processes_are_limited(ctx: Ctx) -> Result<()> {
    if unlimited(&ctx) {
        return Ok(());
    }
    let mut spec = ctx.spec("forks 50");
    spec.resources.pids_max = Some(10);
    assert_eq!(ctx.spec_says(spec).await?, "9\n");
    Ok(())
}

async fn limits_are_seen_inside(ctx: Ctx) -> Result<()> {
    if unlimited(&ctx) {
        return Ok(());
    }
    let v1 = ctx.base.join("cgroup/memory").exists();
    let file = if v1 {
        "memory/memory.limit_in_bytes"
    } else {
        "memory.max"
    };
    let mut spec = ctx.spec(&format!(
        "cat /sys/fs/cgroup/{file}; write /sys/fs/cgroup/{file} 9"
    ));
    spec.resources.memory_bytes_max = Some(64 << 20);
    assert_eq!(
        ctx.spec_says(spec).await?,
        "67108864\n! read-only file system\n"
    );
    let said = ctx.says("cat /proc/self/cgroup").await?;
    let ours = |line: &&str| line.contains("memory") || line.contains("pids");
    ensure!(
        said.lines().filter(ours).all(|line| line.ends_with(":/")),
        "{said}"
    );
    Ok(())
}

async fn limits_can_be_changed(ctx: Ctx) -> Result<()> {
    if unlimited(&ctx) {
        return Ok(());
    }
    let v1 = ctx.base.join("cgroup/memory").exists();
    let file = if v1 {
        "memory/memory.limit_in_bytes"
    } else {
        "memory.max"
    };
    let mut spec = ctx.spec(&format!("say up; echo; cat /sys/fs/cgroup/{file}"));
    spec.stdin = true;
    spec.stdin_once = true;
    spec.resources.memory_bytes_max = Some(64 << 20);
    let log = spec.log.clone().map(|log| log.path).unwrap_or_default();
    let container = ctx.start_until(spec, "up").await?;
    for megabytes in [32, 128] {
        container.limit(&Resources {
            memory_bytes_max: Some(megabytes << 20),
            ..Resources::default()
        })?;
    }
    let attachment = container.attach(true, false, false).await?;
    attachment.input.close().await?;
    container.wait().await;
    container.remove().await?;
    ensure!(fs::read_to_string(log)?.contains(&(128u64 << 20).to_string()));
    Ok(())
}

async fn usage_is_counted(ctx: Ctx) -> Result<()> {
    let container = ctx
        .start_until(ctx.spec("burn 50; forks 3; say up; wait"), "up")
        .await?;
    let usage = container.stats()?;
    container.remove().await?;
    ensure!(usage.cpu_nanos >= 40_000_000, "{usage:?}");
    ensure!(
        usage.memory_bytes > 0 && usage.memory_bytes < 1 << 30,
        "{usage:?}"
    );
    assert_eq!(usage.pids, 4);
    ensure!(container.stats().is_err());
    Ok(())
}

async fn without_cgroups_there_is_still_usage(ctx: Ctx) -> Result<()> {
    let mut spec = ctx.spec("burn 50; forks 3; say up; wait");
    spec.cgroup = None;
    let container = ctx.start_until(spec, "up").await?;
    let usage = container.stats()?;
    container.remove().await?;
    ensure!(usage.cpu_nanos >= 40_000_000, "{usage:?}");
    assert_eq!(usage.pids, 4);
    Ok(())
}
