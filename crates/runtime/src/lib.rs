//! Starts and watches Linux containers: namespaces, mounts, cgroups, seccomp,
//! shims. Knows no Kubernetes.
//!
//! [`ContainerSpec`] says what a container is, [`Runtime`] starts one and finds
//! those that are running already, [`Container`] is one. Each container has a
//! process of its own, the shim, which is this program run again: its `main`
//! must call [`shim_main`] when its first argument is `shim`, before it starts
//! a thread.
//!
//! ```no_run
//! # async fn start() -> Result<(), Box<dyn std::error::Error>> {
//! use coracle_runtime::spec::{Log, Rootfs, Upper};
//! use coracle_runtime::{Cgroups, ContainerSpec, Runtime};
//!
//! let cgroups = Cgroups::open("/sys/fs/cgroup".as_ref());
//! let runtime = Runtime::new("/proc/self/exe", "/run/containers", cgroups)?;
//! let upper = Upper { dir: "/var/c1/upper".into(), work: "/var/c1/work".into() };
//! let container = runtime
//!     .start(ContainerSpec {
//!         id: "c1".into(),
//!         root: Rootfs {
//!             lowers: vec!["/layers/base".into(), "/layers/app".into()],
//!             upper: Some(upper),
//!             readonly: false,
//!         },
//!         args: vec!["/app".into()],
//!         log: Some(Log::at("/var/c1/log")),
//!         ..ContainerSpec::default()
//!     })
//!     .await?;
//! let exit = container.wait().await;
//! # Ok(())
//! # }
//! ```
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
pub mod logs;
mod mount;
mod process;
mod procfs;
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
pub use mount::{mount_bind, mount_layers, mount_tmpfs, unmount};
pub use record::Exit;
pub use sandbox::{Sandbox, SandboxError, SandboxSpec};
pub use shim::shim_main;
pub use spec::{ContainerSpec, ExecSpec};
pub use user::{Credentials, Identity};
