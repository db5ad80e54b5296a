//! Starts a container: the clone, what the new process does up to its exec,
//! and what its parent does meanwhile. The entry is [`start`]; it needs a
//! process with a single thread, the shim.
//!
//! Not here: watching the container afterwards, see `shim`.

use std::convert::Infallible;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags};
use rustix::process::Pid;
use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space};
use seccompiler::BpfProgram;

use crate::cgroup::Cgroup;
use crate::control::{self, Note};
use crate::error::{During, StartError};
use crate::idmap::IdMap;
use crate::process::{Program, write_proc};
use crate::pty::{self, Pty};
use crate::spec::{Capabilities, ContainerSpec, Namespace, Seccomp};
use crate::sys::{self, Forked};
use crate::user::Credentials;
use crate::{caps::CapSet, rootfs, seccomp};

/// A container whose program has started.
pub(crate) struct Started {
    pub pid: Pid,
    pub pidfd: OwnedFd,
    /// The controlling side of its terminal, if it has one.
    pub terminal: Option<OwnedFd>,
    /// The user that it began as.
    pub user: Option<Credentials>,
}

/// The streams that the new process gets; with a terminal, none of them.
pub(crate) struct Streams {
    pub stdin: OwnedFd,
    pub stdout: OwnedFd,
    pub stderr: OwnedFd,
}

/// What stays the same for every program of one container.
pub(crate) struct Settings {
    pub capabilities: Capabilities,
    pub filters: Vec<BpfProgram>,
    pub ids: IdMap,
    pub proc: OwnedFd,
}

impl Settings {
    pub(crate) fn of(spec: &ContainerSpec) -> Result<Self, StartError> {
        let capabilities = match spec.privileged {
            true => Capabilities {
                bounding: CapSet::ALL,
                ..spec.capabilities.clone()
            },
            false => spec.capabilities.clone(),
        };
        let choice = if spec.privileged {
            &Seccomp::Unconfined
        } else {
            &spec.seccomp
        };
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self {
            filters: seccomp::compile(choice, capabilities.bounding)?,
            capabilities,
            ids: IdMap::current().during("read", "/proc/self/uid_map")?,
            proc: rustix::fs::openat(CWD, "/proc", flags, Mode::empty()).during("open", "/proc")?,
        })
    }
}

/// Starts the container of `spec`. `place` is an existing directory on which
/// its root is mounted, unseen by anyone else.
pub(crate) fn start(
    spec: &ContainerSpec,
    settings: &Settings,
    cgroup: Option<&Cgroup>,
    streams: Option<Streams>,
    place: &Path,
) -> Result<Started, StartError> {
    if spec.root.lowers.is_empty() {
        return Err(StartError::Invalid(
            "the root file system has no layer".into(),
        ));
    }
    let (parent, child) = control::pair().during("make a line to", &spec.id)?;
    let born_in = cgroup
        .map(Cgroup::birthplace)
        .transpose()
        .during("open the cgroup of", &spec.id)?;
    let born_in = born_in.flatten();
    // Of the shim's children only: the container is the first of them, and
    // further programs are born beside it.
    match &spec.namespaces.pid {
        Namespace::Own => {
            sys::unshare(UnshareFlags::NEWPID).during("make a pid namespace for", &spec.id)?
        }
        Namespace::Path(path) => enter(path, LinkNameSpaceType::ProcessID)?,
        Namespace::Host => {}
    }
    // SAFETY: the shim has one thread.
    let forked = unsafe { sys::clone3(clone_flags(spec), born_in.as_ref().map(|fd| fd.as_fd())) };
    let (pid, pidfd) = match forked.during("clone", &spec.id)? {
        Forked::Child => {
            drop(parent);
            let born_in_cgroup = born_in.is_some();
            match become_container(
                spec,
                settings,
                cgroup,
                born_in_cgroup,
                streams,
                place,
                &child,
            ) {
                Err(error) => child.send_failure(&error),
                Ok(never) => match never {},
            }
            sys::exit_now(1)
        }
        Forked::Parent(pid, pidfd) => (pid, pidfd),
    };
    drop((child, streams));
    match listen(&parent) {
        Ok((terminal, user)) => Ok(Started {
            pid,
            pidfd,
            terminal,
            user,
        }),
        Err(error) => {
            let _ = rustix::process::waitpid(Some(pid), rustix::process::WaitOptions::empty());
            Err(error)
        }
    }
}

/// What the new process told before it became the program.
type Told = (Option<OwnedFd>, Option<Credentials>);

fn listen(parent: &control::Parent) -> Result<Told, StartError> {
    let (mut terminal, mut user) = (None, None);
    loop {
        match parent.receive().map_err(StartError::shim)? {
            Note::Terminal(fd) => terminal = Some(fd),
            Note::User(told) => user = Some(told),
            Note::Failed(error) => return Err(error),
            Note::Started => return Ok((terminal, user)),
        }
    }
}

fn clone_flags(spec: &ContainerSpec) -> u64 {
    let namespaces = &spec.namespaces;
    let own = [
        (&namespaces.net, libc::CLONE_NEWNET),
        (&namespaces.ipc, libc::CLONE_NEWIPC),
        (&namespaces.uts, libc::CLONE_NEWUTS),
    ];
    own.iter()
        .filter(|(namespace, _)| **namespace == Namespace::Own)
        .fold(libc::CLONE_NEWNS as u64, |flags, (_, flag)| {
            flags | *flag as u64
        })
}

/// Everything the new process does before its exec.
fn become_container(
    spec: &ContainerSpec,
    settings: &Settings,
    cgroup: Option<&Cgroup>,
    born_in_cgroup: bool,
    streams: Option<Streams>,
    place: &Path,
    line: &control::Child,
) -> Result<Infallible, StartError> {
    rustix::process::setsid().during("start a session for", &spec.id)?;
    set_oom_score(spec.oom_score_adj, &settings.proc);
    if let Some(cgroup) = cgroup {
        if !born_in_cgroup {
            cgroup.join_self().during("join the cgroup of", &spec.id)?;
        }
        // After joining, so that the container sees its own cgroup as the root.
        sys::unshare(UnshareFlags::NEWCGROUP).during("make a cgroup namespace for", &spec.id)?;
    }
    join_namespaces(spec)?;
    if let Some(hostname) = &spec.hostname {
        if spec.namespaces.uts != Namespace::Own {
            return Err(StartError::Invalid(
                "a shared host name cannot be changed".into(),
            ));
        }
        rustix::system::sethostname(hostname.as_bytes()).during("set the host name", hostname)?;
    }
    let entered = rootfs::enter(spec, cgroup, &settings.ids, place)?;
    match streams {
        Some(streams) => pty::become_streams(streams.stdin, streams.stdout, streams.stderr)
            .during("connect the streams of", &spec.id)?,
        None => open_terminal(entered.identity.uid, None, line)?,
    }
    Program {
        args: &spec.args,
        env: spec.env.clone(),
        cwd: &spec.cwd,
        identity: entered.identity,
        ids: &settings.ids,
        capabilities: settings.capabilities.clone(),
        no_new_privileges: spec.no_new_privileges,
        filters: &settings.filters,
        rlimits: &spec.rlimits,
        terminal: spec.terminal,
        proc: &settings.proc,
        line,
        nested: false,
    }
    .run()
}

/// Makes a terminal in the container, hands it to the shim, and puts the
/// program behind it.
pub(crate) fn open_terminal(
    uid: u32,
    size: Option<(u16, u16)>,
    line: &control::Child,
) -> Result<(), StartError> {
    let terminal = Pty::open(uid).during("open", "a terminal")?;
    if let Some((columns, rows)) = size {
        pty::resize(terminal.program.as_fd(), columns, rows).during("resize", "the terminal")?;
    }
    line.send_terminal(terminal.controlling.as_fd())
        .during("hand over", "the terminal")?;
    drop(terminal.controlling);
    pty::become_terminal(&terminal.program).during("become", "the terminal")
}

fn join_namespaces(spec: &ContainerSpec) -> Result<(), StartError> {
    let shared = [
        (&spec.namespaces.net, LinkNameSpaceType::Network),
        (
            &spec.namespaces.ipc,
            LinkNameSpaceType::InterProcessCommunication,
        ),
        (
            &spec.namespaces.uts,
            LinkNameSpaceType::HostNameAndNISDomainName,
        ),
    ];
    for (namespace, kind) in shared {
        if let Namespace::Path(path) = namespace {
            enter(path, kind)?;
        }
    }
    Ok(())
}

fn enter(path: &PathBuf, kind: LinkNameSpaceType) -> Result<(), StartError> {
    let file = File::open(path).during("open the namespace", path.display())?;
    move_into_link_name_space(file.as_fd(), Some(kind)).during("enter", path.display())
}

/// proc_pid_oom_score_adj(5): lowering it needs privilege over the host, so a
/// refusal leaves the caller's value, which is the nearest one allowed.
pub(crate) fn set_oom_score(value: i32, proc: &OwnedFd) {
    let _ = write_proc(proc, "self/oom_score_adj", &value.to_string());
}

/// Returns /dev/null, numbered above the standard streams.
pub(crate) fn null() -> io::Result<OwnedFd> {
    let file: OwnedFd = File::options()
        .read(true)
        .write(true)
        .open("/dev/null")?
        .into();
    above_streams(file)
}

/// Returns the descriptor, or a copy of it if its number is that of a
/// standard stream.
pub(crate) fn above_streams(fd: OwnedFd) -> io::Result<OwnedFd> {
    match fd.as_raw_fd() {
        0..=2 => Ok(rustix::io::fcntl_dupfd_cloexec(&fd, 3)?),
        _ => Ok(fd),
    }
}
