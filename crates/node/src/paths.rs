//! Where a pod's files are.
//!
//! ```text
//! PODS/UID/
//!   sandbox.json                      the pod's address
//!   etc/{hosts,resolv.conf,hostname}  bound into every container
//!   volumes/NAME                      emptyDir, configMap, secret, …
//!   containers/NAME/ATTEMPT/{upper,work}
//! LOGS/NAMESPACE_POD_UID/CONTAINER/ATTEMPT.log
//! ```

use std::path::PathBuf;

use crate::config::Config;

/// The folders of one pod.
#[derive(Debug, Clone)]
pub struct PodPaths {
    /// The pod's own folder.
    pub dir: PathBuf,
    /// The folder of its logs.
    pub logs: PathBuf,
}

impl PodPaths {
    /// Returns the folders of the pod with this uid.
    pub fn new(config: &Config, namespace: &str, name: &str, uid: &str) -> PodPaths {
        PodPaths {
            dir: config.pods.join(uid),
            logs: config.logs.join(format!("{namespace}_{name}_{uid}")),
        }
    }

    /// Returns a file that every container of the pod sees below `/etc`.
    pub fn etc(&self, file: &str) -> PathBuf {
        self.dir.join("etc").join(file)
    }

    /// Returns the folder of a volume.
    pub fn volume(&self, name: &str) -> PathBuf {
        self.dir.join("volumes").join(name)
    }

    /// Returns the folder of what a container writes.
    pub fn container(&self, name: &str, attempt: i32) -> PathBuf {
        self.dir
            .join("containers")
            .join(name)
            .join(attempt.to_string())
    }

    /// Returns the log of a container's attempt.
    pub fn log(&self, container: &str, attempt: i32) -> PathBuf {
        self.logs.join(container).join(format!("{attempt}.log"))
    }
}
