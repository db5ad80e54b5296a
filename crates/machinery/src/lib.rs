//! What Kubernetes objects mean: kinds, schema facts, defaults, validation, patches, selectors.
//!
//! Everything here is arithmetic on JSON values: no socket, file, clock or
//! async. Where a rule depends on the time, the time is an argument.
//!
//! Start at [`kind::Kind`], the row every generic path reads, and at
//! [`schema::Node`], the one view of the types of built-in and custom objects.
//! A request body passes [`strict`]
//! and [`canonical`].

pub mod apply;
pub mod canonical;
pub mod convert;
pub mod custom;
pub mod default;
mod defaults;
pub mod jsonpath;
pub mod kind;
pub mod kinds;
pub mod patch;
pub mod path;
pub mod protobuf;
pub mod quantity;
pub mod quota;
pub mod schema;
pub mod selector;
pub mod strategy;
pub mod strict;
pub mod table;
pub mod time;
pub mod validate;
pub mod version;
