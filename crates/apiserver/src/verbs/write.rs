//! What all writes share: from a finished object to the store, and back to an answer.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use coracle_machinery::apply::ManagedFields;
use coracle_machinery::convert;
use coracle_machinery::kind::Kind;
use coracle_store::{Durability, Expect, WriteError, WriteOptions};
use http::{Response, StatusCode};
use serde_json::Value;

use crate::body::Body;
use crate::context::Context;
use crate::object::Stored;
use crate::resource;
use crate::respond;
use crate::rules;
use crate::server::Core;
use crate::status::{ApiError, ApiResult};

/// Events are kept for an hour, as upstream's `--event-ttl`.
const EVENT_SECONDS: u64 = 3600;

/// What a write leaves.
#[derive(Debug, Clone)]
pub enum Written {
    /// The object as it is stored now.
    Stored(Arc<Stored>),
    /// The object as it would be, of a dry run, or as it went.
    Value(Value),
}

impl Written {
    /// Returns the object as `kind` serves it.
    pub fn value(&self, kind: &'static Kind) -> Value {
        match self {
            Written::Stored(stored) => respond::served(kind, stored),
            Written::Value(value) => value.clone(),
        }
    }

    /// Answers with the object.
    ///
    /// # Errors
    /// 406 when the form asked for does not exist.
    pub fn answer(
        &self,
        context: &Context,
        kind: &'static Kind,
        status: StatusCode,
    ) -> ApiResult<Response<Body>> {
        match self {
            Written::Stored(stored) => respond::stored(context, kind, status, stored),
            Written::Value(value) => respond::value(context, kind, status, value),
        }
    }
}

/// Returns how a kind is written: events and leases may ride on the next commit.
pub fn store_options(kind: &Kind) -> WriteOptions {
    match (kind.group, kind.kind) {
        ("" | "events.k8s.io", "Event") => {
            let now = SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |since| since.as_secs());
            WriteOptions {
                durability: Durability::Relaxed,
                expires: Some(now + EVENT_SECONDS),
            }
        }
        ("coordination.k8s.io", "Lease") => WriteOptions {
            durability: Durability::Relaxed,
            expires: None,
        },
        _ => WriteOptions::default(),
    }
}

/// Serialises an object in the form its storage has.
pub fn draft(kind: &'static Kind, object: &Value) -> Stored {
    Stored::draft(kind.storage(), &stored_value(kind, object))
}

/// Returns an object as its storage has it.
pub fn stored_value<'a>(kind: &'static Kind, object: &'a Value) -> Cow<'a, Value> {
    if kind.stored_as.is_some() || kind.custom.is_some() {
        let mut converted = object.clone();
        convert::to_storage(kind, &mut converted);
        rules::canonicalize(kind.storage(), &mut converted);
        return Cow::Owned(converted);
    }
    Cow::Borrowed(object)
}

/// Stores an object.
///
/// # Errors
/// What the store refuses, unmapped.
pub async fn put(
    core: &Core,
    kind: &'static Kind,
    object: &Value,
    expect: Expect,
) -> Result<Arc<Stored>, WriteError> {
    let stored = draft(kind, object);
    let key = resource::key(kind, &stored.meta.namespace, &stored.meta.name);
    core.store
        .put(key, stored, expect, store_options(kind))
        .await
}

/// Stores an object that must not be there yet, with its owners.
///
/// # Errors
/// What the store refuses, unmapped.
pub async fn put_new(
    core: &Core,
    kind: &'static Kind,
    object: &Value,
    owners: &ManagedFields,
) -> Result<Arc<Stored>, WriteError> {
    let managed = match owners.is_empty() {
        true => Bytes::new(),
        false => Bytes::from(owners.to_text()),
    };
    let stored = Stored::draft_with(kind.storage(), &stored_value(kind, object), managed);
    let key = resource::key(kind, &stored.meta.namespace, &stored.meta.name);
    core.store
        .put(key, stored, Expect::Absent, store_options(kind))
        .await
}

/// Tells the client what the store refused.
pub fn refused(kind: &Kind, name: &str, error: &WriteError) -> ApiError {
    match error {
        WriteError::Exists { .. } => ApiError::already_exists(kind, name),
        WriteError::Missing { .. } => ApiError::not_found(kind, name),
        WriteError::Conflict { .. } => ApiError::modified(kind, name),
        WriteError::Failed { .. } | WriteError::Closed => ApiError::internal(error),
    }
}

/// The answer of a dry run carries no revision the object does not have.
pub fn without_revision(mut object: Value) -> Value {
    if let Some(metadata) = object["metadata"].as_object_mut()
        && metadata
            .get("resourceVersion")
            .is_some_and(|revision| revision.as_str() == Some(""))
    {
        metadata.shift_remove("resourceVersion");
    }
    object
}
