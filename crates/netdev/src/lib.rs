//! Own netlink and nftables encoder. Knows no Kubernetes.
