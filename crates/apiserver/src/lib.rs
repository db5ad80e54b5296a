//! The Kubernetes API over HTTP: authentication, authorization, admission, verbs, discovery, streams.
//!
//! [`ApiServer`] opens the store and answers requests; `dispatch` shows the
//! way of one. A kind is a row of `machinery`, and every verb is written once.
//! What happens after an object changes is floor 4's business.

mod accept;
mod admission;
mod authn;
mod authz;
mod body;
mod bootstrap;
mod context;
mod custom;
mod decode;
mod discovery;
mod dispatch;
mod follow;
mod gojson;
mod identity;
mod inflight;
mod kubelet;
mod managed;
mod metrics;
mod misc;
mod node_groups;
mod object;
mod openapi;
mod options;
mod pieces;
mod pretty;
mod request;
mod resource;
mod respond;
mod row;
mod rules;
mod select;
mod serve;
mod server;
mod status;
mod subresources;
mod table;
mod verbs;
mod version;
mod yaml;

pub use admission::services::{Ipv4Range, PortRange};
pub use authn::tokens::TokenError;
pub use body::{Body, BoxError};
pub use identity::Identity;
pub use server::{ApiServer, Config, InProcess, OpenError};
