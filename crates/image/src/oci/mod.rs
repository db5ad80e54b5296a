//! The JSON documents of the OCI image specification 1.1, with Docker's
//! additions: configuration ([`ImageConfig`]) and manifests ([`Manifest`]).

mod config;
mod manifest;
mod platform;

pub use config::{ContainerConfig, Healthcheck, History, ImageConfig, RootFs};
pub use manifest::{Descriptor, Index, Manifest, media_type};
pub use platform::Platform;

use serde::{Deserialize, Deserializer};

// Docker writes `null` where it means "nothing".
fn null_as_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}
