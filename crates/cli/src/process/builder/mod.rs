//! The builder: a throw-away process in namespaces of its own that changes the
//! image store, so that files get the ids that containers will see. It needs
//! no cluster.
//!
//! It gets one [`Job`] as JSON on standard input and answers with
//! [`JobEvent`]s, one a line, on standard output. What the user may read is
//! opened first; then it sets itself apart (`coracle_cluster::apart`) and ends
//! with whoever asked.

mod archives;
mod ask;
mod bases;
mod build;
mod execute;
mod job;
mod mounts;
mod network;
mod prepare;
mod registry;
mod store;

use std::io::{self, Read, Write};
use std::path::Path;

use coracle_cluster::apart::{self, Apart};
use coracle_cluster::{Home, IdMap};
use coracle_image::store::{ImageStore, NameChange};

pub use ask::run_job;
pub use job::{BuildJob, Job, JobEvent};
use prepare::Prepared;

/// Does the job on standard input.
pub fn main() -> anyhow::Result<()> {
    // Whoever asked may be killed; a build that nobody waits for must end.
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
    let mut text = Vec::new();
    io::stdin().read_to_end(&mut text)?;
    let job: Job = serde_json::from_slice(&text)?;
    if let Err(error) = set_apart(job) {
        fail(&error);
    }
    Ok(())
}

fn set_apart(job: Job) -> anyhow::Result<()> {
    let home = Home::from_environment()?;
    let ids = IdMap::choose();
    let prepared = Prepared::of(&job)?;
    let folders = prepared.folders.clone();
    let apart = Apart {
        ids: &ids,
        home: home.path(),
        folders: &folders,
    };
    let work = || {
        if let Err(error) = perform(job, prepared) {
            fail(&error);
        }
        0
    };
    let code = apart.run(work, |error| {
        say(&JobEvent::Failed { text: chain(error) });
    })?;
    anyhow::ensure!(code == 0, "the builder ended with exit code {code}");
    Ok(())
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}

fn fail(error: &anyhow::Error) {
    // People know folders by their own paths.
    let text = format!("{error:#}").replace(&format!("{}/", apart::GIVEN), "/");
    say(&JobEvent::Failed { text });
}

fn say(event: &JobEvent) {
    let line = serde_json::to_string(event).unwrap_or_default();
    // Whoever asked may be gone; there is nobody else to tell.
    let _ = writeln!(io::stdout(), "{line}");
}

fn perform(job: Job, prepared: Prepared) -> anyhow::Result<()> {
    prepared.write_files()?;
    let store = ImageStore::open(Path::new(apart::IMAGES))?;
    match job {
        Job::Build(job) => build::build(&store, &job, prepared),
        Job::List { cluster } => store::list(&store, &cluster),
        Job::Load { cluster, name, .. } => {
            archives::load(&store, &cluster, name.as_deref(), prepared)
        }
        Job::Save {
            cluster,
            names,
            oci,
            ..
        } => archives::save(&store, &cluster, &names, oci, prepared),
        Job::Pull {
            cluster,
            name,
            platform,
            registries,
        } => registry::pull(&store, &cluster, &name, platform.as_deref(), *registries),
        Job::Push {
            cluster,
            name,
            to,
            registries,
        } => registry::push(&store, &cluster, &name, to.as_deref(), *registries),
        Job::Tag { cluster, from, to } => store::tag(&store, &cluster, &from, &to),
        Job::Inspect { cluster, name } => store::inspect(&store, &cluster, &name),
        Job::History { cluster, name } => store::history(&store, &cluster, &name),
        Job::Check {
            cluster,
            name,
            policy,
        } => store::check(&store, &cluster, &name, &policy),
        Job::Prune { build_cache } => store::prune(&store, build_cache),
        Job::Limit { bytes_max } => store::limit(store, bytes_max),
        Job::Remove { cluster, names } => store::remove(&store, &cluster, &names),
        Job::Forget { cluster } => store::forget(&store, &cluster),
    }
}

/// Tells which names stand for other images than before.
fn say_changes(changes: &[NameChange]) {
    let changed = changes
        .iter()
        .filter(|change| change.is_new_digest_under_old_name());
    let names: Vec<String> = changed
        .filter_map(|change| Some(change.reference.as_ref()?.familiar()))
        .collect();
    if !names.is_empty() {
        say(&JobEvent::Changed { names });
    }
}
