//! Conversations with the assistant and their messages.
//!
//! Both count 1, 2, 3, …: conversations for each user, messages for each
//! conversation. A message is written before the assistant thinks, so a pod
//! that dies loses no words.

use serde_json::{Value as Json, json};

use crate::db::value::At;
use crate::db::{Database, DbError, Row, Statement};
use crate::sql;
use crate::time::{self, Millis, now};

/// Messages that the assistant is reminded of.
pub const HISTORY: i64 = 50;

/// A row of `messages`.
#[derive(Debug, Clone)]
pub struct Message {
    /// 1, 2, 3, … in its conversation.
    pub id: i64,
    /// `user` or `assistant`.
    pub role: String,
    /// At most 10,000 characters.
    pub content: String,
    /// What the assistant did, as JSON.
    pub tool_calls: Json,
    /// Who answered.
    pub provider: Option<String>,
    /// With which model.
    pub model: Option<String>,
    /// When.
    pub created_at: Millis,
}

impl Message {
    fn from_row(row: &Row) -> Result<Self, DbError> {
        Ok(Self {
            id: row.int("id")?,
            role: row.text("role")?,
            content: row.text("content")?,
            tool_calls: serde_json::from_str(&row.text("tool_calls")?).unwrap_or_default(),
            provider: row.text_or_null("provider")?,
            model: row.text_or_null("model")?,
            created_at: row.time("created_at")?,
        })
    }

    /// Returns the message as clients see it.
    pub fn json(&self) -> Json {
        json!({
            "id": self.id,
            "role": self.role,
            "content": self.content,
            "tool_calls": self.tool_calls,
            "provider": self.provider,
            "model": self.model,
            "created_at": time::text(self.created_at),
        })
    }
}

/// Something to be written into a conversation.
#[derive(Debug, Clone)]
pub struct Entry<'a> {
    /// `user` or `assistant`.
    pub role: &'a str,
    /// The words.
    pub content: &'a str,
    /// What the assistant did.
    pub tool_calls: &'a Json,
    /// Who answered.
    pub provider: Option<&'a str>,
    /// With which model.
    pub model: Option<&'a str>,
}

/// Begins a conversation with a user's words; returns its number.
///
/// # Errors
/// As [`DbError`] says.
pub async fn begin(
    database: &Database,
    user_id: &str,
    entry: &Entry<'_>,
) -> Result<Option<i64>, DbError> {
    let at = now();
    let title: String = entry.content.chars().take(60).collect();
    let count = sql!(
        "UPDATE users SET conversation_seq = conversation_seq + 1 WHERE id = ?1",
        user_id
    );
    let insert = sql!(
        "INSERT INTO conversations (user_id, id, title, message_seq, created_at, updated_at) \
         SELECT id, conversation_seq, ?2, 1, ?3, ?3 FROM users WHERE id = ?1 RETURNING id",
        user_id,
        title,
        At(at),
    );
    let message = sql!(
        "INSERT INTO messages (user_id, conversation_id, id, role, content, tool_calls, provider, \
         model, created_at) \
         SELECT id, conversation_seq, 1, ?2, ?3, ?4, ?5, ?6, ?7 FROM users WHERE id = ?1",
        user_id,
        entry.role,
        entry.content,
        entry.tool_calls.to_string(),
        entry.provider,
        entry.model,
        At(at),
    );
    let rows = database.run(vec![count, insert, message]).await?;
    rows.get(1)
        .and_then(|rows| rows.first())
        .map(|row| row.int("id"))
        .transpose()
}

/// Adds to a conversation; `None` when there is none of that number.
///
/// # Errors
/// As [`DbError`] says.
pub async fn append(
    database: &Database,
    user_id: &str,
    conversation_id: i64,
    entry: &Entry<'_>,
) -> Result<Option<Message>, DbError> {
    let at = now();
    let count = sql!(
        "UPDATE conversations SET message_seq = message_seq + 1, updated_at = ?3 \
         WHERE user_id = ?1 AND id = ?2",
        user_id,
        conversation_id,
        At(at),
    );
    let insert = sql!(
        "INSERT INTO messages (user_id, conversation_id, id, role, content, tool_calls, provider, \
         model, created_at) \
         SELECT user_id, id, message_seq, ?3, ?4, ?5, ?6, ?7, ?8 FROM conversations \
         WHERE user_id = ?1 AND id = ?2 RETURNING *",
        user_id,
        conversation_id,
        entry.role,
        entry.content,
        entry.tool_calls.to_string(),
        entry.provider,
        entry.model,
        At(at),
    );
    let rows = database.run(vec![count, insert]).await?;
    rows.get(1)
        .and_then(|rows| rows.first())
        .map(Message::from_row)
        .transpose()
}

/// Returns the last messages of a conversation, oldest first.
///
/// # Errors
/// As [`DbError`] says.
pub async fn messages(
    database: &Database,
    user_id: &str,
    conversation_id: i64,
    most: i64,
) -> Result<Option<Vec<Message>>, DbError> {
    let exists = sql!(
        "SELECT id FROM conversations WHERE user_id = ?1 AND id = ?2",
        user_id,
        conversation_id
    );
    let select = sql!(
        "SELECT * FROM messages WHERE user_id = ?1 AND conversation_id = ?2 \
         ORDER BY id DESC LIMIT ?3",
        user_id,
        conversation_id,
        most,
    );
    let rows = database.run(vec![exists, select]).await?;
    if rows.first().is_none_or(Vec::is_empty) {
        return Ok(None);
    }
    let found = rows.get(1).map(Vec::as_slice).unwrap_or_default();
    found
        .iter()
        .rev()
        .map(Message::from_row)
        .collect::<Result<_, _>>()
        .map(Some)
}

/// Returns a user's conversations, the one last used first.
///
/// # Errors
/// As [`DbError`] says.
pub async fn list(database: &Database, user_id: &str) -> Result<Vec<Json>, DbError> {
    let select = sql!(
        "SELECT id, title, message_seq, created_at, updated_at FROM conversations \
         WHERE user_id = ?1 ORDER BY updated_at DESC, id DESC LIMIT 100",
        user_id,
    );
    let rows = database.rows(select).await?;
    rows.iter()
        .map(|row| {
            Ok(json!({
                "id": row.int("id")?,
                "title": row.text("title")?,
                "message_count": row.int("message_seq")?,
                "created_at": time::text(row.time("created_at")?),
                "updated_at": time::text(row.time("updated_at")?),
            }))
        })
        .collect()
}

/// Deletes a conversation and returns whether there was one.
///
/// # Errors
/// As [`DbError`] says.
pub async fn delete(database: &Database, user_id: &str, id: i64) -> Result<bool, DbError> {
    let delete: Statement = sql!(
        "DELETE FROM conversations WHERE user_id = ?1 AND id = ?2 RETURNING id",
        user_id,
        id
    );
    Ok(database.row(delete).await?.is_some())
}
