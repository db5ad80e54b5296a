//! `coracle image check`: limits, user, health check and secrets of images.

use clap::{Args, ValueEnum};
use coracle_image::policy::{Finding, Policy, Severity};
use serde_json::json;

use super::list::{parse_size, size};
use crate::commands::Global;
use crate::commands::output::{self, Format};
use crate::commands::release::table;
use crate::commands::target::Target;
use crate::failure::{Failure, Outcome};
use crate::process::{Job, JobEvent, run_job};

/// Check images: size, user, health check, secrets.
#[derive(Debug, Args)]
#[command(
    after_help = "Ends with exit code 1 if an image does not pass.\n\nExamples:\n  coracle image check todo-backend:latest\n  coracle image check --max-size 300MB todo-backend --max-size todo-frontend=500MB todo-frontend\n  coracle image check --skip healthcheck -o json app:dev"
)]
pub struct Check {
    /// Names of the images.
    #[arg(required = true)]
    names: Vec<String>,
    /// Most that an image may hold, such as 300MB; NAME=SIZE is for one of them.
    #[arg(long, value_name = "[NAME=]SIZE", value_parser = limit)]
    max_size: Vec<(Option<String>, u64)>,
    /// Rule that does not count here: user (a numeric one that is not root),
    /// healthcheck (there is one) or secret (none in layers and configuration).
    #[arg(long, value_name = "RULE", value_enum, hide_possible_values = true)]
    skip: Vec<Rule>,
    /// Print the findings as data.
    #[arg(long, short, value_enum)]
    output: Option<Format>,
}

/// A rule that can be skipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Rule {
    /// A numeric user that is not root.
    User,
    /// A HEALTHCHECK.
    Healthcheck,
    /// No secret material in layers and configuration.
    Secret,
}

fn limit(text: &str) -> Result<(Option<String>, u64), String> {
    match text.rsplit_once('=') {
        Some((name, size)) => Ok((Some(name.to_owned()), parse_size(size)?)),
        None => Ok((None, parse_size(text)?)),
    }
}

/// Holds an image of the cluster against a policy; the worst findings come
/// first.
pub fn findings(
    target: &Target,
    cluster: &str,
    name: &str,
    policy: &Policy,
) -> Result<Vec<Finding>, Failure> {
    let job = Job::Check {
        cluster: cluster.to_owned(),
        name: name.to_owned(),
        policy: policy.clone(),
    };
    let events = run_job(&target.home, &job, |_| {})?;
    match events.into_iter().next_back() {
        Some(JobEvent::Described { facts }) => Ok(serde_json::from_value(facts)?),
        _ => Err(anyhow::anyhow!("the builder said nothing of {name}").into()),
    }
}

impl Check {
    pub(super) fn run(&self, global: &Global, target: &Target) -> Outcome {
        let mut all = Vec::new();
        for name in &self.names {
            let found = findings(target, &global.cluster, name, &self.policy(name))?;
            all.push((name, found));
        }
        match self.output {
            Some(format) => {
                let data = all
                    .iter()
                    .map(|(name, found)| json!({"image": name, "findings": found}));
                output::print(format, &data.collect())?;
            }
            None => all.iter().for_each(|(name, found)| show(name, found)),
        }
        let is_error = |finding: &&Finding| finding.severity == Severity::Error;
        let errors = all.iter().flat_map(|(_, found)| found).filter(is_error);
        match errors.count() {
            0 => Ok(()),
            1 => Err(anyhow::anyhow!("1 finding has to be mended").into()),
            number => Err(anyhow::anyhow!("{number} findings have to be mended").into()),
        }
    }

    fn policy(&self, name: &str) -> Policy {
        let own = |limit: &&(Option<String>, u64)| limit.0.as_deref() == Some(name);
        let all = |limit: &&(Option<String>, u64)| limit.0.is_none();
        let limits = || self.max_size.iter().rev();
        let limit = limits().find(own).or_else(|| limits().find(all));
        let asked = |rule| !self.skip.contains(&rule);
        Policy {
            size_bytes_max: limit.map(|(_, bytes)| *bytes),
            non_root: asked(Rule::User),
            healthcheck: asked(Rule::Healthcheck),
            secrets: asked(Rule::Secret),
        }
    }
}

fn show(name: &str, findings: &[Finding]) {
    if findings.is_empty() {
        println!("{name}: passes");
        return;
    }
    println!("{name}:");
    for finding in findings {
        let severity = match finding.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        println!("  {severity}: {}", finding.message);
        if let Some(place) = &finding.place {
            let line = place
                .line
                .map(|line| format!(":{line}"))
                .unwrap_or_default();
            let path = place.path.display();
            println!("    at {path}{line}, layer {}", place.layer);
        }
        println!("    fix: {}", finding.fix);
    }
}

/// Prints how an image came to be.
pub(super) fn history(
    global: &Global,
    target: &Target,
    name: &str,
    format: Option<Format>,
) -> Outcome {
    let job = Job::History {
        cluster: global.cluster.clone(),
        name: name.to_owned(),
    };
    let events = run_job(&target.home, &job, |_| {})?;
    let Some(JobEvent::Described { facts }) = events.last() else {
        return Err(anyhow::anyhow!("the builder said nothing of {name}").into());
    };
    if let Some(format) = format {
        return output::print(format, facts);
    }
    let rows = facts.as_array().into_iter().flatten().map(|entry| {
        let word = |key: &str| entry[key].as_str().unwrap_or_default();
        let layer = super::list::short(word("diffId"));
        let bytes = size(entry["sizeBytes"].as_u64().unwrap_or_default());
        let instruction: Vec<&str> = word("createdBy").split_whitespace().collect();
        vec![layer, bytes, instruction.join(" ")]
    });
    let titles = ["LAYER", "SIZE", "CREATED BY"];
    print!("{}", table::titled(titles, rows));
    Ok(())
}
