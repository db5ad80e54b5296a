//! Why a configuration is refused.

use crate::db::url::UrlError;

/// Why the configuration was refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A key without which the program cannot run.
    #[error("{0} is not set")]
    Missing(&'static str),
    /// A value that cannot be read.
    #[error("{key} is {value:?}, expected {expected}")]
    Invalid {
        /// The key.
        key: &'static str,
        /// Its value; never a secret one.
        value: String,
        /// What would have been accepted.
        expected: &'static str,
    },
    /// `NAME_FILE` names a file that cannot be read.
    #[error("{key}_FILE names {path}, which cannot be read")]
    File {
        /// The key.
        key: &'static str,
        /// The path.
        path: String,
        /// What the system said.
        #[source]
        cause: std::io::Error,
    },
    /// `DATABASE_URL` has no form we know.
    #[error("DATABASE_URL is not usable")]
    Database(#[source] UrlError),
    /// A rule that holds in production only.
    #[error("{0}")]
    Production(&'static str),
}
