//! Reminders that came due, shown to their user.
//!
//! Any replica may find a reminder due. The user's row is locked first, and
//! the reminder is taken in the same transaction, so it fires once.

use serde_json::{Value as Json, json};

use crate::db::value::At;
use crate::db::{Database, DbError, Row};
use crate::sql;
use crate::time::{self, Millis, now};

/// A reminder that has just fired.
#[derive(Debug, Clone)]
pub struct Fired {
    /// Whom to tell.
    pub user_id: String,
    /// The task.
    pub title: String,
    /// When it is due.
    pub due_date: Option<Millis>,
    /// Whether a mail was asked for.
    pub by_email: bool,
}

/// Returns when the next reminder fires.
///
/// # Errors
/// As [`DbError`] says.
pub async fn next_fire(database: &Database) -> Result<Option<Millis>, DbError> {
    let select =
        sql!("SELECT fire_at FROM reminders WHERE sent_at IS NULL ORDER BY fire_at LIMIT 1");
    database
        .row(select)
        .await?
        .map(|row| row.time("fire_at"))
        .transpose()
}

/// Fires the reminders that are due.
///
/// # Errors
/// As [`DbError`] says; what has fired stays fired.
pub async fn fire_due(database: &Database) -> Result<Vec<Fired>, DbError> {
    let select = sql!(
        "SELECT id, user_id FROM reminders WHERE sent_at IS NULL AND fire_at <= ?1 \
         ORDER BY fire_at LIMIT 100",
        At(now()),
    );
    let mut fired = Vec::new();
    for row in database.rows(select).await? {
        fired.extend(fire(database, &row.text("id")?, &row.text("user_id")?).await?);
    }
    Ok(fired)
}

async fn fire(database: &Database, id: &str, user_id: &str) -> Result<Option<Fired>, DbError> {
    let at = now();
    let lock = sql!(
        "UPDATE users SET notification_seq = notification_seq + 1 WHERE id = ?1",
        user_id
    );
    let notify = sql!(
        "INSERT INTO notifications (user_id, id, kind, title, task_id, created_at) \
         SELECT u.id, u.notification_seq, 'reminder', t.title, t.id, ?2 \
         FROM reminders r JOIN tasks t ON t.uid = r.task_uid JOIN users u ON u.id = r.user_id \
         WHERE r.id = ?1 AND r.sent_at IS NULL AND NOT t.completed",
        id,
        At(at),
    );
    let take = sql!(
        "UPDATE reminders SET sent_at = ?2 WHERE id = ?1 AND sent_at IS NULL \
         RETURNING task_uid, channel",
        id,
        At(at),
    );
    let task = sql!(
        "SELECT t.title, t.due_date, t.completed FROM tasks t JOIN reminders r \
         ON r.task_uid = t.uid WHERE r.id = ?1",
        id,
    );
    let rows = database.run(vec![lock, notify, take, task]).await?;
    let first = |place: usize| rows.get(place).and_then(|rows: &Vec<Row>| rows.first());
    let (Some(taken), Some(task)) = (first(2), first(3)) else {
        return Ok(None);
    };
    if task.bool("completed")? {
        return Ok(None);
    }
    Ok(Some(Fired {
        user_id: user_id.to_owned(),
        title: task.text("title")?,
        due_date: task.time_or_null("due_date")?,
        by_email: taken.text("channel")? == "email",
    }))
}

/// Returns a user's notifications, newest first.
///
/// # Errors
/// As [`DbError`] says.
pub async fn list(database: &Database, user_id: &str) -> Result<Vec<Json>, DbError> {
    let select = sql!(
        "SELECT * FROM notifications WHERE user_id = ?1 ORDER BY id DESC LIMIT 100",
        user_id,
    );
    database.rows(select).await?.iter().map(shown).collect()
}

fn shown(row: &Row) -> Result<Json, DbError> {
    Ok(json!({
        "id": row.int("id")?,
        "kind": row.text("kind")?,
        "title": row.text("title")?,
        "task_id": row.int("task_id").ok(),
        "created_at": time::text(row.time("created_at")?),
        "read_at": row.time_or_null("read_at")?.map(time::text),
    }))
}

/// Marks one notification read; `None` when there is none of that number.
///
/// # Errors
/// As [`DbError`] says.
pub async fn mark_read(
    database: &Database,
    user_id: &str,
    id: i64,
) -> Result<Option<Json>, DbError> {
    let update = sql!(
        "UPDATE notifications SET read_at = COALESCE(read_at, ?3) \
         WHERE user_id = ?1 AND id = ?2 RETURNING *",
        user_id,
        id,
        At(now()),
    );
    database.row(update).await?.as_ref().map(shown).transpose()
}

/// Marks all notifications read.
///
/// # Errors
/// As [`DbError`] says.
pub async fn mark_all_read(database: &Database, user_id: &str) -> Result<(), DbError> {
    let update = sql!(
        "UPDATE notifications SET read_at = ?2 WHERE user_id = ?1 AND read_at IS NULL",
        user_id,
        At(now()),
    );
    database.run(vec![update]).await.map(|_| ())
}
