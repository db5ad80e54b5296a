//! Revisioned keys on disk: compare-and-swap, ordered watch, group commit.
//!
//! [`Store`] is the door. One thread commits, everything is read from memory,
//! and an event is published only after the write that caused it is durable.
//! The store knows bytes and revisions, no kinds: what a value is, how it is
//! written and how it takes its revision belongs to the [`Value`] it is given.

mod commit;
mod disk;
mod memory;
mod seal;
mod store;
mod value;
mod watch;

pub use disk::{Disk, FORMAT_VERSION, Record, RedbDisk};
pub use memory::{Event, EventKind, Page};
pub use seal::Seal;
pub use store::{
    Deleted, Durability, Expect, OpenError, Options, ReadError, Store, WriteError, WriteOptions,
};
pub use value::Value;
pub use watch::{Watch, WatchError};
