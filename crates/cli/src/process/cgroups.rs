//! The names of clusters' cgroups. All homes of a machine share one tree, so a
//! name carries a mark of its home; it is kept in the cluster's folder.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use coracle_cluster::{ClusterDir, IdMap};

/// Returns the name of the cluster's cgroups.
pub fn name(cluster: &ClusterDir) -> String {
    let kept = fs::read_to_string(file(cluster)).unwrap_or_default();
    match kept.trim() {
        // Older versions kept none.
        "" => format!("coracle-{}", cluster.name()),
        name => name.to_owned(),
    }
}

/// Chooses the name for a cluster that is about to start, and keeps it.
///
/// # Errors
/// Returns what the file system reports.
pub fn choose(cluster: &ClusterDir, ids: &IdMap) -> io::Result<String> {
    let name = format!("coracle-{}-{:08x}", cluster.name(), mark(cluster.path()));
    let file = file(cluster);
    fs::write(&file, format!("{name}\n"))?;
    ids.own(&file)?;
    Ok(name)
}

fn file(cluster: &ClusterDir) -> PathBuf {
    cluster.path().join("cgroups")
}

/// FNV-1a of 32 bits: the same in every version, unlike the standard library's.
fn mark(path: &Path) -> u32 {
    let bytes = path.as_os_str().as_encoded_bytes();
    bytes.iter().fold(0x811c_9dc5, |hash, byte| {
        (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn homes_are_told_apart() {
        // Values of the FNV test suite.
        assert_eq!(mark(Path::new("")), 0x811c_9dc5);
        assert_eq!(mark(Path::new("a")), 0xe40c_292c);
        assert_eq!(mark(Path::new("foobar")), 0xbf9c_f968);
    }
}
