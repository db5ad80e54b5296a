//! Who wrote which field: hands writes to the field manager of `machinery`.

use coracle_machinery::kind::Kind;
use serde_json::Value;

use crate::status::{ApiError, ApiResult};

/// Who writes, and through what.
pub struct Writer<'a> {
    /// Name of the field manager.
    pub manager: &'a str,
    /// Subresource written through; empty for the object itself.
    pub subresource: &'a str,
}

/// Records an update of `live` (`Null` for a new object) to `object`.
pub fn update(_kind: &'static Kind, _live: &Value, object: &mut Value, _writer: &Writer<'_>) {
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.shift_remove("managedFields");
    }
}

/// Applies `patch` to `live` (`Null` for a new object).
///
/// # Errors
/// 409 for conflicts, 500 for a patch that does not fit its type.
pub fn apply(
    _kind: &'static Kind,
    _live: &Value,
    _patch: &Value,
    _writer: &Writer<'_>,
    _force: bool,
) -> ApiResult<Value> {
    Err(ApiError::unsupported_media_type(
        "application/json-patch+json",
    ))
}
