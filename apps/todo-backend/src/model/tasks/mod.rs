//! Tasks: rows, filters, and the statements that must go together.
//!
//! A user's tasks count 1, 2, 3, …: the number is taken from the user's row
//! in the same transaction, so it is unique and tells nothing about others.

mod list;
mod stats;
mod task;

use serde::Serialize;

pub use list::{Filter, Page, Sort, list};
pub use stats::{Stats, stats};
pub use task::{Draft, Priority, Reminder, Task};

use super::recurrence;
use crate::db::value::At;
use crate::db::{Database, DbError, Row, Statement};
use crate::sql;
use crate::time::{Millis, now};

/// Finds a task by its number.
///
/// # Errors
/// As [`DbError`] says.
pub async fn find(database: &Database, user_id: &str, id: i64) -> Result<Option<Task>, DbError> {
    let select = sql!(
        "SELECT * FROM tasks WHERE user_id = ?1 AND id = ?2",
        user_id,
        id
    );
    database
        .row(select)
        .await?
        .as_ref()
        .map(Task::from_row)
        .transpose()
}

/// Makes a task.
///
/// # Errors
/// As [`DbError`] says.
pub async fn create(
    database: &Database,
    user_id: &str,
    draft: &Draft,
) -> Result<Option<Task>, DbError> {
    let uid = uuid::Uuid::new_v4().to_string();
    let [count, insert] = insertion(user_id, &uid, draft, now(), None);
    let mut batch = vec![count, insert];
    batch.extend(reminder_rows(user_id, &uid, draft));
    let rows = database.run(batch).await?;
    rows.get(1)
        .and_then(|rows| rows.first())
        .map(Task::from_row)
        .transpose()
}

/// Writes all fields of a task that a client may set.
///
/// # Errors
/// As [`DbError`] says.
pub async fn update(
    database: &Database,
    user_id: &str,
    task: &Task,
    draft: &Draft,
) -> Result<Option<Task>, DbError> {
    let mut batch = vec![update_statement(user_id, task.id, draft)];
    if draft.due_date != task.due_date || draft.reminders != task.reminders {
        let unsent = "DELETE FROM reminders WHERE task_uid = ?1 AND user_id = ?2";
        batch.push(sql!(unsent, &task.uid, user_id));
        batch.extend(reminder_rows(user_id, &task.uid, draft));
    }
    if draft.completed && !task.completed {
        batch.extend(successor(user_id, task, draft));
    }
    first_task(database.run(batch).await?)
}

/// Marks a task done or not done; a recurring one that is done comes back.
///
/// # Errors
/// As [`DbError`] says.
pub async fn set_completed(
    database: &Database,
    user_id: &str,
    task: &Task,
    completed: bool,
) -> Result<Option<Task>, DbError> {
    update(
        database,
        user_id,
        task,
        &Draft {
            completed,
            ..task.draft()
        },
    )
    .await
}

/// Deletes a task and returns whether there was one.
///
/// # Errors
/// As [`DbError`] says.
pub async fn delete(database: &Database, user_id: &str, id: i64) -> Result<bool, DbError> {
    let delete = sql!(
        "DELETE FROM tasks WHERE user_id = ?1 AND id = ?2 RETURNING id",
        user_id,
        id
    );
    Ok(database.row(delete).await?.is_some())
}

/// Returns the two statements that give a task its number and write it.
/// With a parent, nothing is written when the parent has a successor.
pub fn insertion(
    user_id: &str,
    uid: &str,
    draft: &Draft,
    at: Millis,
    parent_uid: Option<&str>,
) -> [Statement; 2] {
    let count = sql!(
        "UPDATE users SET task_seq = task_seq + 1 WHERE id = ?1",
        user_id
    );
    let insert = sql!(
        "INSERT INTO tasks (uid, user_id, id, title, description, completed, priority, due_date, \
         tags, recurrence, reminders, parent_uid, created_at, updated_at, completed_at) \
         SELECT ?2, id, task_seq, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?12, ?13 \
         FROM users WHERE id = ?1 ON CONFLICT (parent_uid) DO NOTHING RETURNING *",
        user_id,
        uid,
        &draft.title,
        &draft.description,
        draft.completed,
        draft.priority as i64,
        draft.due_date.map(At),
        text_of(&draft.tags),
        draft.recurrence.as_ref().map(text_of),
        text_of(&draft.reminders),
        parent_uid,
        At(at),
        draft.completed.then_some(At(at)),
    );
    [count, insert]
}

fn update_statement(user_id: &str, id: i64, draft: &Draft) -> Statement {
    sql!(
        "UPDATE tasks SET title = ?3, description = ?4, priority = ?6, due_date = ?7, tags = ?8, \
         recurrence = ?9, reminders = ?10, updated_at = ?11, \
         completed_at = CASE WHEN completed = ?5 THEN completed_at ELSE ?12 END, completed = ?5 \
         WHERE user_id = ?1 AND id = ?2 RETURNING *",
        user_id,
        id,
        &draft.title,
        &draft.description,
        draft.completed,
        draft.priority as i64,
        draft.due_date.map(At),
        text_of(&draft.tags),
        draft.recurrence.as_ref().map(text_of),
        text_of(&draft.reminders),
        At(now()),
        draft.completed.then_some(At(now())),
    )
}

/// Returns the statements that write the reminders of a task.
fn reminder_rows(user_id: &str, uid: &str, draft: &Draft) -> Vec<Statement> {
    let rows = draft.reminders.iter().filter_map(|reminder| {
        let before = reminder.before.parse::<jiff::SignedDuration>().ok()?;
        let fire_at = draft.due_date?.saturating_sub(before.as_millis() as Millis);
        // The task may not have been written: then nothing is selected.
        Some(sql!(
            "INSERT INTO reminders (id, user_id, task_uid, channel, fire_at) \
             SELECT ?1, user_id, uid, ?4, ?5 FROM tasks WHERE uid = ?3 AND user_id = ?2",
            uuid::Uuid::new_v4().to_string(),
            user_id,
            uid,
            &reminder.channel,
            At(fire_at),
        ))
    });
    rows.collect()
}

/// Returns the statements that make the next task of a recurring one.
fn successor(user_id: &str, task: &Task, draft: &Draft) -> Vec<Statement> {
    let Some(rule) = &draft.recurrence else {
        return Vec::new();
    };
    let next = Draft {
        completed: false,
        due_date: recurrence::next_due(rule, draft.due_date, now()),
        ..draft.clone()
    };
    let uid = uuid::Uuid::new_v4().to_string();
    let mut batch = insertion(user_id, &uid, &next, now(), Some(&task.uid)).to_vec();
    batch.extend(reminder_rows(user_id, &uid, &next));
    batch
}

fn first_task(rows: Vec<Vec<Row>>) -> Result<Option<Task>, DbError> {
    rows.first()
        .and_then(|rows| rows.first())
        .map(Task::from_row)
        .transpose()
}

fn text_of<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_else(|_| "[]".to_owned())
}
