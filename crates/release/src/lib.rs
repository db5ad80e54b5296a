//! Releases of a chart on any cluster, kept as Helm's own records.
//!
//! [`deploy`] installs or upgrades, [`uninstall`] removes, [`wait`] follows the
//! objects until they are ready and says why they are not.

mod deploy;
mod explain;
mod objects;
mod record;
mod uninstall;
mod wait;
pub mod why;

pub use deploy::{Deployed, Request, deploy};
pub use explain::explain;
pub use objects::{Object, ParseError, Served, parse};
pub use record::{Record, RecordError, Status, latest};
pub use uninstall::uninstall;
pub use wait::{Waiting, wait};

/// A release could not be changed.
#[derive(Debug, thiserror::Error)]
pub enum ReleaseError {
    /// The API refused or did not answer.
    #[error("could not {step}")]
    Api {
        /// What was being done to what.
        step: String,
        /// What the API said.
        source: Box<kube::Error>,
    },
    /// A rendered document is no object.
    #[error(transparent)]
    Parse(#[from] ParseError),
    /// A record could not be read or written.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// A kind is not served by the cluster.
    #[error("{file}: the cluster serves no {kind} of {api_version}")]
    UnknownKind {
        /// The template.
        file: String,
        /// Its apiVersion.
        api_version: String,
        /// Its kind.
        kind: String,
    },
    /// The objects did not become ready.
    #[error("{0}")]
    NotReady(String),
}

fn api(step: impl Into<String>) -> impl FnOnce(kube::Error) -> ReleaseError {
    move |source| ReleaseError::Api {
        step: step.into(),
        source: Box::new(source),
    }
}
