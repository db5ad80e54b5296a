//! The engine's side: starting containers, finding those that run already,
//! and asking their shims. The main types are [`Runtime`] and [`Container`].
//!
//! Nothing here forks or changes namespaces in the engine's own threads.

mod container;
mod link;
mod session;

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::net::UnixStream;
use tokio::process::Command;

use crate::cgroup::Cgroups;
use crate::error::StartError;
use crate::procfs;
use crate::protocol::{self, Reply, Request, Start};
use crate::record::{self, State};
use crate::sandbox::{self, Sandbox, SandboxError, SandboxSpec};
use crate::spec::ContainerSpec;
use link::Link;

pub use container::{Container, ExecError};
pub use session::{AttachEvent, AttachInput, AttachOutput, Attachment, ExecSession, Pty};

/// What a shim writes when it breaks; empty as a rule.
const SHIM_LOG: &str = "shim.log";

/// Starts containers and finds them again.
#[derive(Debug, Clone)]
pub struct Runtime {
    exe: PathBuf,
    containers: PathBuf,
    sandboxes: PathBuf,
    cgroups: Cgroups,
}

/// Why the runtime could not do something.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// The container did not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The id cannot be a file name.
    #[error("invalid container id {0:?}")]
    InvalidId(String),
    /// A container with this id exists.
    #[error("container {0:?} exists already")]
    Exists(String),
    /// Something with the container's files or shim failed.
    #[error("{step} {subject}")]
    Io {
        /// What was being done.
        step: &'static str,
        /// What it was done to.
        subject: String,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
}

/// The streams of a container whose shim shall not keep its output.
#[derive(Debug)]
pub struct StartStreams {
    /// Its standard input.
    pub stdin: OwnedFd,
    /// Its standard output.
    pub stdout: OwnedFd,
    /// Its standard error.
    pub stderr: OwnedFd,
}

impl Runtime {
    /// A runtime that keeps its state under `state_dir` and starts shims by
    /// running `exe`, usually `/proc/self/exe`.
    ///
    /// # Errors
    ///
    /// When the directories cannot be made.
    pub fn new(
        exe: impl Into<PathBuf>,
        state_dir: impl AsRef<Path>,
        cgroups: Cgroups,
    ) -> Result<Self, RuntimeError> {
        let make = |name: &str| {
            let path = state_dir.as_ref().join(name);
            let made = fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(&path);
            made.map(|()| path.clone())
                .map_err(failed("make", path.display()))
        };
        Ok(Self {
            exe: exe.into(),
            containers: make("containers")?,
            sandboxes: make("sandboxes")?,
            cgroups,
        })
    }

    /// The cgroups that containers are put in.
    pub fn cgroups(&self) -> &Cgroups {
        &self.cgroups
    }

    /// Starts a container. It runs when this returns.
    ///
    /// # Errors
    ///
    /// Nothing of the container is left then.
    pub async fn start(&self, spec: ContainerSpec) -> Result<Container, RuntimeError> {
        self.start_inner(spec, None).await
    }

    /// Starts a container whose output goes straight to `streams`; it cannot
    /// be attached to and has no log.
    ///
    /// # Errors
    ///
    /// Nothing of the container is left then.
    pub async fn start_with(
        &self,
        spec: ContainerSpec,
        streams: StartStreams,
    ) -> Result<Container, RuntimeError> {
        self.start_inner(spec, Some(streams)).await
    }

    /// Finds the containers of an earlier engine: those that run, and those
    /// that have ended and were not removed.
    ///
    /// # Errors
    ///
    /// When the state directory cannot be read. A container whose record is
    /// missing (its engine died in the midst of starting it) is cleared away.
    pub async fn adopt(&self) -> Result<Vec<Container>, RuntimeError> {
        let mut found = Vec::new();
        for directory in directories(&self.containers)? {
            let read = || {
                record::read::<State>(&directory, record::STATE)
                    .map_err(failed("read the record in", directory.display()))
            };
            let state = match read()? {
                // A shim in the midst of starting answers when it has done so.
                None if link::answers(&directory).await => read()?,
                state => state,
            };
            match state {
                Some(state) => found.push(Container::new(directory, state, &self.cgroups)),
                None => drop(fs::remove_dir_all(&directory)),
            }
        }
        Ok(found)
    }

    /// Makes the namespaces that the containers of a pod share.
    ///
    /// # Errors
    ///
    /// Nothing of the sandbox is left then.
    pub async fn create_sandbox(&self, spec: SandboxSpec) -> Result<Sandbox, SandboxError> {
        sandbox::create(&self.exe, &self.sandboxes, spec).await
    }

    /// Finds the sandboxes of an earlier engine.
    ///
    /// # Errors
    ///
    /// When the state directory cannot be read.
    pub fn sandboxes(&self) -> Result<Vec<Sandbox>, RuntimeError> {
        let found = directories(&self.sandboxes)?.into_iter().map(Sandbox::at);
        Ok(found.collect())
    }

    /// Runs in a task of its own: a caller that gives up in the midst of it
    /// must not leave a container behind that nobody knows.
    async fn start_inner(
        &self,
        spec: ContainerSpec,
        streams: Option<StartStreams>,
    ) -> Result<Container, RuntimeError> {
        let (runtime, id) = (self.clone(), spec.id.clone());
        let (tell, told) = tokio::sync::oneshot::channel();
        tokio::spawn(async move {
            if let Err(Ok(unwanted)) = tell.send(runtime.start_whole(spec, streams).await) {
                let _ = unwanted.remove().await;
            }
        });
        let ended = |_| failed("start", id)(io::ErrorKind::Interrupted.into());
        told.await.map_err(ended)?
    }

    async fn start_whole(
        &self,
        spec: ContainerSpec,
        streams: Option<StartStreams>,
    ) -> Result<Container, RuntimeError> {
        check_id(&spec.id)?;
        let directory = self.containers.join(&spec.id);
        match fs::DirBuilder::new().mode(0o700).create(&directory) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                return Err(RuntimeError::Exists(spec.id));
            }
            other => other.map_err(failed("make", directory.display()))?,
        }
        let cgroup = spec.cgroup.clone();
        let started = self.start_shim(&directory, spec, streams).await;
        if started.is_err() {
            // A shim that was killed has not cleared up after itself.
            let cgroup = cgroup.and_then(|path| self.cgroups.at(&path).ok());
            let clear = tokio::task::spawn_blocking(move || {
                if let Some(cgroup) = cgroup {
                    cgroup.kill();
                    let _ = cgroup.remove();
                }
                let _ = fs::remove_dir_all(&directory);
            });
            let _ = clear.await;
        }
        started
    }

    async fn start_shim(
        &self,
        directory: &Path,
        spec: ContainerSpec,
        streams: Option<StartStreams>,
    ) -> Result<Container, RuntimeError> {
        let id = spec.id.clone();
        let state = State {
            id: id.clone(),
            labels: spec.labels.clone(),
            pid: 0,
            started_at_nanos: 0,
            cgroup: spec.cgroup.clone().filter(|_| self.cgroups.available()),
            mount_namespace: 0,
            stop_signal: spec.stop_signal,
            started_ticks: 0,
            user: None,
        };
        let mut link = self
            .spawn_shim(directory, &id)
            .map_err(failed("run the shim of", &id))?;
        let given = streams.is_some();
        let start = Start {
            spec,
            cgroups: self.cgroups.clone(),
            streams: given,
        };
        let request = Request::Start(Box::new(start));
        let frame = protocol::control(&request).map_err(failed("ask the shim of", &id))?;
        let descriptors: Vec<_> = streams
            .iter()
            .flat_map(|s| [s.stdin.as_fd(), s.stdout.as_fd(), s.stderr.as_fd()])
            .collect();
        link.send(&frame, &descriptors)
            .await
            .map_err(failed("ask the shim of", &id))?;
        match link.reply().await {
            Ok(Some(Reply::Started {
                pid,
                started_at_nanos,
                user,
            })) => {
                let mount_namespace = procfs::mount_namespace(pid).unwrap_or(0);
                let started_ticks = procfs::started_ticks(pid).unwrap_or(0);
                let state = State {
                    pid,
                    started_at_nanos,
                    mount_namespace,
                    started_ticks,
                    user,
                    ..state
                };
                Ok(Container::new(directory.to_owned(), state, &self.cgroups))
            }
            Ok(Some(Reply::Failed(error))) => Err(error.into()),
            _ => Err(StartError::Shim(last_words(directory)).into()),
        }
    }

    fn spawn_shim(&self, directory: &Path, id: &str) -> io::Result<Link> {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
        let log = fs::File::create(directory.join(SHIM_LOG))?;
        let mut child = Command::new(&self.exe)
            .arg0("coracle")
            .args(["shim", id])
            .current_dir(directory)
            // Nothing of the engine's environment is the shim's business.
            .env_clear()
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()?;
        // As long as this engine lives, it is the one to reap the shim.
        tokio::spawn(async move { child.wait().await });
        ours.set_nonblocking(true)?;
        Ok(Link::new(UnixStream::from_std(ours)?))
    }
}

/// What a shim that broke has left behind.
fn last_words(directory: &Path) -> String {
    let words = fs::read_to_string(directory.join(SHIM_LOG)).unwrap_or_default();
    match words.trim() {
        "" => "it ended without a word".to_owned(),
        words => words.chars().take(1000).collect(),
    }
}

fn check_id(id: &str) -> Result<(), RuntimeError> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    match !id.is_empty() && id.len() <= 200 && !id.starts_with('.') && id.bytes().all(plain) {
        true => Ok(()),
        false => Err(RuntimeError::InvalidId(id.to_owned())),
    }
}

fn directories(parent: &Path) -> Result<Vec<PathBuf>, RuntimeError> {
    let read = || -> io::Result<Vec<PathBuf>> {
        let mut paths: Vec<PathBuf> = fs::read_dir(parent)?
            .map(|entry| Ok(entry?.path()))
            .collect::<io::Result<_>>()?;
        paths.sort();
        Ok(paths)
    };
    read().map_err(failed("read", parent.display()))
}

fn failed(step: &'static str, subject: impl ToString) -> impl FnOnce(io::Error) -> RuntimeError {
    let subject = subject.to_string();
    move |source| RuntimeError::Io {
        step,
        subject,
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_file_names() {
        #[track_caller]
        fn check(id: &str, expected: bool) {
            assert_eq!(check_id(id).is_ok(), expected);
        }
        check("web-0_app.1", true);
        check("", false);
        check("..", false);
        check("a/b", false);
        check(&"x".repeat(201), false);
    }
}
