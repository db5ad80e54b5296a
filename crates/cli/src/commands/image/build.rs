//! `coracle image build`.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use super::exchange;
use super::proxy::BuildProxies;
use super::roll_changed;
use crate::commands::Global;
use crate::commands::progress::{Progress, Step};
use crate::commands::target::Target;
use crate::failure::{Failure, Outcome};
use crate::process::{BuildJob, Job, JobEvent, run_job};
use crate::registries::{RegistryFlags, hosts_of};

/// Build an image from a Dockerfile.
#[derive(Debug, Args, Default)]
#[command(
    after_help = "Examples:\n  coracle image build -t app:dev .\n  coracle image build -t app:dev --target test --build-arg VERSION=2 -f docker/Dockerfile .\n  coracle image build -t app:dev --build-context dist=target/release .   (COPY --from=dist)\n\nRUN steps run in containers of their own. They reach what this machine reaches, but not its\nloopback; --network none refuses that. Nothing is installed on the machine, no daemon runs."
)]
pub struct Build {
    /// Folder of the files that the Dockerfile copies.
    // `--context` is a flag of every command, for another thing.
    #[arg(id = "folder", value_name = "CONTEXT")]
    pub context: PathBuf,
    /// The Dockerfile, `-` is standard input [default: CONTEXT/Dockerfile].
    #[arg(long, short, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Name of the image, such as todo-backend:latest.
    #[arg(long = "tag", short, value_name = "NAME")]
    pub tags: Vec<String>,
    /// Value of an ARG: NAME=VALUE, or NAME with the value of the environment.
    #[arg(long = "build-arg", value_name = "NAME[=VALUE]", value_parser = argument)]
    pub arguments: Vec<(String, String)>,
    /// Folder that stands in for a stage or an image: NAME=DIR.
    #[arg(long = "build-context", value_name = "NAME=DIR", value_parser = pair)]
    pub contexts: Vec<(String, String)>,
    /// The stage to build [default: the last].
    #[arg(long, value_name = "STAGE")]
    pub target: Option<String>,
    /// Label of the image: NAME=VALUE.
    #[arg(long = "label", value_name = "NAME=VALUE", value_parser = pair)]
    pub labels: Vec<(String, String)>,
    /// Platform, such as linux/arm64 [default: this machine's].
    #[arg(long)]
    pub platform: Option<String>,
    /// Network of RUN steps: default (the machine's, without its loopback) or none.
    #[arg(long, value_enum, default_value_t, hide_possible_values = true)]
    pub network: Network,
    /// Run every step, whatever is remembered.
    #[arg(long)]
    pub no_cache: bool,
    /// Ask registries for base images that are here already.
    #[arg(long)]
    pub pull: bool,
    /// Write the image's id into a file.
    #[arg(long, value_name = "FILE")]
    pub iidfile: Option<PathBuf>,
    /// Leave workloads that name a changed image as they are.
    #[arg(long)]
    pub no_roll: bool,
    /// How registries of base images are used.
    #[command(flatten)]
    pub registry: RegistryFlags,
}

/// The network of `RUN` steps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Network {
    /// The machine's, without its loopback.
    #[default]
    Default,
    /// None.
    None,
}

/// What a build did.
pub struct Built {
    /// The image's id.
    pub id: String,
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("it must be NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

fn argument(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) => Ok((name.to_owned(), value.to_owned())),
        None => match std::env::var(text) {
            Ok(value) => Ok((text.to_owned(), value)),
            Err(_) => Err(format!("it must be NAME=VALUE; {text} is not set here")),
        },
    }
}

impl Build {
    /// Builds the image, rolls what runs it, and says its id with `--quiet`.
    pub(super) fn execute(&self, global: &Global, target: &Target) -> Outcome {
        let (built, events) = self.build(global, target)?;
        if let Some(path) = &self.iidfile {
            std::fs::write(path, &built.id)?;
        }
        if global.quiet {
            println!("{}", built.id);
        }
        roll_changed(global, target, &events, self.no_roll)
    }

    /// Builds the image; tells its steps.
    pub fn run(&self, global: &Global, target: &Target) -> Result<Built, Failure> {
        self.build(global, target).map(|(built, _)| built)
    }

    fn build(&self, global: &Global, target: &Target) -> Result<(Built, Vec<JobEvent>), Failure> {
        let job = self.job(global)?;
        let name = self.tags.first().cloned();
        let name = name.unwrap_or_else(|| self.context.display().to_string());
        let mut teller = Teller::new(Progress::new(global).step("Image"), &name);
        let result = run_job(&target.home, &Job::Build(Box::new(job)), |event| {
            teller.tell(event);
        });
        let events = match result {
            Ok(events) => events,
            Err(error) => return Err(teller.failed(error)),
        };
        let Some(JobEvent::Built {
            id, made, total, ..
        }) = events.last()
        else {
            let error = anyhow::anyhow!("the builder said nothing of the image {name}");
            return Err(teller.failed(error));
        };
        let built = Built { id: id.clone() };
        let text = match made {
            0 => format!("{name} (unchanged)"),
            made => format!("{name} ({made} of {total} steps run)"),
        };
        teller.step.done(&text);
        Ok((built, events))
    }

    fn job(&self, global: &Global) -> Result<BuildJob, Failure> {
        let mut contexts = BTreeMap::new();
        for (name, folder) in &self.contexts {
            contexts.insert(name.clone(), folder_at(Path::new(folder))?);
        }
        let context = folder_at(&self.context)?;
        let text = match &self.file {
            Some(file) if file == Path::new("-") => {
                let mut text = String::new();
                std::io::stdin().read_to_string(&mut text)?;
                Some(text)
            }
            _ => None,
        };
        let file = match text {
            Some(_) => None,
            None => self.file.as_ref().map(std::path::absolute).transpose()?,
        };
        let proxies = BuildProxies::of_user();
        let mut arguments = proxies.arguments;
        arguments.extend(self.arguments.iter().cloned());
        let dockerfile = match (&text, &file) {
            (Some(text), _) => text.clone(),
            // Whether it can be read the builder says.
            (None, Some(file)) => std::fs::read_to_string(file).unwrap_or_default(),
            (None, None) => std::fs::read_to_string(context.join("Dockerfile")).unwrap_or_default(),
        };
        Ok(BuildJob {
            cluster: global.cluster.clone(),
            context,
            file,
            text,
            contexts,
            arguments,
            target: self.target.clone(),
            names: self.tags.clone(),
            labels: self.labels.iter().cloned().collect(),
            platform: self.platform.clone(),
            network: self.network == Network::Default,
            host_ports: proxies.host_ports,
            use_cache: !self.no_cache,
            pull: self.pull,
            registries: self.registry.options(&hosts_of(&dockerfile))?,
        })
    }
}

fn folder_at(path: &Path) -> Result<PathBuf, Failure> {
    if !path.is_dir() {
        let message = format!("{} is not a folder", path.display());
        return Err(Failure::usage(message));
    }
    Ok(std::path::absolute(path)?)
}

/// Lines of a failed command that are shown where its output was not.
const LAST_LINES: usize = 20;

/// Tells what a build does: the present step on the moving line, what commands
/// write above it.
struct Teller {
    step: Step,
    name: String,
    /// The step under way.
    title: String,
    /// Whether its title stands above its output already.
    titled: bool,
    last: Vec<String>,
}

impl Teller {
    fn new(step: Step, name: &str) -> Teller {
        Teller {
            step,
            name: name.to_owned(),
            title: String::new(),
            titled: false,
            last: Vec::new(),
        }
    }

    fn tell(&mut self, event: &JobEvent) {
        match event {
            JobEvent::Step {
                number,
                total,
                text,
            } => {
                self.title = format!("[{number}/{total}] {}", first_line(text));
                self.titled = false;
                self.last.clear();
                self.step.say(format!("{} {}", self.name, self.title));
            }
            JobEvent::Output { text } => {
                if !std::mem::replace(&mut self.titled, true) {
                    self.step.line(&format!("  {}", self.title));
                }
                self.step.line(&format!("  | {text}"));
                if self.last.len() == LAST_LINES {
                    self.last.remove(0);
                }
                self.last.push(text.clone());
            }
            event => exchange::tell(&self.step, event),
        }
    }

    fn failed(self, error: anyhow::Error) -> Failure {
        let quiet = self.step.is_quiet();
        self.step.failed();
        match quiet && !self.last.is_empty() {
            true => anyhow::anyhow!("{error:#}\n{}", self.last.join("\n")).into(),
            false => error.into(),
        }
    }
}

/// Returns the first line of an instruction, which may be long.
fn first_line(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    let mut short: String = line.chars().take(80).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}
