//! The data plane's process.

use std::sync::Arc;

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
        control::run(Process {
            control: UnixListener::bind(socket)?,
            saved: None,
            host: Arc::new(Client::new(paths::gateway_socket())),
        })
        .await?;
        Ok(())
    })
}
