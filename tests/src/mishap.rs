//! What a user sees when something goes wrong, word for word.
//!
//! The words stand in `docs/mishaps.md`, one block a mishap: what was typed,
//! all that was said, the exit code. [`Said::is`] compares; with
//! `CORACLE_BLESS=1` it writes what was said into the document instead.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::Output;
use std::sync::LazyLock;
use std::time::Duration;

use regex::Regex;
use rustix::fs::{FlockOperation, flock};

use crate::cluster::{Cluster, repository};
use crate::wait::until;

/// What differs from run to run, and what stands for it.
static MASKS: LazyLock<Vec<(Regex, &'static str)>> = LazyLock::new(|| {
    let masks = [
        // Pods of Deployments, by the letters that Kubernetes makes names of.
        (
            r"-[bcdfghjklmnpqrstvwxz2456789]{6,10}-[bcdfghjklmnpqrstvwxz2456789]{5}\b",
            "-HASH-ID",
        ),
        (r"\d{4}-\d\d-\d\dT[\d:.]+Z", "TIME"),
        (r"\b\d+m\d+s\b|\b\d+(\.\d+)? ?m?s\b", "TIME"),
        (r"\b(pid|process) \d+", "$1 PID"),
        (r"127\.0\.0\.1:\d+", "127.0.0.1:PORT"),
        (r"\b10(\.\d+){3}", "ADDRESS"),
        (r"\b\d+(\.\d+)? [kKMGT]i?B\b", "SIZE"),
        (r"\bhas \d+(\.\d+)?[KMG]i\b", "has SIZE"),
        (r"\b\d+ restarts", "N restarts"),
    ];
    // The folder of a test stands for the user's own.
    let home = std::env::temp_dir().join("coracle-test-");
    let home = format!(r"{}[a-z0-9-]+", regex::escape(&home.display().to_string()));
    let all = std::iter::once((home.as_str(), "~")).chain(masks);
    all.map(|(pattern, mask)| (Regex::new(pattern).expect("it is a pattern"), mask))
        .collect()
});

/// Marks of lines that tell of progress and not of what went wrong.
const PROGRESS: [char; 4] = ['✓', '·', '…', '✗'];

/// What a command said and how it ended.
#[derive(Debug)]
pub struct Said {
    /// The words that were typed after the program's name.
    typed: String,
    /// Its exit code.
    pub code: Option<i32>,
    /// Standard output, then standard error.
    pub text: String,
}

impl From<Output> for Said {
    fn from(output: Output) -> Said {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Said {
            typed: String::new(),
            code: output.status.code(),
            text: text(&output.stdout) + &text(&output.stderr),
        }
    }
}

impl Said {
    /// Runs a command of ours, whatever comes of it.
    ///
    /// # Panics
    /// Panics if it cannot be run.
    pub fn by(cluster: &Cluster, args: &[&str]) -> Said {
        let output = cluster.command(args).output();
        Said::from(output.expect("the program was built")).typed(&args.join(" "))
    }

    /// Adds the words of ours that were typed.
    pub fn typed(mut self, words: &str) -> Said {
        self.typed = words.to_owned();
        self
    }

    /// Checks the exit code, and that every part was said.
    ///
    /// # Panics
    /// Panics with all that was said if it was not.
    pub fn check(&self, what: &str, code: i32, parts: &[&str]) {
        for part in parts {
            assert!(
                self.text.contains(part),
                "{what}: {part:?} was not said:\n{}",
                self.text
            );
        }
        assert_eq!(self.code, Some(code), "{what}:\n{}", self.text);
    }

    /// Checks that this is, word for word, what the document says of a mishap.
    ///
    /// # Panics
    /// Panics with both if it is not.
    pub fn is(&self, title: &str) {
        let block = self.block();
        if is_blessing() {
            return bless(title, &block);
        }
        assert_eq!(block, expected(title), "{title}");
    }

    /// Returns what was typed and said, without what differs from run to run.
    fn block(&self) -> String {
        let mut text = format!("$ coracle {}\n{}", self.typed, self.text);
        for (pattern, mask) in MASKS.iter() {
            text = pattern.replace_all(&text, *mask).into_owned();
        }
        let kept = text
            .lines()
            .filter(|line| !line.starts_with(PROGRESS))
            .map(str::trim_end);
        let text = kept.collect::<Vec<_>>().join("\n");
        let code = self.code.map_or("a signal".into(), |code| code.to_string());
        format!("{}\n(exit code {code})\n", text.trim_end())
    }
}

/// Asks again until the answer is what the document says of a mishap:
/// controllers need a moment. While blessing, `parts` tell when it is there.
///
/// # Panics
/// Panics with the last answer after five minutes.
pub fn until_said(title: &str, parts: &[&str], ask: impl Fn() -> Said) {
    if !is_blessing() {
        let expected = expected(title);
        return until(title, || {
            let block = ask().block();
            let same = block == expected;
            same.then_some(())
                .ok_or_else(|| format!("\n{block}\nis said instead of\n{expected}"))
        });
    }
    until(title, || {
        let said = ask();
        std::thread::sleep(Duration::from_secs(3));
        let again = ask();
        let is_there = parts.iter().all(|part| again.text.contains(part));
        if !is_there || said.block() != again.block() {
            return Err(again.text);
        }
        again.is(title);
        Ok(())
    });
}

fn is_blessing() -> bool {
    std::env::var_os("CORACLE_BLESS").is_some()
}

fn document() -> PathBuf {
    repository().join("docs/mishaps.md")
}

/// Returns the titles of the mishaps in the document.
pub fn titles() -> Vec<String> {
    let text = fs::read_to_string(document()).expect("the document is there");
    let titles = text.lines().filter_map(|line| line.strip_prefix("### "));
    titles.map(str::to_owned).collect()
}

const OPEN: &str = "```text\n";
const CLOSE: &str = "```\n";

/// Returns where the block of a mishap stands in the document.
fn place(text: &str, title: &str) -> Option<std::ops::Range<usize>> {
    let heading = text.find(&format!("\n### {title}\n"))?;
    let begin = heading + text[heading..].find(OPEN)? + OPEN.len();
    let end = begin + text[begin..].find(CLOSE)?;
    Some(begin..end)
}

fn expected(title: &str) -> String {
    let text = fs::read_to_string(document()).expect("the document is there");
    let place = place(&text, title);
    let place = place.unwrap_or_else(|| panic!("docs/mishaps.md says nothing of: {title}"));
    text[place].to_owned()
}

/// Writes a block into the document, at its end if there is none so far.
fn bless(title: &str, block: &str) {
    let path = document();
    // Cases run side by side, in several processes.
    let lock = File::open(&path).expect("the document is there");
    flock(&lock, FlockOperation::LockExclusive).expect("it can be locked");
    let mut text = fs::read_to_string(&path).expect("the document is there");
    match place(&text, title) {
        Some(place) => text.replace_range(place, block),
        None => text.push_str(&format!("\n### {title}\n\n{OPEN}{block}{CLOSE}")),
    }
    fs::write(&path, text).expect("the document can be written");
}
