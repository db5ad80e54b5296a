//! `coracle image`: builds, loads, saves, names, describes, lists and removes
//! images; needs no cluster. Where one runs, workloads that name a changed
//! image roll.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use super::Global;
use super::progress::Progress;
use super::roll;
use super::target::Target;
use crate::failure::{Failure, Outcome};
use crate::process::{Job, JobEvent, run_job};

/// Build, load, save, tag, inspect, list and remove images.
#[derive(Debug, Args)]
pub struct Image {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Build an image from a Dockerfile.
    Build(Build),
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
    /// Leave workloads that name a changed image as they are.
    #[arg(long)]
    pub no_roll: bool,
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
            Action::Build(build) => {
                let built = build.run(global, &target)?;
                if build.no_roll {
                    Ok(())
                } else {
                    roll::roll(global, &target, &built.changed)
                }
            }
            Action::Load {
                archive,
                name,
                no_roll,
            } => load(global, &target, archive, name.clone(), *no_roll),
            Action::Save { names, output, oci } => save(global, &target, names, output, *oci),
            Action::Tag { from, to, no_roll } => {
                let job = Job::Tag {
                    cluster,
                    from: from.clone(),
                    to: to.clone(),
                };
                let events = run_job(&target.home, &job, |_| {})?;
                if *no_roll {
                    Ok(())
                } else {
                    roll::roll(global, &target, &changed(&events))
                }
            }
            Action::Inspect { name } => {
                let events = run_job(
                    &target.home,
                    &Job::Inspect {
                        cluster,
                        name: name.clone(),
                    },
                    |_| {},
                )?;
                if let Some(JobEvent::Described { facts }) = events.last() {
                    println!("{}", serde_json::to_string_pretty(facts)?);
                }
                Ok(())
            }
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

/// Returns the names that stand for other images than before.
fn changed(events: &[JobEvent]) -> BTreeSet<String> {
    let names = events.iter().filter_map(|event| match event {
        JobEvent::Changed { names } => Some(names.clone()),
        _ => None,
    });
    names.flatten().collect()
}

fn load(
    global: &Global,
    target: &Target,
    archive: &Path,
    name: Option<String>,
    no_roll: bool,
) -> Outcome {
    let step = Progress::new(global).step("Image");
    let archive = if archive == Path::new("-") {
        own_descriptor(0)
    } else {
        std::path::absolute(archive)?
    };
    let job = Job::Load {
        cluster: global.cluster.clone(),
        archive,
        name,
    };
    let result = run_job(&target.home, &job, |event| {
        if let JobEvent::Step { number, total, .. } = event {
            step.say(format!("layer {number} of {total}"));
        }
    });
    let events = match result {
        Ok(events) => events,
        Err(error) => {
            step.failed();
            return Err(error.into());
        }
    };
    let loaded: Vec<String> = events
        .iter()
        .filter_map(|event| match event {
            JobEvent::Loaded { names, bytes } => {
                Some(format!("{} ({})", names.join(", "), size(*bytes)))
            }
            _ => None,
        })
        .collect();
    step.done(&format!("loaded {}", loaded.join(", ")));
    if no_roll {
        Ok(())
    } else {
        roll::roll(global, target, &changed(&events))
    }
}

fn save(global: &Global, target: &Target, names: &[String], output: &Path, oci: bool) -> Outcome {
    use std::os::fd::AsRawFd;
    let to_stdout = output == Path::new("-");
    if to_stdout && std::io::IsTerminal::is_terminal(&std::io::stdout()) {
        return Err(Failure::usage("an archive is nothing for a terminal")
            .hint("name a file: --output FILE"));
    }
    let file = if to_stdout {
        None
    } else {
        Some(std::fs::File::create(output)?)
    };
    let output = own_descriptor(file.as_ref().map_or(1, AsRawFd::as_raw_fd));
    let job = Job::Save {
        cluster: global.cluster.clone(),
        names: names.to_vec(),
        output,
        oci,
    };
    run_job(&target.home, &job, |_| {})?;
    Ok(())
}

/// Returns the path by which another process of the same user opens a descriptor of this one.
fn own_descriptor(fd: std::os::fd::RawFd) -> PathBuf {
    PathBuf::from(format!("/proc/{}/fd/{fd}", std::process::id()))
}

/// What a build did.
pub struct Built {
    /// Names that stand for other images than before.
    pub changed: BTreeSet<String>,
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
        let Some(JobEvent::Built { cached, total, .. }) = events.last() else {
            step.failed();
            return Err(anyhow::anyhow!("the builder said nothing of the image {name}").into());
        };
        step.done(&format!("{name} ({cached} of {total} steps known)"));
        Ok(Built {
            changed: changed(&events),
        })
    }
}
