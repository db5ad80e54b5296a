//! A terminal as a person has it: a program runs on it, its size changes.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{CWD, Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

/// How long a text may take to come.
const LIMIT: Duration = Duration::from_secs(300);

/// A terminal.
#[derive(Debug)]
pub struct Terminal {
    master: File,
    slave: OwnedFd,
    seen: String,
}

impl Terminal {
    /// Makes one with this many columns and rows.
    ///
    /// # Panics
    /// Panics if there are no terminals.
    pub fn new(columns: u16, rows: u16) -> Terminal {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let master = openpt(flags).expect("a terminal");
        grantpt(&master).expect("it is ours");
        unlockpt(&master).expect("it is ours");
        let name = ptsname(&master, Vec::new()).expect("it has a name");
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let slave = rustix::fs::openat(CWD, &name, flags, Mode::empty()).expect("it is there");
        let terminal = Terminal {
            master: master.into(),
            slave,
            seen: String::new(),
        };
        terminal.resize(columns, rows);
        terminal
    }

    /// Changes its size; the program on it is told.
    ///
    /// # Panics
    /// Panics if the kernel refuses.
    pub fn resize(&self, columns: u16, rows: u16) {
        let size = Winsize {
            ws_row: rows,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(&self.master, size).expect("any size will do");
    }

    /// Starts a program on it.
    ///
    /// # Panics
    /// Panics if it cannot be started.
    pub fn run(&self, command: &Command) -> Child {
        // setsid(1) makes standard input the controlling terminal.
        let mut on_terminal = Command::new("setsid");
        on_terminal.args(["--ctty", "--wait"]);
        on_terminal
            .arg(command.get_program())
            .args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => on_terminal.env(name, value),
                None => on_terminal.env_remove(name),
            };
        }
        let stream = || self.slave.try_clone().expect("a descriptor is free");
        on_terminal
            .stdin(stream())
            .stdout(stream())
            .stderr(stream())
            .spawn()
            .expect("setsid is part of every Linux")
    }

    /// Types on it.
    ///
    /// # Panics
    /// Panics if nobody can read it.
    pub fn type_in(&mut self, text: &str) {
        self.master.write_all(text.as_bytes()).expect("it is open");
    }

    /// Reads until a text has come, and forgets what came up to there.
    ///
    /// # Panics
    /// Panics after five minutes, with what came instead.
    pub fn expect(&mut self, text: &str) {
        let until = Instant::now() + LIMIT;
        loop {
            if let Some(at) = self.seen.find(text) {
                self.seen.drain(..at + text.len());
                return;
            }
            let left = until.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "{text:?} did not come: {:?}", self.seen);
            let timeout = Timespec {
                tv_sec: left.as_secs() as i64 + 1,
                tv_nsec: 0,
            };
            let mut fds = [PollFd::new(&self.master, PollFlags::IN)];
            if poll(&mut fds, Some(&timeout)).unwrap_or(0) == 0 {
                continue;
            }
            let mut bytes = [0; 4096];
            let read = self.master.read(&mut bytes).unwrap_or(0);
            assert!(read > 0, "{text:?} did not come: {:?}", self.seen);
            self.seen.push_str(&String::from_utf8_lossy(&bytes[..read]));
        }
    }
}
