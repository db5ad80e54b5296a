//! `coracle up`: from a folder to a URL.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use clap::Args;
use coracle_helm::print;
use coracle_helm::{Release, Rendered};
use coracle_release::{Deployed, Request, deploy, latest, wait};
use k8s_openapi::api::core::v1::Service;
use kube::{Api, Client};
use serde_json::json;

use super::image::Build;
use super::progress::{Progress, duration};
use super::roll;
use super::start::Start;
use super::target::Target;
use super::{Global, access, block_on};
use crate::chart::{self, ClusterLookup};
use crate::failure::{Failure, Outcome};
use crate::project::{ImageSpec, Project};

/// Build the images, start the cluster, deploy the chart, print the URL.
#[derive(Debug, Args)]
pub struct Up {
    /// Folder with coracle.yaml, or with a chart.
    #[arg(default_value = ".")]
    folder: PathBuf,
    /// File of values; later ones win.
    #[arg(long = "values", short = 'f')]
    values: Vec<PathBuf>,
    /// A value: key=value.
    #[arg(long)]
    set: Vec<String>,
    /// How long to wait until the application answers, in seconds.
    #[arg(long, default_value_t = 300)]
    timeout: u64,
}

impl Up {
    /// Does everything, from source to URL.
    pub fn run(&self, global: &Global) -> Outcome {
        let since = Instant::now();
        let project = Project::read(&self.folder)?;
        let target = Target::of(global)?;
        let progress = Progress::new(global);
        let changed = build(&project, global, &target, &progress)?;
        let record = Start::default().ensure(global, &target, &progress)?;
        let urls = block_on(async {
            let client = target.client(&record).await?;
            let (deployed, notes) = self.deploy(&client, &project, &progress).await?;
            roll::roll_with(&client, &changed, &progress).await?;
            self.wait(&client, &project, &deployed, &progress).await?;
            let urls = urls(&client, &project, &deployed).await?;
            if !global.quiet && !notes.trim().is_empty() {
                eprintln!("\n{}", notes.trim());
            }
            Ok(urls)
        })?;
        if !global.quiet {
            eprintln!("\nup in {}", duration(since.elapsed()));
        }
        for url in urls {
            println!("{url}");
        }
        Ok(())
    }

    /// Renders the chart for the cluster and applies it.
    async fn deploy(
        &self,
        client: &Client,
        project: &Project,
        progress: &Progress,
    ) -> Result<(Deployed, String), Failure> {
        let step = progress.step("Configuration");
        let chart = chart::load(&project.path(&project.chart))?;
        let files: Vec<PathBuf> = project
            .values
            .iter()
            .map(|path| project.path(path))
            .chain(self.values.iter().cloned())
            .collect();
        let values = chart::values(&files, &self.set)?;
        let last = latest(client, &project.namespace, &project.release).await?;
        let revision = last.as_ref().map_or(1, |last| last.version + 1);
        let release = Release {
            name: project.release.clone(),
            namespace: project.namespace.clone(),
            revision: revision.unsigned_abs(),
            is_install: last.is_none(),
        };
        let capabilities = chart::capabilities(client).await?;
        let lookup = ClusterLookup::new(client.clone());
        let record = chart::record(&chart);
        // The renderer blocks while it asks the cluster, so it has a thread of its own.
        let rendering = tokio::task::spawn_blocking(move || {
            chart::rendered(&chart, &values, &release, &capabilities, &lookup)
        });
        let rendered: Rendered = rendering.await??;
        step.done(&format!("{} objects rendered", rendered.manifests.len()));
        let step = progress.step("Deployment");
        let request = Request {
            name: project.release.clone(),
            namespace: project.namespace.clone(),
            chart: record,
            config: json!({}),
            manifest: print::manifest(&rendered, true),
            notes: rendered.notes.clone(),
        };
        match deploy(client, &request).await {
            Ok(deployed) => {
                step.done(&format!(
                    "release {} revision {}",
                    project.release, deployed.version
                ));
                Ok((deployed, rendered.notes))
            }
            Err(error) => {
                step.failed();
                Err(error.into())
            }
        }
    }

    async fn wait(
        &self,
        client: &Client,
        project: &Project,
        deployed: &Deployed,
        progress: &Progress,
    ) -> Outcome {
        let step = progress.step("Ready");
        let timeout = Duration::from_secs(self.timeout);
        let result = wait(
            client,
            &project.namespace,
            &deployed.objects,
            timeout,
            |waiting| {
                step.say(match waiting.because {
                    Some(because) => format!("{}: {because}", waiting.title),
                    None => waiting.title,
                });
            },
        )
        .await;
        match result {
            Ok(()) => {
                step.done("every workload is available");
                Ok(())
            }
            Err(error) => {
                step.failed();
                Err(error.into())
            }
        }
    }
}

/// Builds every image; returns the names that stand for new images now.
fn build(
    project: &Project,
    global: &Global,
    target: &Target,
    progress: &Progress,
) -> Result<BTreeSet<String>, Failure> {
    let mut done = BTreeSet::new();
    let mut changed = BTreeSet::new();
    for image in &project.images {
        for command in image.before.list() {
            if done.insert(command.clone()) {
                before(project, command, progress)?;
            }
        }
        changed.extend(build_one(project, image, global, target)?);
    }
    Ok(changed)
}

/// Runs a command in the project's folder; its output is shown when it fails.
fn before(project: &Project, command: &str, progress: &Progress) -> Outcome {
    let step = progress.step("Build");
    step.say(command);
    let mut shell = Command::new("sh");
    shell
        .args(["-c", command])
        .current_dir(&project.folder)
        .stdin(Stdio::null());
    // Under `cargo run` these are there and otherwise not, and some build
    // scripts compile everything again when they change.
    let of_cargo_run = |name: &str| {
        name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") || name == "CARGO"
    };
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(of_cargo_run) {
            shell.env_remove(name);
        }
    }
    let output = shell.output()?;
    if output.status.success() {
        step.done(&shortened(command));
        return Ok(());
    }
    step.failed();
    eprint!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    Err(anyhow::anyhow!("`{command}` ended with {}", output.status).into())
}

fn shortened(command: &str) -> String {
    match command.char_indices().nth(46) {
        Some((end, _)) => format!("{}…", &command[..end]),
        None => command.to_owned(),
    }
}

fn build_one(
    project: &Project,
    image: &ImageSpec,
    global: &Global,
    target: &Target,
) -> Result<BTreeSet<String>, Failure> {
    let build = Build {
        context: project.path(&image.context),
        file: Some(project.path(&image.dockerfile)),
        tags: vec![image.name.clone()],
        contexts: image
            .contexts
            .iter()
            .map(|(name, folder)| {
                (
                    name.clone(),
                    project.path(folder).to_string_lossy().into_owned(),
                )
            })
            .collect(),
        ..Build::default()
    };
    Ok(build.run(global, target)?.changed)
}

/// Returns the URLs at which the release's Services answer on the host.
async fn urls(
    client: &Client,
    project: &Project,
    deployed: &Deployed,
) -> Result<Vec<String>, Failure> {
    let mut urls = Vec::new();
    for object in deployed
        .objects
        .iter()
        .filter(|object| object.kind() == "Service")
    {
        let namespace = object.own_namespace().unwrap_or(&project.namespace);
        let services: Api<Service> = Api::namespaced(client.clone(), namespace);
        urls.extend(access::urls(&services.get(object.name()).await?));
    }
    Ok(urls)
}
