//! Decides addresses, service routing, names and policy; dataplane and netdev carry them out.
//!
//! [`run`] is the resident: a client of the API and nothing else. The kernel's
//! table is made of fragments, one for the constant [`base`], one for each
//! Service, pod and NetworkPolicy; a change writes the difference of its own
//! fragment only.

mod agent;
mod announce;
pub mod balancer;
pub mod base;
pub mod bootstrap;
pub mod core;
pub mod endpoints;
pub mod forward;
pub mod health;
pub mod hostport;
pub mod ingress;
pub mod names;
pub mod plan;
pub mod policy;
mod push;
pub mod service;
mod status;

pub use agent::{Error, Options, run};
pub use announce::{Announcements, Announcer, announcements};
pub use core::{Core, Settings};
pub use ingress::authority::Issue;
pub use plan::AddressPlan;
