//! The server that is measured, a process of its own: the example `serve`.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use coracle_tests::cluster::built;

/// A running server; it ends with this.
pub struct Server {
    child: Child,
    folder: PathBuf,
}

impl Server {
    /// Starts a server and waits until it serves.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start() -> anyhow::Result<Server> {
        static NUMBER: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let folder =
            std::env::temp_dir().join(format!("coracle-bench-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&folder)?;
        let child = Command::new(built("examples/serve"))
            .arg(folder.join("kubeconfig"))
            .arg(folder.join("data"))
            .stdout(Stdio::null())
            .spawn()
            .context("cargo build --release -p coracle-apiserver --example serve")?;
        let mut server = Server { child, folder };
        // The kubeconfig is written once the server listens.
        while std::fs::read(server.kubeconfig())
            .unwrap_or_default()
            .is_empty()
        {
            anyhow::ensure!(server.child.try_wait()?.is_none(), "the server ended");
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(server)
    }

    /// Where its kubeconfig stands.
    pub fn kubeconfig(&self) -> PathBuf {
        self.folder.join("kubeconfig")
    }

    /// Resident memory (proc_pid_status(5)).
    ///
    /// # Errors
    /// When the process is gone.
    pub fn resident_bytes(&self) -> anyhow::Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kilobytes: u64 = line
            .and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok())
            .context("VmRSS")?;
        Ok(kilobytes * 1024)
    }

    /// Processor time so far.
    pub fn processor_time(&self) -> Duration {
        super::processor_time(self.child.id())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
