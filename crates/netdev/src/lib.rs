//! Own netlink and nftables encoder. Knows no Kubernetes.
//!
//! The layers, lowest first: [`wire`] builds and reads netlink messages,
//! [`socket`] sends them and turns the kernel's answer into an [`Error`] that
//! names the object, [`link`], [`addr`], [`route`] and [`neigh`] speak
//! rtnetlink, [`nft`] speaks nf_tables, and [`base`] and [`pod`] put them
//! together for a cluster's namespace and for a pod. All calls block for some
//! tens of microseconds and act on the network namespace of the calling thread,
//! or on the one a [`socket::Netlink`] was opened in.

pub mod addr;
pub mod base;
pub mod cidr;
pub mod conntrack;
mod error;
pub mod link;
pub mod neigh;
pub mod netns;
pub mod nft;
pub mod plan;
pub mod pod;
pub mod route;
pub mod socket;
pub mod sysctl;
#[cfg(feature = "testing")]
pub mod testing;
pub mod wire;

pub use cidr::Cidr;
pub use error::{Error, Result};
pub use plan::AddressPlan;
pub use socket::Netlink;
