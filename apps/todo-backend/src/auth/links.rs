//! Marks of links that work without a session: uploads and new passwords.
//!
//! The key is `BETTER_AUTH_SECRET`, or `JWT_SECRET` where that is the only
//! one: changing it ends every link that was given out.

use ring::hmac;

use crate::config::Secret;

/// Returns the mark of a text, in hexadecimal digits.
pub fn mark(secret: &Secret, text: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.reveal().as_bytes());
    let tag = hmac::sign(&key, text.as_bytes());
    tag.as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
