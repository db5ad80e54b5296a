//! `cargo xtask licences`: every dependency may be had under a licence that
//! asks for no more than its notice to be kept.

use std::collections::BTreeMap;
use std::process::Command;

use anyhow::{Context, bail};
use serde_json::Value;

/// SPDX identifiers of the licences a dependency may have.
const PERMITTED: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    "NCSA",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// Prints how many packages have each licence; an error names those whose
/// licence is missing or not permitted.
pub fn run() -> anyhow::Result<()> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let mut refused = Vec::new();
    for package in packages()? {
        let name = package["name"].as_str().unwrap_or_default();
        let licence = package["license"].as_str().unwrap_or_default();
        if !permitted(licence) {
            refused.push(format!("{name} ({licence})"));
        }
        *counts.entry(licence.to_owned()).or_default() += 1;
    }
    for (licence, count) in &counts {
        println!("{count:5}  {licence}");
    }
    if !refused.is_empty() {
        bail!("not permitted: {}", refused.join(", "));
    }
    Ok(())
}

fn packages() -> anyhow::Result<Vec<Value>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked"])
        .output()?;
    if !output.status.success() {
        bail!(
            "cargo metadata: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    let metadata: Value = serde_json::from_slice(&output.stdout)?;
    let packages = metadata["packages"].as_array();
    packages
        .cloned()
        .context("cargo metadata lists no packages")
}

/// Whether an SPDX expression can be met with permitted licences alone.
/// `/` is the older way to write `OR`.
fn permitted(expression: &str) -> bool {
    let expression = expression.replace('/', " OR ");
    let words = expression.replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = words.split_whitespace().collect();
    let mut rest = words.as_slice();
    let met = alternatives(&mut rest);
    met && rest.is_empty()
}

/// `all OR all …`
fn alternatives(words: &mut &[&str]) -> bool {
    let mut met = all(words);
    while let Some(("OR", rest)) = split(words) {
        *words = rest;
        met |= all(words);
    }
    met
}

/// `one AND one …`
fn all(words: &mut &[&str]) -> bool {
    let mut met = one(words);
    while let Some(("AND", rest)) = split(words) {
        *words = rest;
        met &= one(words);
    }
    met
}

/// A licence, one with an exception (which only permits more), or parentheses.
fn one(words: &mut &[&str]) -> bool {
    let Some((word, rest)) = split(words) else {
        return false;
    };
    *words = rest;
    if word == "(" {
        let met = alternatives(words);
        let Some((")", rest)) = split(words) else {
            return false;
        };
        *words = rest;
        return met;
    }
    if let Some(("WITH", rest)) = split(words) {
        *words = rest.get(1..).unwrap_or_default();
    }
    PERMITTED.contains(&word)
}

fn split<'a, 'w>(words: &'w [&'a str]) -> Option<(&'a str, &'w [&'a str])> {
    words.split_first().map(|(word, rest)| (*word, rest))
}

#[cfg(test)]
mod tests {
    use super::permitted;

    #[test]
    fn an_expression_is_met_by_permitted_licences_alone() {
        let check = |expression: &str, expected: bool| {
            assert_eq!(permitted(expression), expected, "{expression}");
        };
        check("MIT", true);
        check("MIT/Apache-2.0", true);
        check("GPL-3.0-only", false);
        check("MIT OR GPL-3.0-only", true);
        check("MIT AND GPL-3.0-only", false);
        check("(MIT OR GPL-3.0-only) AND Unicode-3.0", true);
        check("Apache-2.0 WITH LLVM-exception OR MIT", true);
        check("(MIT", false);
        check("", false);
    }
}
