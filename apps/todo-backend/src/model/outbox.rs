//! Mails that the console provider kept, for development.

use serde_json::{Value as Json, json};

use crate::db::value::At;
use crate::db::{Database, DbError};
use crate::sql;
use crate::time::{self, now};

/// Mails that are kept.
const KEPT: i64 = 50;

/// A mail.
#[derive(Debug, Clone)]
pub struct Mail {
    /// To whom.
    pub recipient: String,
    /// From whom.
    pub sender: String,
    /// What it is about.
    pub subject: String,
    /// Plain text.
    pub body: String,
}

/// Keeps a mail and forgets the oldest.
///
/// # Errors
/// As [`DbError`] says.
pub async fn keep(database: &Database, mail: &Mail) -> Result<(), DbError> {
    let insert = sql!(
        "INSERT INTO outbox (id, recipient, sender, subject, body, created_at) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        uuid::Uuid::new_v4().to_string(),
        &mail.recipient,
        &mail.sender,
        &mail.subject,
        &mail.body,
        At(now()),
    );
    let forget = sql!(
        "DELETE FROM outbox WHERE id NOT IN \
         (SELECT id FROM outbox ORDER BY created_at DESC LIMIT ?1)",
        KEPT,
    );
    database.run(vec![insert, forget]).await.map(|_| ())
}

/// Returns the kept mails, newest first.
///
/// # Errors
/// As [`DbError`] says.
pub async fn list(database: &Database) -> Result<Vec<Json>, DbError> {
    let select = sql!(
        "SELECT * FROM outbox ORDER BY created_at DESC LIMIT ?1",
        KEPT
    );
    let rows = database.rows(select).await?;
    rows.iter()
        .map(|row| {
            Ok(json!({
                "to": row.text("recipient")?,
                "from": row.text("sender")?,
                "subject": row.text("subject")?,
                "body": row.text("body")?,
                "created_at": time::text(row.time("created_at")?),
            }))
        })
        .collect()
}
