//! The message a container leaves when it ends: a file of its own, or the end
//! of its log (upstream: kuberuntime_container.go, terminationMessagePath and
//! terminationMessagePolicy).

use std::fs;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use coracle_runtime::logs::{self, LogReader};
use k8s_openapi::api::core::v1::Container;

use super::Worker;

/// Longest message (upstream: MaxContainerTerminationMessageLength).
const MESSAGE_MAX: u64 = 4096;
/// Longest message taken from a log, in bytes and in lines.
const LOG_MAX: usize = 2048;
const LINES_MAX: usize = 80;

impl Worker {
    fn message_file(&self, container: &str, attempt: i32) -> PathBuf {
        self.paths
            .container(container, attempt)
            .join("termination-log")
    }

    /// Makes the file that the container finds at its `terminationMessagePath`,
    /// writable for whatever user it runs as.
    pub(super) fn make_message_file(
        &self,
        container: &Container,
        attempt: i32,
    ) -> io::Result<Option<(PathBuf, String)>> {
        let Some(target) = container.termination_message_path.clone() else {
            return Ok(None);
        };
        let path = self.message_file(&container.name, attempt);
        fs::write(&path, "")?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666))?;
        Ok(Some((path, target)))
    }

    /// Returns what a run left to say.
    pub(super) fn last_words(
        &self,
        container: &Container,
        attempt: i32,
        failed: bool,
    ) -> Option<String> {
        let written = read_message(&self.message_file(&container.name, attempt));
        let fall_back =
            container.termination_message_policy.as_deref() == Some("FallbackToLogsOnError");
        let message = if written.is_empty() && failed && fall_back {
            tail(&self.paths.log(&container.name, attempt)).unwrap_or_default()
        } else {
            written
        };
        (!message.is_empty()).then_some(message)
    }

    /// Removes what nothing asks for any more before a further run: what all
    /// earlier ones wrote, and the logs of those before the last. An engine that
    /// was stopped may have begun this very one.
    pub(super) fn forget_runs(&self, container: &Container, attempt: i32) {
        for run in (attempt - 1).max(0)..=attempt {
            remove(&self.paths.container(&container.name, run));
        }
        if let Some(before) = attempt.checked_sub(2).filter(|before| *before >= 0) {
            for file in logs::files(&self.paths.log(&container.name, before)) {
                let _ = fs::remove_file(file);
            }
        }
    }
}

fn remove(dir: &Path) {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::debug!(path = %dir.display(), %error, "what a run wrote was not removed");
        }
        _ => {}
    }
}

/// Returns the end of the file, which was in a container's hands: it may be
/// anything by now.
fn read_message(path: &Path) -> String {
    let Ok(mut file) = fs::File::open(path) else {
        return String::new();
    };
    let length = file.metadata().map_or(0, |metadata| metadata.len());
    let _ = file.seek(SeekFrom::Start(length.saturating_sub(MESSAGE_MAX)));
    let mut bytes = Vec::new();
    let _ = file.take(MESSAGE_MAX).read_to_end(&mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

fn tail(path: &Path) -> io::Result<String> {
    let mut reader = LogReader::open(path, Some(LINES_MAX))?;
    let mut text = Vec::new();
    while let Some(line) = reader.try_next()? {
        if let Some(entry) = logs::Entry::parse(line) {
            text.extend_from_slice(entry.text);
            if entry.complete {
                text.push(b'\n');
            }
        }
    }
    let start = text.len().saturating_sub(LOG_MAX);
    Ok(String::from_utf8_lossy(&text[start..]).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_message_is_kept() {
        let dir = tempfile::tempdir().expect("a folder for the test");
        let path = dir.path().join("m");
        assert_eq!(read_message(&path), "");
        fs::write(&path, "x".repeat(10_000) + "why").expect("a file for the test");
        let message = read_message(&path);
        assert_eq!(message.len(), 4096);
        assert!(message.ends_with("why"), "{message}");
    }

    #[test]
    fn the_end_of_a_log_is_its_last_lines() {
        let dir = tempfile::tempdir().expect("a folder for the test");
        let path = dir.path().join("0.log");
        let line = |number: usize| format!("2026-01-01T00:00:00Z stderr F line {number}\n");
        fs::write(&path, (0..200).map(line).collect::<String>()).expect("a file for the test");
        let text = tail(&path).expect("it is there");
        assert_eq!(text.lines().count(), 80);
        assert!(text.ends_with("line 199\n"), "{text}");
    }
}
