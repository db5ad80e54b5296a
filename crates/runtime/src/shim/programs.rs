//! Further programs in the shim's container: their start, their end, and the
//! connections that asked for them.

use std::io;
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::process::{Pid, Signal};

use super::conn::Conn;
use super::serve::{Shim, reap};
use crate::clock;
use crate::control::{self, Note};
use crate::exec::{self, Spawned, Target};
use crate::protocol::Reply;
use crate::spec::ExecSpec;
use crate::start::{self, Streams};
use crate::sys;

/// A further program.
pub(super) struct Running {
    conn: u64,
    pid: i32,
    pub(super) pidfd: OwnedFd,
    /// Open until the program has started.
    pub(super) line: Option<control::Parent>,
    terminal: Option<OwnedFd>,
    started_at_nanos: u64,
}

impl Shim {
    pub(super) fn signal_program(&self, number: u64, signal: i32) -> io::Result<()> {
        let program = self.programs.iter().find(|program| program.conn == number);
        let program = program.ok_or(Errno::SRCH)?;
        if signal == libc::SIGKILL
            && let Some(group) = Pid::from_raw(program.pid)
        {
            // It leads a group; its children shall not stay when, say, a probe
            // takes too long. Not reaped yet, its number is still its own.
            let _ = rustix::process::kill_process_group(group, Signal::KILL);
        }
        sys::signal(&program.pidfd, signal)
    }

    pub(super) fn run_program(&mut self, number: u64, exec: ExecSpec) {
        let streams = match exec.terminal {
            true => Ok(None),
            false => self
                .conn(number)
                .map_or(Err(Errno::SRCH.into()), take_streams)
                .map(Some),
        };
        let streams = match streams {
            Ok(streams) => streams,
            Err(error) => return self.reply(number, &Reply::Error(error.to_string())),
        };
        let target = Target {
            spec: &self.spec,
            settings: &self.settings,
            cgroup: self.cgroup.as_ref(),
            pidfd: &self.pidfd,
            nested: self.nested,
        };
        let started_at_nanos = clock::now();
        match exec::spawn(&target, &exec, streams) {
            Ok(Spawned { pid, pidfd, line }) => self.programs.push(Running {
                conn: number,
                pid: pid.as_raw_nonzero().get(),
                pidfd,
                line: Some(line),
                terminal: None,
                started_at_nanos,
            }),
            Err(error) => self.reply(number, &Reply::Failed(error)),
        }
    }

    /// A program on its way has something to say.
    pub(super) fn program_started(&mut self, index: usize) {
        let Some(program) = self.programs.get_mut(index) else {
            return;
        };
        let Some(line) = &program.line else { return };
        match line.receive() {
            Ok(Note::Terminal(terminal)) => program.terminal = Some(terminal),
            Ok(Note::User(_)) => {}
            Ok(Note::Started) => {
                program.line = None;
                let (conn, pid) = (program.conn, program.pid);
                let terminal = program.terminal.take();
                self.reply_with(conn, &Reply::ExecStarted { pid }, terminal);
            }
            Ok(Note::Failed(error)) => {
                let program = self.programs.remove(index);
                reap(&program.pidfd);
                self.reply(program.conn, &Reply::Failed(error));
            }
            Err(error) => {
                let program = self.programs.remove(index);
                let _ = sys::signal(&program.pidfd, libc::SIGKILL);
                reap(&program.pidfd);
                self.reply(program.conn, &Reply::Error(error.to_string()));
            }
        }
    }

    pub(super) fn program_ended(&mut self, index: usize) {
        if index >= self.programs.len() {
            return;
        }
        let program = self.programs.remove(index);
        let exit = self.exit_of(&program.pidfd, program.started_at_nanos);
        self.reply(program.conn, &Reply::Exited(exit));
    }
}

fn take_streams(conn: &mut Conn) -> io::Result<Streams> {
    let mut next = || start::above_streams(conn.descriptor().ok_or(Errno::BADF)?);
    Ok(Streams {
        stdin: next()?,
        stdout: next()?,
        stderr: next()?,
    })
}
