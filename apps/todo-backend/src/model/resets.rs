//! One-time tokens that set a new password.
//!
//! Only a mark of the token is kept: who reads the table cannot use it, and
//! another `BETTER_AUTH_SECRET` ends every token.

use crate::auth::links;
use crate::config::Secret;
use crate::db::value::At;
use crate::db::{Database, DbError};
use crate::sql;
use crate::time::{Millis, now};

/// Life of a token.
const LIFE_MS: Millis = 24 * 3_600_000;

fn hash(secret: &Secret, token: &str) -> String {
    links::mark(secret, &format!("password {token}"))
}

/// Remembers a token for a user.
///
/// # Errors
/// As [`DbError`] says.
pub async fn remember(
    database: &Database,
    secret: &Secret,
    user_id: &str,
    token: &str,
) -> Result<(), DbError> {
    let insert = sql!(
        "INSERT INTO password_resets (token_hash, user_id, expires_at) VALUES (?1, ?2, ?3)",
        hash(secret, token),
        user_id,
        At(now() + LIFE_MS),
    );
    database.run(vec![insert]).await.map(|_| ())
}

/// Uses a token up, and with it all others of its user, and sets the password;
/// returns whether it was good.
///
/// # Errors
/// As [`DbError`] says; the token is then still good.
pub async fn redeem(
    database: &Database,
    secret: &Secret,
    token: &str,
    password_hash: &str,
) -> Result<bool, DbError> {
    let at = now();
    let set = sql!(
        "UPDATE users SET password_hash = ?2 WHERE id = (SELECT user_id FROM password_resets \
         WHERE token_hash = ?1 AND used_at IS NULL AND expires_at > ?3) RETURNING id",
        hash(secret, token),
        password_hash,
        At(at),
    );
    let spend = sql!(
        "UPDATE password_resets SET used_at = ?2 WHERE used_at IS NULL AND user_id = \
         (SELECT user_id FROM password_resets WHERE token_hash = ?1 AND used_at IS NULL \
         AND expires_at > ?2)",
        hash(secret, token),
        At(at),
    );
    let rows = database.run(vec![set, spend]).await?;
    Ok(rows.first().is_some_and(|rows| !rows.is_empty()))
}
