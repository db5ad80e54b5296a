//! The asking side: has a builder do a job, [`run_job`].

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use anyhow::{Context, bail};
use coracle_cluster::{Home, IdMap};

use super::job::{Job, JobEvent};

/// Has a builder do a job; tells its events and returns them all, except those
/// that only tell of progress.
///
/// # Errors
/// Fails if the builder cannot be started or says that the job failed.
pub fn run_job(
    home: &Home,
    job: &Job,
    mut tell: impl FnMut(&JobEvent),
) -> anyhow::Result<Vec<JobEvent>> {
    home.prepare(&IdMap::choose())?;
    let mut child = Command::new("/proc/self/exe")
        .arg0("coracle")
        .arg("builder")
        .env("CORACLE_HOME", home.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("could not start the builder")?;
    let mut stdin = child
        .stdin
        .take()
        .context("the builder has no standard input")?;
    stdin.write_all(&serde_json::to_vec(job)?)?;
    drop(stdin);
    let stdout = child
        .stdout
        .take()
        .context("the builder has no standard output")?;
    let mut events = Vec::new();
    for line in BufReader::new(stdout).lines() {
        let event: JobEvent = serde_json::from_str(&line?)?;
        tell(&event);
        if !matches!(event, JobEvent::Output { .. } | JobEvent::Moved { .. }) {
            events.push(event);
        }
    }
    let status = child.wait()?;
    // The first says why; another may only say that the job ended so.
    let failure = events.iter().find_map(|event| match event {
        JobEvent::Failed { text } => Some(text),
        _ => None,
    });
    if let Some(text) = failure {
        bail!("{text}");
    }
    if !status.success() {
        bail!("the builder ended with {status}");
    }
    Ok(events)
}
