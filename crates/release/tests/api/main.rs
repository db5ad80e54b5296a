//! Releases on our own API, in memory, and beside the real helm.

mod common;
mod errors;
mod hooks;
mod operations;
mod round_trip;
