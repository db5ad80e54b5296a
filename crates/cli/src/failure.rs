//! Failures as a user sees them: what went wrong, why, and what to do next.
//!
//! Exit codes: 1 the thing asked for failed, 2 the command line or a file of
//! the user's is wrong, 3 the cluster does not run, 4 the machine refuses,
//! 130 interrupted.

use std::fmt;
use std::process::ExitCode;
use std::sync::OnceLock;

use crate::paint::{Colour, Stream, paint};
use crate::remedy;

/// A failure with advice.
#[derive(Debug)]
pub struct Failure {
    code: u8,
    cause: anyhow::Error,
    hint: Option<String>,
    told: bool,
}

/// What a command returns.
pub type Outcome = Result<(), Failure>;

impl Failure {
    /// Returns a failure of the command line.
    pub fn usage(message: impl fmt::Display) -> Failure {
        Failure::with_code(2, message)
    }

    /// Returns a failure of the machine: it does not offer what is needed.
    pub fn machine(message: impl fmt::Display) -> Failure {
        Failure::with_code(4, message)
    }

    /// Returns a failure of which everything was said on standard output.
    pub fn told() -> Failure {
        Failure::told_with(1)
    }

    /// The same with another exit code.
    pub fn told_with(code: u8) -> Failure {
        Failure {
            told: true,
            ..Failure::with_code(code, "it failed")
        }
    }

    fn with_code(code: u8, message: impl fmt::Display) -> Failure {
        Failure {
            code,
            cause: anyhow::anyhow!("{message}"),
            hint: None,
            told: false,
        }
    }

    /// Returns the failure of a command that needs a running cluster.
    pub fn not_running(cluster: &str) -> Failure {
        Failure {
            code: 3,
            cause: anyhow::anyhow!("cluster {cluster} does not run"),
            hint: Some(format!("start it: {}", command("start", cluster))),
            told: false,
        }
    }

    /// Puts what was being done before the message.
    pub fn while_doing(mut self, what: &'static str) -> Failure {
        self.cause = self.cause.context(what);
        self
    }

    /// Adds what to do next.
    pub fn hint(mut self, hint: impl Into<String>) -> Failure {
        self.hint = Some(hint.into());
        self
    }

    /// Prints the failure and returns its exit code.
    pub fn report(&self) -> ExitCode {
        if self.told {
            return ExitCode::from(self.code);
        }
        eprintln!(
            "{} {:#}",
            paint(Stream::Err, Colour::Red, "error:"),
            self.cause
        );
        if let Some(hint) = &self.hint {
            eprintln!("{} {hint}", paint(Stream::Err, Colour::Yellow, "hint:"));
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

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#}", self.cause)?;
        match &self.hint {
            Some(hint) => write!(f, "\n{hint}"),
            None => Ok(()),
        }
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

/// The name under which the program was called, where it is not our own.
static CALLED: OnceLock<&'static str> = OnceLock::new();

/// Lets advice name the commands of the program that the user called.
pub fn speak_as(name: &'static str) {
    // A second call would be by the same program.
    let _ = CALLED.set(name);
}

/// Returns a command of ours for a cluster, as the user would type it.
pub fn command(words: &str, cluster: &str) -> String {
    match CALLED.get() {
        Some(name) if *name == cluster => format!("{name} {words}"),
        Some(name) => format!("{name} {words} -p {cluster}"),
        None => format!("coracle {words}{}", of(cluster)),
    }
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Failure {
        let cause = plain(error.into());
        let is_full = cause.chain().any(|cause| {
            let error = cause.downcast_ref::<std::io::Error>();
            error.is_some_and(|error| error.kind() == std::io::ErrorKind::StorageFull)
        });
        Failure {
            code: if is_full { 4 } else { 1 },
            cause,
            hint: is_full.then(|| format!("the disk is full; {}", remedy::DISK)),
            told: false,
        }
    }
}

/// Returns the API's own words where it answered with a refusal; the error
/// that carries them prints its fields besides.
fn plain(error: anyhow::Error) -> anyhow::Error {
    let refusal = match error.downcast_ref::<kube::Error>() {
        Some(kube::Error::Api(status)) if !status.message.is_empty() => status.message.clone(),
        _ => return error,
    };
    anyhow::Error::msg(refusal)
}
