//! The lock under which a kubeconfig is changed: a file beside it, as kubectl
//! makes one (`lockFile` in client-go's `tools/clientcmd/loader.go`).
//!
//! Main type: [`Lock`].

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A change takes milliseconds: a lock that stays longer was left behind.
const PATIENCE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(10);

/// A kubeconfig that nobody else changes until this is dropped.
#[derive(Debug)]
pub(super) struct Lock(PathBuf);

impl Lock {
    /// Waits for the lock of the kubeconfig at `path` and takes it; one that was
    /// left behind is taken over. Makes the folder if there is none.
    ///
    /// # Errors
    /// Fails if its file cannot be made.
    pub(super) fn take(path: &Path) -> io::Result<Lock> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let mut name = path.as_os_str().to_owned();
        name.push(".lock");
        let lock = PathBuf::from(name);
        let until = Instant::now() + PATIENCE;
        loop {
            match fs::File::create_new(&lock) {
                Ok(_) => return Ok(Lock(lock)),
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                Err(_) if Instant::now() < until => std::thread::sleep(PAUSE),
                Err(_) => return Ok(Lock(lock)),
            }
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Whoever finds it later waits in vain and goes on.
        let _ = fs::remove_file(&self.0);
    }
}
