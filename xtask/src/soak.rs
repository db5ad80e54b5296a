//! `cargo xtask soak [FACTOR]`: the tests that draw their cases from seeds, with
//! many more of them than an ordinary run has. A factor multiplies the numbers.

use std::process::Command;

use anyhow::{Context, bail};

/// Package, test, variable that says how many, and how many.
const TESTS: &[(&str, &str, &str, u64)] = &[
    (
        "coracle-machinery",
        "strategic_oracle",
        "CORACLE_ORACLE_CASES",
        4_000,
    ),
    ("coracle-store", "crash", "ROUNDS", 200),
    ("coracle-store", "power", "SEEDS", 4_000),
];

/// Runs the chore.
pub fn run(arguments: &[String]) -> anyhow::Result<()> {
    let factor: u64 = match arguments.first() {
        Some(text) => text
            .parse()
            .with_context(|| format!("{text}: not a factor"))?,
        None => 1,
    };
    let mut fallen = Vec::new();
    for (package, test, variable, number) in TESTS {
        println!("{test}: {} cases", number * factor);
        let status = Command::new(env!("CARGO"))
            .args(["test", "--quiet", "--package", package, "--test", test])
            .env(variable, (number * factor).to_string())
            .status()
            .context("cargo")?;
        if !status.success() {
            fallen.push(*test);
        }
    }
    if !fallen.is_empty() {
        bail!("fallen: {}", fallen.join(", "));
    }
    Ok(())
}
