//! `coracle image`: builds, fetches, sends, loads, saves, names, describes,
//! checks, lists and removes images; needs no cluster. Where one runs, workloads that
//! name a changed image roll.

mod build;
pub mod check;
mod exchange;
mod list;
mod load;
mod proxy;

use std::collections::BTreeSet;
use std::path::PathBuf;

use clap::{Args, Subcommand};

pub use build::Build;
pub use list::size;

use super::Global;
use super::output::Format;
use super::roll;
use super::target::Target;
use crate::failure::Outcome;
use crate::process::{Job, JobEvent, run_job};

/// Build, pull, push, load, save, tag, inspect, list and remove images.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  coracle image build -t web:1 .       from a Dockerfile; workloads that name web:1 roll
  coracle image load web.tar           what `docker save` wrote
  coracle image pull redis:7           with the logins of Docker and Podman
  coracle image push registry/web:1
  coracle image save web:1 -o web.tar  what `docker load` reads
  coracle image tag web:1 web:latest
  coracle image ls                     -o json for programs
  coracle image inspect web:1
  coracle image history web:1          by which instructions it came to be
  coracle image check web:1            size, user, health check, secrets
  coracle image prune --build-cache    what builds remember, too
  coracle image limit 20GB             for all clusters of this machine
  coracle image rm web:1")]
pub struct Image {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Build an image from a Dockerfile.
    Build(Box<Build>),
    /// Fetch images from their registries.
    Pull(exchange::Pull),
    /// Send an image to its registry.
    Push(exchange::Push),
    /// Load images from an archive of `docker save`, or an OCI layout.
    Load {
        /// The archive or folder; `-` is standard input.
        archive: PathBuf,
        /// A name for the archive's only image, instead of those it carries.
        #[arg(long)]
        name: Option<String>,
        /// Leave workloads that name a changed image as they are.
        #[arg(long)]
        no_roll: bool,
    },
    /// Write images as one archive that `docker load` reads.
    Save {
        /// Names of the images.
        #[arg(required = true)]
        names: Vec<String>,
        /// The archive; `-` is standard output.
        #[arg(long, short, default_value = "-")]
        output: PathBuf,
        /// Write an OCI layout only.
        #[arg(long)]
        oci: bool,
    },
    /// Give an image another name.
    Tag {
        /// The image.
        from: String,
        /// Its further name.
        to: String,
        /// Leave workloads that name a changed image as they are.
        #[arg(long)]
        no_roll: bool,
    },
    /// Print what there is to say of an image, as JSON.
    Inspect {
        /// The image.
        name: String,
    },
    /// Tell how an image came to be, the latest instruction first.
    History {
        /// The image.
        name: String,
        /// Print it as data.
        #[arg(long, short, value_enum)]
        output: Option<Format>,
    },
    /// Check images: size, user, health check, secrets.
    Check(check::Check),
    /// List the cluster's images.
    #[command(alias = "list")]
    Ls {
        /// Print it as data.
        #[arg(long, short, value_enum)]
        output: Option<Format>,
    },
    /// Remove what no cluster names, running or stopped, and build steps that
    /// were not used for a week.
    Prune {
        /// Remove all that builds remember, cache folders too.
        #[arg(long)]
        build_cache: bool,
    },
    /// Limit what the image store of this machine may hold.
    Limit {
        /// Such as 20GB; `none` removes the limit.
        #[arg(value_parser = store_limit)]
        size: Limit,
    },
    /// Remove names from images.
    Rm {
        /// Names of the images.
        #[arg(required = true)]
        names: Vec<String>,
    },
}

/// A limit of the store in bytes; none is no limit.
#[derive(Debug, Clone, Copy)]
struct Limit(Option<u64>);

fn store_limit(text: &str) -> Result<Limit, String> {
    match text {
        "none" => Ok(Limit(None)),
        text => Ok(Limit(Some(list::parse_size(text)?))),
    }
}

impl Image {
    /// Runs the command.
    pub fn run(&self, global: &Global) -> Outcome {
        let target = Target::of(global)?;
        let cluster = global.cluster.clone();
        match &self.action {
            Action::Build(build) => build.execute(global, &target),
            Action::Pull(pull) => pull.run(global, &target),
            Action::Push(push) => push.run(global, &target),
            Action::Load {
                archive,
                name,
                no_roll,
            } => load::load(global, &target, archive, name.clone(), *no_roll),
            Action::Save { names, output, oci } => load::save(global, &target, names, output, *oci),
            Action::Tag { from, to, no_roll } => {
                let job = Job::Tag {
                    cluster,
                    from: from.clone(),
                    to: to.clone(),
                };
                let events = run_job(&target.home, &job, |_| {})?;
                roll_changed(global, &target, &events, *no_roll)
            }
            Action::Inspect { name } => {
                let name = name.clone();
                let job = Job::Inspect { cluster, name };
                let events = run_job(&target.home, &job, |_| {})?;
                if let Some(JobEvent::Described { facts }) = events.last() {
                    println!("{}", serde_json::to_string_pretty(facts)?);
                }
                Ok(())
            }
            Action::History { name, output } => check::history(global, &target, name, *output),
            Action::Check(check) => check.run(global, &target),
            Action::Ls { output } => list::list(&target, cluster, *output),
            Action::Prune { build_cache } => list::prune(&target, *build_cache),
            Action::Limit { size } => list::limit(&target, size.0),
            Action::Rm { names } => {
                let names = names.clone();
                run_job(&target.home, &Job::Remove { cluster, names }, |_| {})?;
                Ok(())
            }
        }
    }
}

/// Returns the names that stand for other images than before.
fn changed(events: &[JobEvent]) -> BTreeSet<String> {
    let names = events.iter().filter_map(|event| match event {
        JobEvent::Changed { names } => Some(names.clone()),
        _ => None,
    });
    names.flatten().collect()
}

/// Rolls the workloads that name a changed image, unless that is not wanted.
fn roll_changed(global: &Global, target: &Target, events: &[JobEvent], no_roll: bool) -> Outcome {
    match no_roll {
        true => Ok(()),
        false => roll::roll(global, target, &changed(events)),
    }
}
