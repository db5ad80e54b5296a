//! What a kind means, asked of `machinery` in one place: defaults, first
//! status, validation, warnings. Nothing is decided here.

use coracle_machinery::kind::Kind;
use coracle_machinery::{canonical, convert, default, strategy, validate};
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

/// Brings an object into the form it has when it is read back: what is stored
/// is defaulted once more, as upstream does on every read.
pub fn stored_form(kind: &'static Kind, object: &mut Value) {
    default(kind, object);
    canonicalize(kind, object);
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
pub fn validate_create(kind: &Kind, object: &Value) -> Vec<Cause> {
    causes(validate::create(kind, object))
}

fn causes(found: Vec<validate::Cause>) -> Vec<Cause> {
    found
        .into_iter()
        .map(|cause| Cause {
            reason: cause.reason.as_str().to_owned(),
            message: cause.message,
            field: cause.field,
        })
        .collect()
}

/// Validates an update.
pub fn validate_update(kind: &Kind, subresource: Option<&str>, object: &Value, old: &Value) -> Vec<Cause> {
    causes(validate::update(kind, subresource, object, old))
}

/// Returns what is questionable about a new or changed object.
pub fn warnings(kind: &Kind, object: &Value, old: Option<&Value>) -> Vec<String> {
    validate::warnings(kind, object, old)
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
