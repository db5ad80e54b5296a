//! Helm's command line on charts, word for word: what the real helm prints and
//! with which exit code it ends stands in `charts.golden`.
//!
//! `charts.txt` holds the commands. They run in a copy of `charts/`, a fresh one
//! for every block. `UPDATE_GOLDENS=1` asks the real helm (`cargo xtask oracles`)
//! and writes its answers.

#![allow(clippy::print_stderr)]

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Helm's advice, where ours is better.
const ADVICE: &str = "\n\nUse --debug flag to render out invalid YAML";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests")
}

/// What a command did.
struct Answer {
    code: i32,
    out: String,
    err: String,
}

/// A copy of the charts.
struct Copy(tempfile::TempDir);

impl Copy {
    fn new() -> Copy {
        let copy = tempfile::tempdir().expect("a folder");
        copy_folder(&folder().join("charts"), copy.path());
        Copy(copy)
    }

    fn run(&self, program: &Path, line: &str) -> Answer {
        let (line, input) = line.split_once(" < ").unwrap_or((line, ""));
        let words = split(line);
        let here = self.0.path();
        match words[0].as_str() {
            "ls" => self.answer(0, names(&here.join(&words[1])), String::new()),
            "cat" => {
                let text = fs::read_to_string(here.join(&words[1])).unwrap_or_default();
                self.answer(0, text, String::new())
            }
            _ => {
                let input = match input {
                    "" => Stdio::null(),
                    name => fs::File::open(here.join(name)).expect("an input").into(),
                };
                let output = Command::new(program)
                    .args(&words[1..])
                    .current_dir(here)
                    .env_clear()
                    .env("HOME", here.join("home"))
                    .env("KUBECONFIG", here.join("no-kubeconfig"))
                    .env("CORACLE_HOME", here.join("home/coracle"))
                    .stdin(input)
                    .output()
                    .expect("the program runs");
                self.answer(
                    output.status.code().unwrap_or(-1),
                    String::from_utf8_lossy(&output.stdout).into_owned(),
                    String::from_utf8_lossy(&output.stderr).into_owned(),
                )
            }
        }
    }

    /// Takes away what differs from run to run.
    fn answer(&self, code: i32, out: String, err: String) -> Answer {
        let here = self.0.path().display().to_string();
        let plain = |text: String| {
            let mut lines = String::new();
            for line in text.lines() {
                let line = match line.starts_with("LAST DEPLOYED: ") {
                    true => "LAST DEPLOYED: NOW",
                    false => line,
                };
                // Helm's log lines are its own.
                if !line.starts_with("level=") {
                    lines.push_str(&line.replace(&here, "DIR"));
                    lines.push('\n');
                }
            }
            lines
        };
        let err = plain(err).trim_end().to_owned();
        Answer {
            code,
            out: plain(out),
            err: err
                .strip_suffix(ADVICE)
                .unwrap_or(&err)
                .trim_end()
                .to_owned(),
        }
    }
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder") {
        let path = entry.expect("an entry").path();
        let target = to.join(path.file_name().expect("a name"));
        if path.is_dir() {
            copy_folder(&path, &target);
        } else {
            fs::copy(&path, &target).expect("a copy");
        }
    }
}

fn names(folder: &Path) -> String {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| name != "home")
        .collect();
    names.sort();
    names.join("\n")
}

/// Splits at blanks; single quotes hold words together.
fn split(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quoted) = (Vec::new(), String::new(), false);
    for c in line.chars() {
        match c {
            '\'' => quoted = !quoted,
            ' ' if !quoted => words.push(std::mem::take(&mut word)),
            _ => word.push(c),
        }
    }
    words.push(word);
    words
}

/// Runs all commands; a line `$ COMMAND`, what it printed, what it complained
/// of, its exit code.
fn transcript(program: &Path) -> Vec<(String, Answer)> {
    let text = fs::read_to_string(folder().join("charts.txt")).expect("the commands");
    let mut answers = Vec::new();
    let mut copy = Copy::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        if line.is_empty() {
            copy = Copy::new();
        } else {
            answers.push((line.to_owned(), copy.run(program, line)));
        }
    }
    answers
}

fn written(command: &str, answer: &Answer) -> String {
    let mut text = format!("$ {command}\n{}", answer.out);
    for line in answer.err.lines() {
        let _ = writeln!(text, "! {line}");
    }
    let _ = writeln!(text, "= {}\n", answer.code);
    text
}

#[test]
fn helms_command_line_is_understood() {
    let golden = folder().join("charts.golden");
    if std::env::var_os("UPDATE_GOLDENS").is_some() {
        let helm = folder().join("../../../target/oracles/helm-4.2.3");
        let answers = transcript(&helm);
        let texts = answers.iter().map(|(line, answer)| written(line, answer));
        fs::write(&golden, texts.collect::<String>()).expect("written");
    }
    let expected = fs::read_to_string(&golden).expect("the answers of helm");
    let programs = tempfile::tempdir().expect("a folder");
    let helm = programs.path().join("helm");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_coracle"), &helm).expect("a link");
    let mut rest = expected.as_str();
    let mut unequal = Vec::new();
    for (command, answer) in transcript(&helm) {
        let (said, after) = rest.split_once("\n\n$ ").unwrap_or((rest.trim_end(), ""));
        rest = after;
        // Ours says more below Helm's words; where Helm is silent, so are we.
        let complaint: Vec<&str> = said
            .lines()
            .filter_map(|line| line.strip_prefix("! "))
            .collect();
        let complaint = complaint.join("\n");
        let kept = match complaint.is_empty() {
            true => &*answer.err,
            false => answer.err.get(..complaint.len()).unwrap_or(&answer.err),
        };
        let ours = Answer {
            err: kept.to_owned(),
            ..answer
        };
        let ours = written(&command, &ours);
        if ours.trim_end().trim_start_matches("$ ") != said.trim_start_matches("$ ") {
            unequal.push(format!(
                "--- helm\n$ {}\n--- ours\n{ours}",
                said.trim_start_matches("$ ")
            ));
        }
    }
    assert!(
        unequal.is_empty(),
        "{} unequal\n{}",
        unequal.len(),
        unequal.join("\n")
    );
}
