//! Rendering, beside the real helm in the same run: the chart of the todo
//! application, charts made here in the shapes of three public ones, and those
//! whose folders stand on the command line.

mod made;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use coracle_tests::cluster::{built, repository};

use crate::table::{Table, median};
use made::SHAPES;

/// How often each chart is rendered by each; the median counts.
const ROUNDS: usize = 9;
/// Adds rows for the chart of the todo application and for each shape.
pub fn measure(table: &mut Table) -> anyhow::Result<()> {
    beside_helm(table, "todo-app", &repository().join("charts/todo-app"))?;
    for shape in &SHAPES {
        let folder = tempfile::tempdir()?;
        shape.write(folder.path())?;
        beside_helm(
            table,
            &format!("of the shape of {}", shape.name),
            folder.path(),
        )?;
    }
    Ok(())
}

/// Adds a row for our time and one for our memory, with a tenth of helm's and a
/// quarter of helm's as the budgets.
pub fn beside_helm(table: &mut Table, name: &str, chart: &Path) -> anyhow::Result<()> {
    let helm = repository().join("target/oracles/helm");
    anyhow::ensure!(helm.exists(), "fetch helm first: cargo xtask oracles");
    let (ours, our_memory) = render(&built("coracle"), chart)?;
    let (theirs, their_memory) = render(&helm, chart)?;
    table.row(format!("render chart {name}"), ours, theirs / 10.0, "ms");
    table.peer("helm", theirs);
    table.row("memory of it", our_memory, their_memory / 4.0, "MB");
    table.peer("helm", their_memory);
    Ok(())
}

/// Renders with `PROGRAM template`; returns milliseconds and megabytes.
fn render(program: &Path, chart: &Path) -> anyhow::Result<(f64, f64)> {
    let mut times = Vec::new();
    let mut memory = 0.0_f64;
    for _ in 0..ROUNDS {
        let since = Instant::now();
        let mut child = Command::new(program)
            .args(["template", "bench"])
            .arg(chart)
            .stdout(Stdio::null())
            .spawn()?;
        let used = wait_for_memory(&mut child)?;
        times.push(since.elapsed().as_secs_f64() * 1e3);
        memory = memory.max(used);
    }
    Ok((median(times), memory))
}

/// Waits for the end of a process; returns the most memory it had, in megabytes.
fn wait_for_memory(child: &mut std::process::Child) -> anyhow::Result<f64> {
    let status = PathBuf::from(format!("/proc/{}/status", child.id()));
    let mut most = 0.0_f64;
    loop {
        if let Ok(text) = fs::read_to_string(&status)
            && let Some(line) = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))
            && let Ok(kilobytes) = line.trim().trim_end_matches(" kB").parse::<f64>()
        {
            most = most.max(kilobytes / 1024.0);
        }
        if let Some(status) = child.try_wait()? {
            anyhow::ensure!(status.success(), "rendering failed");
            return Ok(most);
        }
        std::thread::sleep(std::time::Duration::from_micros(200));
    }
}
