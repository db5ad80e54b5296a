//! `coracle doctor`: whether this machine offers what a cluster needs, each
//! finding with the command that mends it; `--fix` mends what can be mended.

mod clusters;
mod finding;
mod kernel;
mod machine;
mod ports;
mod tools;

use clap::Args;
use serde_json::{Value, json};

use super::Global;
use super::output::{self, Format};
use super::target::Target;
use crate::failure::{Failure, Outcome};
use crate::paint::{Colour, Stream, paint};
use finding::{Finding, State};

pub use kernel::user_namespaces;
pub use machine::{check_disk, needs_libraries};

/// Check whether this machine offers what a cluster needs.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  coracle doctor           what is there, what is missing, and what mends it
  coracle doctor --fix     mend what can be mended: leftovers, modes, settings (as root)
  coracle doctor -o json   for programs

The exit code is 4 if something keeps clusters from running.")]
pub struct Doctor {
    /// Mend what can be mended.
    #[arg(long)]
    fix: bool,
    /// Print data instead of a list.
    #[arg(long, short)]
    output: Option<Format>,
}

impl Doctor {
    /// Prints the findings.
    pub fn run(&self, global: &Global) -> Outcome {
        let target = Target::of(global)?;
        let mut findings = look(global, &target);
        if self.fix {
            let mut mended = false;
            for finding in &mut findings {
                mended |= finding.mend();
            }
            if mended {
                let before = std::mem::replace(&mut findings, look(global, &target));
                for (finding, before) in findings.iter_mut().zip(before) {
                    finding.remember(&before);
                }
            }
        }
        match self.output {
            Some(format) => output::print(format, &data(&findings))?,
            None => print!("{}", picture(&findings)),
        }
        if findings.iter().any(|finding| finding.state == State::Bad) {
            return Err(Failure::told_with(4));
        }
        Ok(())
    }
}

fn look(global: &Global, target: &Target) -> Vec<Finding> {
    let mut findings = kernel::look();
    findings.extend(machine::look(target));
    findings.extend(ports::look(target));
    findings.extend(tools::look(global));
    findings.extend(clusters::look(target));
    findings
}

fn picture(findings: &[Finding]) -> String {
    let mut text = String::new();
    for finding in findings {
        let mark = match finding.state {
            State::Good => paint(Stream::Out, Colour::Green, "✓"),
            State::Fair => paint(Stream::Out, Colour::Yellow, "!"),
            State::Bad => paint(Stream::Out, Colour::Red, "✗"),
        };
        text.push_str(&format!("{mark} {:<20} {}\n", finding.name, finding.says));
        if let Some(remedy) = &finding.remedy {
            let arrow = paint(Stream::Out, Colour::Green, "→");
            text.push_str(&format!("  {:<20} {arrow} {remedy}\n", ""));
        }
    }
    let count = |state| {
        findings
            .iter()
            .filter(|finding| finding.state == state)
            .count()
    };
    text.push_str(&match (count(State::Bad), count(State::Fair)) {
        (0, 0) => "clusters run here\n".to_owned(),
        (0, fair) => format!("clusters run here; {fair} of it could be better\n"),
        (bad, _) => format!("{bad} of it keeps clusters from running here\n"),
    });
    text
}

fn data(findings: &[Finding]) -> Value {
    let rows: Vec<Value> = findings
        .iter()
        .map(|finding| {
            json!({"name": finding.name, "state": finding.state.word(), "says": finding.says,
                "remedy": finding.remedy, "mended": finding.was_mended})
        })
        .collect();
    let runs = findings.iter().all(|finding| finding.state != State::Bad);
    json!({"ok": runs, "findings": rows})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_are_told_with_their_remedy() {
        let findings = [
            Finding::good("kernel", "6.1"),
            Finding::bad("user namespaces", "forbidden").remedy("sudo sysctl x=1"),
        ];
        let said = picture(&findings);
        assert!(
            said.contains("✗ user namespaces      forbidden\n"),
            "{said}"
        );
        assert!(said.contains("→ sudo sysctl x=1"), "{said}");
        assert!(
            said.ends_with("1 of it keeps clusters from running here\n"),
            "{said}"
        );
        assert_eq!(data(&findings)["ok"], false);
    }
}
