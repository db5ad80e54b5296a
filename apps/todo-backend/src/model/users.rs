//! Users: who they are and what they prefer.

use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use crate::db::{Database, DbError, Row, value::At};
use crate::sql;
use crate::time::{self, Millis, now};

/// What a user chose.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
#[serde(default)]
pub struct Prefs {
    /// IANA time zone in which dates are read.
    pub timezone: String,
    /// `en` or `ur`.
    pub language: String,
    /// `system`, `light` or `dark`.
    pub theme: String,
    /// Whether reminders also go out as mail.
    pub email_reminders: bool,
}

impl Default for Prefs {
    fn default() -> Self {
        Self {
            timezone: "UTC".to_owned(),
            language: "en".to_owned(),
            theme: "system".to_owned(),
            email_reminders: true,
        }
    }
}

/// A row of `users`.
#[derive(Debug, Clone)]
pub struct User {
    /// Random id.
    pub id: String,
    /// Lower case, unique.
    pub email: String,
    /// argon2id.
    pub password_hash: String,
    /// What pages call the user.
    pub name: String,
    /// Path or URL of the picture.
    pub avatar_url: Option<String>,
    /// Choices.
    pub prefs: Prefs,
    /// When the account was made.
    pub created_at: Millis,
}

impl User {
    fn from_row(row: &Row) -> Result<Self, DbError> {
        Ok(Self {
            id: row.text("id")?,
            email: row.text("email")?,
            password_hash: row.text("password_hash")?,
            name: row.text("name")?,
            avatar_url: row.text_or_null("avatar_url")?,
            prefs: serde_json::from_str(&row.text("prefs")?).unwrap_or_default(),
            created_at: row.time("created_at")?,
        })
    }

    /// Returns the user as clients see it: without the hash.
    pub fn json(&self) -> Json {
        json!({
            "id": self.id,
            "email": self.email,
            "name": self.name,
            "avatar_url": self.avatar_url,
            "prefs": self.prefs,
            "created_at": time::text(self.created_at),
        })
    }
}

/// Makes a user.
///
/// # Errors
/// [`DbError::Conflict`] when the address is taken.
pub async fn create(
    database: &Database,
    email: &str,
    password_hash: String,
    name: &str,
) -> Result<User, DbError> {
    let user = User {
        id: uuid::Uuid::new_v4().to_string(),
        email: email.to_owned(),
        password_hash,
        name: name.to_owned(),
        avatar_url: None,
        prefs: Prefs::default(),
        created_at: now(),
    };
    let insert = sql!(
        "INSERT INTO users (id, email, password_hash, name, prefs, task_seq, conversation_seq, \
         notification_seq, created_at) VALUES (?1, ?2, ?3, ?4, ?5, 0, 0, 0, ?6)",
        &user.id,
        &user.email,
        &user.password_hash,
        &user.name,
        prefs_text(&user.prefs),
        At(user.created_at),
    );
    database.run(vec![insert]).await?;
    Ok(user)
}

/// Finds a user by address, which is compared in lower case.
///
/// # Errors
/// As [`DbError`] says.
pub async fn by_email(database: &Database, email: &str) -> Result<Option<User>, DbError> {
    let found = database
        .row(sql!("SELECT * FROM users WHERE email = ?1", email))
        .await?;
    found.as_ref().map(User::from_row).transpose()
}

/// Finds a user by id.
///
/// # Errors
/// As [`DbError`] says.
pub async fn by_id(database: &Database, id: &str) -> Result<Option<User>, DbError> {
    let found = database
        .row(sql!("SELECT * FROM users WHERE id = ?1", id))
        .await?;
    found.as_ref().map(User::from_row).transpose()
}

/// Writes name and choices.
///
/// # Errors
/// As [`DbError`] says.
pub async fn update_profile(database: &Database, user: &User) -> Result<(), DbError> {
    let update = sql!(
        "UPDATE users SET name = ?2, prefs = ?3 WHERE id = ?1",
        &user.id,
        &user.name,
        prefs_text(&user.prefs),
    );
    database.run(vec![update]).await.map(|_| ())
}

/// Writes where the picture is.
///
/// # Errors
/// As [`DbError`] says.
pub async fn set_avatar(database: &Database, id: &str, url: &str) -> Result<(), DbError> {
    let update = sql!("UPDATE users SET avatar_url = ?2 WHERE id = ?1", id, url);
    database.run(vec![update]).await.map(|_| ())
}

fn prefs_text(prefs: &Prefs) -> String {
    serde_json::to_string(prefs).unwrap_or_else(|_| "{}".to_owned())
}
