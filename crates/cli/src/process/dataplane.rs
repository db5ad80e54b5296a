//! The data plane's process.

use std::fs::File;
use std::os::fd::FromRawFd;
use std::sync::Arc;

use coracle_cluster::init;
use coracle_dataplane::control::{self, Process};
use coracle_dataplane::host::Client;
use tokio::net::UnixListener;

use super::paths;

/// Carries traffic as the engine configures it.
pub fn main() -> anyhow::Result<()> {
    super::log();
    rustix::thread::set_name(c"coracle-data")?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let socket = paths::dataplane_socket();
        let _ = std::fs::remove_file(&socket);
        // SAFETY: pid 1 handed over this descriptor, nothing else owns it here.
        let saved = init::descriptor(init::MEMORY).map(|fd| unsafe { File::from_raw_fd(fd) });
        control::run(Process {
            control: UnixListener::bind(socket)?,
            saved,
            host: Arc::new(Client::new(paths::gateway_socket())),
        })
        .await?;
        Ok(())
    })
}
