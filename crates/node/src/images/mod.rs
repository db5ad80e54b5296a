//! The image of a container: present or to be pulled, following its pull
//! policy (Kubernetes: Images). The main types are [`Wanted`] and
//! [`pull::Puller`].

mod pins;
mod pull;
mod secrets;

use std::io;
use std::sync::Arc;

use coracle_image::reference::Reference;
use coracle_image::registry::{Dial, RegistryOptions};
use coracle_image::store::{Image, ImageStore};
use futures::future::BoxFuture;

pub use pins::Pins;
pub use pull::{Fetched, Order, Puller};
pub use secrets::logins;

/// How a node reaches registries.
pub trait Registries: std::fmt::Debug + Send + Sync {
    /// Returns what makes the connections.
    fn dial(&self) -> Arc<dyn Dial>;

    /// Returns how the registry `host` is used, as of now: the machine's login,
    /// authorities and proxies.
    fn options<'a>(&'a self, host: &'a str) -> BoxFuture<'a, io::Result<RegistryOptions>>;
}

/// Why a container has no image; the variant is the reason that its status shows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImageError {
    /// The name cannot be read.
    #[error("Failed to apply default image tag \"{name}\": {message}")]
    InvalidImageName {
        /// The name as the pod has it.
        name: String,
        /// What is wrong.
        message: String,
    },
    /// The policy forbids a pull and the image is not there.
    #[error("Container image \"{name}\" is not present with pull policy of Never")]
    ErrImageNeverPull {
        /// The name as the pod has it.
        name: String,
    },
    /// The image could not be pulled.
    #[error("failed to pull image \"{name}\": {message}")]
    ErrImagePull {
        /// The name as the pod has it.
        name: String,
        /// Why, and what helps.
        message: String,
    },
    /// The store could not be read.
    #[error("Failed to inspect image \"{name}\": {message}")]
    ImageInspectError {
        /// The name as the pod has it.
        name: String,
        /// Why.
        message: String,
    },
}

impl ImageError {
    /// Returns the reason of the waiting state.
    pub fn reason(&self) -> &'static str {
        match self {
            ImageError::InvalidImageName { .. } => "InvalidImageName",
            ImageError::ErrImageNeverPull { .. } => "ErrImageNeverPull",
            ImageError::ErrImagePull { .. } => "ErrImagePull",
            ImageError::ImageInspectError { .. } => "ImageInspectError",
        }
    }

    /// Returns reason and message of its event (upstream: pkg/kubelet/images,
    /// image_manager.go).
    pub fn event(&self) -> (&'static str, String) {
        match self {
            ImageError::InvalidImageName { .. } => ("InspectFailed", self.to_string()),
            ImageError::ErrImageNeverPull { .. } => ("ErrImageNeverPull", self.to_string()),
            ImageError::ImageInspectError { .. } => ("InspectFailed", self.to_string()),
            ImageError::ErrImagePull { name, message } => (
                "Failed",
                format!("Failed to pull image \"{name}\": {message}"),
            ),
        }
    }
}

/// What a container's image needs.
#[derive(Debug)]
pub enum Wanted {
    /// Nothing: it is here.
    Present(Box<Image>),
    /// A pull.
    Pull(Reference),
}

/// Returns the policy that applies (Kubernetes: Images, default image pull policy).
pub fn policy(set: Option<&str>, reference: &Reference) -> String {
    match set {
        Some(policy) if !policy.is_empty() => policy.to_owned(),
        _ if reference.digest().is_none() && reference.tag() == Some("latest") => "Always".into(),
        _ => "IfNotPresent".into(),
    }
}

/// Decides what the image called `name` of `cluster` needs.
///
/// # Errors
/// Says why there is none and cannot be one.
pub fn wanted(
    store: &ImageStore,
    cluster: &str,
    name: &str,
    pull_policy: Option<&str>,
) -> Result<Wanted, ImageError> {
    let reference = Reference::parse(name).map_err(|error| ImageError::InvalidImageName {
        name: name.into(),
        message: error.to_string(),
    })?;
    let policy = policy(pull_policy, &reference);
    if policy == "Always" {
        return Ok(Wanted::Pull(reference));
    }
    match (find(store, cluster, name, &reference)?, policy.as_str()) {
        (Some(image), _) => Ok(Wanted::Present(Box::new(image))),
        (None, "Never") => Err(ImageError::ErrImageNeverPull { name: name.into() }),
        (None, _) => Ok(Wanted::Pull(reference)),
    }
}

/// Returns the image of the store.
fn find(
    store: &ImageStore,
    cluster: &str,
    name: &str,
    reference: &Reference,
) -> Result<Option<Image>, ImageError> {
    let found = store.resolve(cluster, reference);
    found.map_err(|error| ImageError::ImageInspectError {
        name: name.into(),
        message: error.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latest_is_asked_for_each_time_unless_the_pod_says_otherwise() {
        #[track_caller]
        fn check(name: &str, set: Option<&str>, expected: &str) {
            let reference = Reference::parse(name).expect("a name");
            assert_eq!(policy(set, &reference), expected, "{name}");
        }
        let digest = format!("app@sha256:{}", "0".repeat(64));
        check("app", None, "Always");
        check("app:latest", Some(""), "Always");
        check("app:latest", Some("Never"), "Never");
        check("app:1", None, "IfNotPresent");
        check("app:1", Some("Always"), "Always");
        check(&digest, None, "IfNotPresent");
    }
}
