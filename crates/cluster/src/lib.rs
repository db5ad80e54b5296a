//! A cluster on this machine: its folder, keys, namespaces, processes and
//! kubeconfig entry, from the first start until nothing of it is left.
//!
//! The main types are [`Home`] and [`ClusterDir`] (where things are),
//! [`launch`] (start, stop, delete from outside) and [`init`] (pid 1 inside).
//! It does not know what its processes do and speaks no Kubernetes.

pub mod apart;
pub mod build;
mod features;
pub mod gateway;
mod groups;
pub mod held;
pub mod home;
pub mod host_network;
pub mod idmap;
pub mod init;
pub mod keeper;
pub mod kubeconfig;
pub mod launch;
pub mod lock;
mod migrate;
pub mod pki;
pub mod probe;
pub mod record;
mod root;
pub mod scope;
pub mod share;
mod sys;
pub mod upgrade;

pub use home::{ClusterDir, Home};
pub use host_network::HostNetwork;
pub use idmap::IdMap;
pub use launch::{LaunchError, Launched};
pub use lock::Lock;
pub use record::Record;
pub use share::{Share, Shares};
