//! What a cluster has of the host's network: its loopback address, further
//! addresses it listens on, and ports of the host that its pods may reach.
//!
//! Main type: [`HostNetwork`], kept as `network.json` in the cluster's folder.
//! It only remembers; the gateway grants and the engine uses it.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::home::{ClusterDir, Home};
use crate::idmap::IdMap;
use crate::record::Record;

const FILE: &str = "network.json";

/// What a cluster has of the host's network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HostNetwork {
    /// The loopback address on which its ports answer.
    pub address: Ipv4Addr,
    /// Further addresses on which they answer.
    pub listen: Vec<IpAddr>,
    /// Ports of the host's loopback that pods may reach.
    pub host_ports: Vec<u16>,
}

impl Default for HostNetwork {
    fn default() -> Self {
        HostNetwork {
            address: Ipv4Addr::LOCALHOST,
            listen: Vec::new(),
            host_ports: Vec::new(),
        }
    }
}

impl HostNetwork {
    /// Reads a cluster's; the usual where it was never written.
    pub fn read(folder: &Path) -> HostNetwork {
        let text = fs::read(folder.join(FILE)).unwrap_or_default();
        serde_json::from_slice(&text).unwrap_or_default()
    }

    /// Writes it, whole or not at all; the file belongs to user 0 of `ids`.
    ///
    /// # Errors
    /// Returns what the file system reports.
    pub fn write(&self, cluster: &ClusterDir, ids: &IdMap) -> io::Result<()> {
        cluster.remember(FILE, self, ids)
    }

    /// Keeps the address if no other running cluster has it, else takes the
    /// first that is free.
    pub fn settle(&mut self, home: &Home, name: &str) {
        let others = home.clusters().into_iter().filter(|other| other != name);
        let taken = others
            .map(|other| home.cluster(&other))
            .filter(|other| Record::read(other).is_some())
            .map(|other| HostNetwork::read(other.path()).address)
            .collect();
        self.address = free(self.address, &taken);
    }
}

/// All of 127.0.0.0/8 is loopback; a few are plenty.
fn free(wanted: Ipv4Addr, taken: &BTreeSet<Ipv4Addr>) -> Ipv4Addr {
    let others = (1..=250).map(|last| Ipv4Addr::new(127, 0, 0, last));
    let mut candidates = [wanted].into_iter().chain(others);
    candidates
        .find(|address| !taken.contains(address))
        .unwrap_or(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_kept_while_it_is_free() {
        let check = |wanted: u8, taken: &[u8], expected: u8| {
            let address = |last: &u8| Ipv4Addr::new(127, 0, 0, *last);
            let taken = taken.iter().map(address).collect();
            assert_eq!(free(address(&wanted), &taken), address(&expected));
        };
        check(1, &[], 1);
        check(1, &[1], 2);
        check(2, &[1], 2);
        check(2, &[1, 2], 3);
        check(3, &[3], 1);
    }

    #[test]
    fn what_was_written_is_read() {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let home = Home::at(folder.path());
        let cluster = home.cluster("a");
        assert_eq!(HostNetwork::read(cluster.path()), HostNetwork::default());
        fs::create_dir_all(cluster.path()).expect("a folder for the test");
        let network = HostNetwork {
            host_ports: vec![5432],
            ..HostNetwork::default()
        };
        let ids = IdMap::Single { uid: 0, gid: 0 };
        network.write(&cluster, &ids).expect("written");
        assert_eq!(HostNetwork::read(cluster.path()), network);
    }
}
