//! The Kubernetes API over HTTP: authentication, authorization, admission, verbs, discovery, streams.
