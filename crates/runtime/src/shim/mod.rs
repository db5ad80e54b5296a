//! The process that starts one container and stays with it: keeps its output,
//! its terminal and its exit code, and runs further programs in it. It has one
//! thread and no async runtime, survives the engine, and ends with the
//! container. The entry is [`shim_main`].

mod conn;
mod log;
mod pause;
mod programs;
mod serve;

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::exit;

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, listen, socket_with,
};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{DumpableBehavior, WaitOptions};

use crate::cgroup::Cgroup;
use crate::clock;
use crate::error::{During, StartError};
use crate::procfs;
use crate::protocol::{self, Kind, Reply, Request, Start};
use crate::record::{self, State};
use crate::start::{self, Settings, Started, Streams};
use crate::sys;
use crate::user::Credentials;
pub(crate) use pause::WORD as PAUSE_WORD;

use conn::Conn;
use log::LogWriter;
use serve::Shim;

/// Runs as a shim and never returns. The caller, the program's `main`, hands
/// over the arguments after the word `shim` and must have no second thread.
///
/// The working directory is the container's own; standard input is a socket
/// that the engine sends the start message to.
pub fn shim_main(args: impl IntoIterator<Item = OsString>) -> ! {
    let first = args.into_iter().next();
    if first.is_some_and(|word| word == pause::WORD) {
        pause::main();
    }
    let _ = rustix::process::setsid();
    let _ = rustix::thread::set_name(c"coracle-shim");
    // The container is asked as well when everything is; it would be killed
    // with its shim, which ends with it anyway.
    sys::ignore_termination();
    // Inherited by the processes that become further programs: from their
    // birth on they are seen inside the container while they still hold
    // descriptors of the outside (CVE-2016-9962). Exec ends it.
    let _ = rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable);
    match run() {
        Ok(()) => exit(0),
        Err(_) => exit(1),
    }
}

/// Starts the container and serves until it has ended.
fn run() -> io::Result<()> {
    // SAFETY: the process has just begun and owns nothing beyond the standard
    // streams; what its parent leaked is nobody's here.
    unsafe { sys::close_from(3)? };
    let engine = start::above_streams(rustix::io::fcntl_dupfd_cloexec(io::stdin(), 3)?)?;
    rustix::stdio::dup2_stdin(start::null()?)?;
    let mut engine = Conn::new(0, engine);
    let Some(message) = receive_start(&mut engine)? else {
        return Ok(());
    };
    match begin(message, &mut engine) {
        Ok((mut shim, user)) => {
            let (pid, started_at_nanos) = (shim.pid(), shim.started_at_nanos);
            engine.reply(&Reply::Started {
                pid,
                started_at_nanos,
                user,
            });
            // An engine that died meanwhile will find us by our directory.
            let _ = engine.flush();
            drop(engine);
            shim.serve()
        }
        Err(error) => {
            let _ = fs::remove_file(record::SOCKET);
            engine.reply(&Reply::Failed(error));
            engine.flush()
        }
    }
}

fn receive_start(engine: &mut Conn) -> io::Result<Option<Start>> {
    loop {
        if let Some((kind, payload)) = engine.next()? {
            return match (kind, protocol::parse(&payload)?) {
                (Kind::Control, Request::Start(start)) => Ok(Some(*start)),
                _ => Err(io::ErrorKind::InvalidData.into()),
            };
        }
        if !engine.fill()? {
            return Ok(None);
        }
    }
}

/// The shim's sides of the container's streams.
#[derive(Default)]
struct Ends {
    stdin: Option<OwnedFd>,
    stdout: Option<OwnedFd>,
    stderr: Option<OwnedFd>,
}

fn begin(message: Start, engine: &mut Conn) -> Result<(Shim, Option<Credentials>), StartError> {
    let Start {
        spec,
        cgroups,
        streams,
    } = message;
    // Bound before the container exists: from its first moment on there is
    // someone to ask.
    let listener = open_socket().during("listen on", record::SOCKET)?;
    let settings = Settings::of(&spec)?;
    let log = match &spec.log {
        Some(log) => Some(LogWriter::open(log.clone()).during("open the log", log.path.display())?),
        None => None,
    };
    let cgroup = match &spec.cgroup {
        Some(path) if cgroups.available() => Some(
            cgroups
                .create(path, &spec.resources)
                .during("make the cgroup", path)?,
        ),
        _ => None,
    };
    let (ends, given) =
        make_streams(&spec, streams, engine).during("make the streams of", &spec.id)?;
    let place = std::env::current_dir().during("find", "the container's directory")?;
    let started_at_nanos = clock::now();
    let started = start::start(&spec, &settings, cgroup.as_ref(), given, &place);
    let Started {
        pid,
        pidfd,
        terminal,
        user,
    } = started.inspect_err(|_| {
        if let Some(cgroup) = &cgroup {
            let _ = cgroup.remove();
        }
    })?;
    let number = pid.as_raw_nonzero().get();
    let state = State {
        id: spec.id.clone(),
        labels: spec.labels.clone(),
        pid: number,
        started_at_nanos,
        cgroup: cgroup.as_ref().and(spec.cgroup.clone()),
        mount_namespace: procfs::mount_namespace(number).unwrap_or(0),
        stop_signal: spec.stop_signal,
        started_ticks: procfs::started_ticks(number).unwrap_or(0),
        user: user.clone(),
    };
    if let Err(error) = record::write(Path::new("."), record::STATE, &state) {
        // A container that nobody could find again must not run.
        let _ = sys::signal(&pidfd, libc::SIGKILL);
        let _ = rustix::process::waitpid(Some(pid), WaitOptions::empty());
        kill_rest(cgroup.as_ref(), state.mount_namespace);
        if let Some(cgroup) = &cgroup {
            let _ = cgroup.remove();
        }
        return Err(StartError::step("write", record::STATE, &error));
    }
    let shim = Shim::new(
        spec, settings, cgroup, state, pidfd, terminal, ends, log, listener,
    );
    Ok((shim, user))
}

/// Makes the pipes of a container; without a log its output goes nowhere
/// until someone attaches.
fn make_streams(
    spec: &crate::spec::ContainerSpec,
    given: bool,
    engine: &mut Conn,
) -> io::Result<(Ends, Option<Streams>)> {
    if spec.terminal {
        return Ok((Ends::default(), None));
    }
    if given {
        let mut next = || start::above_streams(engine.descriptor().ok_or(io::ErrorKind::NotFound)?);
        let streams = Streams {
            stdin: next()?,
            stdout: next()?,
            stderr: next()?,
        };
        return Ok((Ends::default(), Some(streams)));
    }
    let (stdin, stdin_end) = match spec.stdin {
        true => {
            let (read, write) = pipe_with(PipeFlags::CLOEXEC)?;
            rustix::io::ioctl_fionbio(&write, true)?;
            (read, Some(write))
        }
        false => (start::null()?, None),
    };
    let (stdout_end, stdout) = pipe_with(PipeFlags::CLOEXEC)?;
    let (stderr_end, stderr) = pipe_with(PipeFlags::CLOEXEC)?;
    let ends = Ends {
        stdin: stdin_end,
        stdout: Some(stdout_end),
        stderr: Some(stderr_end),
    };
    Ok((
        ends,
        Some(Streams {
            stdin,
            stdout,
            stderr,
        }),
    ))
}

/// Binds the socket in the working directory, under a name that always fits.
fn open_socket() -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    let _ = fs::remove_file(record::SOCKET);
    match bind(&socket, &SocketAddrUnix::new(record::SOCKET)?) {
        Err(Errno::NOENT) => return Err(io::ErrorKind::NotFound.into()),
        other => other?,
    }
    listen(&socket, 128)?;
    Ok(socket)
}

/// Kills what is left of a container whose pid namespace goes on without it.
fn kill_rest(cgroup: Option<&Cgroup>, mount_namespace: u64) {
    if let Some(cgroup) = cgroup {
        return cgroup.kill();
    }
    procfs::kill_in_mount_namespace(mount_namespace);
}
