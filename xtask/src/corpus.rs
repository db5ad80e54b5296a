//! `cargo xtask corpus DIR [--values] [--helm VERSION] [--program PATH]
//! [--verb "show all"] [--only TEXT] [--verbose]`: renders every chart and every
//! archive below a folder with Helm and with our engine and compares.
//!
//! `--program` compares a built binary, called as `helm`, instead of the engine
//! alone; then `--verb` may be another verb than `template`. Prints equal /
//! compared and the unequal ones. Output that differs between two runs of Helm
//! is compared after masking what differs.

use crate::charts::{Outcome, ours, program, theirs};
use crate::oracles;
use coracle_helm::Level;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const USAGE: &str = "usage: cargo xtask corpus DIR [--values] [--helm VERSION] \
     [--program PATH [--verb VERB]] [--only TEXT] [--verbose]";

/// Runs the comparison.
pub fn run(arguments: &[String]) -> anyhow::Result<()> {
    let Some(folder) = arguments.first() else {
        anyhow::bail!(USAGE);
    };
    let has = |flag: &str| arguments.iter().any(|argument| argument == flag);
    let after = |flag: &str| {
        let at = arguments.iter().position(|argument| argument == flag)?;
        arguments.get(at + 1).map(String::as_str)
    };
    let version = after("--helm").unwrap_or("4.2.3");
    let mut charts = Vec::new();
    find_charts(Path::new(folder), &mut charts);
    charts.sort();
    let mut tally = Tally {
        helm: oracles::find("helm", version)?,
        program: after("--program").map(PathBuf::from),
        verb: after("--verb").unwrap_or("template release-name").into(),
        verbose: has("--verbose"),
        level: match version.split_once('.') {
            Some(("3", _)) => Level::V3,
            _ if version.starts_with("4.1.") => Level::V4_1,
            _ => Level::V4_2,
        },
        ..Tally::default()
    };
    for chart in charts {
        if after("--only").is_some_and(|only| !chart.to_string_lossy().contains(only)) {
            continue;
        }
        tally.compare(&chart, &[])?;
        if has("--values") {
            for values in values_files(&chart) {
                tally.compare(&chart, &[values])?;
            }
        }
    }
    tally.print();
    Ok(())
}

/// Folders with a `Chart.yaml`, and archives; what lies inside a chart is part
/// of it.
fn find_charts(folder: &Path, charts: &mut Vec<PathBuf>) {
    if folder.join("Chart.yaml").is_file() {
        charts.push(folder.to_owned());
        return;
    }
    let Ok(entries) = std::fs::read_dir(folder) else {
        return;
    };
    for entry in entries.flatten() {
        let path = entry.path();
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            find_charts(&path, charts);
        } else if path.extension().is_some_and(|ending| ending == "tgz") {
            charts.push(path);
        }
    }
}

/// Folders where projects keep values for their tests and examples.
const VALUES_FOLDERS: &[&str] = &[
    "ci", "profiles", "examples", "example", "test", "tests", "values",
];

/// Values files that the chart's own project tests with or shows.
fn values_files(chart: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(chart).into_iter().flatten().flatten() {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_more = name.starts_with("values") || name.ends_with("values.yaml");
        if VALUES_FOLDERS.contains(&name.as_str()) && path.is_dir() {
            yaml_files(&path, name == "profiles", &mut files);
        } else if is_more && name.ends_with(".yaml") && name != "values.yaml" {
            files.push(path);
        }
    }
    files.sort();
    files
}

/// Files below a folder that are called values; any YAML file if `all`.
fn yaml_files(folder: &Path, all: bool, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        if path.is_dir() && name != "templates" {
            yaml_files(&path, all, files);
        } else if name.ends_with(".yaml") && (all || name.contains("values")) {
            files.push(path);
        }
    }
}

#[derive(Default)]
struct Tally {
    helm: PathBuf,
    program: Option<PathBuf>,
    verb: String,
    verbose: bool,
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
    fn compare(&mut self, chart: &Path, values: &[PathBuf]) -> anyhow::Result<()> {
        let start = Instant::now();
        let expected = theirs(&self.helm, &self.verb, chart, values)?;
        self.theirs += start.elapsed();
        let start = Instant::now();
        let got = match &self.program {
            Some(path) => program(path, &self.verb, chart, values)?,
            None => ours(chart, values, self.level),
        };
        self.ours += start.elapsed();
        self.compared += 1;
        let mut name = chart.display().to_string();
        for file in values {
            let file = file.strip_prefix(chart).unwrap_or(file);
            name.push_str(&format!(" -f {}", file.display()));
        }
        if self.judge(chart, values, &expected, &got)? {
            return Ok(());
        }
        let difference = first_difference(&expected, &got);
        if self.verbose {
            println!("--- {name}\n{difference}\n");
        }
        self.unequal.push(name);
        Ok(())
    }

    fn judge(
        &mut self,
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
                let Ok(again) = theirs(&self.helm, &self.verb, chart, values)? else {
                    return Ok(false);
                };
                if &again == expected || !equal_but_for(expected, &again, got) {
                    return Ok(false);
                }
                self.masked += 1;
                Ok(true)
            }
            (Err(expected), Err(got)) if refused_alike(expected, got, self.program.is_some()) => {
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

/// Whether two refusals say the same. The binary says more below Helm's words,
/// and leaves Helm's advice to debug away.
fn refused_alike(expected: &str, got: &str, says_more: bool) -> bool {
    let expected = expected.trim_end();
    let advice = "\n\nUse --debug flag to render out invalid YAML";
    match says_more {
        true => got.starts_with(expected.strip_suffix(advice).unwrap_or(expected).trim_end()),
        false => expected == got.trim_end(),
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
