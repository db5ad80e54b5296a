//! Writes a container's output in the CRI log format, a line each:
//! `<RFC 3339 time> <stdout|stderr> <F|P> <text>`, where `P` marks a part of a
//! line that goes on in the next entry of the same stream (Kubernetes
//! `pkg/kubelet/kuberuntime/logs`). The main type is [`LogWriter`].
//!
//! Rotation renames `x.log` to `x.log.1`, that to `x.log.2` and so on. A
//! reader that follows `x.log` sees its inode number change.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use crate::clock;
use crate::logs;
use crate::spec::Log;

/// containerd's `max_container_log_line_size`.
const LINE_BYTES_MAX: usize = 16 * 1024;

/// Which stream an entry comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stream {
    Stdout,
    Stderr,
}

/// A log file and what has not made a line yet.
pub(crate) struct LogWriter {
    log: Log,
    file: File,
    bytes: u64,
    pending: [Vec<u8>; 2],
    /// Entries of one write, kept for its capacity.
    batch: Vec<u8>,
}

impl Stream {
    fn name(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

impl LogWriter {
    /// Opens the log, going on where an earlier one ended.
    pub(crate) fn open(log: Log) -> io::Result<Self> {
        let file = open(&log)?;
        let bytes = file.metadata()?.len();
        Ok(Self {
            log,
            file,
            bytes,
            pending: [Vec::new(), Vec::new()],
            batch: Vec::new(),
        })
    }

    /// Takes what the container wrote. Disk trouble loses the entries and
    /// nothing else: a full disk must not stop the program.
    pub(crate) fn write(&mut self, stream: Stream, mut bytes: &[u8]) {
        let time = clock::rfc3339_now();
        while !bytes.is_empty() {
            let pending = &mut self.pending[stream as usize];
            let room = LINE_BYTES_MAX - pending.len();
            let window = &bytes[..bytes.len().min(room + 1)];
            match window.iter().position(|byte| *byte == b'\n') {
                Some(end) => {
                    entry(&mut self.batch, &time, stream, 'F', pending, &bytes[..end]);
                    bytes = &bytes[end + 1..];
                }
                None if window.len() > room => {
                    entry(&mut self.batch, &time, stream, 'P', pending, &bytes[..room]);
                    bytes = &bytes[room..];
                }
                None => {
                    pending.extend_from_slice(bytes);
                    bytes = &[];
                }
            }
            if self.batch.len() >= 4 * LINE_BYTES_MAX {
                self.flush();
            }
        }
        self.flush();
    }

    /// Writes what never became a line; as in containerd, a part without end.
    pub(crate) fn finish(&mut self) {
        let time = clock::rfc3339_now();
        for stream in [Stream::Stdout, Stream::Stderr] {
            let pending = &mut self.pending[stream as usize];
            if !pending.is_empty() {
                entry(&mut self.batch, &time, stream, 'P', pending, &[]);
            }
        }
        self.flush();
    }

    /// Opens the path anew, after someone else has moved the file away.
    pub(crate) fn reopen(&mut self) -> io::Result<()> {
        self.file = open(&self.log)?;
        self.bytes = self.file.metadata()?.len();
        Ok(())
    }

    fn flush(&mut self) {
        if self.batch.is_empty() {
            return;
        }
        let limit = self.log.file_bytes_max;
        if limit > 0 && self.bytes > 0 && self.bytes + self.batch.len() as u64 > limit {
            self.rotate();
        }
        if self.file.write_all(&self.batch).is_ok() {
            self.bytes += self.batch.len() as u64;
        }
        self.batch.clear();
        self.batch.shrink_to(LINE_BYTES_MAX);
    }

    fn rotate(&mut self) {
        let kept = self.log.files_max.max(1) - 1;
        if kept == 0 {
            if self.file.set_len(0).is_ok() {
                self.bytes = 0;
            }
            return;
        }
        for number in (1..kept).rev() {
            let _ = fs::rename(self.rotated(number), self.rotated(number + 1));
        }
        // Without a new file the old one is written on; better long than lost.
        if fs::rename(&self.log.path, self.rotated(1)).is_ok() {
            let _ = self.reopen();
        }
    }

    fn rotated(&self, number: u32) -> PathBuf {
        logs::rotated(&self.log.path, number)
    }
}

fn open(log: &Log) -> io::Result<File> {
    File::options()
        .create(true)
        .append(true)
        .mode(0o640)
        .open(&log.path)
}

fn entry(
    batch: &mut Vec<u8>,
    time: &str,
    stream: Stream,
    tag: char,
    pending: &mut Vec<u8>,
    rest: &[u8],
) {
    let _ = write!(batch, "{time} {} {tag} ", stream.name());
    batch.extend_from_slice(pending);
    batch.extend_from_slice(rest);
    batch.push(b'\n');
    pending.clear();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn writer(file_bytes_max: u64, files_max: u32) -> (tempfile::TempDir, LogWriter) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.log");
        let writer = LogWriter::open(Log {
            path,
            file_bytes_max,
            files_max,
        })
        .unwrap();
        (dir, writer)
    }

    /// The entries without their times, long texts by their length.
    fn entries(path: &std::path::Path) -> Vec<String> {
        let short = |line: &str| {
            let mut fields = line.splitn(4, ' ');
            assert!(fields.next().unwrap().ends_with('Z'));
            let (stream, tag) = (fields.next().unwrap(), fields.next().unwrap());
            match fields.next().unwrap() {
                text if text.len() > 100 => format!("{stream} {tag} [{}]", text.len()),
                text => format!("{stream} {tag} {text}"),
            }
        };
        fs::read_to_string(path)
            .unwrap()
            .lines()
            .map(short)
            .collect()
    }

    #[test]
    fn output_becomes_entries() {
        #[track_caller]
        fn check(writes: &[(Stream, &str)], expected: &[&str]) {
            let (dir, mut writer) = writer(0, 5);
            for (stream, text) in writes {
                writer.write(*stream, text.as_bytes());
            }
            writer.finish();
            assert_eq!(entries(&dir.path().join("x.log")), expected);
        }
        use Stream::{Stderr, Stdout};
        check(&[(Stdout, "one\ntwo\n")], &["stdout F one", "stdout F two"]);
        check(&[(Stdout, "\n\n")], &["stdout F ", "stdout F "]);
        check(
            &[(Stdout, "half "), (Stdout, "line\n")],
            &["stdout F half line"],
        );
        check(&[(Stdout, "no end")], &["stdout P no end"]);
        check(
            &[(Stdout, "a"), (Stderr, "b\n"), (Stdout, "c\n")],
            &["stderr F b", "stdout F ac"],
        );
        let long = "x".repeat(LINE_BYTES_MAX);
        check(&[(Stdout, &format!("{long}\n"))], &["stdout F [16384]"]);
        check(
            &[(Stdout, &format!("{long}y\n"))],
            &["stdout P [16384]", "stdout F y"],
        );
        check(
            &[(Stdout, &long), (Stdout, "yy")],
            &["stdout P [16384]", "stdout P yy"],
        );
        check(&[(Stdout, "")], &[]);
    }

    #[test]
    fn files_are_rotated_and_the_oldest_dropped() {
        let (dir, mut writer) = writer(300, 3);
        for number in 0..40 {
            writer.write(Stream::Stdout, format!("line {number:03}\n").as_bytes());
        }
        let mut names: Vec<_> = fs::read_dir(dir.path())
            .unwrap()
            .map(|e| e.unwrap().file_name())
            .collect();
        names.sort();
        assert_eq!(names, ["x.log", "x.log.1", "x.log.2"]);
        let mut all = Vec::new();
        for name in ["x.log.2", "x.log.1", "x.log"] {
            let path = dir.path().join(name);
            assert!(fs::metadata(&path).unwrap().len() <= 300);
            all.extend(entries(&path));
        }
        let expected: Vec<String> = (40 - all.len()..40)
            .map(|n| format!("stdout F line {n:03}"))
            .collect();
        assert_eq!(all, expected);
    }

    #[test]
    fn one_file_alone_is_emptied() {
        let (dir, mut writer) = writer(200, 1);
        for _ in 0..50 {
            writer.write(Stream::Stdout, b"some text\n");
        }
        assert!(fs::metadata(dir.path().join("x.log")).unwrap().len() <= 200);
    }

    #[test]
    fn a_moved_file_is_left_on_request() {
        let (dir, mut writer) = writer(0, 5);
        writer.write(Stream::Stdout, b"before\n");
        fs::rename(dir.path().join("x.log"), dir.path().join("moved")).unwrap();
        writer.reopen().unwrap();
        writer.write(Stream::Stdout, b"after\n");
        assert_eq!(entries(&dir.path().join("moved")), ["stdout F before"]);
        assert_eq!(entries(&dir.path().join("x.log")), ["stdout F after"]);
    }
}
