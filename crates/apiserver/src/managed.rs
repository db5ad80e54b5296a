//! Who wrote which field: hands writes to the field manager of `machinery`.

use coracle_machinery::apply::{self, ApplyError, ManagedFields, Manager};
use coracle_machinery::kind::Kind;
use coracle_machinery::{strategy, strict, time};
use jiff::Timestamp;
use serde_json::Value;

use crate::rules;
use crate::status::{ApiError, ApiResult, Cause, Details};

/// Who writes, and through what.
pub struct Writer<'a> {
    /// Name of the field manager.
    pub manager: &'a str,
    /// Subresource written through; empty for the object itself.
    pub subresource: &'a str,
}

/// Returns the owners an object carries.
pub fn of(object: &Value) -> ManagedFields {
    ManagedFields::from_json(&object["metadata"]["managedFields"]).unwrap_or_default()
}

/// Puts the owners into an object.
pub fn put(object: &mut Value, managed: &ManagedFields) {
    if managed.is_empty() {
        if let Some(metadata) = object["metadata"].as_object_mut() {
            metadata.shift_remove("managedFields");
        }
    } else {
        object["metadata"]["managedFields"] = managed.to_json();
    }
}

/// Returns the owners of a new object, and brings it into the form owners are
/// compared in. The owners travel beside the object until both are written.
pub fn of_new(kind: &'static Kind, object: &mut Value, writer: &Writer<'_>) -> ManagedFields {
    rules::compared_form(kind, object);
    let now = time::seconds(Timestamp::now());
    let version = kind.api_version();
    let manager = writer.manager(kind, &version, &now);
    let none = ManagedFields::default();
    let managed = apply::track_update(Some(kind.schema()), &Value::Null, &none, object, manager);
    take(object);
    managed
}

/// Takes the owners out of an object.
pub fn take(object: &mut Value) -> ManagedFields {
    let managed = of(object);
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.shift_remove("managedFields");
    }
    managed
}

/// Records an update of `live` (`Null` for a new object) to `object`.
pub fn update(kind: &'static Kind, live: &Value, object: &mut Value, writer: &Writer<'_>) {
    rules::compared_form(kind, object);
    let owners = of(live);
    let now = time::seconds(Timestamp::now());
    let version = kind.api_version();
    let manager = writer.manager(kind, &version, &now);
    let managed = apply::track_update(Some(kind.schema()), live, &owners, object, manager);
    put(object, &managed);
}

/// Applies `patch` to `live` (`Null` for a new object).
///
/// # Errors
/// 409 for conflicts, 400 and 500 for a patch that does not fit its type.
pub fn apply(
    kind: &'static Kind,
    live: &Value,
    patch: &Value,
    writer: &Writer<'_>,
    force: bool,
) -> ApiResult<Value> {
    let owners = of(live);
    let now = time::seconds(Timestamp::now());
    let version = kind.api_version();
    let manager = writer.manager(kind, &version, &now);
    let live = (!live.is_null()).then_some((live, &owners));
    let (mut object, managed) = apply::apply(Some(kind.schema()), live, patch, manager, force)
        .map_err(|error| refused(&error))?;
    // As in any other write, quantities and times get their canonical text;
    // else the next writer would seem to change them, and own them.
    strict::read(kind, &mut object).map_err(|error| ApiError::bad_request(error.to_string()))?;
    put(&mut object, &managed);
    Ok(object)
}

/// Tells the client why its configuration is not applied.
pub fn refused(error: &ApplyError) -> ApiError {
    let answer = ApiError::new(error.code(), error.reason(), error.to_string());
    let ApplyError::Conflicts(conflicts) = error else {
        return answer;
    };
    let causes = conflicts.iter().map(|conflict| Cause {
        reason: "FieldManagerConflict".to_owned(),
        message: format!("conflict with {}", conflict.owner),
        field: conflict.field.to_string(),
    });
    answer.with(Details {
        causes: causes.collect(),
        ..Details::default()
    })
}

impl Writer<'_> {
    fn manager<'a>(&'a self, kind: &Kind, api_version: &'a str, now: &'a str) -> Manager<'a> {
        let subresource = Some(self.subresource).filter(|name| !name.is_empty());
        Manager {
            name: self.manager,
            subresource: self.subresource,
            api_version,
            now,
            reset_fields: strategy::reset_fields(kind, subresource),
        }
    }
}
