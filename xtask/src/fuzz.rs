//! `cargo xtask fuzz [SECONDS] [NAME]`: builds the fuzz targets with coverage
//! and runs each for a while. Needs no nightly toolchain and no `cargo fuzz`.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};

/// Coverage that libFuzzer reads, without a sanitizer: the rooms are safe Rust,
/// where what matters is a panic, a hang, or memory without bound.
const FLAGS: &str = "-Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares \
    -Ccodegen-units=4 --cfg fuzzing";

/// Memory a target may use before it counts as fallen, in MiB.
const MEMORY: u32 = 2048;
/// Time one input may take before it counts as a hang, in seconds.
const TIMEOUT: u32 = 20;

/// Runs the chore. Arguments: seconds for each target (5), part of its name.
pub fn run(arguments: &[String]) -> anyhow::Result<()> {
    let seconds: u32 = match arguments.first() {
        Some(text) => text
            .parse()
            .with_context(|| format!("{text}: not a number of seconds"))?,
        None => 5,
    };
    let part = arguments.get(1).map_or("", String::as_str);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz");
    let targets: Vec<String> = targets(&folder)?
        .into_iter()
        .filter(|name| name.contains(part))
        .collect();
    if targets.is_empty() {
        bail!("no fuzz target's name contains {part:?}");
    }
    let programs = build(&folder)?;
    let mut fallen = Vec::new();
    for name in &targets {
        println!("fuzz {name} for {seconds} s");
        if !fuzz(&folder, &programs.join(name), name, seconds)? {
            fallen.push(name.as_str());
        }
    }
    if !fallen.is_empty() {
        bail!("fallen: {}; see fuzz/artifacts", fallen.join(", "));
    }
    println!("{} targets held", targets.len());
    Ok(())
}

/// The names of the files in `fuzz_targets`.
fn targets(folder: &Path) -> anyhow::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder.join("fuzz_targets"))? {
        let path = entry?.path();
        if let Some(stem) = path.file_stem() {
            names.push(stem.to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

/// Builds all targets and returns the folder of the programs.
fn build(folder: &Path) -> anyhow::Result<PathBuf> {
    let target = folder.join("target");
    let host = Command::new("rustc")
        .args(["--print", "host-tuple"])
        .output()?;
    let host = String::from_utf8(host.stdout)?.trim().to_owned();
    let status = Command::new(env!("CARGO"))
        .args(["build", "--release", "--bins", "--target", &host])
        .arg("--target-dir")
        .arg(&target)
        .current_dir(folder)
        .env("RUSTFLAGS", FLAGS)
        .status()?;
    if !status.success() {
        bail!("the fuzz targets do not build");
    }
    Ok(target.join(host).join("release"))
}

/// Runs one target; false when an input made it fall.
fn fuzz(folder: &Path, program: &Path, name: &str, seconds: u32) -> anyhow::Result<bool> {
    let corpus = folder.join("corpus").join(name);
    let artifacts = folder.join("artifacts").join(name);
    std::fs::create_dir_all(&corpus)?;
    std::fs::create_dir_all(&artifacts)?;
    let status = Command::new(program)
        .arg(&corpus)
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-timeout={TIMEOUT}"))
        .arg(format!("-rss_limit_mb={MEMORY}"))
        .arg(format!("-artifact_prefix={}/", artifacts.display()))
        .args(["-print_final_stats=0", "-verbosity=0"])
        .status()
        .with_context(|| format!("could not run {}", program.display()))?;
    Ok(status.success())
}
