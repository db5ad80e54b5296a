//! What is going on, for a person: a line per step, with its time. Moving on a
//! terminal, plain lines elsewhere; always on standard error.

use std::cell::RefCell;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use super::Global;
use crate::paint::{Colour, Stream, paint};

/// Columns of what a step says, and those of its line beside it.
const TEXT_WIDTH: usize = 48;
const WITHOUT_TEXT: usize = 26;

/// Tells of steps.
#[derive(Debug, Clone)]
pub struct Progress {
    quiet: bool,
    moving: bool,
}

/// A step under way; ends when it is told how.
#[derive(Debug)]
pub struct Step {
    name: String,
    since: Instant,
    bar: Option<ProgressBar>,
    quiet: bool,
    noted: RefCell<String>,
}

impl Progress {
    /// Returns progress that is silent with `--quiet` and stands still with
    /// `--no-progress` or away from a terminal.
    pub fn new(global: &Global) -> Progress {
        Progress {
            quiet: global.quiet,
            moving: !global.no_progress && std::io::stderr().is_terminal(),
        }
    }

    /// Returns whether nothing is told.
    pub fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// Begins a step.
    pub fn step(&self, name: &str) -> Step {
        Step {
            name: name.to_owned(),
            since: Instant::now(),
            bar: (!self.quiet && self.moving).then(|| spinner(name)),
            quiet: self.quiet,
            noted: RefCell::default(),
        }
    }

    /// Prints a line between steps.
    pub fn line(&self, text: &str) {
        if !self.quiet {
            eprintln!("{text}");
        }
    }
}

fn spinner(name: &str) -> ProgressBar {
    let bar = ProgressBar::new_spinner();
    let style =
        ProgressStyle::with_template("{spinner:.cyan} {prefix:<14} {wide_msg} {elapsed:>5}");
    if let Ok(style) = style {
        bar.set_style(style);
    }
    bar.set_prefix(name.to_owned());
    bar.enable_steady_tick(Duration::from_millis(80));
    bar
}

impl Step {
    /// Says what is being done now, where the line can change.
    pub fn say(&self, text: impl Into<String>) {
        if let Some(bar) = &self.bar {
            bar.set_message(text.into());
        }
    }

    /// Writes a line that stays.
    pub fn line(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.println(text),
            None if !self.quiet => eprintln!("{text}"),
            None => {}
        }
    }

    /// Returns whether nothing is told.
    pub fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// Says what a reader of plain lines should see as well; once.
    pub fn note(&self, text: impl Into<String>) {
        let text = text.into();
        if *self.noted.borrow() == text {
            return;
        }
        match &self.bar {
            Some(bar) => bar.set_message(text.clone()),
            None if !self.quiet => eprintln!("… {:<14} {text}", self.name),
            None => {}
        }
        *self.noted.borrow_mut() = text;
    }

    /// Ends the step well.
    pub fn done(self, text: &str) {
        let took = duration(self.since.elapsed());
        self.end(&paint(Stream::Err, Colour::Green, "✓"), text, &took);
    }

    /// Ends the step; it had nothing to do.
    pub fn skipped(self, text: &str) {
        self.end("·", text, "");
    }

    /// Ends the step badly; the failure is reported by the caller.
    pub fn failed(self) {
        let took = duration(self.since.elapsed());
        self.end(&paint(Stream::Err, Colour::Red, "✗"), "failed", &took);
    }

    /// Ends the step as its result says: well with the text that `text` makes.
    pub fn finish<T, E>(
        self,
        result: Result<T, E>,
        text: impl FnOnce(&T) -> String,
    ) -> Result<T, E> {
        match &result {
            Ok(value) => {
                let text = text(value);
                self.done(&text);
            }
            Err(_) => self.failed(),
        }
        result
    }

    fn end(&self, mark: &str, text: &str, took: &str) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        if !self.quiet {
            eprintln!("{}", line(mark, &self.name, text, took, columns()));
        }
    }
}

/// Returns the line of a step; its time stands apart where `columns` allow it.
fn line(mark: &str, name: &str, text: &str, took: &str, columns: usize) -> String {
    let width = TEXT_WIDTH.min(columns.saturating_sub(WITHOUT_TEXT));
    let line = format!("{mark} {name:<14} {text:<width$} {took:>8}");
    line.trim_end().to_owned()
}

/// Returns how wide standard error is.
fn columns() -> usize {
    match rustix::termios::tcgetwinsize(std::io::stderr()) {
        Ok(size) if size.ws_col > 0 => usize::from(size.ws_col),
        _ => usize::MAX,
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// Writes a duration with three digits: `840 ms`, `1.24 s`, `2m05s`.
pub fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    match duration.as_millis() {
        0..1000 => format!("{} ms", duration.as_millis()),
        1000..60_000 => format!("{seconds:.2} s"),
        _ => format!(
            "{}m{:02}s",
            duration.as_secs() / 60,
            duration.as_secs() % 60
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_fits_a_narrow_terminal() {
        let check = |columns: usize, expected: &str| {
            assert_eq!(line("✓", "Cluster", "it runs", "840 ms", columns), expected);
        };
        let gap = " ".repeat(TEXT_WIDTH - "it runs".len());
        let wide = format!("✓ Cluster        it runs{gap}   840 ms");
        check(usize::MAX, &wide);
        check(wide.chars().count() + 1, &wide);
        check(40, "✓ Cluster        it runs          840 ms");
        check(20, "✓ Cluster        it runs   840 ms");
        check(0, "✓ Cluster        it runs   840 ms");
    }

    #[test]
    fn durations_have_three_digits() {
        let check =
            |millis, expected: &str| assert_eq!(duration(Duration::from_millis(millis)), expected);
        check(0, "0 ms");
        check(840, "840 ms");
        check(1240, "1.24 s");
        check(125_000, "2m05s");
    }
}
