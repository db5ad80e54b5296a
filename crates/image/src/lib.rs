//! OCI images: content-addressed store, archives, registries, Dockerfile builds. Knows no Kubernetes.
