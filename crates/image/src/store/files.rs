//! Files that appear whole or not at all, and locks between processes.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::StoreError;

/// How a lock file is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hold {
    /// With others.
    Shared,
    /// Alone, waiting for the others.
    Exclusive,
    /// Alone, or not at all.
    ExclusiveNow,
}

/// A lock that is held; released when dropped, or when the process ends in
/// whatever way.
#[derive(Debug)]
pub(crate) struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing is not enough: a process that is being started by another
        // thread has a copy of the descriptor until it executes its program.
        let _ = flock(&self.0, FlockOperation::Unlock);
    }
}

/// Takes a lock file.
pub(crate) fn lock(path: &Path, hold: Hold) -> Result<Lock, StoreError> {
    let opened = OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(path);
    let file = opened.map_err(StoreError::io("open the lock", path))?;
    let operation = match hold {
        Hold::Shared => FlockOperation::LockShared,
        Hold::Exclusive => FlockOperation::LockExclusive,
        Hold::ExclusiveNow => FlockOperation::NonBlockingLockExclusive,
    };
    loop {
        match flock(&file, operation) {
            Ok(()) => return Ok(Lock(file)),
            Err(Errno::INTR) => {}
            Err(Errno::WOULDBLOCK) => return Err(StoreError::Busy),
            Err(error) => return Err(StoreError::io("lock", path)(error.into())),
        }
    }
}

/// Replaces `path` with `content`; after a crash it holds the old or the new.
pub(crate) fn replace(path: &Path, content: &[u8], durable: bool) -> Result<(), StoreError> {
    let directory = path.parent().unwrap_or(Path::new("."));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = directory.join(format!(".{name}.{}", unique()));
    let written = write_new(&temporary, content, durable).and_then(|()| {
        std::fs::rename(&temporary, path)?;
        match durable {
            true => sync_directory(directory),
            false => Ok(()),
        }
    });
    written.map_err(|error| {
        // The failure is what matters; a leftover is swept by the next open.
        let _ = std::fs::remove_file(&temporary);
        StoreError::io("write", path)(error)
    })
}

fn write_new(path: &Path, content: &[u8], durable: bool) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .create_new(true)
        .write(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(content)?;
    match durable {
        true => file.sync_all(),
        false => Ok(()),
    }
}

/// Makes the entries of a directory survive a power loss.
pub(crate) fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

/// Makes a directory private to the user; one that exists is left alone.
pub(crate) fn make_directory(path: &Path) -> Result<(), StoreError> {
    let made = std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path);
    made.map_err(StoreError::io("make the directory", path))
}

/// Removes a tree, opening directories that are closed to an ordinary user.
pub(crate) fn remove_tree(path: &Path) -> io::Result<()> {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            open_directories(path)?;
            std::fs::remove_dir_all(path)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

fn open_directories(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700))?;
    for entry in std::fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            open_directories(&entry.path())?;
        }
    }
    Ok(())
}

/// Returns a name that no other process uses at this time.
pub(crate) fn unique() -> String {
    format!("{}-{:016x}", std::process::id(), rand::random::<u64>())
}
