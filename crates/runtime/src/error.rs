//! Why a container did not start. The main type is [`StartError`].
//!
//! It crosses two process borders (container to shim, shim to engine), so
//! causes are carried as text and number, not as nested errors.

use std::fmt::Display;
use std::io;

use serde::{Deserialize, Serialize};

/// Why a container, or a program in one, did not start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum StartError {
    /// A bare program name is nowhere in the container's `PATH`.
    #[error("exec: {program:?}: executable file not found in $PATH")]
    NotInPath {
        /// As the spec says it.
        program: String,
    },
    /// The program at this path could not be executed.
    #[error("exec: {program:?}: {cause}")]
    Exec {
        /// As the spec says it.
        program: String,
        /// The kernel's word for it.
        cause: String,
        /// The error's number.
        errno: i32,
    },
    /// A user or group name that the container's /etc does not know.
    #[error("unable to find {what} {name:?}: no matching entries in {file}")]
    UnknownName {
        /// `user` or `group`.
        what: String,
        /// As the spec says it.
        name: String,
        /// Where it was looked for.
        file: String,
    },
    /// Ids that the user namespace does not map.
    #[error(
        "{what} is not available: this cluster maps a single id per container; \
         install newuidmap (package uidmap) and give your user a range in /etc/subuid and /etc/subgid"
    )]
    IdsNotMapped {
        /// Which ids were wanted.
        what: String,
    },
    /// The spec contradicts itself.
    #[error("{0}")]
    Invalid(String),
    /// A step of the preparation failed.
    #[error("{step} {subject}: {cause}")]
    Step {
        /// What was being done.
        step: String,
        /// What it was done to.
        subject: String,
        /// The kernel's word for it.
        cause: String,
        /// The error's number, 0 if the kernel gave none.
        errno: i32,
    },
    /// The shim itself could not do its work.
    #[error("container shim: {0}")]
    Shim(String),
}

impl StartError {
    pub(crate) fn step(step: &str, subject: impl Display, error: &io::Error) -> Self {
        let errno = error.raw_os_error().unwrap_or(0);
        Self::Step {
            step: step.to_owned(),
            subject: subject.to_string(),
            cause: describe(error),
            errno,
        }
    }

    pub(crate) fn shim(error: impl Display) -> Self {
        Self::Shim(error.to_string())
    }
}

/// Attaches the step and its subject to an error of the kernel.
pub(crate) trait During<T> {
    fn during(self, step: &str, subject: impl Display) -> Result<T, StartError>;
}

impl<T, E: Into<io::Error>> During<T> for Result<T, E> {
    fn during(self, step: &str, subject: impl Display) -> Result<T, StartError> {
        self.map_err(|error| StartError::step(step, subject, &error.into()))
    }
}

/// Returns the error's text in the lower case that C and Go programs print,
/// without Rust's "(os error N)".
pub(crate) fn describe(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or(&text);
    let mut chars = text.chars();
    match chars.next() {
        Some(first) => first.to_lowercase().chain(chars).collect(),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_name_the_step_the_subject_and_the_cause() {
        let error = io::Error::from_raw_os_error(libc::EACCES);
        assert_eq!(
            StartError::step("mount", "/data", &error).to_string(),
            "mount /data: permission denied"
        );
        assert_eq!(
            StartError::NotInPath {
                program: "foo".into()
            }
            .to_string(),
            r#"exec: "foo": executable file not found in $PATH"#
        );
    }

    #[test]
    fn errors_survive_the_way_to_the_engine() {
        for error in [
            StartError::Invalid("no program".into()),
            StartError::Shim("gone".into()),
            StartError::IdsNotMapped {
                what: "group 7".into(),
            },
        ] {
            let text = serde_json::to_string(&error).unwrap();
            assert_eq!(serde_json::from_str::<StartError>(&text).unwrap(), error);
        }
    }
}
