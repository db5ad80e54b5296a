//! `coracle image`: builds, lists and removes images; needs no cluster.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::Global;
use super::progress::Progress;
use super::target::Target;
use crate::failure::{Failure, Outcome};
use crate::process::{Job, JobEvent, run_job};

/// Build, list and remove images.
#[derive(Debug, Args)]
pub struct Image {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Build an image from a Dockerfile.
    Build(Build),
    /// List the cluster's images.
    #[command(alias = "list")]
    Ls,
    /// Take names away from images.
    Rm {
        /// Names of the images.
        #[arg(required = true)]
        names: Vec<String>,
    },
}

/// Build an image from a Dockerfile.
#[derive(Debug, Args, Default)]
pub struct Build {
    /// Folder of the files that the Dockerfile copies.
    pub context: PathBuf,
    /// The Dockerfile [default: CONTEXT/Dockerfile].
    #[arg(long, short)]
    pub file: Option<PathBuf>,
    /// Name of the image, such as todo-backend:latest.
    #[arg(long = "tag", short, required = true)]
    pub tags: Vec<String>,
    /// Value of an ARG: NAME=VALUE.
    #[arg(long = "build-arg", value_parser = pair)]
    pub arguments: Vec<(String, String)>,
    /// Folder that stands in for a stage or an image: NAME=DIR.
    #[arg(long = "build-context", value_parser = pair)]
    pub contexts: Vec<(String, String)>,
    /// The stage to build [default: the last].
    #[arg(long)]
    pub target: Option<String>,
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("it must be NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

impl Image {
    /// Runs the command.
    pub fn run(&self, global: &Global) -> Outcome {
        let target = Target::of(global)?;
        let cluster = global.cluster.clone();
        match &self.action {
            Action::Build(build) => build.run(global, &target).map(drop),
            Action::Ls => list(&run_job(&target.home, &Job::List { cluster }, |_| {})?),
            Action::Rm { names } => {
                run_job(
                    &target.home,
                    &Job::Remove {
                        cluster,
                        names: names.clone(),
                    },
                    |_| {},
                )?;
                Ok(())
            }
        }
    }
}

fn list(events: &[JobEvent]) -> Outcome {
    println!("{:<40} {:<20} {:>10}", "NAME", "ID", "SIZE");
    for event in events {
        if let JobEvent::Image { name, id, bytes } = event {
            let id: String = id.trim_start_matches("sha256:").chars().take(12).collect();
            println!("{name:<40} {id:<20} {:>10}", size(*bytes));
        }
    }
    Ok(())
}

/// Writes a size as people read it.
pub fn size(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.2} GB", bytes as f64 / 1e9),
    }
}

/// Whether a build made something new.
pub struct Built {
    /// Whether a name stands for another image than before.
    pub changed: bool,
}

impl Build {
    /// Builds the image; tells its steps.
    pub fn run(&self, global: &Global, target: &Target) -> Result<Built, Failure> {
        let step = Progress::new(global).step("Image");
        let name = self.tags.first().cloned().unwrap_or_default();
        let contexts: BTreeMap<String, PathBuf> = self
            .contexts
            .iter()
            .map(|(name, folder)| (name.clone(), folder.into()))
            .collect();
        for folder in contexts.values().chain([&self.context]) {
            if !folder.is_dir() {
                step.failed();
                return Err(Failure::usage(format!(
                    "{} is not a folder",
                    folder.display()
                )));
            }
        }
        let job = Job::Build {
            cluster: global.cluster.clone(),
            context: std::path::absolute(&self.context)?,
            file: self.file.as_ref().map(std::path::absolute).transpose()?,
            contexts: contexts
                .into_iter()
                .map(|(name, folder)| Ok((name, std::path::absolute(folder)?)))
                .collect::<std::io::Result<_>>()?,
            arguments: self.arguments.iter().cloned().collect(),
            target: self.target.clone(),
            names: self.tags.clone(),
        };
        let result = run_job(&target.home, &job, |event| match event {
            JobEvent::Step {
                number,
                total,
                text,
            } => step.say(format!("{name} [{number}/{total}] {text}")),
            JobEvent::Warning { text } => step.say(text.clone()),
            _ => {}
        });
        let events = match result {
            Ok(events) => events,
            Err(error) => {
                step.failed();
                return Err(error.into());
            }
        };
        let Some(JobEvent::Built {
            changed,
            cached,
            total,
            ..
        }) = events.last()
        else {
            step.failed();
            return Err(anyhow::anyhow!("the builder said nothing of the image {name}").into());
        };
        step.done(&format!("{name} ({cached} of {total} steps known)"));
        Ok(Built { changed: *changed })
    }
}
