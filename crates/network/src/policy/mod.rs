//! NetworkPolicy as chains and sets.
//!
//! Three pure steps: [`world`] keeps what policies depend on, [`resolve`] turns
//! selectors into addresses, [`encode`] writes fragments. [`decide`] judges one
//! flow by the same resolved policies, to tell a user which one decided.

pub mod decide;
pub mod encode;
pub mod resolve;
pub mod world;

pub use decide::{Decision, Flow, decide};
pub use encode::fragments;
pub use resolve::{Policy, resolve};
pub use world::{PodFacts, World};
