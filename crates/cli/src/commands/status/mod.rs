//! `coracle status`: the cluster and what runs in it, as a tree: release,
//! workloads, pods, containers, with reasons, URLs and what they use.

mod observe;
mod tree;

use std::io::IsTerminal;
use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};

use super::output::{self, Format};
use super::target::Target;
use super::{Global, block_on};
use crate::failure::{Failure, Outcome};

/// How often `--watch` looks.
const LOOK: Duration = Duration::from_secs(1);

/// Show the cluster and what runs in it.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  coracle status                    a tree: releases, workloads, pods, containers
  coracle status --watch            the same, every second
  coracle status -o json            for programs
  coracle status --context staging  of an existing cluster")]
pub struct Status {
    /// Print data instead of a picture.
    #[arg(long, short)]
    output: Option<Format>,
    /// Look again every second.
    #[arg(long, short)]
    watch: bool,
    /// Only this namespace.
    #[arg(long, short)]
    namespace: Option<String>,
}

impl Status {
    /// Prints the cluster's state; a cluster that does not run is no failure.
    pub fn run(&self, global: &Global) -> Outcome {
        let target = Target::of(global)?;
        loop {
            let facts = self.facts(&target)?;
            if self.watch && std::io::stdout().is_terminal() {
                // Home, and away with what stood there (ECMA-48, CUP and ED).
                print!("\x1b[H\x1b[2J");
            }
            match self.output {
                Some(format) => output::print(format, &facts)?,
                None => print!("{}", tree::picture(&facts)),
            }
            if !self.watch {
                return Ok(());
            }
            crate::interrupt::uninstall();
            std::thread::sleep(LOOK);
        }
    }

    fn facts(&self, target: &Target) -> Result<Value, Failure> {
        let mut facts = if target.remote.is_some() {
            json!({"cluster": target.name(), "exists": true, "running": true})
        } else {
            let Some(record) = target.running() else {
                return Ok(json!({"cluster": target.dir.name(),
                    "exists": target.dir.exists(), "running": false}));
            };
            json!({"cluster": target.dir.name(), "exists": true, "running": true,
                "api": format!("https://{}", record.api), "address": target.host(), "pid": record.init.pid,
                "certificatesUntil": expiry(target)})
        };
        let observed = block_on(async {
            let client = target.connect().await?;
            Ok(observe::observe(&client, self.namespace.as_deref(), &target.host()).await?)
        })?;
        for (name, value) in observed.as_object().into_iter().flatten() {
            facts[name] = value.clone();
        }
        Ok(facts)
    }
}

/// Returns the day on which the first of the cluster's certificates ends.
fn expiry(target: &Target) -> Option<String> {
    let pki = coracle_cluster::pki::Pki::at(&target.dir.pki());
    let days: Option<Vec<String>> = ["apiserver", "admin"]
        .iter()
        .map(|name| pki.last_day(name))
        .collect();
    days?.into_iter().min()
}
