//! Pid 1 of a cluster's namespaces: makes them, reaps, and keeps the engine
//! and the data plane running. When it ends, the kernel ends everything inside.
//!
//! It holds every listening socket it was given and hands it to each process
//! it starts, so that connections queue while one is restarted.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use coracle_netdev::plan::AddressPlan;
use serde::{Deserialize, Serialize};

use crate::features;
use crate::held;
use crate::idmap::IdMap;
use crate::record::Process;
use crate::root;
use crate::share::{self, Shares};
use crate::sys::{self, Fork};

/// Environment variable that names the inherited descriptors: `name=fd,name=fd`.
pub const DESCRIPTORS: &str = "CORACLE_FDS";

/// Name of a file in memory that pid 1 holds, for a process that wants to find
/// after a restart what it knew before.
pub const MEMORY: &str = "memory";

/// The signal that asks pid 1 to take over the executable at [`NEXT`].
pub(crate) const UPGRADE: libc::c_int = libc::SIGUSR1;

/// Name of a new executable in the cluster's `run` folder.
pub(crate) const NEXT: &str = "next";

/// How long processes get to end by themselves when the cluster stops.
const STOP_GRACE: Duration = Duration::from_secs(3);

/// How long a process that is replaced may take before it is ended.
const REPLACE_GRACE: Duration = Duration::from_secs(10);

/// The same for one beside which its successor works already: it ends with the
/// last connection that it carries.
const OVERLAP_GRACE: Duration = Duration::from_secs(3600);

/// A process that lived this long starts anew without a delay: it is not one
/// that cannot start.
const HEALTHY: Duration = Duration::from_secs(1);

/// The longest wait before a process that keeps ending at once is tried again.
const DELAY_MAX: Duration = Duration::from_secs(5);

/// What pid 1 is told on its standard input, as JSON.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Config {
    /// The cluster's name; also the host name inside.
    pub name: String,
    /// The folder of all clusters on the host.
    pub home: PathBuf,
    /// The ids inside.
    pub ids: IdMap,
    /// Host cgroup directories and their places below `/sys/fs/cgroup`.
    pub cgroups: Vec<(PathBuf, PathBuf)>,
    /// Folders of the host that its pods see.
    #[serde(default)]
    pub shares: Shares,
    /// The processes to keep running, started in this order.
    pub processes: Vec<ProcessConfig>,
    /// Inherited listening sockets by name.
    pub listeners: Vec<(String, RawFd)>,
}

/// One process that pid 1 keeps running: the same binary with other arguments.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProcessConfig {
    /// Name of its log file.
    pub name: String,
    /// Arguments after the program's name.
    pub args: Vec<String>,
    /// Names of the listeners it gets.
    pub listeners: Vec<String>,
    /// Whether the next version starts at once while this one finishes what it
    /// has under way; otherwise it starts when this one has ended.
    #[serde(default)]
    pub overlaps: bool,
}

/// Runs `coracle init`: reads its [`Config`] from standard input, makes the
/// namespaces and stays as their pid 1.
///
/// Reports on standard output: `pid N` (seen from the host), then `ready` or
/// `error TEXT`. Never returns.
pub fn main() -> ! {
    let code = match prepare() {
        Ok(()) => 0,
        Err(error) => {
            report(&format!("error {}", chain(error.as_ref())));
            1
        }
    };
    std::process::exit(code)
}

/// Returns the inherited descriptor called `name`, for a process that pid 1 started.
pub fn descriptor(name: &str) -> Option<RawFd> {
    let list = std::env::var(DESCRIPTORS).ok()?;
    list.split(',').find_map(|entry| {
        let (key, fd) = entry.split_once('=')?;
        (key == name).then(|| fd.parse().ok())?
    })
}

type Failure = Box<dyn std::error::Error>;

fn prepare() -> Result<(), Failure> {
    let mut text = Vec::new();
    io::stdin().read_to_end(&mut text)?;
    let config: Config = serde_json::from_slice(&text)?;
    sys::setsid()?;
    std::env::set_current_dir(&config.home)?;
    let shares = config.shares.open(&config.ids)?;
    config.ids.enter()?;
    sys::unshare(
        libc::CLONE_NEWNS
            | libc::CLONE_NEWPID
            | libc::CLONE_NEWNET
            | libc::CLONE_NEWUTS
            | libc::CLONE_NEWIPC
            | libc::CLONE_NEWCGROUP,
    )?;
    match sys::fork()? {
        Fork::Parent(pid) => {
            // Whoever asked may be interrupted before writing a record; the
            // next command finds the process here.
            let run = Path::new("clusters").join(&config.name).join("run");
            if let Some(process) = Process::of(pid) {
                process.write(&run)?;
            }
            report(&format!("pid {pid}"));
            Ok(())
        }
        Fork::Child => run(config, &shares),
    }
}

/// The life of pid 1.
fn run(mut config: Config, shares: &[share::Opened]) -> Result<(), Failure> {
    sys::set_name(c"coracle-init");
    let executable = std::fs::File::open("/proc/self/exe")?.into();
    rustix::system::sethostname(config.name.as_bytes())?;
    root::enter(&config.name, &config.cgroups, shares)?;
    let plan = AddressPlan::default();
    coracle_netdev::base::setup(&plan)?;
    features::check()?;
    let held = held::open(&plan)?;
    for (name, fd) in held::NAMES.into_iter().zip(&held) {
        config.listeners.push((name.into(), fd.as_raw_fd()));
    }
    let memory = rustix::fs::memfd_create(MEMORY, rustix::fs::MemfdFlags::CLOEXEC)?;
    config.listeners.push((MEMORY.into(), memory.as_raw_fd()));
    let signals = sys::signal_fd(&[libc::SIGCHLD, libc::SIGTERM, libc::SIGINT, UPGRADE])?;
    let mut keeper = Keeper {
        config: &config,
        executable,
        running: HashMap::new(),
        due: Vec::new(),
        leaving: HashMap::new(),
        is_upgrading: false,
    };
    for index in 0..config.processes.len() {
        keeper.start(index)?;
    }
    report("ready");
    detach_stdio()?;
    keeper.keep(signals.as_fd())?;
    keeper.stop();
    std::process::exit(0)
}

fn report(line: &str) {
    // Nobody may be listening any more; there is nobody else to tell either.
    let _ = writeln!(io::stdout(), "{line}");
    let _ = io::stdout().flush();
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

fn detach_stdio() -> io::Result<()> {
    let null = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/null")?;
    rustix::stdio::dup2_stdin(&null)?;
    rustix::stdio::dup2_stdout(&null)?;
    rustix::stdio::dup2_stderr(&null)?;
    Ok(())
}

/// A process that runs now.
struct Running {
    index: usize,
    since: Instant,
    failures: u32,
}

struct Keeper<'a> {
    config: &'a Config,
    executable: OwnedFd,
    running: HashMap<i32, Running>,
    /// Processes to start again: when, which, after how many failures in a row.
    due: Vec<(Instant, usize, u32)>,
    /// Processes of the version before that were asked to end.
    leaving: HashMap<i32, Leaving>,
    /// Whether the new executable still lies where it was found.
    is_upgrading: bool,
}

/// A process that was asked to end.
struct Leaving {
    /// When it is ended.
    until: Instant,
    /// The process that starts after it; `None` where that runs already.
    next: Option<usize>,
}

impl Keeper<'_> {
    /// Starts process `index` now.
    fn start(&mut self, index: usize) -> io::Result<()> {
        self.start_after(index, 0)
    }

    fn start_after(&mut self, index: usize, failures: u32) -> io::Result<()> {
        let process = &self.config.processes[index];
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(format!("{}/logs/{}.log", root::CLUSTER, process.name))?;
        let listeners: Vec<(String, RawFd)> = self
            .config
            .listeners
            .iter()
            .filter(|(name, _)| process.listeners.contains(name))
            .cloned()
            .collect();
        let names: Vec<String> = listeners
            .iter()
            .map(|(name, fd)| format!("{name}={fd}"))
            .collect();
        let mut command = Command::new(format!("/proc/self/fd/{}", self.executable.as_raw_fd()));
        command
            .arg0("coracle")
            .args(&process.args)
            .env_clear()
            .env(
                "PATH",
                "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            )
            .env("HOME", "/")
            .env(DESCRIPTORS, names.join(","))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        for name in ["RUST_LOG", "CORACLE_LOG"] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        let kept: Vec<RawFd> = listeners.iter().map(|(_, fd)| *fd).collect();
        // SAFETY: the closure runs in the forked child of a process with one
        // thread and makes only async-signal-safe calls on open descriptors.
        unsafe {
            command.pre_exec(move || {
                sys::unblock_signals();
                for &fd in &kept {
                    sys::keep_over_exec(BorrowedFd::borrow_raw(fd))?;
                }
                Ok(())
            });
        }
        let child = command.spawn()?;
        self.running.insert(
            child.id() as i32,
            Running {
                index,
                since: Instant::now(),
                failures,
            },
        );
        Ok(())
    }

    /// Reaps and restarts until asked to stop.
    fn keep(&mut self, signals: BorrowedFd<'_>) -> io::Result<()> {
        loop {
            if self.wait(signals)? {
                match sys::next_signal(signals)? {
                    libc::SIGTERM | libc::SIGINT => return Ok(()),
                    UPGRADE => self.upgrade(),
                    _ => self.reap(),
                }
            }
            self.start_due();
            self.end_late();
        }
    }

    /// Waits for a signal or the next start; returns whether a signal came.
    fn wait(&self, signals: BorrowedFd<'_>) -> io::Result<bool> {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};
        let due = self.due.iter().map(|(at, ..)| *at);
        let late = self.leaving.values().map(|leaving| leaving.until);
        let next = due.chain(late).min();
        let timeout = next.map(|at| at.saturating_duration_since(Instant::now()));
        let timeout = timeout.map(|left| Timespec {
            tv_sec: left.as_secs() as i64,
            tv_nsec: i64::from(left.subsec_nanos()),
        });
        let mut fds = [PollFd::new(&signals, PollFlags::IN)];
        match poll(&mut fds, timeout.as_ref()) {
            Ok(ready) => Ok(ready > 0),
            Err(rustix::io::Errno::INTR) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Takes over the executable that was laid down and lets every process
    /// start anew with it; each is asked to end in its own time.
    fn upgrade(&mut self) {
        let next = format!("{}/run/{NEXT}", root::CLUSTER);
        match std::fs::File::open(&next) {
            Ok(file) => self.executable = file.into(),
            Err(error) => {
                for index in 0..self.config.processes.len() {
                    self.log(
                        index,
                        &format!("stays: no new version can be opened: {error}"),
                    );
                }
                return;
            }
        }
        self.is_upgrading = true;
        let now = Instant::now();
        for (pid, running) in std::mem::take(&mut self.running) {
            let _ = sys::kill(pid, libc::SIGTERM);
            let overlaps = self.config.processes[running.index].overlaps;
            let leaving = match overlaps {
                true => Leaving {
                    until: now + OVERLAP_GRACE,
                    next: None,
                },
                false => Leaving {
                    until: now + REPLACE_GRACE,
                    next: Some(running.index),
                },
            };
            self.leaving.insert(pid, leaving);
            if overlaps {
                self.due.push((now, running.index, 0));
            }
        }
        self.start_due();
        self.settle();
    }

    /// Removes the file of the new version when every process runs it: whoever
    /// laid it down waits for that.
    fn settle(&mut self) {
        if self.is_upgrading && self.leaving.values().all(|leaving| leaving.next.is_none()) {
            self.is_upgrading = false;
            let _ = std::fs::remove_file(format!("{}/run/{NEXT}", root::CLUSTER));
        }
    }

    /// Ends what was asked to end and did not.
    fn end_late(&mut self) {
        let now = Instant::now();
        for (pid, leaving) in &mut self.leaving {
            if leaving.until <= now {
                let _ = sys::kill(*pid, libc::SIGKILL);
                leaving.until = now + REPLACE_GRACE;
            }
        }
    }

    fn reap(&mut self) {
        while let Some(reaped) = sys::reap() {
            if let Some(left) = self.leaving.remove(&reaped.pid) {
                if let Some(index) = left.next {
                    self.due.push((Instant::now(), index, 0));
                    self.start_due();
                    self.settle();
                }
                continue;
            }
            let Some(died) = self.running.remove(&reaped.pid) else {
                continue;
            };
            let failures = match died.since.elapsed() < HEALTHY {
                true => died.failures.saturating_add(1),
                false => 0,
            };
            let delay = delay(failures);
            self.log(
                died.index,
                &format!("ended with {reaped}, starting again in {delay:?}"),
            );
            self.due
                .push((Instant::now() + delay, died.index, failures));
        }
    }

    fn start_due(&mut self) {
        let now = Instant::now();
        let (ready, later): (Vec<_>, Vec<_>) = self.due.drain(..).partition(|(at, ..)| *at <= now);
        self.due = later;
        for (_, index, failures) in ready {
            if let Err(error) = self.start_after(index, failures) {
                self.log(index, &format!("could not be started: {error}"));
                self.due
                    .push((now + Duration::from_secs(1), index, failures));
            }
        }
    }

    /// Asks every process inside to end and waits for a short while.
    fn stop(&mut self) {
        for pid in self.running.keys().chain(self.leaving.keys()) {
            let _ = sys::kill(*pid, libc::SIGTERM);
        }
        let until = Instant::now() + STOP_GRACE;
        self.wait_for(until, |keeper| {
            keeper.running.is_empty() && keeper.leaving.is_empty()
        });
        // -1 is every process of this pid namespace but pid 1 itself, kill(2).
        let _ = sys::kill(-1, libc::SIGTERM);
        self.wait_for(until, |_| sys::kill(-1, 0).is_err());
    }

    fn wait_for(&mut self, until: Instant, done: impl Fn(&Self) -> bool) {
        while Instant::now() < until {
            while let Some(reaped) = sys::reap() {
                self.running.remove(&reaped.pid);
                self.leaving.remove(&reaped.pid);
            }
            if done(self) {
                return;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    fn log(&self, index: usize, text: &str) {
        let name = &self.config.processes[index].name;
        let line = format!("coracle init: {name} {text}\n");
        let file = std::fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(format!("{}/logs/{name}.log", root::CLUSTER));
        if let Ok(mut file) = file {
            // The log itself is what failed; there is nowhere else to say it.
            let _ = file.write_all(line.as_bytes());
        }
    }
}

/// Returns how long a process waits that has ended early so many times in a
/// row. The first restart is immediate: others are waiting for it.
fn delay(failures: u32) -> Duration {
    match failures {
        0 | 1 => Duration::ZERO,
        n => Duration::from_millis(100 << n.min(10)).min(DELAY_MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_to_a_limit() {
        let check = |failures: u32, milliseconds: u64| {
            assert_eq!(delay(failures), Duration::from_millis(milliseconds));
        };
        check(0, 0);
        check(1, 0);
        check(2, 400);
        check(3, 800);
        check(6, 5000);
        check(u32::MAX, 5000);
    }
}
