//! One container as the engine sees it. The main type is [`Container`].

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::unix::pipe;
use tokio::sync::OnceCell;

use super::link::Link;
use super::session::{Attachment, ExecSession, Pty};
use super::{RuntimeError, failed};
use crate::cgroup::{Cgroup, Cgroups, Usage, usage_by_mount_namespace};
use crate::error::StartError;
use crate::procfs;
use crate::protocol::{self, Reply, Request};
use crate::record::{self, Exit, State};
use crate::spec::{ExecSpec, Resources};
use crate::start;
use crate::user::Credentials;

/// A container that was started, by this engine or an earlier one. Clones are
/// the same container.
#[derive(Debug, Clone)]
pub struct Container(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    directory: PathBuf,
    state: State,
    cgroup: Option<Cgroup>,
    exit: OnceCell<Exit>,
}

/// Why a program did not run in a container.
#[derive(Debug, thiserror::Error)]
pub enum ExecError {
    /// The program did not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The container has ended.
    #[error("container {0} is not running")]
    NotRunning(String),
    /// The way to the container's shim is broken.
    #[error("ask the shim of {id}")]
    Shim {
        /// The container.
        id: String,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl Container {
    pub(super) fn new(directory: PathBuf, state: State, cgroups: &Cgroups) -> Self {
        let cgroup = state.cgroup.as_ref().and_then(|path| cgroups.at(path).ok());
        Self(Arc::new(Inner {
            directory,
            state,
            cgroup,
            exit: OnceCell::new(),
        }))
    }

    /// The id of its spec.
    pub fn id(&self) -> &str {
        &self.0.state.id
    }

    /// A label of its spec.
    pub fn label(&self, key: &str) -> Option<&str> {
        self.0.state.labels.get(key).map(String::as_str)
    }

    /// The id of its first process, in the engine's pid namespace.
    pub fn pid(&self) -> i32 {
        self.0.state.pid
    }

    /// When it started, in nanoseconds since 1970.
    pub fn started_at_nanos(&self) -> u64 {
        self.0.state.started_at_nanos
    }

    /// The user that its first process began as; `None` where an older shim
    /// did not say.
    pub fn user(&self) -> Option<&Credentials> {
        self.0.state.user.as_ref()
    }

    /// The signal that asks it to stop.
    pub fn stop_signal(&self) -> i32 {
        self.0.state.stop_signal
    }

    /// How it ended; `None` while it runs.
    pub async fn exited(&self) -> Option<Exit> {
        if let Some(exit) = self.0.exit.get() {
            return Some(exit.clone());
        }
        match Link::connect(&self.0.directory).await {
            Ok(_) => None,
            Err(_) => Some(self.wait().await),
        }
    }

    /// Waits for its end.
    pub async fn wait(&self) -> Exit {
        self.0.exit.get_or_init(|| self.learn_exit()).await.clone()
    }

    async fn learn_exit(&self) -> Exit {
        if let Ok(mut link) = self.ask(&Request::Wait).await {
            while let Ok(Some(reply)) = link.reply().await {
                if let Reply::Exited(exit) = reply {
                    return exit;
                }
            }
        }
        // The shim is gone: it has left a record, or it was killed and took
        // the container along.
        match record::read(&self.0.directory, record::EXIT) {
            Ok(Some(exit)) => exit,
            _ => {
                self.end_rest();
                Exit::unknown(self.0.state.started_at_nanos)
            }
        }
    }

    /// Its processes die with the shim; but one that has changed its user by a
    /// set-user-ID program does not, see PR_SET_PDEATHSIG(2const).
    fn end_rest(&self) {
        let state = &self.0.state;
        if let Some(cgroup) = &self.0.cgroup {
            cgroup.kill();
        }
        if procfs::started_ticks(state.pid) == Some(state.started_ticks) {
            procfs::kill_in_mount_namespace(state.mount_namespace);
            procfs::kill_if_same(state.pid, state.started_ticks);
        }
    }

    /// Sends a signal to its first process. One that has ended is no error.
    ///
    /// # Errors
    ///
    /// When the kernel refuses the signal.
    pub async fn kill(&self, signal: i32) -> Result<(), RuntimeError> {
        let all = signal == libc::SIGKILL;
        self.order(&Request::Kill { signal, all })
            .await
            .or_else(|error| match error.kind() {
                _ if is_gone(&error) => Ok(()),
                _ => Err(failed("signal", self.id())(error)),
            })
    }

    /// Asks it to stop, and kills it if it has not done so within `grace`.
    ///
    /// # Errors
    ///
    /// When the kernel refuses the signal.
    pub async fn stop(&self, grace: Duration) -> Result<Exit, RuntimeError> {
        if !grace.is_zero() {
            self.kill(self.stop_signal()).await?;
            if let Ok(exit) = tokio::time::timeout(grace, self.wait()).await {
                return Ok(exit);
            }
        }
        self.kill(libc::SIGKILL).await?;
        Ok(self.wait().await)
    }

    /// Runs a further program in it.
    ///
    /// # Errors
    ///
    /// When the container has ended or the program does not start.
    pub async fn exec(&self, exec: ExecSpec) -> Result<ExecSession, ExecError> {
        let shim = |source: io::Error| match is_gone(&source) {
            true => ExecError::NotRunning(self.id().to_owned()),
            false => ExecError::Shim {
                id: self.id().to_owned(),
                source,
            },
        };
        let pipes = match exec.terminal {
            true => None,
            false => Some(Pipes::new(exec.stdin).map_err(shim)?),
        };
        let (terminal, wants_stdin) = (exec.terminal, exec.stdin);
        let mut link = Link::connect(&self.0.directory).await.map_err(shim)?;
        let frame = protocol::control(&Request::Exec(exec)).map_err(shim)?;
        let theirs: Vec<_> = pipes
            .iter()
            .flat_map(|pipes| pipes.theirs.each_ref())
            .collect();
        let theirs: Vec<_> = theirs.into_iter().map(|fd| fd.as_fd()).collect();
        link.send(&frame, &theirs).await.map_err(shim)?;
        let pid = match link.reply().await.map_err(shim)? {
            Some(Reply::ExecStarted { pid }) => pid,
            Some(Reply::Failed(error)) => return Err(error.into()),
            Some(Reply::Error(text)) => return Err(StartError::Shim(text).into()),
            _ => return Err(ExecError::NotRunning(self.id().to_owned())),
        };
        let mut session = ExecSession::new(pid, link);
        if terminal {
            let fd = session
                .link
                .descriptor()
                .ok_or(io::ErrorKind::UnexpectedEof);
            session.pty = Some(
                fd.map_err(io::Error::from)
                    .and_then(Pty::new)
                    .map_err(shim)?,
            );
        } else if let Some(Pipes {
            stdin,
            stdout,
            stderr,
            ..
        }) = pipes
        {
            session.stdin = stdin.filter(|_| wants_stdin);
            session.stdout = Some(stdout);
            session.stderr = Some(stderr);
        }
        Ok(session)
    }

    /// Joins its streams from now on.
    ///
    /// # Errors
    ///
    /// When the container has ended.
    pub async fn attach(
        &self,
        stdin: bool,
        stdout: bool,
        stderr: bool,
    ) -> Result<Attachment, RuntimeError> {
        let request = Request::Attach {
            stdin,
            stdout,
            stderr,
        };
        let link = self
            .ask(&request)
            .await
            .map_err(failed("attach to", self.id()))?;
        Ok(Attachment::new(link))
    }

    /// Sizes its terminal.
    ///
    /// # Errors
    ///
    /// When it has none or has ended.
    pub async fn resize(&self, columns: u16, rows: u16) -> Result<(), RuntimeError> {
        let request = Request::Resize { columns, rows };
        self.order(&request)
            .await
            .map_err(failed("resize the terminal of", self.id()))
    }

    /// Has its log opened anew, after the file was moved away.
    ///
    /// # Errors
    ///
    /// When the file cannot be opened or the container has ended.
    pub async fn reopen_log(&self) -> Result<(), RuntimeError> {
        let reopened = self.order(&Request::ReopenLog).await;
        reopened.map_err(failed("reopen the log of", self.id()))
    }

    /// What its processes use: the counters of its cgroup or, without one,
    /// the sum over its processes.
    ///
    /// # Errors
    ///
    /// When it has ended.
    pub fn stats(&self) -> Result<Usage, RuntimeError> {
        let usage = match &self.0.cgroup {
            Some(cgroup) => cgroup.usage(),
            None => usage_by_mount_namespace()
                .remove(&self.0.state.mount_namespace)
                .ok_or_else(|| io::ErrorKind::NotFound.into()),
        };
        usage.map_err(failed("read the counters of", self.id()))
    }

    /// The key of this container in [`usage_by_mount_namespace`], which is
    /// cheaper for many at once. `None` when it has a cgroup.
    pub fn usage_key(&self) -> Option<u64> {
        self.0
            .cgroup
            .is_none()
            .then_some(self.0.state.mount_namespace)
    }

    /// Changes its limits.
    ///
    /// # Errors
    ///
    /// When the kernel refuses, or there are no cgroups.
    pub fn limit(&self, resources: &Resources) -> Result<(), RuntimeError> {
        let limited = match &self.0.cgroup {
            Some(cgroup) => cgroup.limit(resources),
            None => Err(io::ErrorKind::Unsupported.into()),
        };
        limited.map_err(failed("limit", self.id()))
    }

    /// Removes what is left of it, after killing it if it still runs. The
    /// directories of its root file system are the caller's.
    ///
    /// # Errors
    ///
    /// When its cgroup or directory cannot be removed.
    pub async fn remove(&self) -> Result<(), RuntimeError> {
        if self.exited().await.is_none() {
            self.kill(libc::SIGKILL).await?;
            self.wait().await;
        }
        let inner = Arc::clone(&self.0);
        let removed = tokio::task::spawn_blocking(move || -> io::Result<()> {
            inner.cgroup.as_ref().map_or(Ok(()), Cgroup::remove)?;
            remove_directory(&inner.directory)
        });
        let removed = removed
            .await
            .unwrap_or_else(|error| Err(io::Error::other(error)));
        removed.map_err(failed("remove", self.id()))
    }

    async fn ask(&self, request: &Request) -> io::Result<Link> {
        let mut link = Link::connect(&self.0.directory).await?;
        link.send(&protocol::control(request)?, &[]).await?;
        Ok(link)
    }

    async fn order(&self, request: &Request) -> io::Result<()> {
        match self.ask(request).await?.reply().await? {
            Some(Reply::Done) => Ok(()),
            Some(Reply::Error(text)) => Err(io::Error::other(text)),
            Some(_) => Err(io::ErrorKind::InvalidData.into()),
            None => Err(io::ErrorKind::ConnectionReset.into()),
        }
    }
}

/// Both sides of a program's streams.
struct Pipes {
    theirs: [OwnedFd; 3],
    stdin: Option<pipe::Sender>,
    stdout: pipe::Receiver,
    stderr: pipe::Receiver,
}

impl Pipes {
    fn new(stdin: bool) -> io::Result<Self> {
        let (stdin, their_stdin) = match stdin {
            true => {
                let (sender, receiver) = pipe::pipe()?;
                (Some(sender), receiver.into_blocking_fd()?)
            }
            false => (None, start::null()?),
        };
        let (their_stdout, stdout) = pipe::pipe()?;
        let (their_stderr, stderr) = pipe::pipe()?;
        let theirs = [
            their_stdin,
            their_stdout.into_blocking_fd()?,
            their_stderr.into_blocking_fd()?,
        ];
        Ok(Self {
            theirs,
            stdin,
            stdout,
            stderr,
        })
    }
}

/// Tells whether an error means that the shim has ended.
fn is_gone(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionRefused, ConnectionReset, NotFound};
    matches!(
        error.kind(),
        BrokenPipe | ConnectionRefused | ConnectionReset | NotFound
    )
}

fn remove_directory(directory: &Path) -> io::Result<()> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
