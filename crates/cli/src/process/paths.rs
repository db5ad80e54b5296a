//! Where things are inside a cluster's root (see `coracle_cluster::home` for
//! the same folders seen from the host).

use std::path::{Path, PathBuf};

/// The cluster's folder.
pub fn cluster() -> &'static Path {
    Path::new("/coracle/cluster")
}

/// The image store.
pub fn images() -> &'static Path {
    Path::new("/coracle/images")
}

/// The socket over which the engine configures the data plane.
pub fn dataplane_socket() -> PathBuf {
    PathBuf::from("/run/dataplane.sock")
}

/// The socket by which the host's network namespace is reached.
pub fn gateway_socket() -> PathBuf {
    cluster().join("run/gateway.sock")
}

/// The log of a process.
pub fn log(process: &str) -> PathBuf {
    cluster().join("logs").join(format!("{process}.log"))
}
