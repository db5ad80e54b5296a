//! Reads what shims keep of their containers' output, across rotated files and
//! on to what is written later. The main types are [`LogReader`] and [`Entry`].
//!
//! The format is the CRI's: `<RFC 3339 time> <stdout|stderr> <F|P> <text>`.
//! Not here: which entries someone wants to see, and how they are shown.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::inotify;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

const BLOCK_BYTES: usize = 64 * 1024;

/// An entry is as long as its line at most, and that is limited; anything
/// longer is not ours and is cut here.
const ENTRY_BYTES_MAX: usize = 1 << 20;

/// Without inotify (a user may have 128 of them by default) files are looked
/// at this often.
const LOOK: Duration = Duration::from_millis(200);

/// One entry of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry<'a> {
    /// RFC 3339, in UTC, with nanoseconds.
    pub time: &'a str,
    /// Whether it came from standard error.
    pub stderr: bool,
    /// Whether the line ends here. Otherwise the next entry of the same
    /// stream goes on with it.
    pub complete: bool,
    /// The text without a line end.
    pub text: &'a [u8],
}

impl<'a> Entry<'a> {
    /// Reads a line of a log file, with or without its line end. `None` for a
    /// line that is no entry, such as one torn by a full disk.
    pub fn parse(line: &'a [u8]) -> Option<Self> {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let mut fields = line.splitn(4, |byte| *byte == b' ');
        let time = std::str::from_utf8(fields.next()?).ok()?;
        let stderr = match fields.next()? {
            b"stdout" => false,
            b"stderr" => true,
            _ => return None,
        };
        // Tags may be many, separated by colons; the first is this one.
        let complete = match fields.next()?.split(|byte| *byte == b':').next()? {
            b"F" => true,
            b"P" => false,
            _ => return None,
        };
        Some(Self {
            time,
            stderr,
            complete,
            text: fields.next().unwrap_or_default(),
        })
    }
}

/// The files of a log, oldest first; the last is the one written to.
pub fn files(path: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = (1..)
        .map(|number| rotated(path, number))
        .take_while(|path| path.exists())
        .collect();
    found.reverse();
    found.push(path.to_owned());
    found
}

/// The name of the file that was the current one `number` rotations ago.
pub(crate) fn rotated(path: &Path, number: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    name.into()
}

/// Reads a log line by line.
#[derive(Debug)]
pub struct LogReader {
    path: PathBuf,
    /// Files to read, the one being read first. Renaming does not matter to
    /// those that are open.
    open: VecDeque<File>,
    /// What was read and not yet given out.
    buffer: Vec<u8>,
    given: usize,
    watch: Option<AsyncFd<OwnedFd>>,
}

impl LogReader {
    /// Opens the log at its beginning, or at its last `tail` entries.
    ///
    /// # Errors
    ///
    /// When the current file cannot be opened.
    pub fn open(path: &Path, tail: Option<usize>) -> io::Result<Self> {
        let mut open: VecDeque<File> = VecDeque::new();
        let (current, older) = match &files(path)[..] {
            [older @ .., current] => (File::open(current)?, older.to_vec()),
            [] => return Err(io::ErrorKind::NotFound.into()),
        };
        // A file that is rotated away meanwhile is simply found by its next
        // name, or twice; the inode number tells.
        let mut seen = vec![inode(&current)?];
        open.push_front(current);
        for file in older.iter().rev().filter_map(|path| File::open(path).ok()) {
            let inode = inode(&file)?;
            if !seen.contains(&inode) {
                seen.push(inode);
                open.push_front(file);
            }
        }
        let mut reader = Self {
            path: path.to_owned(),
            open,
            buffer: Vec::new(),
            given: 0,
            watch: None,
        };
        if let Some(tail) = tail {
            reader.skip_to_tail(tail)?;
        }
        Ok(reader)
    }

    /// Returns the next line that is there already, with its line end.
    ///
    /// # Errors
    ///
    /// When a file cannot be read.
    pub fn try_next(&mut self) -> io::Result<Option<&[u8]>> {
        loop {
            let rest = &self.buffer[self.given..];
            if let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                let start = self.given;
                self.given += end + 1;
                return Ok(Some(&self.buffer[start..self.given]));
            }
            if !self.read_more()? {
                return Ok(None);
            }
        }
    }

    /// Waits for the next line. May be cancelled.
    ///
    /// # Errors
    ///
    /// When a file cannot be read.
    pub async fn next(&mut self) -> io::Result<&[u8]> {
        loop {
            // Watched before it is read: what is written in between is noticed.
            if self.watch.is_none() {
                self.watch = watch(&self.path).ok();
            }
            // Read twice for the borrow checker's sake; the second time it is
            // only a search.
            if self.has_next()? {
                break;
            }
            self.wait().await?;
        }
        self.try_next()?
            .ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    fn has_next(&mut self) -> io::Result<bool> {
        loop {
            if self.buffer[self.given..].contains(&b'\n') {
                return Ok(true);
            }
            if !self.read_more()? {
                return Ok(false);
            }
        }
    }

    /// Reads another block; false when there is none now.
    fn read_more(&mut self) -> io::Result<bool> {
        self.buffer.drain(..self.given);
        self.given = 0;
        if self.buffer.len() > ENTRY_BYTES_MAX {
            self.buffer.push(b'\n');
            return Ok(true);
        }
        let start = self.buffer.len();
        loop {
            let Some(file) = self.open.front_mut() else {
                return Ok(false);
            };
            self.buffer.resize(start + BLOCK_BYTES, 0);
            let length = file.read(&mut self.buffer[start..])?;
            self.buffer.truncate(start + length);
            if length > 0 {
                return Ok(true);
            }
            if self.open.len() == 1 {
                if !self.find_newer()? {
                    return Ok(false);
                }
                // Once more: it was written to until it was renamed.
                continue;
            }
            self.open.pop_front();
        }
    }

    /// At the end of the newest file that is open: looks for what has become
    /// of the log since. True when there is something to read.
    fn find_newer(&mut self) -> io::Result<bool> {
        let Some(file) = self.open.front_mut() else {
            return Ok(false);
        };
        let own = inode(file)?;
        let mut newer = VecDeque::new();
        for path in files(&self.path).iter().rev() {
            let Ok(file) = File::open(path) else { continue };
            if inode(&file)? == own {
                break;
            }
            newer.push_front(file);
        }
        if !newer.is_empty() {
            self.open.append(&mut newer);
            return Ok(true);
        }
        // Kept as a single file, it is emptied instead of renamed.
        if file.metadata()?.len() < file.stream_position()? {
            file.seek(SeekFrom::Start(0))?;
            return Ok(true);
        }
        Ok(false)
    }

    /// Forgets all but the last entries.
    fn skip_to_tail(&mut self, tail: usize) -> io::Result<()> {
        let mut wanted = tail;
        let mut kept = 0;
        for file in self.open.iter_mut().rev() {
            kept += 1;
            let (start, found) = tail_of(file, wanted)?;
            file.seek(SeekFrom::Start(start))?;
            wanted -= found;
            if wanted == 0 {
                break;
            }
        }
        self.open.drain(..self.open.len() - kept);
        Ok(())
    }

    async fn wait(&mut self) -> io::Result<()> {
        let Some(watch) = &self.watch else {
            tokio::time::sleep(LOOK).await;
            return Ok(());
        };
        let mut events = [0; 4096];
        let drained = watch.async_io(Interest::READABLE, |fd| {
            Ok(rustix::io::read(fd, &mut events)?)
        });
        drained.await.map(drop)
    }
}

fn watch(path: &Path) -> io::Result<AsyncFd<OwnedFd>> {
    let flags = inotify::CreateFlags::NONBLOCK | inotify::CreateFlags::CLOEXEC;
    let fd = inotify::init(flags)?;
    let directory = path.parent().filter(|dir| !dir.as_os_str().is_empty());
    let events = inotify::WatchFlags::MODIFY | inotify::WatchFlags::CREATE;
    inotify::add_watch(&fd, directory.unwrap_or(Path::new(".")), events)?;
    // SAFETY: the descriptor is owned and never exchanged; AsyncFd keeps it
    // open for its own lifetime.
    Ok(unsafe { AsyncFd::register(fd) }?)
}

fn inode(file: &File) -> io::Result<u64> {
    Ok(file.metadata()?.ino())
}

/// Returns where the last `wanted` lines of a file begin, and how many of them
/// there are.
fn tail_of(file: &File, wanted: usize) -> io::Result<(u64, usize)> {
    let end = file.metadata()?.len();
    if wanted == 0 {
        return Ok((end, 0));
    }
    let mut block = vec![0; BLOCK_BYTES];
    let (mut at, mut ends) = (end, 0);
    while at > 0 {
        let length = at.min(BLOCK_BYTES as u64);
        at -= length;
        let block = &mut block[..length as usize];
        file.read_exact_at(block, at)?;
        for (index, byte) in block.iter().enumerate().rev() {
            if *byte == b'\n' {
                if ends == wanted {
                    return Ok((at + index as u64 + 1, wanted));
                }
                ends += 1;
            }
        }
    }
    Ok((0, ends))
}

/// Tells how much a log takes on the disk.
pub fn bytes_on_disk(path: &Path) -> u64 {
    files(path)
        .iter()
        .filter_map(|path| fs::metadata(path).ok())
        .map(|meta| meta.len())
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn entries_are_read() {
        #[track_caller]
        fn check(line: &str, expected: Option<(bool, bool, &str)>) {
            let entry = Entry::parse(line.as_bytes());
            let shown = entry.map(|e| (e.stderr, e.complete, std::str::from_utf8(e.text).unwrap()));
            assert_eq!(shown, expected);
        }
        check(
            "2026-01-01T00:00:00.1Z stdout F some text\n",
            Some((false, true, "some text")),
        );
        check(
            "2026-01-01T00:00:00.1Z stderr P x",
            Some((true, false, "x")),
        );
        check(
            "2026-01-01T00:00:00.1Z stdout F:more  x ",
            Some((false, true, " x ")),
        );
        check(
            "2026-01-01T00:00:00.1Z stdout F \n",
            Some((false, true, "")),
        );
        check("2026-01-01T00:00:00.1Z stdout F", Some((false, true, "")));
        check("2026-01-01T00:00:00.1Z stdin F x", None);
        check("2026-01-01T00:00:00.1Z stdout X x", None);
        check("torn", None);
        check("", None);
    }

    /// Three files with five lines each, 0 to 14.
    fn log() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.log");
        for (name, first) in [("x.log.2", 0), ("x.log.1", 5), ("x.log", 10)] {
            let text: String = (first..first + 5)
                .map(|number| format!("{number}\n"))
                .collect();
            fs::write(dir.path().join(name), text).unwrap();
        }
        (dir, path)
    }

    fn rest(reader: &mut LogReader) -> String {
        let mut lines = Vec::new();
        while let Some(line) = reader.try_next().unwrap() {
            lines.push(String::from_utf8_lossy(line).trim().to_owned());
        }
        lines.join(" ")
    }

    #[test]
    fn the_tail_reaches_into_older_files() {
        #[track_caller]
        fn check(tail: Option<usize>, expected: &str) {
            let (_dir, path) = log();
            assert_eq!(rest(&mut LogReader::open(&path, tail).unwrap()), expected);
        }
        check(None, "0 1 2 3 4 5 6 7 8 9 10 11 12 13 14");
        check(Some(0), "");
        check(Some(1), "14");
        check(Some(5), "10 11 12 13 14");
        check(Some(7), "8 9 10 11 12 13 14");
        check(Some(100), "0 1 2 3 4 5 6 7 8 9 10 11 12 13 14");
    }

    #[test]
    fn a_tail_is_found_across_blocks() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.log");
        let line = "x".repeat(1000);
        fs::write(&path, format!("{line}\n").repeat(500)).unwrap();
        let mut reader = LogReader::open(&path, Some(300)).unwrap();
        assert_eq!(rest(&mut reader).split(' ').count(), 300);
    }

    #[test]
    fn rotation_is_followed() {
        let (_dir, path) = log();
        let mut reader = LogReader::open(&path, Some(1)).unwrap();
        assert_eq!(rest(&mut reader), "14");
        let mut file = File::options().append(true).open(&path).unwrap();
        file.write_all(b"15\nhal").unwrap();
        assert_eq!(rest(&mut reader), "15");
        file.write_all(b"f\n").unwrap();
        for text in ["16\n", "17\n"] {
            fs::rename(rotated(&path, 1), rotated(&path, 2)).unwrap();
            fs::rename(&path, rotated(&path, 1)).unwrap();
            fs::write(&path, text).unwrap();
        }
        assert_eq!(rest(&mut reader), "half 16 17");
    }

    #[test]
    fn an_emptied_file_is_read_from_its_start() {
        let (_dir, path) = log();
        let mut reader = LogReader::open(&path, Some(0)).unwrap();
        fs::write(&path, "new\n").unwrap();
        assert_eq!(rest(&mut reader), "new");
    }

    #[tokio::test]
    async fn new_lines_are_waited_for() {
        let (_dir, path) = log();
        let mut reader = LogReader::open(&path, Some(0)).unwrap();
        let writer = std::thread::spawn({
            let path = path.clone();
            move || {
                for number in 0..100 {
                    if number % 10 == 9 {
                        fs::rename(&path, rotated(&path, 1)).unwrap();
                    }
                    let mut file = File::options()
                        .append(true)
                        .create(true)
                        .open(&path)
                        .unwrap();
                    writeln!(file, "{number}").unwrap();
                }
            }
        });
        writer.join().unwrap();
        let mut last = String::new();
        while last != "99\n" {
            last = String::from_utf8_lossy(reader.next().await.unwrap()).into_owned();
        }
        let writer = std::thread::spawn({
            let path = path.clone();
            move || {
                File::options()
                    .append(true)
                    .open(&path)
                    .unwrap()
                    .write_all(b"later\n")
                    .unwrap()
            }
        });
        assert_eq!(reader.next().await.unwrap(), b"later\n");
        writer.join().unwrap();
    }
}
