//! Starts and watches Linux containers: namespaces, mounts, cgroups, seccomp,
//! shims. Knows no Kubernetes.
//!
//! [`ContainerSpec`] says what a container is, [`Runtime`] starts one and finds
//! those that are running already, [`Container`] is one. Each container has a
//! process of its own, the shim, which is this program run again: its `main`
//! must call [`shim_main`] when its first argument is `shim`, before it starts
//! a thread.
//!
//! Everything here runs inside namespaces that someone else has made, as the
//! root of a user namespace.

mod caps;
pub mod cgroup;
mod clock;
mod control;
mod engine;
mod error;
mod exec;
mod idmap;
mod mount;
mod process;
mod protocol;
mod pty;
mod record;
mod resolve;
mod rootfs;
mod sandbox;
pub mod seccomp;
mod shim;
pub mod spec;
mod start;
mod sys;
mod user;

pub use caps::{CapSet, UnknownCapability};
pub use cgroup::{Cgroup, Cgroups, Delegation, DelegationError, Usage};
pub use engine::{
    AttachEvent, AttachInput, AttachOutput, Attachment, Container, ExecError, ExecSession, Pty,
    Runtime, RuntimeError, StartStreams,
};
pub use error::StartError;
pub use idmap::IdMap;
pub use mount::{mount_bind, mount_tmpfs, unmount};
pub use record::Exit;
pub use sandbox::{Sandbox, SandboxError, SandboxSpec};
pub use shim::shim_main;
pub use spec::{ContainerSpec, ExecSpec};
