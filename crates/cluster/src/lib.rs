//! Namespaces, processes, keys, kubeconfig, life cycle of a cluster on this machine.
