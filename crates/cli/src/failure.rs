//! Failures as a user sees them: what went wrong, why, and what to do next.
//!
//! Exit codes: 1 the thing asked for failed, 2 the command line is wrong,
//! 3 the cluster does not run, 4 the cluster or the machine refuses.

use std::fmt;
use std::process::ExitCode;

/// A failure with advice.
#[derive(Debug)]
pub struct Failure {
    code: u8,
    cause: anyhow::Error,
    hint: Option<String>,
}

/// What a command returns.
pub type Outcome = Result<(), Failure>;

impl Failure {
    /// Returns a failure of the command line.
    pub fn usage(message: impl fmt::Display) -> Failure {
        Failure {
            code: 2,
            cause: anyhow::anyhow!("{message}"),
            hint: None,
        }
    }

    /// Returns the failure of a command that needs a running cluster.
    pub fn not_running(cluster: &str) -> Failure {
        Failure {
            code: 3,
            cause: anyhow::anyhow!("cluster {cluster} does not run"),
            hint: Some(format!("start it: coracle start{}", of(cluster))),
        }
    }

    /// Adds what to do next.
    pub fn hint(mut self, hint: impl Into<String>) -> Failure {
        self.hint = Some(hint.into());
        self
    }

    /// Prints the failure and returns its exit code.
    pub fn report(&self) -> ExitCode {
        eprintln!("error: {:#}", self.cause);
        if let Some(hint) = &self.hint {
            eprintln!("hint: {hint}");
        }
        ExitCode::from(self.code)
    }

    /// Prints the failure as helm does, with the advice below; returns helm's
    /// exit code.
    pub fn report_as_helm(&self) -> ExitCode {
        eprintln!("Error: {:#}", self.cause);
        if let Some(hint) = &self.hint {
            eprintln!("\n{hint}");
        }
        ExitCode::FAILURE
    }
}

/// Returns the flag that names a cluster other than the default one.
pub fn of(cluster: &str) -> String {
    if cluster == "coracle" {
        String::new()
    } else {
        format!(" --cluster {cluster}")
    }
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Failure {
        Failure {
            code: 1,
            cause: error.into(),
            hint: None,
        }
    }
}
