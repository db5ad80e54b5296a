//! What a node is told when it starts.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;

use coracle_netdev::plan::AddressPlan;

use crate::announce::Announce;
use crate::images::Registries;

/// What a node is told when it starts.
#[derive(Debug, Clone)]
pub struct Config {
    /// The node's name.
    pub name: String,
    /// The cluster whose names its images are looked up under.
    pub cluster: String,
    /// Folder of pods and their volumes.
    pub pods: PathBuf,
    /// Folder of persistent volumes and hostPath folders.
    pub volumes: PathBuf,
    /// Folders that stand for a path of hostPath volumes, by that path.
    pub shares: Vec<(PathBuf, PathBuf)>,
    /// Folder of container logs.
    pub logs: PathBuf,
    /// Folder of the image store.
    pub images: PathBuf,
    /// Folder of the runtime's sockets and records, short because a socket's
    /// path is limited.
    pub state: PathBuf,
    /// Folder of network namespaces and other things that end with the cluster.
    pub run: PathBuf,
    /// The program that is executed again for each shim.
    pub executable: PathBuf,
    /// The addresses of the cluster.
    pub plan: AddressPlan,
    /// The domain of cluster names.
    pub domain: String,
    /// How registries are reached.
    pub registries: Arc<dyn Registries>,
    /// Who is told of a pod's address before its first container starts.
    pub announce: Announce,
    /// How many pods the node takes.
    pub pods_max: u32,
}

impl Config {
    /// Returns the node's own address.
    pub fn address(&self) -> Ipv4Addr {
        self.plan.node()
    }
}
