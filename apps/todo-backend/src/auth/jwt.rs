//! JSON Web Tokens with HMAC (RFC 7519, RFC 7515): one issuer, a pinned
//! algorithm, one key that signs and several that verify.
//!
//! Asymmetric algorithms and `none` are deliberately absent.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use ring::hmac;
use serde::Deserialize;
use serde_json::json;

use crate::config::Config;
use crate::time::Millis;

/// Value of the `iss` claim.
const ISSUER: &str = "todo-app";
/// Value of the `aud` claim.
const AUDIENCE: &str = "todo-app-api";
/// Longest token that is looked at.
const LENGTH_MAX: usize = 4096;

/// A signature algorithm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// HMAC with SHA-256.
    Hs256,
    /// HMAC with SHA-384.
    Hs384,
    /// HMAC with SHA-512.
    Hs512,
}

impl Algorithm {
    /// Reads the name used in token headers.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Hs256, Self::Hs384, Self::Hs512]
            .into_iter()
            .find(|one| one.name() == text)
    }

    fn name(self) -> &'static str {
        match self {
            Self::Hs256 => "HS256",
            Self::Hs384 => "HS384",
            Self::Hs512 => "HS512",
        }
    }

    fn key(self, secret: &str) -> hmac::Key {
        let algorithm = match self {
            Self::Hs256 => hmac::HMAC_SHA256,
            Self::Hs384 => hmac::HMAC_SHA384,
            Self::Hs512 => hmac::HMAC_SHA512,
        };
        hmac::Key::new(algorithm, secret.as_bytes())
    }
}

/// What a token says.
#[derive(Debug, Clone, Deserialize, PartialEq)]
pub struct Claims {
    /// The user's id.
    pub sub: String,
    /// Not valid from this second on.
    pub exp: f64,
    /// Issuer.
    #[serde(default)]
    pub iss: String,
    /// Audience.
    #[serde(default)]
    pub aud: String,
}

/// Why a token was refused; the name is the `error_code` of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not three parts of base64url JSON.
    #[error("the token is malformed")]
    Malformed,
    /// The header names another algorithm than the pinned one.
    #[error("the token's algorithm is not accepted")]
    Algorithm,
    /// No configured secret made the signature.
    #[error("the token's signature does not match")]
    Signature,
    /// The token is too old.
    #[error("the token has expired")]
    Expired,
    /// Issuer or audience are not ours.
    #[error("the token is meant for another service")]
    Audience,
}

impl TokenError {
    /// Returns the machine-readable reason.
    pub fn code(self) -> &'static str {
        match self {
            Self::Malformed => "token_malformed",
            Self::Algorithm => "token_algorithm",
            Self::Signature => "token_signature",
            Self::Expired => "token_expired",
            Self::Audience => "token_audience",
        }
    }
}

/// The keys of the process.
#[derive(Clone)]
pub struct Keys {
    algorithm: Algorithm,
    keys: Vec<hmac::Key>,
    strict: bool,
    life_ms: Millis,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
}

impl Keys {
    /// Returns the keys a configuration names.
    pub fn new(config: &Config) -> Self {
        let keys = config
            .auth_secrets
            .iter()
            .map(|secret| config.algorithm.key(secret.reveal()));
        Self {
            algorithm: config.algorithm,
            keys: keys.collect(),
            strict: config.auth_strict,
            life_ms: config.session_life.as_millis() as Millis,
        }
    }

    /// Signs a token for a user and returns it with its end.
    pub fn issue(&self, sub: &str, email: &str, name: &str, now: Millis) -> (String, Millis) {
        // Whole seconds: RFC 7519 allows fractions, not every reader does.
        let issued = now.div_euclid(1000);
        let expires = (now.saturating_add(self.life_ms).saturating_add(999)).div_euclid(1000);
        let claims = json!({
            "sub": sub, "email": email, "name": name, "iat": issued, "exp": expires,
            "iss": ISSUER, "aud": AUDIENCE,
        });
        (self.sign(claims.to_string().as_bytes()), expires * 1000)
    }

    fn sign(&self, payload: &[u8]) -> String {
        let header = format!(r#"{{"alg":"{}","typ":"JWT"}}"#, self.algorithm.name());
        let mut token = format!("{}.{}", BASE64.encode(header), BASE64.encode(payload));
        if let Some(key) = self.keys.first() {
            let tag = hmac::sign(key, token.as_bytes());
            token.push('.');
            token.push_str(&BASE64.encode(tag));
        }
        token
    }

    /// Checks a token and returns what it says.
    ///
    /// # Errors
    /// As [`TokenError`] says; the signature is checked before the claims.
    pub fn verify(&self, token: &str, now: Millis) -> Result<Claims, TokenError> {
        let (signed, tag) = token.rsplit_once('.').ok_or(TokenError::Malformed)?;
        let (header, payload) = signed.split_once('.').ok_or(TokenError::Malformed)?;
        if token.len() > LENGTH_MAX {
            return Err(TokenError::Malformed);
        }
        let header: Header = decode(header)?;
        if header.alg != self.algorithm.name() {
            return Err(TokenError::Algorithm);
        }
        let tag = BASE64.decode(tag).map_err(|_| TokenError::Malformed)?;
        let made = |key| hmac::verify(key, signed.as_bytes(), &tag).is_ok();
        if !self.keys.iter().any(made) {
            return Err(TokenError::Signature);
        }
        self.check_claims(decode(payload)?, now)
    }

    fn check_claims(&self, claims: Claims, now: Millis) -> Result<Claims, TokenError> {
        if claims.exp <= seconds(now) {
            return Err(TokenError::Expired);
        }
        let ours =
            |found: &str, expected: &str| found == expected || (!self.strict && found.is_empty());
        if !ours(&claims.iss, ISSUER) || !ours(&claims.aud, AUDIENCE) {
            return Err(TokenError::Audience);
        }
        Ok(claims)
    }
}

fn decode<T: serde::de::DeserializeOwned>(part: &str) -> Result<T, TokenError> {
    let bytes = BASE64.decode(part).map_err(|_| TokenError::Malformed)?;
    serde_json::from_slice(&bytes).map_err(|_| TokenError::Malformed)
}

fn seconds(at: Millis) -> f64 {
    at as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(algorithm: Algorithm, secrets: &[&str], strict: bool) -> Keys {
        Keys {
            algorithm,
            keys: secrets.iter().map(|secret| algorithm.key(secret)).collect(),
            strict,
            life_ms: 3_600_000,
        }
    }

    #[test]
    fn tokens_are_told_from_forgeries() {
        let ours = keys(Algorithm::Hs256, &["one", "two"], true);
        let now = 1_700_000_000_000;
        let good = ours.issue("u1", "a@b.c", "A", now).0;
        let check = |keys: &Keys, token: &str, at: Millis, expected: Result<&str, TokenError>| {
            let found = keys.verify(token, at).map(|claims| claims.sub);
            assert_eq!(found, expected.map(ToOwned::to_owned));
        };
        check(&ours, &good, now, Ok("u1"));
        check(&ours, &good, now + 3_600_000, Err(TokenError::Expired));
        check(
            &keys(Algorithm::Hs256, &["new", "one"], true),
            &good,
            now,
            Ok("u1"),
        );
        check(
            &keys(Algorithm::Hs256, &["new"], true),
            &good,
            now,
            Err(TokenError::Signature),
        );
        check(
            &keys(Algorithm::Hs512, &["one"], true),
            &good,
            now,
            Err(TokenError::Algorithm),
        );
        check(&ours, "", now, Err(TokenError::Malformed));
        check(&ours, "a.b", now, Err(TokenError::Malformed));
        check(&ours, &format!("{good}x"), now, Err(TokenError::Signature));
        let none = format!(
            "{}.{}.",
            BASE64.encode(r#"{"alg":"none"}"#),
            BASE64.encode("{}")
        );
        check(&ours, &none, now, Err(TokenError::Algorithm));
        let swapped = good.replacen('.', ".e30", 1);
        assert!(ours.verify(&swapped, now).is_err());
    }

    #[test]
    fn bare_tokens_need_the_lenient_setting() {
        let payload = br#"{"sub":"u1","exp":2000000000}"#;
        let lenient = keys(Algorithm::Hs256, &["one"], false);
        let token = lenient.sign(payload);
        assert_eq!(
            lenient.verify(&token, 0).map(|claims| claims.sub),
            Ok("u1".to_owned())
        );
        let strict = keys(Algorithm::Hs256, &["one"], true);
        assert_eq!(strict.verify(&token, 0), Err(TokenError::Audience));
    }
}
