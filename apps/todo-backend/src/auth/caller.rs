//! The signed-in user as a handler argument.
//!
//! [`Caller`] reads the token from `Authorization: Bearer` or from the
//! session cookie. [`Owner`] also compares it with the `{user_id}` of the
//! path, so that no handler can forget to.

use axum::extract::{FromRequestParts, RawPathParams};
use http::header::{AUTHORIZATION, COOKIE};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, StatusCode};

use crate::http::AppState;
use crate::http::error::ApiError;
use crate::time::{Millis, now};

/// The name of the session cookie.
pub const COOKIE_NAME: &str = "todo_session";

/// The signed-in user.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The user's id.
    pub id: String,
    /// When the session ends.
    pub expires_at: Millis,
}

impl FromRequestParts<AppState> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, ApiError> {
        identify(&parts.headers, state)
    }
}

/// Reads and checks the token of a request.
///
/// # Errors
/// 401 with the reason.
pub fn identify(headers: &HeaderMap, state: &AppState) -> Result<Caller, ApiError> {
    let token = bearer(headers)
        .or_else(|| cookie(headers))
        .ok_or_else(|| ApiError::new(StatusCode::UNAUTHORIZED, "token_missing", "sign in first"))?;
    let claims = state.keys().verify(token, now()).map_err(|error| {
        ApiError::new(StatusCode::UNAUTHORIZED, error.code(), error.to_string())
    })?;
    Ok(Caller {
        id: claims.sub,
        expires_at: (claims.exp * 1000.0) as Millis,
    })
}

/// Returns the bearer token of a request.
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let text = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = text.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn cookie(headers: &HeaderMap) -> Option<&str> {
    let lines = headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|line| line.to_str().ok());
    let mut pairs = lines
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.split_once('='));
    pairs
        .find(|(name, _)| name.trim() == COOKIE_NAME)
        .map(|(_, value)| value.trim())
}

/// Returns the header that sets the session cookie.
pub fn set_cookie(token: &str, max_age_seconds: i64, secure: bool) -> Option<HeaderValue> {
    // Secure follows the scheme of the request, not an environment name: a
    // cookie marked so is not sent to http://localhost:30080 (RFC 6265, 4.1.2.5).
    let secure = if secure { "; Secure" } else { "" };
    let text = format!(
        "{COOKIE_NAME}={token}; Path=/; HttpOnly; SameSite=Lax; Max-Age={max_age_seconds}{secure}"
    );
    HeaderValue::from_str(&text).ok()
}

/// The signed-in user, who is also the user of the path.
#[derive(Debug)]
pub struct Owner {
    /// The user's id.
    pub id: String,
    /// The other parameters of the path.
    parameters: Vec<(String, String)>,
}

impl FromRequestParts<AppState> for Owner {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, ApiError> {
        let caller = identify(&parts.headers, state)?;
        let raw = RawPathParams::from_request_parts(parts, state).await;
        let raw = raw.map_err(|_| ApiError::not_found())?;
        let pairs = raw
            .iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let parameters: Vec<_> = pairs.collect();
        let named = parameters.iter().find(|(name, _)| name == "user_id");
        if named.is_some_and(|(_, value)| *value != caller.id) {
            return Err(ApiError::new(
                StatusCode::FORBIDDEN,
                "other_user",
                "the path names another user",
            ));
        }
        Ok(Self {
            id: caller.id,
            parameters,
        })
    }
}

impl Owner {
    /// Returns a whole number of the path.
    ///
    /// # Errors
    /// 404 when it is none: no such row can exist.
    pub fn number(&self, name: &str) -> Result<i64, ApiError> {
        self.text(name)?.parse().map_err(|_| ApiError::not_found())
    }

    /// Returns a part of the path.
    ///
    /// # Errors
    /// 404 when the route has no such part.
    pub fn text(&self, name: &str) -> Result<&str, ApiError> {
        let found = self.parameters.iter().find(|(key, _)| key == name);
        found
            .map(|(_, value)| value.as_str())
            .ok_or_else(ApiError::not_found)
    }
}
