//! `PUT` of one object, and what every other change of an existing object
//! shares with it ([`change`]).

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use coracle_machinery::kind::Kind;
use coracle_machinery::strategy;
use coracle_store::{Expect, WriteError};
use http::{Response, StatusCode};
use serde_json::{Value, json};

use super::create;
use super::owners;
use super::write::{self, Written};
use crate::admission;
use crate::body::{self, Body};
use crate::context::Context;
use crate::decode;
use crate::managed::{self, Writer};
use crate::object::Stored;
use crate::options::{WriteOptions, cause};
use crate::resource;
use crate::respond;
use crate::rules;
use crate::status::{ApiError, ApiResult};

/// A change that does not insist on a revision is tried this often.
const TRIES: usize = 100;

/// Replaces the object of the path by the one in the body.
///
/// # Errors
/// Whatever stands against it.
pub async fn run(
    context: &Context,
    kind: &'static Kind,
    body: &Bytes,
) -> ApiResult<Response<Body>> {
    let options = WriteOptions::read(&context.query, "UpdateOptions")?;
    let content_type = body::content_type(&context.headers);
    let mut object = decode::object(context, kind, &content_type, body, options.field_validation)?;
    rules::default(kind, &mut object);
    check_name(context, &object)?;
    create::check_namespace(context, kind, &mut object)?;
    owners::dedup(context, &mut object);
    let manager = context.field_manager();
    let subresource = context.path.subresource.as_deref();
    let creates = strategy::creates_on_update(kind) && current(context, kind).is_err();
    if creates {
        check_uid(kind, uid_of(&object), &nothing(context))?;
    }
    if subresource.is_none() && creates {
        let created = create::create(
            context,
            kind,
            without_revision(object),
            &manager,
            options.dry_run,
        )
        .await?;
        return created.answer(context, kind, StatusCode::CREATED);
    }
    let uid = uid_of(&object).to_owned();
    let insist = !revision_of(&object).is_empty();
    let written = change(context, kind, options.dry_run, insist, &mut |live| {
        check_uid(kind, &uid, live)?;
        let mut object = object.clone();
        let writer = Writer {
            manager: &manager,
            subresource: subresource.unwrap_or_default(),
        };
        managed::update(kind, live, &mut object, &writer);
        Ok(object)
    })
    .await?;
    written.answer(context, kind, StatusCode::OK)
}

fn without_revision(mut object: Value) -> Value {
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.shift_remove("resourceVersion");
    }
    object
}

fn uid_of(object: &Value) -> &str {
    object["metadata"]["uid"].as_str().unwrap_or_default()
}

/// What a name stands for that nobody has: an object without a uid.
fn nothing(context: &Context) -> Value {
    let namespace = context.path.namespace.as_deref();
    json!({"metadata": {"name": context.name(), "namespace": namespace}})
}

fn revision_of(object: &Value) -> &str {
    match object["metadata"]["resourceVersion"].as_str() {
        None | Some("0") => "",
        Some(revision) => revision,
    }
}

/// Refuses an object without a name or with another one than the path's.
///
/// # Errors
/// 400.
pub fn check_name(context: &Context, object: &Value) -> ApiResult<()> {
    let given = object["metadata"]["name"].as_str().unwrap_or_default();
    let name = context.name();
    if given.is_empty() {
        return Err(ApiError::bad_request(format!(
            "the name of the object ({name} based on URL) was undeterminable: name must be provided"
        )));
    }
    if given != name {
        return Err(ApiError::bad_request(format!(
            "the name of the object ({given}) does not match the name on the URL ({name})"
        )));
    }
    Ok(())
}

/// A `PUT` that names a uid is meant for that object alone.
///
/// # Errors
/// 409 when the live object has another uid.
pub fn check_uid(kind: &'static Kind, uid: &str, live: &Value) -> ApiResult<()> {
    let metadata = &live["metadata"];
    let found = metadata["uid"].as_str().unwrap_or_default();
    if uid.is_empty() || uid == found {
        return Ok(());
    }
    let name = metadata["name"].as_str().unwrap_or_default();
    let path = match metadata["namespace"].as_str() {
        Some(namespace) => format!("{namespace}/{name}"),
        None => name.to_owned(),
    };
    let why = format!(
        "StorageError: invalid object, Code: 4, Key: /registry/{}/{path}, ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: UID in precondition: {uid}, UID in object meta: {found}",
        registry_prefix(kind)
    );
    Err(ApiError::conflict(kind, name, &why))
}

/// Where upstream keeps a kind; clients see it in messages.
fn registry_prefix(kind: &Kind) -> Cow<'static, str> {
    let (group, plural) = (kind.group, kind.plural);
    if kind.custom.is_some() || matches!(group, "apiextensions.k8s.io" | "apiregistration.k8s.io") {
        return format!("{group}/{plural}").into();
    }
    let prefix = match (group, plural) {
        ("", "replicationcontrollers") => "controllers",
        ("", "services") => "services/specs",
        ("", "endpoints") => "services/endpoints",
        ("", "nodes") => "minions",
        ("networking.k8s.io", "ingresses") => "ingress",
        (_, plural) => plural,
    };
    prefix.into()
}

/// Returns the stored object of the path.
///
/// # Errors
/// 404 when there is none.
pub fn current(context: &Context, kind: &'static Kind) -> ApiResult<Arc<Stored>> {
    super::get::find(context, kind, context.namespace(), context.name())
}

/// Makes the new object of the live one.
pub type Make<'a> = dyn FnMut(&Value) -> ApiResult<Value> + Send + 'a;

/// Changes the object of the path to what `make` returns of the live one, as
/// `kind` serves it. Unless the writer insists on a revision, a lost race is
/// run again on the newer object.
///
/// # Errors
/// Whatever stands against the change.
pub async fn change(
    context: &Context,
    kind: &'static Kind,
    dry_run: bool,
    insist: bool,
    make: &mut Make<'_>,
) -> ApiResult<Written> {
    for attempt in 1.. {
        let stored = current(context, kind)?;
        let live = respond::served(kind, &stored);
        let object = make(&live)?;
        match change_once(context, kind, dry_run, insist, &stored, &live, object).await? {
            Ok(written) => return Ok(written),
            Err(WriteError::Conflict { .. }) if !insist && attempt < TRIES => {}
            Err(error) => return Err(write::refused(kind, context.name(), &error)),
        }
    }
    unreachable!("the loop returns at its last attempt")
}

async fn change_once(
    context: &Context,
    kind: &'static Kind,
    dry_run: bool,
    insist: bool,
    stored: &Arc<Stored>,
    live: &Value,
    mut object: Value,
) -> ApiResult<Result<Written, WriteError>> {
    let subresource = context.path.subresource.as_deref();
    check_revision(kind, context.name(), insist, live, &mut object)?;
    admission::mutate_update(context, kind, &mut object, live)?;
    let owners = object["metadata"].get("managedFields").cloned();
    rules::prepare_update(kind, subresource, &mut object, live);
    keep_owners(&mut object, owners);
    let allocation = admission::allocate_update(context, kind, &mut object, live, dry_run)?;
    rules::refuse(
        kind,
        context.name(),
        rules::validate_update(kind, subresource, &object, live),
    )?;
    for warning in rules::warnings(kind, subresource, &object, Some(live)) {
        context.warn(warning);
    }
    rules::stored_form(kind, &mut object);
    keep_managed_times(&mut object, live);
    admission::check_update(context, kind, &object, live, dry_run).await?;
    if stored.says_the_same(&write::stored_value(kind, &object)) {
        return Ok(Ok(Written::Stored(stored.clone())));
    }
    if dry_run {
        return Ok(Ok(Written::Value(object)));
    }
    let expect = Expect::Revision(stored.revision);
    let outcome = if is_finished(kind, &object) {
        let key = resource::key(kind, context.namespace(), context.name());
        let deleted = context
            .core
            .store
            .delete(key, expect, write::store_options(kind))
            .await;
        deleted.map(|_| Written::Value(object))
    } else {
        write::put(&context.core, kind, &object, expect)
            .await
            .map(Written::Stored)
    };
    if outcome.is_ok() {
        allocation.keep();
        create::settle(context, kind, context.name()).await;
    }
    Ok(outcome)
}

fn check_revision(
    kind: &'static Kind,
    name: &str,
    insist: bool,
    live: &Value,
    object: &mut Value,
) -> ApiResult<()> {
    let given = revision_of(object).to_owned();
    if given.is_empty() {
        if insist || strategy::updates_unconditionally(kind) {
            object["metadata"]["resourceVersion"] = live["metadata"]["resourceVersion"].clone();
            return Ok(());
        }
        let message = "Invalid value: 0: must be specified for an update".to_owned();
        let causes = vec![cause(
            "FieldValueInvalid",
            "metadata.resourceVersion",
            message,
        )];
        return Err(ApiError::invalid(kind.group, kind.plural, name, causes));
    }
    if given.parse::<u64>().is_err() {
        return Err(ApiError::unknown(format!(
            "strconv.ParseUint: parsing {given:?}: invalid syntax"
        )));
    }
    if live["metadata"]["resourceVersion"].as_str() != Some(&given) {
        return Err(ApiError::modified(kind, name));
    }
    Ok(())
}

/// Parts that a write may not change are taken back, but who owns what is known by now.
fn keep_owners(object: &mut Value, owners: Option<Value>) {
    match owners {
        Some(owners) => object["metadata"]["managedFields"] = owners,
        None => {
            if let Some(metadata) = object["metadata"].as_object_mut() {
                metadata.shift_remove("managedFields");
            }
        }
    }
}

/// A write that changes nothing but the time of its managed fields changes nothing.
fn keep_managed_times(object: &mut Value, live: &Value) {
    let (Some(mine), Some(theirs)) = (
        object["metadata"]["managedFields"].as_array(),
        live["metadata"]["managedFields"].as_array(),
    ) else {
        return;
    };
    let timeless = |entries: &[Value]| -> Vec<Value> {
        let strip = |entry: &Value| {
            let mut entry = entry.clone();
            if let Some(map) = entry.as_object_mut() {
                map.shift_remove("time");
            }
            entry
        };
        let mut entries: Vec<Value> = entries.iter().map(strip).collect();
        // Their order follows their times.
        entries.sort_by_cached_key(Value::to_string);
        entries
    };
    if timeless(mine) != timeless(theirs) {
        return;
    }
    let mut candidate = object.clone();
    candidate["metadata"]["managedFields"] = live["metadata"]["managedFields"].clone();
    if candidate == *live {
        *object = candidate;
    }
}

/// An object under deletion goes when its last finalizer does.
fn is_finished(kind: &Kind, object: &Value) -> bool {
    let metadata = &object["metadata"];
    let empty = |list: &Value| list.as_array().is_none_or(Vec::is_empty);
    let grace = metadata["deletionGracePeriodSeconds"].as_i64().unwrap_or(0);
    metadata
        .get("deletionTimestamp")
        .is_some_and(|time| !time.is_null())
        && empty(&metadata["finalizers"])
        && grace == 0
        && (kind.kind != "Namespace" || empty(&object["spec"]["finalizers"]))
}
