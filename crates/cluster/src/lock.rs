//! Locks between commands: who changes something holds a lock on a file, in
//! which stands who that is. The kernel releases it with the process.

use std::fs;
use std::io::{self, Read, Seek, Write};
use std::path::Path;

/// Held while a command changes something; released when dropped.
#[derive(Debug)]
pub struct Lock {
    _file: fs::File,
}

/// A lock could not be taken.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Somebody else holds it.
    #[error("{holder} holds it")]
    Held {
        /// Who, as the holder wrote it.
        holder: String,
    },
    /// The file could not be made or locked.
    #[error(transparent)]
    File(#[from] io::Error),
}

impl Lock {
    /// Takes the lock at `path` as `who`.
    ///
    /// # Errors
    /// Fails if somebody else holds it or the file cannot be made.
    pub fn take(path: &Path, who: &str) -> Result<Lock, LockError> {
        let mut file = open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Lock::held(file, who)),
            Err(fs::TryLockError::WouldBlock) => Err(LockError::Held {
                holder: holder(&mut file),
            }),
            Err(fs::TryLockError::Error(error)) => Err(error.into()),
        }
    }

    /// Takes the lock at `path` as `who` and waits for it where it has to;
    /// `tell` hears once for whom.
    ///
    /// # Errors
    /// Fails if the file cannot be made or locked.
    pub fn wait(path: &Path, who: &str, tell: impl FnOnce(&str)) -> io::Result<Lock> {
        match Lock::take(path, who) {
            Ok(lock) => return Ok(lock),
            Err(LockError::Held { holder }) => tell(&holder),
            Err(LockError::File(error)) => return Err(error),
        }
        let file = open(path)?;
        file.lock()?;
        Ok(Lock::held(file, who))
    }

    fn held(mut file: fs::File, who: &str) -> Lock {
        // The name is for people; the lock holds without it.
        let _ = file.set_len(0);
        let _ = file.rewind();
        let _ = writeln!(file, "{who} (process {})", std::process::id());
        Lock { _file: file }
    }
}

fn open(path: &Path) -> io::Result<fs::File> {
    fs::OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
}

fn holder(file: &mut fs::File) -> String {
    let mut text = String::new();
    let _ = file.take(200).read_to_string(&mut text);
    match text.trim() {
        "" => "another coracle command".into(),
        name => name.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_told_who_holds_it() {
        let dir = tempfile::tempdir().expect("a folder for the test");
        let path = dir.path().join("lock");
        let first = Lock::take(&path, "coracle up").expect("nobody holds it");
        let held = Lock::take(&path, "coracle up")
            .expect_err("it is held")
            .to_string();
        assert!(
            held.starts_with("coracle up (process ") && held.ends_with("holds it"),
            "{held}"
        );
        drop(first);
        Lock::take(&path, "coracle stop").expect("it is free again");
    }

    #[test]
    fn waiting_ends_when_the_holder_is_done() {
        let dir = tempfile::tempdir().expect("a folder for the test");
        let path = dir.path().join("lock");
        let first = Lock::take(&path, "first").expect("nobody holds it");
        let (told, hears) = std::sync::mpsc::channel();
        let second = std::thread::spawn(move || {
            Lock::wait(&path, "second", |holder| {
                told.send(holder.to_owned()).expect("it is heard")
            })
            .is_ok()
        });
        assert!(hears.recv().expect("it waits").starts_with("first"));
        drop(first);
        assert!(second.join().expect("it ends"));
    }
}
