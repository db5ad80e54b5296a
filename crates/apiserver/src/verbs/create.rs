//! `POST` to a collection.

use bytes::Bytes;
use coracle_machinery::apply::ManagedFields;
use coracle_machinery::kind::Kind;
use coracle_machinery::strategy;
use coracle_store::WriteError;
use http::{Response, StatusCode};
use jiff::Timestamp;
use rand::Rng;
use serde_json::{Value, json};

use super::owners;
use super::write::{self, Written};
use crate::admission;
use crate::body::{self, Body};
use crate::context::Context;
use crate::custom;
use crate::decode;
use crate::managed::{self, Writer};
use crate::options::WriteOptions;
use crate::rules;
use crate::status::{ApiError, ApiResult};

/// Letters of generated names: no vowels, nothing that looks alike
/// (`k8s.io/apimachinery/pkg/util/rand`).
const NAME_LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
const NAME_LENGTH_MAX: usize = 63;
const SUFFIX_LENGTH: usize = 5;
/// How often a taken generated name is tried again.
const NAME_TRIES: usize = 8;

/// Creates the object in the body.
///
/// # Errors
/// Whatever stands against it.
pub async fn run(
    context: &Context,
    kind: &'static Kind,
    body: &Bytes,
) -> ApiResult<Response<Body>> {
    let options = WriteOptions::read(&context.query, "CreateOptions")?;
    let content_type = body::content_type(&context.headers);
    let object = decode::object(context, kind, &content_type, body, options.field_validation)?;
    let manager = context.field_manager();
    let created = create(context, kind, object, &manager, options.dry_run).await?;
    created.answer(context, kind, StatusCode::CREATED)
}

/// Creates a decoded object.
///
/// # Errors
/// Whatever stands against it.
pub async fn create(
    context: &Context,
    kind: &'static Kind,
    mut object: Value,
    manager: &str,
    dry_run: bool,
) -> ApiResult<Written> {
    let lends = strategy::lends_labels(kind, &object);
    rules::default(kind, &mut object);
    check_namespace(context, kind, &mut object)?;
    owners::dedup(context, &mut object);
    if let Some(metadata) = object["metadata"].as_object_mut() {
        // Nobody owns what is the server's.
        for field in ["deletionTimestamp", "deletionGracePeriodSeconds"] {
            metadata.shift_remove(field);
        }
    }
    let writer = Writer {
        manager,
        subresource: "",
    };
    let owners = managed::of_new(kind, &mut object, &writer);
    if lends {
        strategy::take_back_labels(&mut object);
    }
    create_managed(context, kind, object, owners, dry_run).await
}

/// Creates an object whose owners are known already.
///
/// # Errors
/// Whatever stands against it.
pub async fn create_managed(
    context: &Context,
    kind: &'static Kind,
    object: Value,
    owners: ManagedFields,
    dry_run: bool,
) -> ApiResult<Written> {
    if !object["metadata"]["name"]
        .as_str()
        .unwrap_or_default()
        .is_empty()
    {
        return create_once(context, kind, object, &owners, dry_run).await;
    }
    for _ in 1..NAME_TRIES {
        match create_once(context, kind, object.clone(), &owners, dry_run).await {
            Err(error) if error.reason == "AlreadyExists" => {}
            outcome => return outcome,
        }
    }
    create_once(context, kind, object, &owners, dry_run).await
}

async fn create_once(
    context: &Context,
    kind: &'static Kind,
    mut object: Value,
    owners: &ManagedFields,
    dry_run: bool,
) -> ApiResult<Written> {
    if context.core.customs.is_terminating(kind) {
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        let why = "create not allowed while custom resource definition is terminating";
        return Err(ApiError::forbidden(kind, name, why));
    }
    admission::mutate_create(context, kind, &mut object)?;
    give_identity(kind, &mut object, dry_run)?;
    rules::prepare_create(kind, &mut object);
    let allocation = admission::allocate_create(context, kind, &mut object, dry_run)?;
    let name = object["metadata"]["name"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    let mut causes = rules::validate_create(kind, &object);
    causes.extend(admission::forbidden(context, kind, &object));
    rules::refuse(kind, &name, causes)?;
    for warning in rules::warnings(kind, None, &object, None) {
        context.warn(warning);
    }
    rules::stored_form(kind, &mut object);
    admission::check_create(context, kind, &object, dry_run).await?;
    if dry_run {
        let key = crate::resource::key(kind, context.namespace(), &name);
        return match context.core.store.get(&key) {
            Some(_) => Err(taken(context, kind, &name)),
            None => {
                managed::put(&mut object, owners);
                Ok(Written::Value(write::without_revision(object)))
            }
        };
    }
    let stored = write::put_new(&context.core, kind, &object, owners)
        .await
        .map_err(|error| match error {
            WriteError::Exists { .. } => taken(context, kind, &name),
            error => write::refused(kind, &name, &error),
        })?;
    allocation.keep();
    settle(context, kind, &name).await;
    Ok(Written::Stored(stored))
}

/// The name belongs to another object, which may be on its way out.
fn taken(context: &Context, kind: &'static Kind, name: &str) -> ApiError {
    let mut error = ApiError::already_exists(kind, name);
    let key = crate::resource::key(kind, context.namespace(), name);
    let other = context.core.store.get(&key);
    if other.is_some_and(|other| other.meta.deleting) {
        error.message = format!("object is being deleted: {}", error.message);
    }
    error
}

/// Fills in the namespace of the path, or refuses another one.
///
/// # Errors
/// 400 when the object names another namespace.
pub fn check_namespace(context: &Context, kind: &Kind, object: &mut Value) -> ApiResult<()> {
    if !kind.namespaced {
        if let Some(metadata) = object["metadata"].as_object_mut() {
            metadata.shift_remove("namespace");
        }
        return Ok(());
    }
    let expected = context.namespace();
    let given = object["metadata"]["namespace"].as_str().unwrap_or_default();
    if given.is_empty() {
        object["metadata"]["namespace"] = json!(expected);
        return Ok(());
    }
    if given != expected {
        return Err(ApiError::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    Ok(())
}

fn give_identity(kind: &Kind, object: &mut Value, dry_run: bool) -> ApiResult<()> {
    let metadata = object["metadata"]
        .as_object_mut()
        .ok_or_else(|| ApiError::bad_request("metadata is missing"))?;
    let text = |metadata: &serde_json::Map<String, Value>, key: &str| {
        metadata
            .get(key)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    // Upstream's storage looks at the revision, and a dry run does not reach it.
    if !dry_run {
        if !matches!(text(metadata, "resourceVersion").as_str(), "" | "0") {
            return Err(ApiError::unknown(
                "resourceVersion should not be set on objects to be created",
            ));
        }
        metadata.shift_remove("resourceVersion");
    }
    let prefix = text(metadata, "generateName");
    if text(metadata, "name").is_empty() && !prefix.is_empty() {
        metadata.insert("name".to_owned(), json!(generate_name(&prefix)));
    }
    if kind.kind == "LimitRange" && text(metadata, "name").is_empty() {
        metadata.insert("name".to_owned(), json!(uuid::Uuid::new_v4().to_string()));
    }
    if !kind.namespaced {
        metadata.shift_remove("namespace");
    }
    metadata.insert("uid".to_owned(), json!(uuid::Uuid::new_v4().to_string()));
    let now = coracle_machinery::time::seconds(Timestamp::now());
    metadata.insert("creationTimestamp".to_owned(), json!(now));
    Ok(())
}

fn generate_name(prefix: &str) -> String {
    let mut cut = prefix.len().min(NAME_LENGTH_MAX - SUFFIX_LENGTH);
    while !prefix.is_char_boundary(cut) {
        cut -= 1;
    }
    format!("{}{}", &prefix[..cut], random_suffix())
}

/// Returns five random letters, as generated names end in.
pub fn random_suffix() -> String {
    let mut random = rand::rng();
    (0..SUFFIX_LENGTH)
        .map(|_| NAME_LETTERS[random.random_range(0..NAME_LETTERS.len())] as char)
        .collect()
}

/// A definition of custom resources takes effect before its writer is answered;
/// one that is going goes with the last of its objects.
pub async fn settle(context: &Context, kind: &Kind, name: &str) {
    let core = &context.core;
    if kind.kind == "CustomResourceDefinition" {
        custom::definitions::settle(core, name).await;
    } else if core.customs.is_terminating(kind) {
        let definition = format!("{}.{}", kind.plural, kind.group);
        custom::definitions::settle(core, &definition).await;
    }
}
