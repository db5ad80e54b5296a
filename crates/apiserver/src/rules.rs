//! What a kind means, asked of `machinery` in one place: defaults, first
//! status, validation, warnings. Nothing is decided here.

use coracle_machinery::kind::Kind;
use coracle_machinery::{canonical, convert, default, strategy};
use jiff::Timestamp;
use serde_json::Value;

use crate::status::{ApiError, ApiResult, Cause};

/// Writes defaults into a decoded object.
pub fn default(kind: &'static Kind, object: &mut Value) {
    default::apply(kind, object);
    if kind.stored_as.is_some() {
        // What the storage's version adds shows in this one too.
        let storage = kind.storage();
        convert::to_storage(kind, object);
        default::apply(storage, object);
        convert::from_storage(kind, object);
    }
}

/// Brings an object into the form it is stored and answered in.
pub fn canonicalize(kind: &Kind, object: &mut Value) {
    canonical::canonicalize(kind.schema(), object);
}

/// Prepares a new object.
pub fn prepare_create(kind: &Kind, object: &mut Value) {
    strategy::prepare_create(kind, object, Timestamp::now());
}

/// Prepares an update.
pub fn prepare_update(kind: &Kind, subresource: Option<&str>, object: &mut Value, old: &Value) {
    strategy::prepare_update(kind, subresource, object, old, Timestamp::now());
}

/// Validates a new object.
pub fn validate_create(_kind: &Kind, _object: &Value) -> Vec<Cause> {
    Vec::new()
}

/// Validates an update.
pub fn validate_update(
    _kind: &Kind,
    _subresource: Option<&str>,
    _object: &Value,
    _old: &Value,
) -> Vec<Cause> {
    Vec::new()
}

/// Returns what is questionable about a new or changed object.
pub fn warnings(_kind: &Kind, _object: &Value, _old: Option<&Value>) -> Vec<String> {
    Vec::new()
}

/// Turns causes into the error that names them.
///
/// # Errors
/// 422 when there are causes.
pub fn refuse(kind: &Kind, name: &str, causes: Vec<Cause>) -> ApiResult<()> {
    if causes.is_empty() {
        return Ok(());
    }
    Err(ApiError::invalid(kind.group, kind.kind, name, causes))
}
