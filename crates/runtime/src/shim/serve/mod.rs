//! The shim's loop: waits for the container, its output and the engine, all
//! at once. The main type is [`Shim`].

mod requests;
mod streams;

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{SocketFlags, accept_with};
use rustix::process::{WaitId, WaitIdOptions, waitid};

use super::conn::Conn;
use super::log::LogWriter;
use super::programs::Running;
use super::{Ends, kill_rest};
use crate::cgroup::Cgroup;
use crate::clock;
use crate::protocol::Reply;
use crate::pty;
use crate::record::{self, Exit, State};
use crate::spec::{ContainerSpec, Namespace};
use crate::start::Settings;
use crate::sys;

/// How long output may trickle in after the end; only a process that left the
/// container's namespaces could still hold the other side.
const DRAIN: Duration = Duration::from_secs(2);

/// An attached client that takes nothing for so long is left behind.
const STALL: Duration = Duration::from_secs(10);

/// Standard input that the program does not read is held up to here.
const STDIN_BYTES_MAX: usize = 64 * 1024;

const CONNECTIONS_MAX: usize = 256;

/// A container with its shim.
pub(super) struct Shim {
    pub(super) started_at_nanos: u64,
    pub(super) spec: ContainerSpec,
    pub(super) settings: Settings,
    pub(super) cgroup: Option<Cgroup>,
    state: State,
    pub(super) nested: bool,
    pub(super) pidfd: OwnedFd,
    terminal: Option<OwnedFd>,
    /// The program's side of the terminal, so that it does not hang up while
    /// the container lives and nobody has it open.
    terminal_hold: Option<OwnedFd>,
    ends: Ends,
    stdin: Vec<u8>,
    stdin_ended: bool,
    log: Option<LogWriter>,
    listener: OwnedFd,
    conns: Vec<Conn>,
    next_conn: u64,
    pub(super) programs: Vec<Running>,
    /// Set when the container's first process has ended.
    ended: Option<(Exit, Instant)>,
    buffer: Vec<u8>,
}

/// What a poll entry stands for.
#[derive(Clone, Copy)]
enum Source {
    Listener,
    Container,
    Stdout,
    Stderr,
    Terminal,
    Stdin,
    Conn(u64),
    Line(usize),
    Program(usize),
}

impl Shim {
    #[allow(clippy::too_many_arguments)]
    pub(super) fn new(
        spec: ContainerSpec,
        settings: Settings,
        cgroup: Option<Cgroup>,
        state: State,
        pidfd: OwnedFd,
        terminal: Option<OwnedFd>,
        ends: Ends,
        log: Option<LogWriter>,
        listener: OwnedFd,
    ) -> Self {
        if let Some(terminal) = &terminal {
            let _ = rustix::io::ioctl_fionbio(terminal, true);
        }
        let terminal_hold = terminal
            .as_ref()
            .and_then(|terminal| pty::peer(terminal.as_fd()).ok());
        Self {
            terminal_hold,
            started_at_nanos: state.started_at_nanos,
            nested: has_own_user_namespace(state.pid),
            spec,
            settings,
            cgroup,
            state,
            pidfd,
            terminal,
            ends,
            stdin: Vec::new(),
            stdin_ended: false,
            log,
            listener,
            conns: Vec::new(),
            next_conn: 1,
            programs: Vec::new(),
            ended: None,
            buffer: vec![0; 16 * 1024],
        }
    }

    pub(super) fn pid(&self) -> i32 {
        self.state.pid
    }

    /// Serves until the container has ended and everyone was told.
    pub(super) fn serve(&mut self) -> io::Result<()> {
        while !self.is_done() {
            let ready = self.wait()?;
            // Output before the end: nothing written is lost.
            for source in ready {
                self.handle(source);
            }
            self.forget_stalled();
            self.conns.retain(|conn| conn.open);
        }
        self.finish()
    }

    fn is_done(&self) -> bool {
        match &self.ended {
            None => false,
            Some((_, at)) => {
                let drained = self.ends.stdout.is_none()
                    && self.ends.stderr.is_none()
                    && self.terminal.is_none();
                drained || at.elapsed() > DRAIN
            }
        }
    }

    /// Waits until something can be done; returns what.
    fn wait(&self) -> io::Result<Vec<Source>> {
        let mut sources: Vec<(Source, PollFd<'_>)> = Vec::with_capacity(8 + self.conns.len());
        let mut add =
            |source, fd, flags| sources.push((source, PollFd::from_borrowed_fd(fd, flags)));
        let behind = self.conns.iter().any(Conn::is_behind);
        if !behind || self.ended.is_some() {
            let outputs = [
                (Source::Stdout, &self.ends.stdout),
                (Source::Stderr, &self.ends.stderr),
                (Source::Terminal, &self.terminal),
            ];
            for (source, fd) in outputs {
                if let Some(fd) = fd {
                    add(source, fd.as_fd(), PollFlags::IN);
                }
            }
        }
        if !self.stdin.is_empty()
            && let Some(fd) = self.ends.stdin.as_ref().or(self.terminal.as_ref())
        {
            add(Source::Stdin, fd.as_fd(), PollFlags::OUT);
        }
        let full = self.stdin.len() >= STDIN_BYTES_MAX;
        for conn in &self.conns {
            let mut flags = PollFlags::empty();
            flags.set(PollFlags::IN, !(conn.role.stdin && full));
            flags.set(PollFlags::OUT, conn.has_output());
            add(Source::Conn(conn.number), conn.as_fd(), flags);
        }
        for (index, program) in self.programs.iter().enumerate() {
            match &program.line {
                Some(line) => add(Source::Line(index), line.as_fd(), PollFlags::IN),
                None => add(Source::Program(index), program.pidfd.as_fd(), PollFlags::IN),
            }
        }
        if self.ended.is_none() {
            add(Source::Container, self.pidfd.as_fd(), PollFlags::IN);
            if self.conns.len() < CONNECTIONS_MAX {
                add(Source::Listener, self.listener.as_fd(), PollFlags::IN);
            }
        }
        let mut fds: Vec<PollFd<'_>> = sources.iter().map(|(_, fd)| fd.clone()).collect();
        let second = Timespec {
            tv_sec: 1,
            tv_nsec: 0,
        };
        let timeout = (behind || self.ended.is_some()).then_some(&second);
        match poll(&mut fds, timeout) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let ready = fds.iter().map(|fd| !fd.revents().is_empty());
        let mut ready: Vec<Source> = sources
            .iter()
            .zip(ready)
            .filter_map(|((source, _), ready)| ready.then_some(*source))
            .collect();
        // Programs are removed by index, so from the back.
        ready.sort_by_key(|source| match source {
            Source::Line(index) | Source::Program(index) => usize::MAX - index,
            _ => 0,
        });
        Ok(ready)
    }

    fn handle(&mut self, source: Source) {
        match source {
            Source::Stdout => self.read_output(Source::Stdout),
            Source::Stderr => self.read_output(Source::Stderr),
            Source::Terminal => self.read_output(Source::Terminal),
            Source::Stdin => self.feed(),
            Source::Listener => self.accept(),
            Source::Container => self.container_ended(),
            Source::Conn(number) => self.converse(number),
            Source::Line(index) => self.program_started(index),
            Source::Program(index) => self.program_ended(index),
        }
    }

    fn accept(&mut self) {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        if let Ok(socket) = accept_with(&self.listener, flags) {
            self.conns.push(Conn::new(self.next_conn, socket));
            self.next_conn += 1;
        }
    }

    pub(super) fn conn(&mut self, number: u64) -> Option<&mut Conn> {
        self.conns.iter_mut().find(|conn| conn.number == number)
    }

    pub(super) fn reply(&mut self, number: u64, reply: &Reply) {
        self.reply_with(number, reply, None);
    }

    pub(super) fn reply_with(&mut self, number: u64, reply: &Reply, descriptor: Option<OwnedFd>) {
        if let Some(conn) = self.conn(number) {
            conn.reply_with(reply, descriptor);
            flush(conn);
        }
    }

    fn container_ended(&mut self) {
        let exit = self.exit_of(&self.pidfd, self.started_at_nanos);
        if self.spec.namespaces.pid != Namespace::Own {
            kill_rest(self.cgroup.as_ref(), self.state.mount_namespace);
        }
        self.ended = Some((exit, Instant::now()));
        self.terminal_hold = None;
        // Programs in it die with it; their clients hear of it.
        for index in (0..self.programs.len()).rev() {
            let _ = sys::signal(&self.programs[index].pidfd, libc::SIGKILL);
            self.program_ended(index);
        }
    }

    pub(super) fn exit_of(&self, pidfd: &OwnedFd, started_at_nanos: u64) -> Exit {
        let (code, signal) = reap(pidfd);
        let oom_kills = self.cgroup.as_ref().map_or(0, Cgroup::oom_kills);
        Exit {
            code,
            signal,
            oom_killed: code != 0 && oom_kills > 0,
            started_at_nanos,
            finished_at_nanos: clock::now(),
        }
    }

    /// Drops attached clients that take nothing, so that the container's
    /// output can go on.
    fn forget_stalled(&mut self) {
        for conn in &mut self.conns {
            if conn.is_behind() && conn.moved.elapsed() > STALL {
                conn.open = false;
            }
        }
    }

    /// Leaves the record and says goodbye.
    fn finish(&mut self) -> io::Result<()> {
        let Some((exit, _)) = self.ended.take() else {
            return Ok(());
        };
        if let Some(log) = &mut self.log {
            log.finish();
        }
        let written = record::write(Path::new("."), record::EXIT, &exit);
        for conn in self.conns.iter_mut().filter(|conn| conn.role.waits) {
            conn.reply(&Reply::Exited(exit.clone()));
        }
        let patience = Instant::now();
        while self.conns.iter().any(|conn| conn.open && conn.has_output())
            && patience.elapsed() < STALL
        {
            let waiting = self
                .conns
                .iter()
                .filter(|conn| conn.open && conn.has_output());
            let mut fds: Vec<_> = waiting
                .map(|conn| PollFd::new(conn, PollFlags::OUT))
                .collect();
            let _ = poll(
                &mut fds,
                Some(&Timespec {
                    tv_sec: 1,
                    tv_nsec: 0,
                }),
            );
            self.conns.iter_mut().for_each(flush);
        }
        written
    }
}

fn flush(conn: &mut Conn) {
    if conn.flush().is_err() {
        conn.open = false;
    }
}

/// Waits for a process that has ended; returns its code and signal.
pub(super) fn reap(pidfd: &OwnedFd) -> (i32, Option<i32>) {
    let status = loop {
        match waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED) {
            Err(Errno::INTR) => {}
            other => break other,
        }
    };
    let Ok(Some(status)) = status else {
        return (255, None);
    };
    match status.terminating_signal() {
        Some(signal) => (128 + signal, Some(signal)),
        None => (status.exit_status().unwrap_or(255), None),
    }
}

fn has_own_user_namespace(pid: i32) -> bool {
    let namespace = |who: &str| std::fs::read_link(format!("/proc/{who}/ns/user")).ok();
    let theirs = namespace(&pid.to_string());
    theirs.is_some() && theirs != namespace("self")
}
