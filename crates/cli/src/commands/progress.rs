//! What is going on, for a person: a line per step, with its time. Moving on a
//! terminal, plain lines elsewhere; always on standard error.

use std::cell::RefCell;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use super::Global;
use crate::paint::{Colour, Stream, paint};

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
            let line = format!("{mark} {:<14} {text:<48} {took:>8}", self.name);
            eprintln!("{}", line.trim_end());
        }
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
    fn durations_have_three_digits() {
        let check =
            |millis, expected: &str| assert_eq!(duration(Duration::from_millis(millis)), expected);
        check(0, "0 ms");
        check(840, "840 ms");
        check(1240, "1.24 s");
        check(125_000, "2m05s");
    }
}
