//! The version of Kubernetes that is spoken.

/// As `kubectl version` and `kubectl get nodes` show it.
pub const GIT_VERSION: &str = concat!("v1.36.2+coracle.", env!("CARGO_PKG_VERSION"));
