//! Profiles of system calls that a pod names (Kubernetes: Restrict a Container's
//! Syscalls with seccomp). They are files of the cluster's own tree, as on any
//! node.

use coracle_runtime::{CapSet, seccomp};

use crate::fetch::words;
use crate::shared::Shared;
use crate::volumes::Tree;

/// Where a node has them.
const FOLDER: &str = "/var/lib/kubelet/seccomp";
const BYTES_MAX: u64 = 1 << 20;

/// Returns the text of a profile.
///
/// # Errors
/// Says why there is none, and how it gets there; or what is wrong with it.
pub fn find(shared: &Shared, name: &str) -> Result<String, String> {
    let tree = Tree::new(shared.config.volumes.clone());
    let path = format!("{FOLDER}/{name}");
    let profile = tree.read(&path, BYTES_MAX).map_err(|error| {
        format!(
            "cannot load seccomp profile \"{path}\": {}; a pod with a hostPath volume of {FOLDER} can put it there",
            words(&error)
        )
    })?;
    match seccomp::parse(&profile, CapSet::ALL) {
        Ok(_) => Ok(profile),
        Err(error) => Err(format!("cannot use \"{path}\": {error}")),
    }
}
