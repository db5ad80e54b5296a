//! `coracle image pull` and `coracle image push`.

use clap::Args;

use super::{roll_changed, size};
use crate::commands::Global;
use crate::commands::progress::{Progress, Step};
use crate::commands::target::Target;
use crate::failure::{Failure, Outcome};
use crate::process::{Job, JobEvent, run_job};
use crate::registries::{RegistryFlags, host_of};

/// Fetch images from their registries.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  coracle image pull nginx:1.29\n  coracle image pull --creds ann registry.example/team/app:2   (password from standard input)\n  coracle image pull --ca company-ca.pem registry.example/team/app:2"
)]
pub struct Pull {
    /// Names of the images.
    #[arg(required = true)]
    names: Vec<String>,
    /// Platform, such as linux/arm64 [default: this machine's].
    #[arg(long)]
    platform: Option<String>,
    /// Leave workloads that name a changed image as they are.
    #[arg(long)]
    no_roll: bool,
    #[command(flatten)]
    registry: RegistryFlags,
}

/// Send an image to its registry.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  coracle image push registry.example/team/app:2\n  coracle image push app:dev registry.example/team/app:2   (an image under another name)"
)]
pub struct Push {
    /// The image.
    name: String,
    /// Its name on the registry [default: the same].
    to: Option<String>,
    #[command(flatten)]
    registry: RegistryFlags,
}

impl Pull {
    pub(super) fn run(&self, global: &Global, target: &Target) -> Outcome {
        let mut hosts = std::collections::BTreeSet::new();
        for name in &self.names {
            hosts.extend(host_of(name)?);
        }
        let options = self.registry.options(&hosts)?;
        for name in &self.names {
            let job = Job::Pull {
                cluster: global.cluster.clone(),
                name: name.clone(),
                platform: self.platform.clone(),
                registries: Box::new(options.clone()),
            };
            let events = exchange(global, target, &job, "Pull", "received")?;
            roll_changed(global, target, &events, self.no_roll)?;
        }
        Ok(())
    }
}

impl Push {
    pub(super) fn run(&self, global: &Global, target: &Target) -> Outcome {
        let to = self.to.as_deref().unwrap_or(&self.name);
        let options = self.registry.options(&host_of(to)?)?;
        let job = Job::Push {
            cluster: global.cluster.clone(),
            name: self.name.clone(),
            to: self.to.clone(),
            registries: Box::new(options),
        };
        exchange(global, target, &job, "Push", "sent").map(drop)
    }
}

fn exchange(
    global: &Global,
    target: &Target,
    job: &Job,
    title: &str,
    verb: &str,
) -> Result<Vec<JobEvent>, Failure> {
    let step = Progress::new(global).step(title);
    let events = match run_job(&target.home, job, |event| tell(&step, event)) {
        Ok(events) => events,
        Err(error) => {
            step.failed();
            return Err(error.into());
        }
    };
    let done = events.iter().find_map(|event| match event {
        JobEvent::Exchanged {
            name,
            digest,
            bytes,
        } => Some((name, digest, bytes)),
        _ => None,
    });
    if let Some((name, digest, bytes)) = done {
        step.done(&format!("{name} ({} {verb})", size(*bytes)));
        println!("{digest}");
    }
    Ok(events)
}

/// Shows how far an image has come.
pub(super) fn tell(step: &Step, event: &JobEvent) {
    match event {
        JobEvent::Moved { name, bytes, total } => {
            step.say(format!("{name} {} of {}", size(*bytes), size(*total)));
        }
        JobEvent::Warning { text } => step.line(&format!("warning: {text}")),
        _ => {}
    }
}
