//! How residents talk to the API: one shared cache per kind and a work queue.
//!
//! A resident reads from [`Cache`]s, writes through a [`kube::Client`] of its
//! own identity, and is driven by a [`Queue`] of keys. Everything it does goes
//! through API requests; the roof supplies the transport.

mod cache;
mod controller;
mod events;
mod groups;
pub mod matching;
mod queue;
pub mod storage;
mod wake;

pub use cache::{Cache, Caches, Key, key_of};
pub use controller::{Outcome, run};
pub use events::{Recorder, Severity, now, reference};
pub use groups::Groups;
pub use queue::Queue;
pub use wake::{watchful_sleep, woken};

/// Returns whether an API error says that the object is not there.
pub fn is_not_found(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 404)
}

/// Returns whether an API error says that the object cannot be as it was sent.
pub fn is_invalid(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 422)
}

/// Returns whether an API error says that the object changed meanwhile or exists already.
pub fn is_conflict(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 409)
}
