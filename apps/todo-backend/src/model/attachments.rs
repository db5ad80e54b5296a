//! Files that belong to tasks.

use serde_json::{Value as Json, json};

use crate::db::value::At;
use crate::db::{Database, DbError, Row};
use crate::sql;
use crate::time::{self, Millis, now};

/// A row of `attachments`.
#[derive(Debug, Clone)]
pub struct Attachment {
    /// Random id.
    pub id: String,
    /// The name the user's file had.
    pub name: String,
    /// What the content showed.
    pub content_type: String,
    /// Bytes.
    pub size: i64,
    /// `local` or `cloudinary`.
    pub storage: String,
    /// Path below the folder of uploads, or a URL.
    pub location: String,
    /// When.
    pub created_at: Millis,
}

impl Attachment {
    fn from_row(row: &Row) -> Result<Self, DbError> {
        Ok(Self {
            id: row.text("id")?,
            name: row.text("name")?,
            content_type: row.text("content_type")?,
            size: row.int("size")?,
            storage: row.text("storage")?,
            location: row.text("location")?,
            created_at: row.time("created_at")?,
        })
    }

    /// Returns the attachment as clients see it.
    pub fn json(&self) -> Json {
        let url = match self.storage.as_str() {
            "local" => format!("/uploads/{}", self.location),
            _ => self.location.clone(),
        };
        json!({
            "id": self.id,
            "name": self.name,
            "content_type": self.content_type,
            "size": self.size,
            "storage": self.storage,
            "url": url,
            "created_at": time::text(self.created_at),
        })
    }
}

/// Writes an attachment of a user's task.
///
/// # Errors
/// As [`DbError`] says.
pub async fn create(
    database: &Database,
    user_id: &str,
    task_uid: &str,
    attachment: &Attachment,
) -> Result<(), DbError> {
    let insert = sql!(
        "INSERT INTO attachments (id, user_id, task_uid, name, content_type, size, storage, \
         location, created_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        &attachment.id,
        user_id,
        task_uid,
        &attachment.name,
        &attachment.content_type,
        attachment.size,
        &attachment.storage,
        &attachment.location,
        At(now()),
    );
    database.run(vec![insert]).await.map(|_| ())
}

/// Returns the attachments of a task.
///
/// # Errors
/// As [`DbError`] says.
pub async fn of_task(database: &Database, task_uid: &str) -> Result<Vec<Attachment>, DbError> {
    let select = sql!(
        "SELECT * FROM attachments WHERE task_uid = ?1 ORDER BY created_at",
        task_uid
    );
    database
        .rows(select)
        .await?
        .iter()
        .map(Attachment::from_row)
        .collect()
}

/// Deletes an attachment and returns it.
///
/// # Errors
/// As [`DbError`] says.
pub async fn delete(
    database: &Database,
    user_id: &str,
    task_uid: &str,
    id: &str,
) -> Result<Option<Attachment>, DbError> {
    let delete = sql!(
        "DELETE FROM attachments WHERE id = ?1 AND user_id = ?2 AND task_uid = ?3 RETURNING *",
        id,
        user_id,
        task_uid,
    );
    database
        .row(delete)
        .await?
        .as_ref()
        .map(Attachment::from_row)
        .transpose()
}

/// Finds a local file by its path, with its owner and type.
///
/// # Errors
/// As [`DbError`] says.
pub async fn by_location(
    database: &Database,
    location: &str,
) -> Result<Option<(String, Attachment)>, DbError> {
    let select = sql!(
        "SELECT * FROM attachments WHERE location = ?1 AND storage = 'local'",
        location,
    );
    let row = database.row(select).await?;
    row.map(|row| Ok((row.text("user_id")?, Attachment::from_row(&row)?)))
        .transpose()
}
