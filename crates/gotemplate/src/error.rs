//! Errors of execution: Go's text, and beside it what the text was made from.
//!
//! Main type: [`Error`]. Its chain of sources is the chain that Go's
//! `errors.Unwrap` would walk, so that Helm's rewriting of the text can be
//! repeated link by link.

use crate::tree::{Place, Source};
use std::sync::Arc;

/// Why an execution stopped.
#[derive(Debug, Clone)]
pub struct Error {
    /// The whole text, as Go prints it.
    pub text: String,
    /// The error that this one wraps.
    pub source: Option<Box<Error>>,
    /// Where it happened; `None` for an error that a function made.
    pub frame: Option<Box<Frame>>,
    /// What is known beyond the text.
    pub detail: Option<Box<Detail>>,
}

/// A place in a template on the way to the failure.
#[derive(Debug, Clone)]
pub struct Frame {
    /// Name of the template that was being executed.
    pub template: Arc<str>,
    /// The text that holds it.
    pub source: Arc<Source>,
    /// Byte offset in that text.
    pub pos: usize,
    /// The expression, as Go prints it.
    pub context: String,
    /// The message without its place.
    pub message: String,
}

impl Frame {
    /// Returns line and column.
    pub fn place(&self) -> Place {
        self.source.place(self.pos)
    }
}

/// Facts for a better message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Detail {
    /// A field of something that is not there.
    NilPointer {
        /// The expression up to the value that is missing, as segments; the
        /// first is `.` or the name of a variable.
        missing: Vec<String>,
        /// The field that was asked for.
        field: String,
    },
    /// A field of something that has no fields.
    NoField {
        /// The expression up to the value, as segments.
        holder: Vec<String>,
        /// The field that was asked for.
        field: String,
        /// The value's text.
        value: String,
        /// The value's Go type.
        type_name: String,
    },
    /// An argument of another type than the function takes.
    WrongType {
        /// What was expected.
        expected: &'static str,
        /// What came.
        got: String,
        /// The value's text.
        value: String,
    },
    /// A template that does not exist; the known names.
    NoTemplate {
        /// The name.
        name: String,
        /// The nearest names that exist.
        near: Vec<String>,
    },
    /// `fail` and `required` were called with this message.
    Refused(String),
    /// A limit of ours was met.
    Limit,
}

impl Error {
    /// Makes an error of a function: a text alone.
    pub fn message(text: impl Into<String>) -> Self {
        Error {
            text: text.into(),
            source: None,
            frame: None,
            detail: None,
        }
    }

    /// Wraps `source` behind `prefix`, as `fmt.Errorf("…: %w")` does.
    pub fn wrap(prefix: impl AsRef<str>, source: Error) -> Self {
        Error {
            text: format!("{}{}", prefix.as_ref(), source.text),
            source: Some(Box::new(source)),
            frame: None,
            detail: None,
        }
    }

    /// Adds what is known.
    #[must_use]
    pub fn with_detail(mut self, detail: Detail) -> Self {
        self.detail = Some(Box::new(detail));
        self
    }

    /// Returns the errors from this one to the innermost.
    pub fn chain(&self) -> impl Iterator<Item = &Error> {
        std::iter::successors(Some(self), |error| error.source.as_deref())
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Error {}

impl From<String> for Error {
    fn from(text: String) -> Self {
        Error::message(text)
    }
}

impl From<&str> for Error {
    fn from(text: &str) -> Self {
        Error::message(text)
    }
}
