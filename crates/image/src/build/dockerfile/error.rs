//! Errors that point into a Dockerfile: [`Located`].

use std::fmt;

/// A message about one line of a Dockerfile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located {
    /// The file as the user named it.
    pub file: String,
    /// The line, counted from 1.
    pub line: u32,
    /// The line's text.
    pub excerpt: String,
    /// What is wrong, and what would be right.
    pub message: String,
}

impl fmt::Display for Located {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.message)?;
        match self.excerpt.is_empty() {
            true => Ok(()),
            false => write!(f, "\n{:>5} | {}", self.line, self.excerpt),
        }
    }
}

impl std::error::Error for Located {}
