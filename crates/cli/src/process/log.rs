//! The log of a process: a file that is begun anew when it is full, with a few
//! older ones beside it (`engine.log`, `engine.log.1` …).

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use tracing_subscriber::fmt::MakeWriter;

/// How long a file gets, and how many there are.
const BYTES_MAX: u64 = 10 << 20;
const FILES: usize = 5;

/// Logs into the file at `path`, which standard error is already, from now on;
/// `CORACLE_LOG` filters.
pub fn into(path: PathBuf) {
    let filter = std::env::var("CORACLE_LOG")
        .unwrap_or_else(|_| "info,kube=warn,kube_client=warn,hyper=warn".into());
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::new(filter))
        .with_writer(Log::at(path, BYTES_MAX, true))
        .with_ansi(false)
        .init();
}

/// A log that is bounded.
struct Log {
    path: PathBuf,
    bytes_max: u64,
    /// Whether the process's standard error follows: a panic is told there.
    is_stderr: bool,
    current: Mutex<Option<Current>>,
}

struct Current {
    file: File,
    bytes: u64,
}

impl Log {
    fn at(path: PathBuf, bytes_max: u64, is_stderr: bool) -> Log {
        let current = Mutex::new(open(&path).ok());
        Log {
            path,
            bytes_max,
            is_stderr,
            current,
        }
    }

    fn write(&self, line: &[u8]) -> io::Result<()> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if current
            .as_ref()
            .is_some_and(|current| current.bytes + line.len() as u64 > self.bytes_max)
        {
            *current = Some(self.begin_anew()?);
        }
        match current.as_mut() {
            Some(current) => {
                current.bytes += line.len() as u64;
                current.file.write_all(line)
            }
            None => io::stderr().write_all(line),
        }
    }

    fn begin_anew(&self) -> io::Result<Current> {
        for number in (0..FILES - 1).rev() {
            // A gap in the row is no reason to stop.
            let _ = fs::rename(
                numbered(&self.path, number),
                numbered(&self.path, number + 1),
            );
        }
        let current = open(&self.path)?;
        if self.is_stderr {
            rustix::stdio::dup2_stderr(&current.file)?;
            rustix::stdio::dup2_stdout(&current.file)?;
        }
        Ok(current)
    }
}

fn open(path: &Path) -> io::Result<Current> {
    let file = OpenOptions::new().create(true).append(true).open(path)?;
    let bytes = file.metadata()?.len();
    Ok(Current { file, bytes })
}

fn numbered(path: &Path, number: usize) -> PathBuf {
    match number {
        0 => path.to_owned(),
        _ => {
            let mut name = path.as_os_str().to_owned();
            name.push(format!(".{number}"));
            name.into()
        }
    }
}

/// Writes one event.
struct Line<'a>(&'a Log);

impl Write for Line<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_file_is_put_aside_and_the_oldest_forgotten() {
        let dir = tempfile::tempdir().expect("a folder for the test");
        let path = dir.path().join("engine.log");
        fs::write(&path, "of a run before\n").expect("a file for the test");
        let log = Log::at(path.clone(), 100, false);
        for number in 0..200 {
            log.write(format!("line {number:03}\n").as_bytes())
                .expect("it can be written");
        }
        let mut names: Vec<String> = fs::read_dir(dir.path())
            .expect("it is there")
            .flatten()
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        assert_eq!(
            names,
            [
                "engine.log",
                "engine.log.1",
                "engine.log.2",
                "engine.log.3",
                "engine.log.4"
            ]
        );
        let newest = fs::read_to_string(&path).expect("it is there");
        assert!(newest.ends_with("line 199\n"), "{newest}");
        let before = fs::read_to_string(numbered(&path, 1)).expect("it is there");
        assert!(
            before.len() <= 100 && before.starts_with("line "),
            "{before}"
        );
    }
}
