//! `cargo xtask soak`: what takes too long for every change. Processes are
//! killed hundreds of times; clusters of an earlier commit, built anew, are
//! upgraded under load again and again; many more requests are asked; tests
//! that draw their cases from seeds draw thousands; containers write ten
//! gigabytes of log.
//!
//! The commit must be one whose data plane carries its connections to the end.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};

/// Tests with seeds: package, test, the variable that says how many, how many.
const SEEDED: &[(&str, &str, &str, u64)] = &[
    (
        "coracle-machinery",
        "strategic_oracle",
        "CORACLE_ORACLE_CASES",
        4_000,
    ),
    ("coracle-store", "crash", "ROUNDS", 200),
    ("coracle-store", "power", "SEEDS", 4_000),
];

/// Runs one soak, or all of them.
pub fn run(arguments: &[String]) -> anyhow::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .context("xtask stands in the repository")?;
    let rest = arguments.get(1..).unwrap_or_default();
    match arguments.first().map(String::as_str) {
        Some("seeds") => seeds(root, rest),
        Some("kill") => kill(root, rest),
        Some("load") => load(root, rest),
        Some("upgrade") => upgrade(root, rest),
        Some("flood") => flood(root, rest),
        None => {
            seeds(root, &[])?;
            kill(root, &[])?;
            load(root, &[])?;
            flood(root, &[])?;
            upgrade(root, &[])
        }
        Some(_) => bail!(
            "usage: cargo xtask soak [seeds [FACTOR] | kill [ROUNDS] | load [REQUESTS] | flood [BYTES] | upgrade [COMMIT [TIMES]]]"
        ),
    }
}

fn seeds(root: &Path, arguments: &[String]) -> anyhow::Result<()> {
    let factor: u64 = match arguments.first() {
        Some(text) => text
            .parse()
            .with_context(|| format!("{text}: not a factor"))?,
        None => 1,
    };
    for (package, theme, variable, number) in SEEDED {
        let number = (number * factor).to_string();
        println!("{theme}: {number} cases");
        let status = Command::new(env!("CARGO"))
            .args([
                "test", "--quiet", "--locked", "-p", package, "--test", theme,
            ])
            .env(variable, number)
            .current_dir(root)
            .status()?;
        if !status.success() {
            bail!("{theme} failed");
        }
    }
    Ok(())
}

fn kill(root: &Path, arguments: &[String]) -> anyhow::Result<()> {
    let rounds = arguments.first().map_or("100", String::as_str);
    test(root, "survival", "", &[("ROUNDS", rounds)])
}

fn load(root: &Path, arguments: &[String]) -> anyhow::Result<()> {
    let requests = arguments.first().map_or("1000000", String::as_str);
    test(
        root,
        "zero_downtime",
        "",
        &[("CORACLE_LOAD_REQUESTS", requests)],
    )
}

/// Each of two containers writes so much to its log.
fn flood(root: &Path, arguments: &[String]) -> anyhow::Result<()> {
    let bytes = arguments.first().map_or("10000000000", String::as_str);
    let case = "floods_stay_bounded";
    test(root, "escapes", case, &[("FLOOD_BYTES", bytes)])
}

fn upgrade(root: &Path, arguments: &[String]) -> anyhow::Result<()> {
    let commit = arguments.first().map_or("HEAD~1", String::as_str);
    let times = arguments.get(1).map_or("20", String::as_str);
    let older = build(root, commit)?;
    let older = older.to_str().context("the path is text")?;
    test(
        root,
        "upgrade",
        "",
        &[("CORACLE_OLDER", older), ("CORACLE_UPGRADES", times)],
    )
}

/// Builds the program as it was at a commit, in a work tree of its own.
fn build(root: &Path, commit: &str) -> anyhow::Result<PathBuf> {
    let folder = root.join("target/older");
    if folder.exists() {
        run_in(
            root,
            "git",
            &[
                "-C",
                "target/older",
                "checkout",
                "--quiet",
                "--detach",
                &name(root, commit)?,
            ],
        )?;
    } else {
        run_in(
            root,
            "git",
            &["worktree", "add", "--detach", "target/older", commit],
        )?;
    }
    run_in(
        &folder,
        env!("CARGO"),
        &[
            "build",
            "--locked",
            "-p",
            "coracle",
            "--target-dir",
            "target",
        ],
    )?;
    let triple = std::fs::read_dir(folder.join("target"))?
        .flatten()
        .map(|entry| entry.path().join("debug/coracle"))
        .find(|path| path.is_file());
    triple.context("cargo built no program")
}

/// Returns the full name of a commit, which is the same in every work tree.
fn name(root: &Path, commit: &str) -> anyhow::Result<String> {
    let output = Command::new("git")
        .args(["rev-parse", commit])
        .current_dir(root)
        .output()?;
    if !output.status.success() {
        bail!("there is no commit {commit}");
    }
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

fn run_in(folder: &Path, program: &str, arguments: &[&str]) -> anyhow::Result<()> {
    let status = Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .status()
        .with_context(|| program.to_owned())?;
    if !status.success() {
        bail!("{program} {} ended with {status}", arguments.join(" "));
    }
    Ok(())
}

/// Runs the cases of a theme of the whole system whose names contain `case`;
/// the programs they need are built before.
fn test(root: &Path, theme: &str, case: &str, variables: &[(&str, &str)]) -> anyhow::Result<()> {
    run_in(
        root,
        env!("CARGO"),
        &["build", "--workspace", "--bins", "--locked"],
    )?;
    let status = Command::new(env!("CARGO"))
        .args([
            "test",
            "--locked",
            "-p",
            "coracle-tests",
            "--test",
            theme,
            case,
            "--",
            "--nocapture",
        ])
        .envs(variables.iter().copied())
        .current_dir(root)
        .status()?;
    if !status.success() {
        bail!("{theme} failed");
    }
    Ok(())
}
