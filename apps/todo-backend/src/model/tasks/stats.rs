//! Counts of a user's tasks.

use serde_json::{Value as Json, json};

use crate::db::value::At;
use crate::db::{Database, DbError};
use crate::sql;
use crate::time::{Millis, now};

/// Counts of a user's tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stats {
    /// All.
    pub total: i64,
    /// Done.
    pub completed: i64,
    /// Not done and past the due date.
    pub overdue: i64,
    /// Not done and due within a day.
    pub due_soon: i64,
}

/// Counts a user's tasks.
///
/// # Errors
/// As [`DbError`] says.
pub async fn stats(database: &Database, user_id: &str) -> Result<Stats, DbError> {
    const DAY_MS: Millis = 86_400_000;
    let at = now();
    // Each count is a stretch of an index; no row is read.
    let select = sql!(
        "SELECT (SELECT COUNT(*) FROM tasks WHERE user_id = ?1) AS total, \
         (SELECT COUNT(*) FROM tasks WHERE user_id = ?1 AND completed = true) AS done, \
         (SELECT COUNT(*) FROM tasks WHERE user_id = ?1 AND completed = false \
          AND (due_date IS NULL) = false AND due_date < ?2) AS overdue, \
         (SELECT COUNT(*) FROM tasks WHERE user_id = ?1 AND completed = false \
          AND (due_date IS NULL) = false AND due_date >= ?2 AND due_date < ?3) AS soon",
        user_id,
        At(at),
        At(at + DAY_MS),
    );
    let row = database
        .row(select)
        .await?
        .ok_or_else(|| DbError::Shape("total".to_owned()))?;
    Ok(Stats {
        total: row.int("total")?,
        completed: row.int("done")?,
        overdue: row.int("overdue")?,
        due_soon: row.int("soon")?,
    })
}

impl Stats {
    /// Returns the counts as clients see them.
    pub fn json(&self) -> Json {
        let rate = if self.total == 0 {
            0.0
        } else {
            self.completed as f64 / self.total as f64
        };
        json!({
            "total": self.total,
            "completed": self.completed,
            "pending": self.total - self.completed,
            "overdue": self.overdue,
            "due_soon": self.due_soon,
            "completion_rate": (rate * 1000.0).round() / 1000.0,
        })
    }
}
