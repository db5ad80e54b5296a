//! What is going on, for a person: a line per step, with its time. Moving on a
//! terminal, plain lines elsewhere; always on standard error.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use super::Global;

/// Tells of steps.
#[derive(Debug, Clone)]
pub struct Progress {
    quiet: bool,
}

/// A step under way; ends when it is told how.
#[derive(Debug)]
pub struct Step {
    name: String,
    since: Instant,
    bar: Option<ProgressBar>,
    quiet: bool,
}

impl Progress {
    /// Returns progress that is silent with `--quiet`.
    pub fn new(global: &Global) -> Progress {
        Progress {
            quiet: global.quiet,
        }
    }

    /// Begins a step.
    pub fn step(&self, name: &str) -> Step {
        let bar = (!self.quiet && std::io::stderr().is_terminal()).then(|| spinner(name));
        Step {
            name: name.to_owned(),
            since: Instant::now(),
            bar,
            quiet: self.quiet,
        }
    }
}

fn spinner(name: &str) -> ProgressBar {
    let bar = ProgressBar::new_spinner();
    let style = ProgressStyle::with_template("{spinner:.cyan} {prefix:<14} {msg}");
    if let Ok(style) = style {
        bar.set_style(style);
    }
    bar.set_prefix(name.to_owned());
    bar.enable_steady_tick(Duration::from_millis(80));
    bar
}

impl Step {
    /// Says what is being done now.
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

    /// Ends the step well.
    pub fn done(self, text: &str) {
        let took = duration(self.since.elapsed());
        self.end("✓", text, &took);
    }

    /// Ends the step; it had nothing to do.
    pub fn skipped(self, text: &str) {
        self.end("·", text, "");
    }

    /// Ends the step badly; the failure is reported by the caller.
    pub fn failed(self) {
        let took = duration(self.since.elapsed());
        self.end("✗", "failed", &took);
    }

    fn end(&self, mark: &str, text: &str, took: &str) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        if !self.quiet {
            eprintln!("{mark} {:<14} {text:<48} {took:>8}", self.name);
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
