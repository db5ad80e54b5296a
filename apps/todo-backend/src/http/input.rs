//! Request bodies: JSON with our error shape, and checks of single fields.

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use http::StatusCode;
use serde_json::{Map, Value};

use super::error::ApiError;

/// A JSON object from the body.
pub struct Body(pub Map<String, Value>);

impl<S: Send + Sync> FromRequest<S> for Body {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let bytes = Bytes::from_request(request, state).await.map_err(|_| {
            ApiError::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "too_large",
                "the body is too large",
            )
        })?;
        match serde_json::from_slice(&bytes) {
            Ok(Value::Object(object)) => Ok(Self(object)),
            Ok(_) => Err(ApiError::invalid("the body must be a JSON object")),
            Err(error) => Err(ApiError::invalid(format!("the body is no JSON: {error}"))),
        }
    }
}

impl Body {
    /// Returns text between two lengths, in characters, without outer blanks.
    ///
    /// # Errors
    /// 422 naming the field.
    pub fn text(&self, field: &str, least: usize, most: usize) -> Result<String, ApiError> {
        text_of(self.0.get(field), field, least, most)
    }

    /// Returns text as it was sent, or `None` when the field is absent or null.
    ///
    /// # Errors
    /// 422 when it is no text.
    pub fn raw(&self, field: &str) -> Result<Option<&str>, ApiError> {
        match self.0.get(field) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(ApiError::invalid(format!("{field} must be text"))),
        }
    }
}

/// Checks one text value.
///
/// # Errors
/// 422 naming the field.
pub fn text_of(
    value: Option<&Value>,
    field: &str,
    least: usize,
    most: usize,
) -> Result<String, ApiError> {
    let text = match value {
        Some(Value::String(text)) => text.trim(),
        None | Some(Value::Null) if least == 0 => "",
        None | Some(Value::Null) => return Err(ApiError::invalid(format!("{field} is required"))),
        Some(_) => return Err(ApiError::invalid(format!("{field} must be text"))),
    };
    let length = text.chars().count();
    if length < least {
        return Err(ApiError::invalid(format!("{field} is required")));
    }
    if length > most {
        return Err(ApiError::invalid(format!(
            "{field} has {length} characters, {most} are allowed"
        )));
    }
    // PostgreSQL keeps no NUL in text, so neither database gets one.
    if text.contains('\0') {
        return Err(ApiError::invalid(format!("{field} must not contain NUL")));
    }
    Ok(text.to_owned())
}
