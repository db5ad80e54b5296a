//! `cargo xtask corpus DIR [--values] [--helm VERSION] [--only TEXT] [--verbose]`:
//! renders every chart
//! below a folder with Helm and with our engine and compares.
//!
//! Prints equal / compared and the unequal ones. Output that differs between
//! two runs of Helm is compared after masking what differs.

use crate::charts::{Outcome, ours, theirs};
use crate::oracles;
use coracle_helm::Level;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Runs the comparison.
pub fn run(arguments: &[String]) -> anyhow::Result<()> {
    let Some(folder) = arguments.first() else {
        anyhow::bail!(
            "usage: cargo xtask corpus DIR [--values] [--helm VERSION] [--verbose] [--only TEXT]"
        );
    };
    let has = |flag: &str| arguments.iter().any(|argument| argument == flag);
    let only = arguments
        .iter()
        .position(|argument| argument == "--only")
        .and_then(|at| arguments.get(at + 1));
    let version = arguments
        .iter()
        .position(|argument| argument == "--helm")
        .and_then(|at| arguments.get(at + 1))
        .map_or("4.2.3", String::as_str);
    let binary = oracles::find("helm", version)?;
    let mut charts = Vec::new();
    find_charts(Path::new(folder), &mut charts);
    charts.sort();
    let mut tally = Tally {
        level: match version.split_once('.') {
            Some(("3", _)) => Level::V3,
            _ if version.starts_with("4.1.") => Level::V4_1,
            _ => Level::V4_2,
        },
        ..Tally::default()
    };
    for chart in charts {
        if only.is_some_and(|only| !chart.to_string_lossy().contains(only.as_str())) {
            continue;
        }
        tally.compare(&binary, &chart, &[], has("--verbose"))?;
        if has("--values") {
            for values in values_files(&chart) {
                tally.compare(&binary, &chart, &[values], has("--verbose"))?;
            }
        }
    }
    tally.print();
    Ok(())
}

/// Folders with a `Chart.yaml`; what lies inside a chart is part of it.
fn find_charts(folder: &Path, charts: &mut Vec<PathBuf>) {
    if folder.join("Chart.yaml").is_file() {
        charts.push(folder.to_owned());
        return;
    }
    let Ok(entries) = std::fs::read_dir(folder) else {
        return;
    };
    for entry in entries.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            find_charts(&entry.path(), charts);
        }
    }
}

/// Values files that the chart's own project tests with.
fn values_files(chart: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for (folder, ending) in [("ci", "values.yaml"), ("profiles", ".yaml")] {
        let Ok(entries) = std::fs::read_dir(chart.join(folder)) else {
            continue;
        };
        let paths = entries.flatten().map(|entry| entry.path());
        files.extend(paths.filter(|path| path.to_string_lossy().ends_with(ending)));
    }
    files.sort();
    files
}

#[derive(Default)]
struct Tally {
    level: Level,
    compared: usize,
    equal: usize,
    masked: usize,
    refused: usize,
    unequal: Vec<String>,
    ours: Duration,
    theirs: Duration,
}

impl Tally {
    fn compare(
        &mut self,
        binary: &Path,
        chart: &Path,
        values: &[PathBuf],
        verbose: bool,
    ) -> anyhow::Result<()> {
        let start = Instant::now();
        let expected = theirs(binary, chart, values)?;
        self.theirs += start.elapsed();
        let start = Instant::now();
        let got = ours(chart, values, self.level);
        self.ours += start.elapsed();
        self.compared += 1;
        let mut name = chart.display().to_string();
        for file in values {
            name.push_str(&format!(
                " -f {}",
                file.file_name().unwrap_or_default().to_string_lossy()
            ));
        }
        if self.judge(binary, chart, values, &expected, &got)? {
            return Ok(());
        }
        let difference = first_difference(&expected, &got);
        if verbose {
            println!("--- {name}\n{difference}\n");
        }
        self.unequal.push(name);
        Ok(())
    }

    fn judge(
        &mut self,
        binary: &Path,
        chart: &Path,
        values: &[PathBuf],
        expected: &Outcome,
        got: &Outcome,
    ) -> anyhow::Result<bool> {
        match (expected, got) {
            (Ok(expected), Ok(got)) if expected == got => {
                self.equal += 1;
                Ok(true)
            }
            (Ok(expected), Ok(got)) => {
                let Ok(again) = theirs(binary, chart, values)? else {
                    return Ok(false);
                };
                if &again == expected || !equal_but_for(expected, &again, got) {
                    return Ok(false);
                }
                self.masked += 1;
                Ok(true)
            }
            (Err(expected), Err(got)) if expected.trim_end() == got.trim_end() => {
                self.refused += 1;
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    fn print(&self) {
        for name in &self.unequal {
            println!("unequal: {name}");
        }
        println!(
            "equal {} (of these {} after masking random values, {} refused alike) / compared {}",
            self.equal + self.masked + self.refused,
            self.masked,
            self.refused,
            self.compared
        );
        println!("time: helm {:.2?}, ours {:.2?}", self.theirs, self.ours);
    }
}

/// Whether `got` equals `first` where `first` and `second` agree: line by
/// line, leaving out lines that are random. PEM blocks may differ in length.
fn equal_but_for(first: &str, second: &str, got: &str) -> bool {
    let (first, second, got) = (without_pem(first), without_pem(second), without_pem(got));
    if first.len() != second.len() || first.len() != got.len() {
        return false;
    }
    first
        .iter()
        .zip(&second)
        .zip(&got)
        .all(|((first, second), got)| {
            if first == second {
                return first == got;
            }
            // The line's start, up to where the two runs part, must agree.
            let common = first
                .bytes()
                .zip(second.bytes())
                .take_while(|(a, b)| a == b)
                .count();
            let key = first.find(':').map_or(0, |at| at + 1).min(common);
            got.as_bytes().starts_with(&first.as_bytes()[..key])
        })
}

fn without_pem(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut inside = false;
    for line in text.lines() {
        if inside && line.contains("-----END ") {
            inside = false;
        }
        if !inside {
            lines.push(line.to_owned());
        }
        if line.contains("-----BEGIN ") {
            inside = true;
        }
    }
    lines
}

fn first_difference(expected: &Outcome, got: &Outcome) -> String {
    let (expected, got) = match (expected, got) {
        (Ok(expected), Ok(got)) => (expected, got),
        (Err(expected), Err(got)) => return format!("helm: {expected}\nours: {got}"),
        (Ok(_), Err(got)) => return format!("helm renders, ours: {got}"),
        (Err(expected), Ok(_)) => return format!("ours renders, helm: {expected}"),
    };
    let mut lines = expected.lines().zip(got.lines()).enumerate();
    let Some((at, (expected_line, got_line))) = lines.find(|(_, (a, b))| a != b) else {
        return format!("lengths differ: {} {}", expected.len(), got.len());
    };
    let source = expected
        .lines()
        .take(at + 1)
        .filter(|line| line.starts_with("# Source:"))
        .last()
        .unwrap_or_default();
    format!("{source}\nline {}\n- {expected_line}\n+ {got_line}", at + 1)
}
