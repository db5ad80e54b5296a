//! Start, stop and delete a cluster from outside its namespaces.

use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use coracle_runtime::Delegation;

use crate::build;
use crate::gateway::start_gateway;
use crate::groups::Groups;
use crate::home::{ClusterDir, Home};
use crate::idmap::IdMap;
use crate::init::{self, ProcessConfig};
use crate::lock::{Lock, LockError};
use crate::record::{Process, Record};
use crate::scope::ScopeError;
use crate::share::Shares;
use crate::sys;

/// How long a stopping cluster may take before it is ended.
pub(crate) const STOP_GRACE: Duration = Duration::from_secs(8);

/// How long a command waits for another that changes the same cluster.
const LOCK_PATIENCE: Duration = Duration::from_secs(30);

/// A cluster could not be started, stopped or deleted.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// A file or folder could not be made, read or removed.
    #[error("{}", path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The folder was written by a newer build.
    #[error(
        "cluster {name} was last used by {}: its data has format {found}, this is coracle {} and knows {} and older",
        version.as_ref().map_or("a newer coracle".to_owned(), |version| format!("coracle {version}")),
        build::version(),
        build::format()
    )]
    TooNew {
        /// The cluster.
        name: String,
        /// The build that used it last, if it said so.
        version: Option<String>,
        /// The format found.
        found: String,
    },
    /// Another command is changing the cluster.
    #[error("cluster {name} is being changed by {holder}")]
    Busy {
        /// The cluster.
        name: String,
        /// Who changes it.
        holder: String,
    },
    /// A process could not be started.
    #[error("could not start {process}")]
    Spawn {
        /// The process.
        process: &'static str,
        /// Why.
        source: io::Error,
    },
    /// Pid 1 refused to go on.
    #[error("the cluster's namespaces could not be made: {message}")]
    Namespaces {
        /// What pid 1 said.
        message: String,
    },
}

pub(crate) fn file(path: &Path) -> impl FnOnce(io::Error) -> LaunchError + '_ {
    move |source| LaunchError::File {
        path: path.to_owned(),
        source,
    }
}

impl Home {
    /// Makes the folders that all clusters share where they are missing; the
    /// image store belongs to user 0 of `ids`.
    ///
    /// # Errors
    /// Fails if a folder cannot be made.
    pub fn prepare(&self, ids: &IdMap) -> Result<(), LaunchError> {
        // User 0 inside is another user than the one outside and must pass.
        let traversable = 0o711;
        for folder in [self.path().to_owned(), self.path().join("clusters")] {
            make_dir(&folder, traversable)?;
            let mode = fs::metadata(&folder)
                .map_err(file(&folder))?
                .permissions()
                .mode();
            if mode & traversable != traversable {
                let passable = fs::Permissions::from_mode(mode | traversable);
                fs::set_permissions(&folder, passable).map_err(file(&folder))?;
            }
        }
        make_dir(&self.images(), 0o700)?;
        ids.own(&self.images()).map_err(file(&self.images()))
    }
}

impl ClusterDir {
    /// Makes the cluster's folders where they are missing, owned by user 0 of
    /// `ids`, and brings those of an older build forward.
    ///
    /// # Errors
    /// Fails if a folder cannot be made or a newer build wrote it; of a new
    /// cluster nothing is left then.
    pub fn prepare(&self, home: &Home, ids: &IdMap) -> Result<(), LaunchError> {
        home.prepare(ids)?;
        let is_new = !self.path().exists();
        self.make(ids).inspect_err(|_| {
            if is_new && !self.exists() {
                // The error that is told is the first one.
                let _ = fs::remove_dir_all(self.path());
            }
        })
    }

    fn make(&self, ids: &IdMap) -> Result<(), LaunchError> {
        make_dir(self.path(), 0o700)?;
        ids.own(self.path()).map_err(file(self.path()))?;
        self.migrate(ids)?;
        for path in [
            self.pki(),
            self.data(),
            self.logs(),
            self.run(),
            self.run().join("root"),
        ] {
            make_dir(&path, 0o700)?;
            ids.own(&path).map_err(file(&path))?;
        }
        Ok(())
    }

    /// Takes the lock of the cluster; waits a while if another command holds it.
    ///
    /// # Errors
    /// Fails if another command keeps it or the file cannot be made.
    pub fn lock(&self) -> Result<Lock, LaunchError> {
        let path = self.path().join("lock");
        let command = std::env::args().skip(1).find(|word| !word.starts_with('-'));
        let who = format!("coracle {}", command.unwrap_or_default());
        let until = Instant::now() + LOCK_PATIENCE;
        loop {
            match Lock::take(&path, &who) {
                Ok(lock) => return Ok(lock),
                Err(LockError::Held { .. }) if Instant::now() < until => {
                    std::thread::sleep(Duration::from_millis(20));
                }
                Err(LockError::Held { holder }) => {
                    return Err(LaunchError::Busy {
                        name: self.name().into(),
                        holder,
                    });
                }
                Err(LockError::File(source)) => return Err(LaunchError::File { path, source }),
            }
        }
    }
}

pub(crate) fn make_dir(path: &Path, mode: u32) -> Result<(), LaunchError> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(mode)
        .create(path)
        .map_err(file(path))
}

/// What is started.
#[derive(Debug)]
pub struct Launch<'a> {
    /// The folder of all clusters.
    pub home: &'a Home,
    /// The cluster.
    pub cluster: &'a ClusterDir,
    /// The ids inside.
    pub ids: IdMap,
    /// What its part of the host's cgroup tree is called.
    pub groups: String,
    /// Folders of the host that its pods see.
    pub shares: Shares,
    /// Listening sockets of the host, by name, handed to the processes that name them.
    pub listeners: Vec<(String, OwnedFd)>,
    /// The processes that pid 1 keeps running.
    pub processes: Vec<ProcessConfig>,
    /// Where the API answers.
    pub api: std::net::SocketAddr,
}

/// A cluster that has just been started.
#[derive(Debug)]
pub struct Launched {
    /// What was written of it.
    pub record: Record,
    /// Why it has no cgroups, if a service manager was asked for some.
    pub refused: Option<ScopeError>,
}

impl Launch<'_> {
    /// Starts pid 1 with its processes, and the gateway.
    ///
    /// # Errors
    /// Fails if a process cannot be started or the namespaces are refused;
    /// nothing is left running then.
    pub fn start(self) -> Result<Launched, LaunchError> {
        end_stray(self.cluster)?;
        let (init, groups) = self.start_init()?;
        let mut record = Record {
            init,
            gateway: None,
            api: self.api,
            ids: self.ids.clone(),
            version: build::version().into(),
            predecessor: None,
        };
        let gateway = start_gateway(self.cluster, init).inspect_err(|_| {
            let _ = sys::kill(init.pid, libc::SIGKILL);
            groups.remove();
        })?;
        record.gateway = Some(gateway);
        record
            .write(self.cluster)
            .map_err(file(&self.cluster.run()))?;
        let refused = groups.refused;
        Ok(Launched { record, refused })
    }

    fn start_init(&self) -> Result<(Process, Groups), LaunchError> {
        let log = open_log(self.cluster, "init")?;
        let mut command = own_command(&["init", self.cluster.name()]);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log);
        inherit(
            &mut command,
            self.listeners.iter().map(|(_, fd)| fd.as_fd()),
        );
        let mut child = command.spawn().map_err(no_init)?;
        // It waits for its configuration; its cgroup namespace will begin here.
        let groups = Groups::of(&self.groups, child.id(), &self.ids).map_err(no_init)?;
        let process = self.instruct(&mut child, groups.delegation.as_ref());
        // The launcher ends as soon as pid 1 lives; do not leave a zombie.
        let _ = child.wait();
        match process {
            Ok(process) => Ok((process, groups)),
            Err(error) => {
                groups.remove();
                Err(error)
            }
        }
    }

    /// Hands pid 1 its configuration and waits until it is ready.
    fn instruct(
        &self,
        child: &mut Child,
        cgroups: Option<&Delegation>,
    ) -> Result<Process, LaunchError> {
        let config = self.config(cgroups);
        let text = serde_json::to_vec(&config).map_err(|error| no_init(error.into()))?;
        let mut stdin = child.stdin.take().expect("it was asked for");
        stdin.write_all(&text).map_err(no_init)?;
        drop(stdin);
        let stdout = child.stdout.take().expect("it was asked for");
        read_report(BufReader::new(stdout))
    }

    fn config(&self, cgroups: Option<&Delegation>) -> init::Config {
        let directories = cgroups.into_iter().flat_map(Delegation::directories);
        let listeners = self.listeners.iter();
        init::Config {
            name: self.cluster.name().into(),
            home: self.home.path().into(),
            ids: self.ids.clone(),
            cgroups: directories
                .map(|(place, host)| (host.to_owned(), place.into()))
                .collect(),
            shares: self.shares.clone(),
            processes: self.processes.clone(),
            listeners: listeners
                .map(|(name, fd)| (name.clone(), fd.as_raw_fd()))
                .collect(),
        }
    }
}

fn no_init(source: io::Error) -> LaunchError {
    LaunchError::Spawn {
        process: "init",
        source,
    }
}

/// Reads what pid 1 and the process that forked it report, see [`init::main`]:
/// two writers, whose lines come in any order.
fn read_report(lines: impl BufRead) -> Result<Process, LaunchError> {
    let (mut pid, mut is_ready) = (None, false);
    let mut message = "pid 1 ended without a word".to_owned();
    for line in lines.lines() {
        let line = line.map_err(no_init)?;
        match line.split_once(' ') {
            Some(("pid", number)) => pid = number.parse().ok(),
            Some(("error", text)) => message = text.to_owned(),
            _ => is_ready |= line == "ready",
        }
        if let (Some(pid), true) = (pid, is_ready) {
            return Process::of(pid).ok_or_else(|| LaunchError::Namespaces {
                message: "pid 1 was gone before it could be named".to_owned(),
            });
        }
    }
    Err(LaunchError::Namespaces { message })
}

/// Ends a pid 1 of the cluster that no record names: whoever started it was
/// interrupted before it could write one.
fn end_stray(cluster: &ClusterDir) -> Result<(), LaunchError> {
    let Some(stray) = Process::started(&cluster.run()) else {
        return Ok(());
    };
    let failed = |source| LaunchError::Spawn {
        process: "the end of an interrupted start",
        source,
    };
    signal(stray, libc::SIGKILL).map_err(failed)?;
    if gone(stray, STOP_GRACE) {
        return Ok(());
    }
    Err(failed(io::ErrorKind::TimedOut.into()))
}

/// Stops a running cluster: asks pid 1 to end everything and waits.
///
/// # Errors
/// Fails if pid 1 cannot be signalled or does not end.
pub fn stop(cluster: &ClusterDir, record: &Record) -> Result<(), LaunchError> {
    end(cluster, record, libc::SIGTERM)
}

/// Ends a running cluster of which nothing is to be kept: nobody is asked.
///
/// # Errors
/// Fails if pid 1 cannot be signalled or does not end.
pub fn destroy(cluster: &ClusterDir, record: &Record) -> Result<(), LaunchError> {
    end(cluster, record, libc::SIGKILL)
}

fn end(cluster: &ClusterDir, record: &Record, by: libc::c_int) -> Result<(), LaunchError> {
    let failed = |source| LaunchError::Spawn {
        process: "the end of init",
        source,
    };
    signal(record.init, by).map_err(failed)?;
    if !gone(record.init, STOP_GRACE) {
        signal(record.init, libc::SIGKILL).map_err(failed)?;
        if !gone(record.init, STOP_GRACE) {
            return Err(failed(io::ErrorKind::TimedOut.into()));
        }
    }
    if let Some(gateway) = record.gateway
        && !gone(gateway, Duration::from_secs(2))
    {
        let _ = signal(gateway, libc::SIGKILL);
        gone(gateway, Duration::from_secs(2));
    }
    Record::remove(cluster);
    Ok(())
}

pub(crate) fn signal(process: Process, signal: libc::c_int) -> io::Result<()> {
    if process.is_alive() {
        sys::kill(process.pid, signal)
    } else {
        Ok(())
    }
}

/// Waits until a process is gone; returns whether it is.
pub(crate) fn gone(process: Process, within: Duration) -> bool {
    let until = Instant::now() + within;
    while process.is_alive() {
        if Instant::now() >= until {
            return false;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    true
}

/// Removes every file of a cluster that does not run.
///
/// # Errors
/// Fails if a file cannot be removed.
pub fn remove_files(cluster: &ClusterDir) -> Result<(), LaunchError> {
    let path = cluster.path();
    let removed = match fs::remove_dir_all(path) {
        // Whoever waits for the lock has just made its file again.
        Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => fs::remove_dir_all(path),
        removed => removed,
    };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(file(path)(error)),
        _ => Ok(()),
    }
}

/// Returns a command that runs this very binary with other arguments.
pub(crate) fn own_command(args: &[&str]) -> Command {
    let mut command = Command::new("/proc/self/exe");
    command.arg0("coracle").args(args);
    command
}

pub(crate) fn open_log(cluster: &ClusterDir, name: &str) -> Result<fs::File, LaunchError> {
    let path = cluster.logs().join(format!("{name}.log"));
    fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(&path)
        .map_err(file(&path))
}

/// Lets the command's process inherit the descriptors.
pub(crate) fn inherit<'a>(command: &mut Command, fds: impl Iterator<Item = BorrowedFd<'a>>) {
    let fds: Vec<RawFd> = fds.map(|fd| fd.as_raw_fd()).collect();
    // SAFETY: the closure makes only async-signal-safe calls, on descriptors
    // that the caller keeps open until the process was spawned.
    unsafe {
        command.pre_exec(move || {
            for &fd in &fds {
                sys::keep_over_exec(BorrowedFd::borrow_raw(fd))?;
            }
            Ok(())
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(report: &str, expected: Result<i32, &str>) {
        let found = read_report(report.as_bytes());
        let found = found.map(|process| process.pid);
        match expected {
            Ok(pid) => assert_eq!(found.expect(report), pid),
            Err(text) => {
                let error = found.expect_err(report).to_string();
                assert!(error.contains(text), "{error}");
            }
        }
    }

    #[test]
    fn both_writers_may_be_first() {
        let pid = std::process::id();
        let own = i32::try_from(pid).expect("a pid");
        check(&format!("pid {pid}\nready\n"), Ok(own));
        check(&format!("ready\npid {pid}\n"), Ok(own));
        check(&format!("pid {pid}\nerror no\n"), Err("no"));
        check("ready\n", Err("without a word"));
        check(&format!("pid {}\nready\n", i32::MAX), Err("was gone"));
    }
}
