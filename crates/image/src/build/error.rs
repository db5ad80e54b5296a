//! What can go wrong in a build: [`BuildError`].

use std::path::PathBuf;

use super::dockerfile::Located;
use super::run::ExecuteError;
use crate::reference::Reference;
use crate::store::StoreError;

/// A build that failed.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// Something in the Dockerfile is wrong.
    #[error(transparent)]
    Dockerfile(#[from] Located),
    /// A `RUN` step ended with a failure.
    #[error("{at}")]
    Run {
        /// Which instruction.
        at: Located,
        /// What happened; `at` says it too, beside the line.
        cause: ExecuteError,
    },
    /// A base image could not be had.
    #[error("{at}")]
    Base {
        /// Which instruction.
        at: Located,
        /// Which image.
        reference: Box<Reference>,
        /// Why; `at` says it too, beside the line.
        cause: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A file of the context could not be read.
    #[error("cannot read {path} of the build context")]
    Context {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The `.dockerignore` is broken.
    #[error("{path}:{line}: {reason}")]
    Ignore {
        /// Which file.
        path: PathBuf,
        /// Line, from 1.
        line: u32,
        /// Why.
        reason: String,
    },
    /// The request asks for something that is not there.
    #[error("{0}")]
    Request(String),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}
