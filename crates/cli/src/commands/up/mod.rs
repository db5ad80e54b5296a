//! `coracle up`: from a folder to a URL. Done again, it does what has changed
//! and nothing else.
//!
//! The phases are those of a deployment as people tell it: Build,
//! Configuration, Deployment, Scheduling, Startup, Ready, Running. Each looks
//! at what is there (images, the release's record, the objects), never at what
//! an earlier run did, so that an interrupted one is simply followed by the next.

mod answers;
mod build;
mod current;
mod deploy;
mod follow;
mod push;
mod stale;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use coracle_cluster::{Lock, Share};

use super::progress::{Progress, duration};
use super::start::Start;
use super::target::Target;
use super::{Global, advice, block_on, release, roll};
use crate::facts::Cluster;
use crate::failure::{Failure, Outcome};
use crate::project::{self, Project};

/// Build the images, start the cluster, deploy the chart, print the URL.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  coracle up                      what coracle.yaml in this folder describes
  coracle up charts/web           a bare chart, without coracle.yaml
  coracle up --profile lean       with the variation that coracle.yaml calls lean
  coracle up --set replicas=2     with a value of your own
  coracle up --context staging    the same to an existing cluster of your kubeconfig

Done again it does only what has changed: the images whose files changed are
built, the workloads that name them roll, the release gets a new revision if
chart or values changed. Ctrl-C is allowed at any moment.")]
pub struct Up {
    /// Folder with coracle.yaml, or with a chart.
    #[arg(default_value = ".")]
    folder: PathBuf,
    /// Variation of coracle.yaml; may be given several times.
    #[arg(long = "profile", value_name = "NAME")]
    profiles: Vec<String>,
    /// File of values; later ones win.
    #[arg(long = "values", short = 'f', value_name = "FILE")]
    values: Vec<PathBuf>,
    /// A value: key=value, several with commas.
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Name of the release [default: that of coracle.yaml, or the chart's].
    #[arg(long, value_name = "NAME")]
    release: Option<String>,
    /// Namespace of the release [default: that of coracle.yaml].
    #[arg(long, short)]
    namespace: Option<String>,
    /// How long to wait until the application answers: 90s, 5m, or seconds.
    #[arg(long, default_value = "5m", value_parser = timeout)]
    timeout: Duration,
}

impl Up {
    /// Does everything, from source to URL.
    pub fn run(&self, global: &Global) -> Outcome {
        let since = Instant::now();
        let project = self.project()?;
        let target = Target::of(global)?;
        let progress = Progress::new(global);
        let ids = coracle_cluster::IdMap::choose();
        target.home.prepare(&ids).map_err(advice::of_launch)?;
        let _alone = alone(&target, &project, &progress)?;
        let images = build::all(&project, global, &target, &progress)?;
        let pushed = if target.remote.is_none() {
            start(&project).ensure(global, &target, &progress)?;
            push::Pushed::new()
        } else {
            push::all(&project, &images, global, &target, &progress)?
        };
        let (changed, notes, urls) = block_on(async {
            let client = target.connect().await?;
            let plan = deploy::Plan::make(&client, &project, &pushed, &progress).await?;
            let cluster = Cluster {
                client: client.clone(),
                name: target.name().to_owned(),
                is_own: target.remote.is_none(),
            };
            let deployed = plan.carry_out(&cluster, &progress).await?;
            let stale = if target.remote.is_none() {
                stale::images(&client, &deployed, &images.ids).await?
            } else {
                // Images that are named by digest are what they are.
                Default::default()
            };
            roll::roll_with(&client, &stale, &progress).await?;
            let changed = deployed.is_new || !stale.is_empty();
            follow::until_ready(&client, &deployed, self.timeout, changed, &progress).await?;
            let urls =
                answers::wait(&client, &deployed, &target.host(), changed, &progress).await?;
            Ok((changed, deployed.notes, urls))
        })?;
        let took = duration(since.elapsed());
        if changed {
            if !notes.trim().is_empty() {
                progress.line(&format!("\n{}", notes.trim()));
            }
            progress.line(&format!("\nup in {took}"));
        } else {
            progress.line(&format!("\nnothing has changed, all of it runs ({took})"));
        }
        for url in urls {
            println!("{url}");
        }
        Ok(())
    }

    /// Reads the project and lays the command line over it.
    fn project(&self) -> Result<Project, Failure> {
        let mut project = project::read(&self.folder, &self.profiles)?;
        for path in &self.values {
            project.values.push(std::path::absolute(path)?);
        }
        project.set.extend(self.set.iter().cloned());
        if let Some(release) = &self.release {
            project.release.clone_from(release);
        }
        if let Some(namespace) = &self.namespace {
            project.namespace.clone_from(namespace);
        }
        Ok(project)
    }
}

/// Reads a duration as the release commands do, or a number of seconds.
fn timeout(text: &str) -> Result<Duration, String> {
    match text.parse() {
        Ok(seconds) => Ok(Duration::from_secs(seconds)),
        Err(_) => release::duration(text),
    }
}

/// Returns the start of a cluster that has what the project asks of the host's
/// network; what it does not name stays as it is.
fn start(project: &Project) -> Start {
    let located = |share: Share| Share {
        host: project.path(&share.host),
        ..share
    };
    let shares = project.shares.clone();
    let shares = shares.map(|shares| shares.into_iter().map(located).collect());
    Start {
        listen: values(project.listen.clone()),
        host_port: values(project.host_ports.clone()),
        share: values(shares),
        ..Start::default()
    }
}

/// Returns a list of the file as a flag's values.
fn values<T>(list: Option<Vec<T>>) -> Option<Vec<Option<T>>> {
    Some(list?.into_iter().map(Some).collect())
}

/// Makes sure that no other `up` changes the same release; waits for one that does.
fn alone(target: &Target, project: &Project, progress: &Progress) -> Result<Lock, Failure> {
    let folder = target.home.path().join("up");
    std::fs::create_dir_all(&folder)?;
    let safe = |text: &str| text.replace(|c: char| !c.is_ascii_alphanumeric() && c != '-', "_");
    let name = [target.name(), &project.namespace, &project.release]
        .map(safe)
        .join(".");
    let who = format!("coracle up in {}", project.folder.display());
    let lock = Lock::wait(&folder.join(name), &who, |holder| {
        progress.line(&format!(
            "… release {} is being deployed by {holder}; waiting for it",
            project.release
        ));
    })?;
    Ok(lock)
}
