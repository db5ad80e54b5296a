//! Errors in go-yaml's words.

/// A text that is no YAML, or YAML that JSON cannot hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Refused by the reader: prints as `yaml: line N: …`.
    #[error("yaml: {}{message}", line.map(|line| format!("line {line}: ")).unwrap_or_default())]
    Syntax {
        /// The line that go-yaml names; it is one less than the true one for
        /// errors of the grammar.
        line: Option<usize>,
        /// The true line, from 1.
        true_line: usize,
        /// The column, from 1.
        column: usize,
        /// go-yaml's words.
        message: String,
    },
    /// Refused after reading.
    #[error("{message}")]
    Value {
        /// The words of `sigs.k8s.io/yaml` or `encoding/json`.
        message: String,
        /// The line, from 1.
        true_line: usize,
    },
}

impl Error {
    /// Returns the true line, from 1.
    pub fn line(&self) -> usize {
        match self {
            Error::Syntax { true_line, .. } | Error::Value { true_line, .. } => *true_line,
        }
    }
}

/// A place in the text; all numbers from 0 and in characters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    /// Characters from the start.
    pub index: usize,
    /// Line.
    pub line: usize,
    /// Column.
    pub column: usize,
}
