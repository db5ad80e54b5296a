//! Starts and watches Linux containers: namespaces, mounts, cgroups, seccomp, shims. Knows no Kubernetes.
