//! Conflicts between managers, and how they are told to the client.

use serde_json::{Value, json};

use super::element::FieldPath;
use super::managed::{Entry, Operation};

/// Why an object cannot be applied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApplyError {
    /// Other managers own fields that the configuration wants to change.
    #[error("{}", message(.0))]
    Conflicts(Vec<Conflict>),
    /// The configuration is not fit to be applied.
    #[error("{message}")]
    Invalid {
        /// HTTP status of the answer: 400, or 500 for a type error as upstream.
        code: u16,
        /// Message of the answer.
        message: String,
    },
}

impl ApplyError {
    /// Returns the HTTP status of the answer.
    pub fn code(&self) -> u16 {
        match self {
            ApplyError::Conflicts(_) => 409,
            ApplyError::Invalid { code, .. } => *code,
        }
    }

    /// Returns the `reason` of the answer's Status; empty where upstream gives
    /// none.
    pub fn reason(&self) -> &'static str {
        match self {
            ApplyError::Conflicts(_) => "Conflict",
            ApplyError::Invalid { code: 400, .. } => "BadRequest",
            ApplyError::Invalid { .. } => "",
        }
    }

    /// Returns the `details` of the answer's Status.
    pub fn details(&self) -> Option<Value> {
        let ApplyError::Conflicts(conflicts) = self else {
            return None;
        };
        let causes = conflicts.iter().map(|conflict| {
            json!({
                "reason": "FieldManagerConflict",
                "message": format!("conflict with {}", conflict.owner),
                "field": conflict.field.to_string(),
            })
        });
        Some(json!({"causes": causes.collect::<Vec<_>>()}))
    }
}

/// One field that another manager owns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// The owner as the message calls it: `"kubectl" using apps/v1`.
    pub owner: String,
    /// The field.
    pub field: FieldPath,
}

/// Returns a conflict for every field of an owner that is in dispute.
pub(super) fn conflicts_with(owner: &Entry, fields: Vec<FieldPath>) -> Vec<Conflict> {
    let mut name = format!("{:?}", owner.manager);
    if !owner.subresource.is_empty() {
        name += &format!(" with subresource {:?}", owner.subresource);
    }
    if owner.operation == Operation::Update {
        name += &format!(" using {}", owner.api_version);
    }
    fields
        .into_iter()
        .map(|field| Conflict {
            owner: name.clone(),
            field,
        })
        .collect()
}

fn message(conflicts: &[Conflict]) -> String {
    if let [Conflict { owner, field }] = conflicts {
        return format!("Apply failed with 1 conflict: conflict with {owner}: {field}");
    }
    let mut lines = Vec::new();
    for run in conflicts.chunk_by(|left, right| left.owner == right.owner) {
        lines.push(format!("conflicts with {}:", run[0].owner));
        lines.extend(run.iter().map(|conflict| format!("- {}", conflict.field)));
    }
    format!(
        "Apply failed with {} conflicts: {}",
        conflicts.len(),
        lines.join("\n")
    )
}
