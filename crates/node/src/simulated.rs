//! A node without a machine: pods that are bound to it are told to run.
//!
//! Everything but Linux is the node's own: workers, status, events, restarts,
//! back-off, volumes' references and tokens, evictions, the lease. Probes
//! succeed at their first try; images are not looked for; nothing is written to
//! a disk. Containers run until they are stopped, or as the annotations
//! `simulated.coracle.dev/run-seconds` and `simulated.coracle.dev/exit-code`
//! say.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use coracle_image::registry::{Dial, Direct, RegistryOptions};
use coracle_netdev::plan::AddressPlan;
use futures::future::BoxFuture;

use crate::announce::Announce;
use crate::config::Config;
use crate::images::Registries;

/// What a simulated node is told.
#[derive(Debug, Clone)]
pub struct Simulated {
    /// The node's name.
    pub name: String,
    /// An empty folder of its own.
    pub folder: PathBuf,
    /// How many processors it has.
    pub cpus: u32,
    /// How much memory it has.
    pub memory_bytes: u64,
    /// How many pods it takes.
    pub pods_max: u32,
    /// The addresses its pods get; those of several nodes must not overlap.
    pub plan: AddressPlan,
}

impl Simulated {
    /// Returns a node called `name` with plenty of everything.
    pub fn new(name: &str, folder: impl Into<PathBuf>) -> Simulated {
        Simulated {
            name: name.into(),
            folder: folder.into(),
            cpus: 1000,
            memory_bytes: 1 << 42,
            pods_max: 50_000,
            plan: AddressPlan::default(),
        }
    }

    pub(crate) fn config(&self) -> Config {
        let place = |name: &str| self.folder.join(name);
        Config {
            name: self.name.clone(),
            cluster: "simulated".into(),
            pods: place("pods"),
            volumes: place("volumes"),
            shares: Vec::new(),
            logs: place("logs"),
            images: place("images"),
            state: place("state"),
            run: place("run"),
            executable: "/proc/self/exe".into(),
            plan: self.plan.clone(),
            domain: "cluster.local".into(),
            registries: Arc::new(NoRegistries),
            announce: Announce::default(),
            pods_max: self.pods_max,
        }
    }
}

/// No image is ever pulled: containers are pretended.
#[derive(Debug)]
struct NoRegistries;

impl Registries for NoRegistries {
    fn dial(&self) -> Arc<dyn Dial> {
        Arc::new(Direct::default())
    }

    fn options<'a>(&'a self, _host: &'a str) -> BoxFuture<'a, io::Result<RegistryOptions>> {
        Box::pin(async { Err(io::ErrorKind::Unsupported.into()) })
    }
}
