//! Where things are: the folder of all clusters and the folder of one.
//!
//! ```text
//! CORACLE_HOME/
//!   images/              layers and blobs, shared by all clusters
//!   clusters/NAME/
//!     format             version of this layout, a number
//!     version            the coracle that used it last
//!     lock               held by the command that changes the cluster
//!     network.json       what it has of the host's network
//!     shares.json        folders of the host that its pods see
//!     pki/               authority, certificates, keys (0600)
//!     data/              the API server's store, volumes
//!     logs/              one file per process
//!     run/               sockets and records of the running cluster
//! ```

use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::idmap::IdMap;

/// The folder that holds every cluster and the image store.
#[derive(Debug, Clone)]
pub struct Home {
    root: PathBuf,
}

impl Home {
    /// Returns the home that `CORACLE_HOME` names, else the user's data folder.
    ///
    /// # Errors
    /// Fails if none of `CORACLE_HOME`, `XDG_DATA_HOME` and `HOME` is set, or
    /// if the folder cannot be made absolute.
    pub fn from_environment() -> io::Result<Home> {
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let root = if let Some(home) = set("CORACLE_HOME") {
            PathBuf::from(home)
        } else if let Some(data) = set("XDG_DATA_HOME") {
            PathBuf::from(data).join("coracle")
        } else if let Some(home) = set("HOME") {
            PathBuf::from(home).join(".local/share/coracle")
        } else {
            return Err(io::Error::new(
                io::ErrorKind::NotFound,
                "none of CORACLE_HOME, XDG_DATA_HOME and HOME is set",
            ));
        };
        Ok(Home {
            root: std::path::absolute(root)?,
        })
    }

    /// Returns the home at `root`.
    pub fn at(root: impl Into<PathBuf>) -> Home {
        Home { root: root.into() }
    }

    /// Returns the folder itself.
    pub fn path(&self) -> &Path {
        &self.root
    }

    /// Returns the folder of the image store.
    pub fn images(&self) -> PathBuf {
        self.root.join("images")
    }

    /// Returns the folder of the cluster called `name`; it need not exist.
    pub fn cluster(&self, name: &str) -> ClusterDir {
        ClusterDir {
            name: name.to_owned(),
            path: self.root.join("clusters").join(name),
        }
    }

    /// Returns the names of all clusters that have a folder, sorted.
    pub fn clusters(&self) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(self.root.join("clusters")) else {
            return Vec::new();
        };
        let mut names: Vec<String> = entries
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .collect();
        names.sort();
        names
    }
}

/// The folder of one cluster.
#[derive(Debug, Clone)]
pub struct ClusterDir {
    name: String,
    path: PathBuf,
}

impl ClusterDir {
    /// Returns the cluster's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the folder itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns whether the cluster was ever started.
    pub fn exists(&self) -> bool {
        self.path.join("format").exists()
    }

    /// Writes a file about the cluster, whole or not at all; it belongs to user 0
    /// of `ids`.
    ///
    /// # Errors
    /// Returns what the file system reports.
    pub(crate) fn remember(
        &self,
        name: &str,
        content: &impl Serialize,
        ids: &IdMap,
    ) -> io::Result<()> {
        let path = self.path.join(name);
        let partial = path.with_extension("partial");
        std::fs::write(&partial, serde_json::to_vec_pretty(content)?)?;
        ids.own(&partial)?;
        std::fs::rename(partial, path)
    }

    /// Returns the folder of keys and certificates.
    pub fn pki(&self) -> PathBuf {
        self.path.join("pki")
    }

    /// Returns the folder of the store and the volumes.
    pub fn data(&self) -> PathBuf {
        self.path.join("data")
    }

    /// Returns the folder of log files.
    pub fn logs(&self) -> PathBuf {
        self.path.join("logs")
    }

    /// Returns the folder of sockets and records of the running cluster.
    pub fn run(&self) -> PathBuf {
        self.path.join("run")
    }
}

/// Returns whether `name` may name a cluster: a DNS label (RFC 1123) of at
/// most 40 characters, so that derived names stay within their limits.
pub fn is_cluster_name(name: &str) -> bool {
    let edge = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit();
    let bytes = name.as_bytes();
    !bytes.is_empty()
        && bytes.len() <= 40
        && edge(bytes[0])
        && edge(bytes[bytes.len() - 1])
        && bytes.iter().all(|&c| edge(c) || c == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cluster_names_are_dns_labels() {
        let check =
            |name: &str, expected: bool| assert_eq!(is_cluster_name(name), expected, "{name}");
        check("coracle", true);
        check("a", true);
        check("a-1", true);
        check("", false);
        check("-a", false);
        check("a-", false);
        check("A", false);
        check("a/b", false);
        check("..", false);
        check(&"a".repeat(41), false);
    }
}
