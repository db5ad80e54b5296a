//! The way to the API: names, connections, one request each.

pub mod resolve;
pub mod upstream;
