//! A report as a person reads it.
//!
//! Main type: [`Show`]. Plain text, or with colours; never meaning by colour
//! alone.

use crate::report::{Finding, Report, Severity};
use coracle_helm::Place;
use std::fmt::Write as _;

/// How to show a report.
#[derive(Clone, Copy, Debug, Default)]
pub struct Show {
    /// With colours of a terminal.
    pub colour: bool,
    /// Only errors and warnings.
    pub quiet: bool,
}

const RED: &str = "1;31";
const YELLOW: &str = "1;33";
const BLUE: &str = "1;34";
const GREEN: &str = "1;32";
const BOLD: &str = "1";
const DIM: &str = "2";

impl Show {
    fn paint(self, code: &str, text: &str) -> String {
        match self.colour {
            true => format!("\x1b[{code}m{text}\x1b[0m"),
            false => text.to_owned(),
        }
    }

    /// Returns the report as text.
    pub fn report(self, report: &Report) -> String {
        let mut out = String::new();
        let _ = writeln!(out, "{}", self.heading(report));
        let shown: Vec<&Finding> = report
            .findings
            .iter()
            .filter(|finding| !(self.quiet && finding.severity == Severity::Note))
            .collect();
        for finding in &shown {
            out.push('\n');
            self.finding(finding, &mut out);
        }
        out.push('\n');
        out.push_str(&self.summary(report));
        out
    }

    fn heading(self, report: &Report) -> String {
        let on = match &report.target {
            Some(target) => format!("on {target} (Kubernetes {})", report.kube_version),
            None => format!("Kubernetes {}, no cluster asked", report.kube_version),
        };
        format!(
            "{} as release {} in namespace {}: {} objects, {on}",
            self.paint(BOLD, &report.chart),
            report.release,
            report.namespace,
            report.objects
        )
    }

    fn summary(self, report: &Report) -> String {
        let count = |severity, one: &str, many: &str| match report.count(severity) {
            0 => None,
            1 => Some(format!("1 {one}")),
            number => Some(format!("{number} {many}")),
        };
        let parts: Vec<String> = [
            count(Severity::Error, "error", "errors"),
            count(Severity::Warning, "warning", "warnings"),
            count(Severity::Note, "note", "notes"),
        ]
        .into_iter()
        .flatten()
        .collect();
        if parts.is_empty() {
            return format!("{}\n", self.paint(GREEN, "nothing to complain about"));
        }
        let text = parts.join(", ");
        match report.is_ok() {
            true => format!(
                "{text}; {}\n",
                self.paint(GREEN, "nothing stands in the way")
            ),
            false => format!("{}\n", self.paint(RED, &text)),
        }
    }

    /// Appends one finding.
    pub fn finding(self, finding: &Finding, out: &mut String) {
        let code = match finding.severity {
            Severity::Error => RED,
            Severity::Warning => YELLOW,
            Severity::Note => BLUE,
        };
        let label = format!("{}[{}]", finding.severity.as_str(), finding.rule);
        let subject = match &finding.object {
            Some(object) => format!("{object}: "),
            None => String::new(),
        };
        let text = format!("{subject}{}", finding.message);
        let mut lines = text.lines();
        let first = lines.next().unwrap_or_default();
        let _ = writeln!(
            out,
            "{}: {}",
            self.paint(code, &label),
            self.paint(BOLD, first)
        );
        for line in lines {
            let _ = writeln!(out, "  {line}");
        }
        if let Some(place) = &finding.place {
            self.place(place, code, out);
        }
        for (value, origin) in &finding.values {
            let text = match (value.as_str(), origin) {
                ("", Some(origin)) => format!("set at {origin}"),
                (value, Some(origin)) => format!("{value}, set at {origin}"),
                (value, None) => value.to_owned(),
            };
            let _ = writeln!(out, "  {} {text}", self.paint(DIM, "="));
        }
        if let Some(fix) = &finding.fix {
            let _ = writeln!(out, "  {} {fix}", self.paint(GREEN, "fix:"));
        }
    }

    fn place(self, place: &Place, code: &str, out: &mut String) {
        let at = format!("{}:{}:{}", place.file, place.line, place.column);
        let _ = writeln!(out, "  {} {at}", self.paint(DIM, "-->"));
        let Some((last, _)) = place.excerpt.last() else {
            return;
        };
        let gutter = last.to_string().len();
        for (number, text) in &place.excerpt {
            let head = self.paint(DIM, &format!("{number:>gutter$} |"));
            let _ = writeln!(out, "  {head} {text}");
        }
        if place.width > 0 {
            let head = self.paint(DIM, &format!("{:gutter$} |", ""));
            let indent = " ".repeat(place.column.saturating_sub(1));
            let marks = self.paint(code, &"^".repeat(place.width));
            let _ = writeln!(out, "  {head} {indent}{marks}");
        }
    }
}
