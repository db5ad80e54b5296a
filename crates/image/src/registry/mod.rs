//! Registries: pulling and pushing images over HTTP: [`RegistryClient`].
//!
//! OCI distribution specification 1.1 and Docker's token authentication
//! <https://distribution.github.io/distribution/spec/auth/token/>. Written over
//! hyper because connections come from the caller ([`Dial`]): where pulls are
//! made there may be no network, only a process outside that dials. Content is
//! verified before it becomes part of the store.

mod auth;
mod client;
mod dial;
mod error;
mod http;
mod pull;
mod push;
mod tls;

pub use auth::{Challenge, Credentials, Helpers, Login, challenge};
pub use client::{RegistryClient, RegistryOptions};
pub use dial::{Connection, Dial, Dialing, Direct, Proxies};
pub use error::RegistryError;
pub use pull::{PullEvent, Pulled};
pub use push::{PushEvent, Pushed};
pub use tls::system_authorities;
