//! What can go wrong with a registry: [`RegistryError`].

use crate::digest::Digest;
use crate::oci::Platform;
use crate::store::StoreError;

/// A pull or push that failed.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The host could not be reached.
    #[error("cannot reach {host}")]
    Connect {
        /// Host and port.
        host: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The host's certificate is not trusted.
    #[error(
        "the certificate of {host} is not trusted: {reason}; give its CA with --ca FILE, or put it in /etc/docker/certs.d/{host}/ca.crt"
    )]
    Certificate {
        /// Host and port.
        host: String,
        /// Why.
        reason: String,
    },
    /// The host does not speak TLS.
    #[error(
        "{host} does not speak TLS: {reason}; allow plain HTTP with --insecure-registry {host}, if that is what it is"
    )]
    Tls {
        /// Host and port.
        host: String,
        /// Why.
        reason: String,
    },
    /// The connection broke.
    #[error("the connection to {host} broke: {reason}")]
    Broken {
        /// Host and port.
        host: String,
        /// Why.
        reason: String,
    },
    /// The registry wants a login, or another one.
    #[error(
        "{host} refuses {action} of {repository}: {reason}; give a login with --creds USER:PASSWORD, or in ~/.docker/config.json; for pods, in an imagePullSecret"
    )]
    Denied {
        /// The registry.
        host: String,
        /// "pull" or "push".
        action: &'static str,
        /// The repository.
        repository: String,
        /// The registry's words.
        reason: String,
    },
    /// The registry does not know the image.
    #[error("{reference} is not on {host}: {reason}")]
    NotFound {
        /// The image.
        reference: String,
        /// The registry.
        host: String,
        /// The registry's words.
        reason: String,
    },
    /// The registry asks for patience for longer than this client has.
    #[error("{host} limits requests: {reason}; wait, or log in for a higher limit")]
    TooMany {
        /// The registry.
        host: String,
        /// The registry's words.
        reason: String,
    },
    /// Another answer than the specification knows.
    #[error("{host} answered {status}: {reason}")]
    Status {
        /// The registry.
        host: String,
        /// HTTP status.
        status: u16,
        /// The registry's words.
        reason: String,
    },
    /// The answer makes no sense.
    #[error("{host} sent something unusable: {reason}")]
    Answer {
        /// The registry.
        host: String,
        /// What is wrong.
        reason: String,
    },
    /// Content is not what its digest says.
    #[error("{host} sent content with digest {found}, expected {expected}")]
    Mismatch {
        /// The registry.
        host: String,
        /// What was asked for.
        expected: Digest,
        /// What came.
        found: Digest,
    },
    /// The image is not made for this machine.
    #[error("{reference} is not made for {wanted}, only for {found}")]
    Platform {
        /// The image.
        reference: String,
        /// This machine.
        wanted: Platform,
        /// What there is.
        found: String,
    },
    /// The logins or certificates given are not usable.
    #[error("{what} is not usable: {reason}")]
    Setting {
        /// Which setting.
        what: String,
        /// Why.
        reason: String,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl RegistryError {
    /// Returns whether trying again may help.
    pub(super) fn is_passing(&self) -> bool {
        match self {
            Self::Connect { .. } | Self::Broken { .. } | Self::TooMany { .. } => true,
            Self::Status { status, .. } => *status >= 500 || *status == 408,
            _ => false,
        }
    }
}
