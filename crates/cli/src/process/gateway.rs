//! The gateway: what the cluster needs of the host's network namespace.

use std::os::fd::{FromRawFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use coracle_cluster::{Home, HostNetwork, Record, init, keeper};
use coracle_dataplane::host::{self, Direct, Policy, Resolver};

use super::cgroups;
use super::registries::Host;
use super::succession::Predecessor;

/// Keeps a worker running while the cluster lives; removes its cgroups after it.
pub fn keeper(name: &str) -> anyhow::Result<()> {
    let cluster = Home::from_environment()?.cluster(name);
    keeper::keep(name, || {
        if let Some(delegation) = coracle_runtime::Delegation::find(&cgroups::name(&cluster))
            && let Err(error) = delegation.remove()
        {
            eprintln!("coracle gateway: cgroups were not removed: {error}");
        }
        Record::remove(&cluster);
    })?;
    Ok(())
}

/// Binds ports, dials out, asks the host's resolver and reaches registries on
/// request.
pub fn worker(name: &str) -> anyhow::Result<()> {
    let cluster = Home::from_environment()?.cluster(name);
    super::log::into(cluster.logs().join("gateway.log"));
    let folder = cluster.path().to_owned();
    let fd = init::descriptor("gateway").context("no gateway socket was inherited")?;
    // SAFETY: the keeper handed over this descriptor, nothing else owns it here.
    let listener = unsafe { OwnedFd::from_raw_fd(fd) };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let resolver = Resolver::new("/etc/resolv.conf");
        // Read each time: what is opened takes effect at once.
        let direct = Direct::with(move || policy(&folder), resolver);
        let host = Host {
            direct,
            before: Predecessor::from_environment(),
        };
        host::serve(listener.into(), Arc::new(host)).await?;
        Ok(())
    })
}

/// Returns what the cluster may have of the host now.
fn policy(folder: &Path) -> Policy {
    let network = HostNetwork::read(folder);
    Policy {
        listen: network.listen,
        host_ports: network.host_ports,
    }
}
