//! The data plane's process.

use std::fs::File;
use std::os::fd::{FromRawFd, OwnedFd};
use std::sync::Arc;

use coracle_cluster::{held, init};
use coracle_dataplane::Held;
use coracle_dataplane::control::{self, Process};
use coracle_dataplane::host::Client;
use coracle_dataplane::leave;
use tokio::net::UnixListener;
use tokio::signal::unix::{SignalKind, signal};

use super::paths;

/// Carries traffic as the engine configures it. Asked to end (SIGTERM), it
/// closes its listeners and carries what is under way to the end.
pub fn main() -> anyhow::Result<()> {
    super::log::into(paths::log("dataplane"));
    rustix::thread::set_name(c"coracle-data")?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let socket = paths::dataplane_socket();
        let _ = std::fs::remove_file(&socket);
        // SAFETY: pid 1 handed over these descriptors, each is taken once, and
        // nothing else owns them here.
        let inherited = |name| init::descriptor(name).map(|fd| unsafe { OwnedFd::from_raw_fd(fd) });
        let held = Held::new(held::NAMES.into_iter().filter_map(inherited));
        let process = Process {
            control: UnixListener::bind(socket)?,
            saved: inherited(init::MEMORY).map(File::from),
            host: Arc::new(Client::new(paths::gateway_socket())),
            held,
        };
        let mut asked_to_end = signal(SignalKind::terminate())?;
        tokio::select! {
            result = control::run(process) => result?,
            _ = asked_to_end.recv() => leave::wait().await,
        }
        Ok(())
    })
}
