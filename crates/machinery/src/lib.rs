//! What Kubernetes objects mean: kinds, schema facts, defaults, validation, patches, selectors. Pure: no socket, file, clock or async.
