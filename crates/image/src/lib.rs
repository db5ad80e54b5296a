//! OCI images: content-addressed store, archives, registries, Dockerfile
//! builds. Knows no Kubernetes and no namespaces: owners are applied as the
//! caller's user namespace shows them.

pub mod archive;
pub mod build;
pub mod digest;
pub mod inspect;
pub mod oci;
pub mod policy;
pub mod reference;
pub mod registry;
pub mod rootfs;
pub mod store;
pub mod tar;

pub use digest::Digest;
pub use reference::Reference;
pub use store::{Image, ImageStore, Layer};
