//! What the kernel must offer besides namespaces. It is tried before a cluster
//! begins, while somebody listens who started it, and not by its first
//! container.

use std::io;

use coracle_netdev::nft::{Kernel, Table};
use rustix::mount::{FsOpenFlags, fsopen};

/// A feature that the kernel lacks.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Missing {
    /// Containers' roots are overlays.
    #[error("the kernel has no overlay file systems")]
    Overlay(#[source] io::Error),
    /// Services are rules of the packet filter.
    #[error("the kernel has no nftables")]
    Nftables(#[source] coracle_netdev::Error),
}

/// Tries all of them in the caller's namespaces.
pub(crate) fn check() -> Result<(), Missing> {
    fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)
        .map_err(|error| Missing::Overlay(error.into()))?;
    nftables().map_err(Missing::Nftables)
}

/// Makes a table of rules and deletes it.
pub(crate) fn nftables() -> coracle_netdev::Result<()> {
    Table::new("coracle-probe", Kernel::open()?).delete()
}
