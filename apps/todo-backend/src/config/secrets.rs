//! Text that must not be printed, and the secrets that sign.

use std::fmt;

use super::error::ConfigError;
use super::reader::Reader;

/// Text that must not be printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub(super) String);

impl Secret {
    /// Returns the text, for the one call that needs it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("«redacted»")
    }
}

/// Values that guides and examples use; signing with them protects nothing.
const PLACEHOLDERS: &[&str] = &[
    "secret",
    "your-secret",
    "your-secret-key",
    "changeme",
    "change-me",
    "your-secret-key-here",
];

/// Returns the secrets of tokens, the one that signs first, and that of links.
pub(super) fn read_auth_secrets(
    reader: &mut Reader,
    production: bool,
) -> Result<(Vec<Secret>, Secret), ConfigError> {
    let jwt = reader.secret("JWT_SECRET");
    let better = reader.secret("BETTER_AUTH_SECRET");
    if let (Some(jwt), Some(better)) = (&jwt, &better)
        && jwt != better
    {
        let note = "JWT_SECRET and BETTER_AUTH_SECRET differ: JWT_SECRET signs, both verify";
        reader.note(note);
    }
    let links = better.clone().or_else(|| jwt.clone());
    let mut secrets: Vec<Secret> = jwt.into_iter().chain(better).collect();
    secrets.dedup();
    let (Some(signing), Some(links)) = (secrets.first(), links) else {
        return Err(ConfigError::Missing("BETTER_AUTH_SECRET (or JWT_SECRET)"));
    };
    let weak = signing.reveal().len() < 32;
    let known = PLACEHOLDERS.contains(&signing.reveal());
    if production && (weak || known) {
        return Err(ConfigError::Production(
            "JWT_SECRET must be at least 32 characters in production",
        ));
    }
    if weak || known {
        let note = "the signing secret is short or well known; use 32 random characters";
        reader.note(note);
    }
    Ok((secrets, links))
}
