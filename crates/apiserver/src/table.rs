//! Columns and cells of tables, asked of `machinery`.

use coracle_machinery::kind::Kind;
use coracle_machinery::table;
use jiff::Timestamp;
use serde_json::{Value, json};

/// Returns the column definitions of a kind.
pub fn columns(kind: &'static Kind) -> Value {
    table::definitions(kind).clone()
}

/// Returns the row of an object, without the object itself.
pub fn row(kind: &'static Kind, object: &Value) -> Value {
    row_at(kind, object, Timestamp::now())
}

/// Returns the row of an object as it is at a time.
pub fn row_at(kind: &'static Kind, object: &Value, now: Timestamp) -> Value {
    let row = table::row(kind, object, now);
    let mut value = json!({"cells": row.cells});
    if !row.conditions.is_empty() {
        value["conditions"] = json!(row.conditions);
    }
    value
}

/// Whether a kind has no columns of its own.
pub fn is_default(kind: &'static Kind) -> bool {
    table::columns(kind)
        .get(1)
        .is_none_or(|column| column.name == "Created At")
}
