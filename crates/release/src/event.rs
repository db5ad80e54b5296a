//! What an operation tells while it runs. Nothing here prints.

use std::time::Duration;

/// Something that happened, or is going on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Something that the user should know.
    Warning(String),
    /// An interrupted revision was recorded as failed.
    Recovered {
        /// Its number.
        version: i64,
        /// What it was doing, in Helm's word.
        status: &'static str,
        /// Who did it, where that is known.
        holder: Option<String>,
    },
    /// A hook began, or ended.
    Hook {
        /// The event that it runs at.
        event: String,
        /// `Kind/name`.
        title: String,
        /// `None` when it begins; whether it succeeded and how long it took.
        ended: Option<(bool, Duration)>,
    },
    /// Lines that a hook's container wrote.
    Log {
        /// The pod.
        pod: String,
        /// The container.
        container: String,
        /// What it wrote.
        text: String,
    },
    /// An object was made, changed, or removed.
    Object {
        /// `Kind/name`.
        title: String,
        /// What was done.
        change: Change,
    },
    /// What would change of an object: a unified diff of its YAML, Secrets
    /// masked.
    Diff {
        /// `Kind/name`.
        title: String,
        /// What would be done.
        change: Change,
        /// The diff.
        text: String,
    },
    /// What is waited for, one row an object.
    Waiting(Vec<Row>),
}

/// What was done to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It was not there.
    Created,
    /// It was changed.
    Configured,
    /// It is as it was.
    Unchanged,
    /// It was removed.
    Deleted,
    /// It stays though the release has it no more.
    Kept,
}

impl Change {
    /// Returns kubectl's word.
    pub fn word(self) -> &'static str {
        match self {
            Change::Created => "created",
            Change::Configured => "configured",
            Change::Unchanged => "unchanged",
            Change::Deleted => "deleted",
            Change::Kept => "kept",
        }
    }
}

/// An object that is waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// `Kind/name`.
    pub title: String,
    /// Whether it is ready.
    pub is_ready: bool,
    /// What it says of itself, in a few words.
    pub state: String,
    /// What holds it back, if that is known; the first line of the cause.
    pub because: Option<String>,
}

/// Hears what an operation tells.
pub type Tell<'t> = dyn FnMut(Event) + 't;
