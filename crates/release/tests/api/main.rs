//! Releases on our own API, in memory, and beside the real helm.
// A case that does not run says so.
#![allow(clippy::print_stderr)]

mod common;
mod errors;
mod hooks;
mod operations;
mod round_trip;
mod worst;
