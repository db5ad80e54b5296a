//! The kubelet's work: pods become containers, containers become status.
//!
//! [`Node::start`] registers the node, adopts the containers that already run
//! and keeps one [`worker`] per pod; [`Node::kubelet`] is the HTTP service
//! through which the API server reaches logs, exec and ports.

mod address;
mod announce;
mod config;
mod env;
mod eviction;
mod fetch;
mod images;
mod kubelet;
mod machine;
mod manager;
mod metrics;
mod node_status;
mod paths;
mod probe;
mod profiles;
mod quantity;
mod security;
mod shared;
mod simulated;
mod tokens;
mod volumes;
mod worker;

pub use announce::{Announce, Announcement};
pub use config::Config;
pub use images::Registries;
pub use kubelet::Kubelet;
pub use manager::{Node, StartError};
pub use metrics::exposition;
pub use simulated::Simulated;
pub use volumes::Provisioner;
