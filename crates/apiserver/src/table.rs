//! Columns and cells of tables.

use coracle_machinery::kind::Kind;
use serde_json::{Value, json};

/// Returns the column definitions of a kind.
pub fn columns(_kind: &'static Kind) -> Value {
    json!([
        {"name": "Name", "type": "string", "format": "name", "description": "", "priority": 0},
        {"name": "Created At", "type": "date", "format": "", "description": "", "priority": 0},
    ])
}

/// Returns the row of an object, without the object itself.
pub fn row(_kind: &'static Kind, object: &Value) -> Value {
    let metadata = &object["metadata"];
    json!({"cells": [metadata["name"], metadata["creationTimestamp"]]})
}
