//! Password hashes: argon2id, off the event loop, two at a time.
//!
//! A hash needs 19 MiB for some tens of milliseconds; without the limit a
//! burst of sign-ins would fill a small pod.

use std::sync::LazyLock;

use argon2::password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};
use ring::rand::{SecureRandom, SystemRandom};
use tokio::sync::Semaphore;

static TURNS: Semaphore = Semaphore::const_new(2);

/// A hash that no password has, checked when the user is unknown so that
/// both answers take as long.
static DECOY: LazyLock<String> = LazyLock::new(|| hash_now("no password is this one"));

/// Hashes a password.
pub async fn hash(password: String) -> String {
    off_loop(move || hash_now(&password))
        .await
        .unwrap_or_default()
}

/// Whether a password has this hash; `None` stands for an unknown user.
pub async fn verify(password: String, hash: Option<String>) -> bool {
    off_loop(move || {
        let known = hash.is_some();
        let hash = hash.unwrap_or_else(|| DECOY.clone());
        verify_now(&password, &hash) && known
    })
    .await
    .unwrap_or(false)
}

async fn off_loop<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let _turn = TURNS.acquire().await.ok()?;
    tokio::task::spawn_blocking(work).await.ok()
}

/// OWASP's first recommendation for argon2id: 19 MiB, two passes, one lane.
fn hasher() -> Argon2<'static> {
    let params = Params::new(19 * 1024, 2, 1, None).unwrap_or_default();
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

fn hash_now(password: &str) -> String {
    let mut bytes = [0u8; 16];
    // An empty hash matches no password, so a failure locks rather than opens.
    if SystemRandom::new().fill(&mut bytes).is_err() {
        return String::new();
    }
    let Ok(salt) = SaltString::encode_b64(&bytes) else {
        return String::new();
    };
    let made = hasher().hash_password(password.as_bytes(), &salt);
    made.map(|hash| hash.to_string()).unwrap_or_default()
}

fn verify_now(password: &str, hash: &str) -> bool {
    PasswordHash::new(hash)
        .is_ok_and(|hash| hasher().verify_password(password.as_bytes(), &hash).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_hash_opens_for_its_password_only() {
        let made = hash("correct horse".to_owned()).await;
        assert!(
            made.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
            "{made}"
        );
        assert!(verify("correct horse".to_owned(), Some(made.clone())).await);
        assert!(!verify("wrong".to_owned(), Some(made)).await);
        assert!(!verify("wrong".to_owned(), Some(String::new())).await);
        assert!(!verify("no password is this one".to_owned(), None).await);
    }
}
