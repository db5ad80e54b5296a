//! The generic path: every verb once, for all kinds. What is special about a
//! kind is asked of [`crate::rules`] and [`crate::admission`].

pub mod create;
pub mod delete;
pub mod get;
pub mod list;
mod outcome;
mod owners;
pub mod patch;
pub mod update;
pub mod watch;
pub mod write;
