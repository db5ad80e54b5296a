//! `scale`: the replicas of a workload, as `autoscaling/v1` Scale.

use bytes::Bytes;
use coracle_machinery::apply::{self, ManagedFields, Manager};
use coracle_machinery::kind::Kind;
use coracle_machinery::selector::LabelSelector;
use coracle_machinery::{table, time};
use http::{Response, StatusCode};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::accept::{self, Shape};
use crate::body::{self, Body};
use crate::context::Context;
use crate::decode;
use crate::managed;
use crate::options::WriteOptions;
use crate::respond::{self, Include};
use crate::status::{ApiError, ApiResult};
use crate::verbs::{create, patch, update};

/// Answers `GET`, `PUT` and `PATCH` of a scale.
///
/// # Errors
/// Whatever stands against it.
pub async fn run(
    context: &Context,
    kind: &'static Kind,
    verb: &str,
    body: &Bytes,
) -> ApiResult<Response<Body>> {
    match verb {
        "get" => {
            let stored = update::current(context, kind)?;
            let object = respond::served(kind, &stored);
            if let Some(path) = missing_replicas(kind, &object) {
                let why = format!("the spec replicas field {path:?} does not exist");
                return Err(ApiError::internal(why));
            }
            answer(context, &scale_of(kind, &object))
        }
        "update" => put(context, kind, body).await,
        "patch" => patched(context, kind, body).await,
        _ => Err(ApiError::method_not_allowed()),
    }
}

fn scale_kind() -> &'static Kind {
    static KIND: std::sync::OnceLock<Kind> = std::sync::OnceLock::new();
    KIND.get_or_init(|| Kind {
        group: "autoscaling",
        version: "v1",
        kind: "Scale",
        plural: "scales",
        singular: "scale",
        namespaced: true,
        package: "io.k8s.api.autoscaling",
        ..copy_of_unknown()
    })
}

fn copy_of_unknown() -> Kind {
    Kind {
        group: "",
        version: "",
        kind: "",
        plural: "",
        singular: "",
        short_names: &[],
        categories: &[],
        namespaced: false,
        verbs: &[],
        subresources: &[],
        scale: None,
        selectable: &[],
        generation: &[],
        stored_as: None,
        deprecated: None,
        custom: None,
        package: "",
    }
}

fn at<'a>(object: &'a Value, path: &str) -> &'a Value {
    path.split('.')
        .filter(|name| !name.is_empty())
        .fold(object, |value, name| &value[name])
}

/// Where a custom object says nothing of its replicas.
fn missing_replicas(kind: &Kind, object: &Value) -> Option<String> {
    let path = kind.scale?.spec_replicas;
    let is_missing = kind.custom.is_some() && at(object, path).is_null();
    is_missing.then(|| format!(".{path}"))
}

/// Returns the scale of an object.
fn scale_of(kind: &'static Kind, object: &Value) -> Value {
    let Some(paths) = kind.scale else {
        return Value::Null;
    };
    let metadata = &object["metadata"];
    let mut own = Map::new();
    for key in [
        "name",
        "namespace",
        "uid",
        "resourceVersion",
        "creationTimestamp",
    ] {
        if let Some(value) = metadata.get(key) {
            own.insert(key.to_owned(), value.clone());
        }
    }
    let mut spec = json!({});
    if let Some(replicas) = at(object, paths.spec_replicas)
        .as_i64()
        .filter(|&replicas| replicas != 0)
    {
        spec["replicas"] = json!(replicas);
    }
    let mut status = json!({"replicas": at(object, paths.status_replicas).as_i64().unwrap_or(0)});
    let selector = selector_text(at(object, paths.selector));
    if !selector.is_empty() {
        status["selector"] = json!(selector);
    }
    json!({"kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": own, "spec": spec, "status": status})
}

fn selector_text(selector: &Value) -> String {
    let plain = selector.get("matchLabels").is_none() && selector.get("matchExpressions").is_none();
    let read = match selector.as_object() {
        None => return selector.as_str().unwrap_or_default().to_owned(),
        Some(map) if plain => LabelSelector::from_map(Some(map)),
        Some(_) => LabelSelector::from_object(Some(selector)),
    };
    read.map(|selector| selector.to_string())
        .unwrap_or_default()
}

fn answer(context: &Context, scale: &Value) -> ApiResult<Response<Body>> {
    let form = accept::choose(&context.headers)?;
    let shaped = match form.shape {
        Shape::Plain => scale.clone(),
        Shape::Table(version) => {
            let row = table::scale_row(scale, Timestamp::now());
            let mut cells = json!({"cells": row.cells});
            match respond::include_object(context)? {
                Include::Metadata => cells["object"] = respond::partial(scale, version),
                Include::Object => cells["object"] = scale.clone(),
                Include::None => {}
            }
            json!({
                "kind": "Table", "apiVersion": format!("meta.k8s.io/{version}"),
                "metadata": {"resourceVersion": scale["metadata"]["resourceVersion"]},
                "columnDefinitions": table::scale_definitions(),
                "rows": [cells],
            })
        }
        Shape::Metadata(version) | Shape::MetadataList(version) => respond::partial(scale, version),
    };
    Ok(respond::json(StatusCode::OK, &shaped))
}

async fn put(context: &Context, kind: &'static Kind, body: &Bytes) -> ApiResult<Response<Body>> {
    let options = WriteOptions::read(&context.query, "UpdateOptions")?;
    let content_type = body::content_type(&context.headers);
    let scale = decode::object(
        context,
        scale_kind(),
        &content_type,
        body,
        options.field_validation,
    )?;
    update::check_name(context, &scale)?;
    create::check_namespace(context, kind, &mut scale.clone())?;
    let uid = scale["metadata"]["uid"].as_str().unwrap_or_default();
    let insist = scale["metadata"]["resourceVersion"]
        .as_str()
        .is_some_and(|revision| !revision.is_empty());
    let name = context.field_manager();
    write(
        context,
        kind,
        options.dry_run,
        insist,
        &mut |live, owners| {
            update::check_uid(kind, uid, live)?;
            Ok((scale.clone(), track(&name, live, owners, &scale)))
        },
    )
    .await
}

async fn patched(
    context: &Context,
    kind: &'static Kind,
    body: &Bytes,
) -> ApiResult<Response<Body>> {
    let form = patch::Form::of(&body::content_type(&context.headers))?;
    let options = WriteOptions::read(&context.query, "PatchOptions")?;
    patch::check_options(context, form)?;
    if form == patch::Form::Apply {
        return apply(context, kind, body, options).await;
    }
    let parsed = patch::parse(form, body)?;
    let name = context.field_manager();
    write(
        context,
        kind,
        options.dry_run,
        false,
        &mut |live, owners| {
            let value = patch::apply_to(scale_kind(), form, live, &parsed)?;
            let validation = options.field_validation;
            let scale = patch::typed(context, scale_kind(), form, value, &parsed, validation)?;
            update::check_name(context, &scale)?;
            let owners = track(&name, live, owners, &scale);
            Ok((scale, owners))
        },
    )
    .await
}

fn track(name: &str, live: &Value, owners: &ManagedFields, scale: &Value) -> ManagedFields {
    let now = time::seconds(Timestamp::now());
    apply::track_update(
        Some(scale_kind().schema()),
        live,
        owners,
        scale,
        manager(name, &now),
    )
}

async fn apply(
    context: &Context,
    kind: &'static Kind,
    body: &Bytes,
    options: WriteOptions,
) -> ApiResult<Response<Body>> {
    let text =
        std::str::from_utf8(body).map_err(|error| ApiError::bad_request(error.to_string()))?;
    let (config, _) = crate::yaml::read(text).map_err(ApiError::bad_request)?;
    let force = context.query.flag("force");
    let name = context.field_manager();
    write(
        context,
        kind,
        options.dry_run,
        false,
        &mut |scale, owners| {
            let now = time::seconds(Timestamp::now());
            let live = Some((scale, owners));
            apply::apply(
                Some(scale_kind().schema()),
                live,
                &config,
                manager(&name, &now),
                force,
            )
            .map_err(|error| managed::refused(&error))
        },
    )
    .await
}

fn manager<'a>(name: &'a str, now: &'a str) -> Manager<'a> {
    Manager {
        name,
        subresource: "scale",
        api_version: "autoscaling/v1",
        now,
        reset_fields: &["status"],
    }
}

/// Makes the new scale of the live object, its scale and the owners of that.
type Make<'a> = dyn FnMut(&Value, &ManagedFields) -> ApiResult<(Value, ManagedFields)> + Send + 'a;

/// What stands for replicas that nobody has set, as upstream shows them to patches.
const UNSET: i32 = i32::MIN;

async fn write(
    context: &Context,
    kind: &'static Kind,
    dry_run: bool,
    insist: bool,
    make: &mut Make<'_>,
) -> ApiResult<Response<Body>> {
    let Some(paths) = kind.scale else {
        return Err(ApiError::no_such_resource());
    };
    let written = update::change(context, kind, dry_run, insist, &mut |live| {
        let owners = managed::of(live);
        let scale_owners = apply::to_scale(&owners, paths.spec_replicas);
        let mut scale = scale_of(kind, live);
        let missing = missing_replicas(kind, live);
        if missing.is_some() {
            scale["spec"]["replicas"] = json!(UNSET);
        }
        let (scale, scale_owners) = make(&scale, &scale_owners)?;
        if let Some(path) = missing.filter(|_| scale["spec"]["replicas"] == UNSET) {
            let why = format!("the spec replicas field {path:?} cannot be empty");
            return Err(ApiError::bad_request(why));
        }
        check(context, &scale)?;
        let mut object = live.clone();
        set(
            &mut object,
            paths.spec_replicas,
            json!(scale["spec"]["replicas"].as_i64().unwrap_or(0)),
        );
        if let Some(revision) = scale["metadata"]["resourceVersion"]
            .as_str()
            .filter(|revision| !revision.is_empty())
        {
            object["metadata"]["resourceVersion"] = json!(revision);
        }
        let owners = apply::from_scale(
            &owners,
            &scale_owners,
            paths.spec_replicas,
            &kind.api_version(),
        );
        managed::put(&mut object, &owners);
        Ok(object)
    })
    .await?;
    answer(context, &scale_of(kind, &written.value(kind)))
}

fn check(context: &Context, scale: &Value) -> ApiResult<()> {
    let replicas = scale["spec"]["replicas"].as_i64().unwrap_or(0);
    if replicas >= 0 {
        return Ok(());
    }
    let message = format!("Invalid value: {replicas}: must be greater than or equal to 0");
    Err(ApiError::invalid_field(
        scale_kind(),
        context.name(),
        "FieldValueInvalid",
        "spec.replicas",
        message,
    ))
}

fn set(object: &mut Value, path: &str, value: Value) {
    let mut place = object;
    for name in path.split('.').filter(|name| !name.is_empty()) {
        if !place[name].is_object() && !place[name].is_null() && !path.ends_with(name) {
            return;
        }
        place = &mut place[name];
    }
    *place = value;
}
