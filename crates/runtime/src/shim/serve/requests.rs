//! What the shim's clients ask for, and the answers.

use std::io;
use std::os::fd::AsFd;

use super::{Shim, flush};
use crate::protocol::{self, Kind, Reply, Request};
use crate::pty;
use crate::shim::conn::Role;
use crate::shim::kill_rest;
use crate::spec::Namespace;
use crate::sys;

impl Shim {
    pub(super) fn converse(&mut self, number: u64) {
        let Some(conn) = self.conn(number) else {
            return;
        };
        flush(conn);
        if !conn.fill().unwrap_or(false) {
            conn.open = false;
        }
        loop {
            let Some(conn) = self.conn(number) else {
                return;
            };
            match conn.next() {
                Ok(Some((kind, payload))) => self.obey(number, kind, &payload),
                Ok(None) => break,
                Err(_) => {
                    conn.open = false;
                    break;
                }
            }
        }
        let Some(conn) = self.conn(number) else {
            return;
        };
        flush(conn);
        if !conn.open {
            self.left(number);
        }
    }

    /// A client has gone.
    fn left(&mut self, number: u64) {
        let feeds = self.conn(number).is_some_and(|conn| conn.role.stdin);
        if feeds && self.spec.stdin_once {
            self.end_stdin();
        }
    }

    fn obey(&mut self, number: u64, kind: Kind, payload: &[u8]) {
        match kind {
            Kind::Control => match protocol::parse::<Request>(payload) {
                Ok(request) => self.answer(number, request),
                Err(error) => self.reply(number, &Reply::Error(error.to_string())),
            },
            Kind::Stdin if self.takes_input(number) => {
                self.stdin.extend_from_slice(payload);
                self.feed();
            }
            // A terminal has no end of input but the character for it.
            Kind::StdinEnd
                if self.spec.stdin_once && self.terminal.is_none() && self.takes_input(number) =>
            {
                self.end_stdin();
            }
            _ => {}
        }
    }

    fn answer(&mut self, number: u64, request: Request) {
        let reply = match request {
            Request::Status => Reply::Status {
                version: protocol::VERSION,
                pid: self.state.pid,
                started_at_nanos: self.started_at_nanos,
            },
            Request::Wait => return self.take_role(number, |role| role.waits = true),
            Request::Kill { signal, all } => done(self.kill(signal, all)),
            Request::Signal { signal } => done(self.signal_program(number, signal)),
            Request::Exec(exec) => return self.run_program(number, exec),
            Request::Attach {
                stdin,
                stdout,
                stderr,
            } => {
                let feeds = stdin && self.spec.stdin;
                self.take_role(number, |role| {
                    *role = Role {
                        stdin: feeds,
                        stdout,
                        stderr,
                        waits: true,
                    };
                });
                Reply::Done
            }
            Request::Resize { columns, rows } => match &self.terminal {
                Some(terminal) => done(pty::resize(terminal.as_fd(), columns, rows)),
                None => Reply::Error("the container has no terminal".into()),
            },
            Request::ReopenLog => match &mut self.log {
                Some(log) => done(log.reopen()),
                None => Reply::Done,
            },
            Request::Start(_) => Reply::Error("already started".into()),
        };
        self.reply(number, &reply);
    }

    fn take_role(&mut self, number: u64, change: impl FnOnce(&mut Role)) {
        if let Some(conn) = self.conn(number) {
            change(&mut conn.role);
        }
    }

    fn kill(&self, signal: i32, all: bool) -> io::Result<()> {
        if all && signal == libc::SIGKILL && self.spec.namespaces.pid != Namespace::Own {
            kill_rest(self.cgroup.as_ref(), self.state.mount_namespace);
        }
        sys::signal(&self.pidfd, signal)
    }
}

fn done(result: io::Result<()>) -> Reply {
    match result {
        Ok(()) => Reply::Done,
        Err(error) => Reply::Error(error.to_string()),
    }
}
