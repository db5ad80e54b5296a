//! What the workers ask of the machine. The main types are [`Machine`] and
//! [`Running`]: Linux does it, or something that pretends. The workers' decisions
//! are the same for both.

mod pretend;

use std::time::Duration;

use coracle_runtime::{Container, Credentials, ExecError, ExecSession, ExecSpec, Exit};
use coracle_runtime::{Runtime, RuntimeError, Sandbox};

pub use pretend::{Pretended, Script};

/// What runs containers.
pub enum Machine {
    /// The kernel.
    Linux(Runtime),
    /// Nothing: containers are told to run.
    Pretended,
}

impl Machine {
    /// Returns the runtime, if there is a real one.
    pub fn linux(&self) -> Option<&Runtime> {
        match self {
            Machine::Linux(runtime) => Some(runtime),
            Machine::Pretended => None,
        }
    }

    /// Whether containers are only told to run.
    pub fn pretends(&self) -> bool {
        matches!(self, Machine::Pretended)
    }

    /// Finds the containers that an earlier engine left running.
    ///
    /// # Errors
    /// When the runtime's folder cannot be read.
    pub async fn adopt(&self) -> Result<Vec<Running>, RuntimeError> {
        match self {
            Machine::Linux(runtime) => {
                let found = runtime.adopt().await?;
                Ok(found.into_iter().map(Running::Linux).collect())
            }
            Machine::Pretended => Ok(Vec::new()),
        }
    }

    /// Returns the sandboxes there are.
    pub fn sandboxes(&self) -> Vec<Sandbox> {
        match self {
            Machine::Linux(runtime) => runtime.sandboxes().unwrap_or_default(),
            Machine::Pretended => Vec::new(),
        }
    }
}

/// A container that was started. Clones are the same container.
#[derive(Debug, Clone)]
pub enum Running {
    /// A real one.
    Linux(Container),
    /// One that pretends.
    Pretended(Pretended),
}

impl Running {
    /// Returns the container, if it is a real one.
    pub fn linux(&self) -> Option<&Container> {
        match self {
            Running::Linux(container) => Some(container),
            Running::Pretended(_) => None,
        }
    }

    /// Returns its id.
    pub fn id(&self) -> &str {
        match self {
            Running::Linux(container) => container.id(),
            Running::Pretended(container) => container.id(),
        }
    }

    /// Returns a label of its spec.
    pub fn label(&self, key: &str) -> Option<&str> {
        self.linux()?.label(key)
    }

    /// Returns when it started, in nanoseconds since 1970.
    pub fn started_at_nanos(&self) -> u64 {
        match self {
            Running::Linux(container) => container.started_at_nanos(),
            Running::Pretended(container) => container.started_at_nanos(),
        }
    }

    /// Returns the user that it began as, where that is known.
    pub fn user(&self) -> Option<&Credentials> {
        self.linux()?.user()
    }

    /// Waits for its end.
    pub async fn wait(&self) -> Exit {
        match self {
            Running::Linux(container) => container.wait().await,
            Running::Pretended(container) => container.wait().await,
        }
    }

    /// Asks it to stop, and kills it if it has not done so within `grace`.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub async fn stop(&self, grace: Duration) -> Result<Exit, RuntimeError> {
        match self {
            Running::Linux(container) => container.stop(grace).await,
            Running::Pretended(container) => {
                container.end(143);
                Ok(container.wait().await)
            }
        }
    }

    /// Removes what is left of it.
    ///
    /// # Errors
    /// When something cannot be removed.
    pub async fn remove(&self) -> Result<(), RuntimeError> {
        match self {
            Running::Linux(container) => container.remove().await,
            Running::Pretended(container) => {
                container.end(137);
                Ok(())
            }
        }
    }

    /// Runs a further program in it.
    ///
    /// # Errors
    /// When it has ended, the program does not start, or nothing runs in it.
    pub async fn exec(&self, spec: ExecSpec) -> Result<ExecSession, ExecError> {
        match self {
            Running::Linux(container) => container.exec(spec).await,
            Running::Pretended(container) => Err(ExecError::NotRunning(container.id().to_owned())),
        }
    }
}
