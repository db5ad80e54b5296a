//! The container's standard streams: output to the log and to whoever is
//! attached, input from them.

use rustix::io::Errno;

use super::{Shim, Source, flush};
use crate::protocol::Kind;
use crate::shim::log::Stream;

impl Shim {
    pub(super) fn read_output(&mut self, source: Source) {
        let (slot, stream) = match source {
            Source::Stderr => (&mut self.ends.stderr, Stream::Stderr),
            Source::Terminal => (&mut self.terminal, Stream::Stdout),
            _ => (&mut self.ends.stdout, Stream::Stdout),
        };
        let Some(fd) = slot else { return };
        let length = match rustix::io::read(&*fd, &mut self.buffer[..]) {
            Err(Errno::AGAIN | Errno::INTR) => return,
            // Among them EIO, by which a terminal says that its programs are
            // gone, see tty(4).
            Ok(0) | Err(_) => {
                *slot = None;
                return;
            }
            Ok(length) => length,
        };
        let bytes = &self.buffer[..length];
        if let Some(log) = &mut self.log {
            log.write(stream, bytes);
        }
        let kind = if stream == Stream::Stdout {
            Kind::Stdout
        } else {
            Kind::Stderr
        };
        for conn in &mut self.conns {
            let wants = if stream == Stream::Stdout {
                conn.role.stdout
            } else {
                conn.role.stderr
            };
            if wants {
                conn.stream(kind, bytes);
                flush(conn);
            }
        }
    }

    /// Gives the program the input that waits for it.
    pub(super) fn feed(&mut self) {
        let Some(fd) = self.ends.stdin.as_ref().or(self.terminal.as_ref()) else {
            self.stdin.clear();
            return;
        };
        match rustix::io::write(fd, &self.stdin) {
            Ok(length) => {
                self.stdin.drain(..length);
            }
            Err(Errno::AGAIN | Errno::INTR) => return,
            // Nobody reads it any more.
            Err(_) => {
                self.stdin.clear();
                self.ends.stdin = None;
            }
        }
        if self.stdin.is_empty() && self.stdin_ended {
            self.ends.stdin = None;
        }
    }

    pub(super) fn end_stdin(&mut self) {
        self.stdin_ended = true;
        if self.stdin.is_empty() {
            self.ends.stdin = None;
        }
    }

    pub(super) fn takes_input(&mut self, number: u64) -> bool {
        let open = self.ends.stdin.is_some() || self.terminal.is_some();
        open && self.conn(number).is_some_and(|conn| conn.role.stdin)
    }
}
