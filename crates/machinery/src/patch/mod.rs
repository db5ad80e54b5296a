//! The patches a client may send: JSON patch, JSON merge patch, strategic
//! merge patch. Server-side apply is in [`crate::apply`].
//!
//! Each function takes the object as a JSON value and gives back the patched
//! one; [`PatchError::code`] is the HTTP status upstream answers with.
//! Decoding the body, defaulting and validating the result are the caller's.

mod json;
mod merge;
pub mod strategic;

pub use json::{OPERATIONS_MAX, apply as json_patch, unknown_members};
pub use merge::apply as merge_patch;
pub use strategic::apply as strategic_patch;

/// Returns what Go's decoder says of a value of the wrong type.
pub fn cannot_unmarshal(value: &serde_json::Value, into: &str) -> String {
    let kind = match value {
        serde_json::Value::Null => "null",
        serde_json::Value::Bool(_) => "bool",
        serde_json::Value::Number(_) => "number",
        serde_json::Value::String(_) => "string",
        serde_json::Value::Array(_) => "array",
        serde_json::Value::Object(_) => "object",
    };
    format!("json: cannot unmarshal {kind} into Go value of type {into}")
}

/// Why a patch cannot be applied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatchError {
    /// The body has not the form of such a patch.
    #[error("{0}")]
    Malformed(String),
    /// A JSON patch of too many operations.
    #[error("The allowed maximum operations in a JSON patch is {OPERATIONS_MAX}, got {0}")]
    TooLarge(usize),
    /// The patch does not fit the object: a failed `test`, a missing path.
    /// Upstream hides the text from the client.
    #[error("{0}")]
    Inapplicable(String),
    /// The patch is of a form that upstream answers with a plain 500.
    #[error("{0}")]
    Unprocessed(String),
}

impl PatchError {
    /// Returns the HTTP status of the answer.
    pub fn code(&self) -> u16 {
        match self {
            PatchError::Malformed(_) => 400,
            PatchError::TooLarge(_) => 413,
            PatchError::Inapplicable(_) => 422,
            PatchError::Unprocessed(_) => 500,
        }
    }

    /// Returns the `reason` of the answer's Status; empty where upstream
    /// gives none.
    pub fn reason(&self) -> &'static str {
        match self {
            PatchError::Malformed(_) => "BadRequest",
            PatchError::TooLarge(_) => "RequestEntityTooLarge",
            PatchError::Inapplicable(_) => "Invalid",
            PatchError::Unprocessed(_) => "",
        }
    }

    /// Returns the `message` of the answer's Status.
    pub fn public_message(&self) -> String {
        match self {
            PatchError::Inapplicable(_) => {
                "the server rejected our request due to an error in our request".to_owned()
            }
            other => other.to_string(),
        }
    }
}
