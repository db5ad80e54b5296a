//! Finds the image of a container, following its pull policy.

use coracle_image::reference::Reference;
use coracle_image::store::{Image, ImageStore};

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
    /// The image would have to be pulled.
    #[error("failed to pull image \"{name}\": {message}")]
    ErrImagePull {
        /// The name as the pod has it.
        name: String,
        /// Why it could not be.
        message: String,
    },
    /// The store could not be read.
    #[error("failed to read image \"{name}\": {message}")]
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
}

/// Returns the policy that applies (Kubernetes: Images, default image pull policy).
pub fn policy(set: Option<&str>, reference: &Reference) -> String {
    match set {
        Some(policy) if !policy.is_empty() => policy.to_owned(),
        _ if reference.digest().is_none() && reference.tag() == Some("latest") => "Always".into(),
        _ => "IfNotPresent".into(),
    }
}

/// Returns the image called `name` of `cluster`.
///
/// # Errors
/// Says why there is none.
pub fn find(
    store: &ImageStore,
    cluster: &str,
    name: &str,
    pull_policy: Option<&str>,
) -> Result<Image, ImageError> {
    let reference = Reference::parse(name).map_err(|error| ImageError::InvalidImageName {
        name: name.into(),
        message: error.to_string(),
    })?;
    let found =
        store
            .resolve(cluster, &reference)
            .map_err(|error| ImageError::ImageInspectError {
                name: name.into(),
                message: error.to_string(),
            })?;
    match (found, policy(pull_policy, &reference).as_str()) {
        (Some(image), "IfNotPresent" | "Never") => Ok(image),
        (None, "Never") => Err(ImageError::ErrImageNeverPull { name: name.into() }),
        (Some(_), _) => Err(ImageError::ErrImagePull {
            name: name.into(),
            message: format!(
                "pull policy Always asks a registry, and pulling is not available in this version; the image {name} is present: set imagePullPolicy: IfNotPresent"
            ),
        }),
        (None, _) => Err(ImageError::ErrImagePull {
            name: name.into(),
            message: format!(
                "it is not in the image store, and pulling is not available in this version; build or load it: coracle image build -t {name} . or coracle image load FILE"
            ),
        }),
    }
}
