//! The kubelet's work: pods become containers, containers become status.
