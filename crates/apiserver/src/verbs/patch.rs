//! `PATCH` in its four forms: JSON patch, merge patch, strategic merge patch,
//! server-side apply.

use bytes::Bytes;
use coracle_machinery::kind::Kind;
use coracle_machinery::patch::{self, PatchError};
use coracle_machinery::strategy;
use http::{Response, StatusCode};
use serde_json::Value;

use super::create;
use super::outcome;
use super::owners;
use super::update;
use super::write::Written;
use crate::body::{self, Body};
use crate::context::Context;
use crate::decode::{self, Parsed};
use crate::gojson;
use crate::managed::{self, Writer};
use crate::options::{FieldValidation, WriteOptions, cause, invalid_options};
use crate::rules;
use crate::status::{ApiError, ApiResult, Details};

const ACCEPTED_CUSTOM: &str =
    "application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml";

/// The form of a patch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// RFC 6902.
    Json,
    /// RFC 7386.
    Merge,
    /// Strategic merge.
    Strategic,
    /// Server-side apply.
    Apply,
}

impl Form {
    /// Reads a media type.
    ///
    /// # Errors
    /// 415 for any other.
    pub fn of(content_type: &str) -> ApiResult<Form> {
        match content_type {
            "application/json-patch+json" => Ok(Form::Json),
            "application/merge-patch+json" => Ok(Form::Merge),
            "application/strategic-merge-patch+json" => Ok(Form::Strategic),
            "application/apply-patch+yaml" => Ok(Form::Apply),
            _ => Err(ApiError::no_such_media_type()),
        }
    }
}

/// Patches the object of the path.
///
/// # Errors
/// Whatever stands against it.
pub async fn run(
    context: &Context,
    kind: &'static Kind,
    body: &Bytes,
) -> ApiResult<Response<Body>> {
    let form = Form::of(&body::content_type(&context.headers))?;
    let options = WriteOptions::read(&context.query, "PatchOptions")?;
    let force = check_options(context, form)?;
    if form == Form::Apply {
        return apply(context, kind, body, options, force).await;
    }
    let patch = parse(form, body)?;
    let manager = context.field_manager();
    let subresource = context.path.subresource.as_deref().unwrap_or_default();
    let written = update::change(context, kind, options.dry_run, false, &mut |live| {
        let mut patched = apply_to(kind, form, live, &patch)?;
        check_type(context, kind, form, &mut patched, &patch.value)?;
        let validation = options.field_validation;
        let mut object = typed(context, kind, form, patched, &patch, validation)?;
        rules::default(kind, &mut object);
        check_place(context, kind, &mut object)?;
        owners::dedup(context, &mut object);
        managed::update(
            kind,
            live,
            &mut object,
            &Writer {
                manager: &manager,
                subresource,
            },
        );
        Ok(object)
    })
    .await?;
    written.answer(context, kind, StatusCode::OK)
}

/// Reads `force` and checks what a form of patch asks for.
///
/// # Errors
/// 422 naming every wrong parameter.
pub fn check_options(context: &Context, form: Form) -> ApiResult<bool> {
    let force = context.query.flag("force");
    let mut causes = Vec::new();
    if form == Form::Apply {
        if context.query.text("fieldManager").is_empty() {
            let message = "Required value: is required for apply patch".to_owned();
            causes.push(cause("FieldValueRequired", "fieldManager", message));
        }
    } else if context.query.get("force").is_some() {
        let message = "Forbidden: may not be specified for non-apply patch".to_owned();
        causes.push(cause("FieldValueForbidden", "force", message));
    }
    if causes.is_empty() {
        Ok(force)
    } else {
        Err(invalid_options("PatchOptions", causes))
    }
}

/// Parses the body of a patch that is not an apply.
///
/// # Errors
/// 400 when it is not JSON.
pub fn parse(form: Form, body: &Bytes) -> ApiResult<Parsed> {
    let parsed = coracle_machinery::strict::parse(body).map_err(|error| match form {
        Form::Json | Form::Merge => {
            ApiError::bad_request(format!("error decoding patch: {}", said(body, &error)))
        }
        _ => ApiError::bad_request(said(body, &error)),
    })?;
    let mut findings = parsed.duplicates;
    if form == Form::Json {
        findings.extend(patch::unknown_members(&parsed.value));
        for finding in &mut findings {
            finding.insert_str(0, "json patch ");
        }
    }
    Ok(Parsed {
        value: parsed.value,
        findings,
    })
}

fn said(body: &[u8], error: &impl std::fmt::Display) -> String {
    gojson::fault(body).unwrap_or_else(|| error.to_string())
}

/// Applies a patch that is not an apply to the live object.
///
/// # Errors
/// 400, 422 or 500, as upstream answers.
pub fn apply_to(kind: &'static Kind, form: Form, live: &Value, patch: &Parsed) -> ApiResult<Value> {
    let patched = match form {
        Form::Json => patch::json_patch(live, &patch.value),
        Form::Merge => patch::merge_patch(live, &patch.value),
        Form::Strategic | Form::Apply => match kind.custom {
            None => patch::strategic_patch(kind.schema(), live, &patch.value),
            Some(_) => return Err(ApiError::unsupported_media_type(ACCEPTED_CUSTOM)),
        },
    };
    patched.map_err(|error| patch_error(&error))
}

/// Decodes what a patch has made of an object.
///
/// # Errors
/// 422 where it does not decode, showing the patch or its outcome.
pub fn typed(
    context: &Context,
    kind: &'static Kind,
    form: Form,
    patched: Value,
    patch: &Parsed,
    validation: FieldValidation,
) -> ApiResult<Value> {
    let shown = match form {
        Form::Strategic => in_go(&patch.value),
        _ => outcome::text(kind, form, &patched, &patch.value),
    };
    let parsed = Parsed {
        value: patched,
        findings: patch.findings.clone(),
    };
    decode::typed(context, kind, parsed, validation)
        .map_err(|error| reword(kind, form, &shown, error))
}

fn patch_error(error: &PatchError) -> ApiError {
    let answer = ApiError::new(error.code(), error.reason(), error.public_message());
    match error {
        PatchError::Inapplicable(_) => answer.with(Details::default()),
        _ => answer,
    }
}

/// A patch may not turn an object into one of another kind.
fn check_type(
    context: &Context,
    kind: &Kind,
    form: Form,
    patched: &mut Value,
    patch: &Value,
) -> ApiResult<()> {
    let api_version = kind.api_version();
    if patched["kind"] == kind.kind && patched["apiVersion"] == *api_version {
        return Ok(());
    }
    let text = |key: &str| patched[key].as_str().unwrap_or_default();
    match form {
        // Upstream does not look at the kind of what such a patch makes.
        Form::Strategic => {
            patched["kind"] = kind.kind.into();
            patched["apiVersion"] = api_version.into();
            return Ok(());
        }
        // What has no version is read as upstream's own type, which knows no metadata.
        _ if kind.custom.is_none() && text("apiVersion").is_empty() => {
            return update::check_name(context, &Value::Null);
        }
        // Decoding finds it out.
        _ if kind.custom.is_none() => return Ok(()),
        _ => {}
    }
    let message = format!(
        "Invalid value: {:?}: no kind {:?} is registered for version {:?} in scheme \"pkg/api/legacyscheme/scheme.go:30\"",
        outcome::text(kind, form, patched, patch),
        patched["kind"].as_str().unwrap_or_default(),
        patched["apiVersion"].as_str().unwrap_or_default(),
    );
    Err(ApiError::invalid(
        "",
        "",
        "",
        vec![cause("FieldValueInvalid", "patch", message)],
    ))
}

/// A patched object that does not decode is invalid, not a bad request. Of a
/// strategic patch upstream shows the patch, of the others the outcome.
fn reword(kind: &Kind, form: Form, shown: &str, error: ApiError) -> ApiError {
    let prefix = format!(" cannot be handled as a {}: ", kind.kind);
    let Some((_, why)) = error
        .message
        .split_once(&prefix)
        .filter(|_| error.code == 400)
    else {
        return error;
    };
    let why = match form {
        Form::Strategic => restored(why),
        _ => None,
    }
    .unwrap_or_else(|| why.to_owned());
    let message = format!("Invalid value: {shown:?}: {why}");
    ApiError::invalid(
        "",
        "",
        "",
        vec![cause("FieldValueInvalid", "patch", message)],
    )
}

/// The outcome of a strategic patch is no JSON when upstream decodes it, and a
/// wrong type is told in other words (`runtime.DefaultUnstructuredConverter`).
fn restored(why: &str) -> Option<String> {
    let (given, rest) = why
        .strip_prefix("json: cannot unmarshal ")?
        .split_once(" into ")?;
    let (_, wanted) = rest.rsplit_once(" of type ")?;
    let (kind, go_type) = match given.split(' ').next()? {
        "object" => ("map", "map[string]interface {}"),
        "array" => ("slice", "[]interface {}"),
        "string" => ("string", "string"),
        "bool" => ("bool", "bool"),
        number if number.contains('.') => ("float64", "float64"),
        _ => ("int64", "int64"),
    };
    let is_named = wanted.contains('.');
    Some(if wanted.starts_with("[]") {
        format!("cannot restore slice from {kind}")
    } else if wanted.starts_with("map[") {
        format!("cannot restore map from {kind}")
    } else if is_named && kind == "string" {
        format!("cannot restore struct from: {kind}")
    } else {
        format!("cannot convert {go_type} to {wanted}")
    })
}

/// Writes a value as Go's `%+v` writes it decoded: `map[a:1 b:[x y]]`.
fn in_go(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(list) => {
            let parts: Vec<String> = list.iter().map(in_go).collect();
            format!("[{}]", parts.join(" "))
        }
        Value::Object(map) => {
            let mut parts: Vec<(&String, String)> =
                map.iter().map(|(key, value)| (key, in_go(value))).collect();
            parts.sort();
            let parts: Vec<String> = parts
                .into_iter()
                .map(|(key, value)| format!("{key}:{value}"))
                .collect();
            format!("map[{}]", parts.join(" "))
        }
        scalar => scalar.to_string(),
    }
}

fn check_place(context: &Context, kind: &Kind, object: &mut Value) -> ApiResult<()> {
    update::check_name(context, object)?;
    create::check_namespace(context, kind, object)
}

async fn apply(
    context: &Context,
    kind: &'static Kind,
    body: &Bytes,
    options: WriteOptions,
    force: bool,
) -> ApiResult<Response<Body>> {
    let manager = context.field_manager();
    let subresource = context.path.subresource.as_deref().unwrap_or_default();
    let patch = parse_apply(context, kind, body)?;
    let writer = Writer {
        manager: &manager,
        subresource,
    };
    let missing = update::current(context, kind).is_err();
    if missing && subresource.is_empty() {
        return apply_new(context, kind, &patch, options, &writer, force).await;
    }
    let written = update::change(context, kind, options.dry_run, false, &mut |live| {
        let mut object = managed::apply(kind, live, &patch, &writer, force)?;
        rules::default(kind, &mut object);
        check_place(context, kind, &mut object)?;
        Ok(object)
    })
    .await?;
    written.answer(context, kind, StatusCode::OK)
}

async fn apply_new(
    context: &Context,
    kind: &'static Kind,
    patch: &Value,
    options: WriteOptions,
    writer: &Writer<'_>,
    force: bool,
) -> ApiResult<Response<Body>> {
    if let Some(uid) = patch["metadata"]["uid"]
        .as_str()
        .filter(|uid| !uid.is_empty())
    {
        let why = format!(
            "uid mismatch: the provided object specified uid {uid}, and no existing object was found"
        );
        return Err(ApiError::conflict(kind, context.name(), &why));
    }
    let mut object = managed::apply(kind, &Value::Null, patch, writer, force)?;
    let lends = strategy::lends_labels(kind, &object);
    rules::default(kind, &mut object);
    check_place(context, kind, &mut object)?;
    let owners = managed::take(&mut object);
    if lends {
        strategy::take_back_labels(&mut object);
    }
    let created: Written =
        create::create_managed(context, kind, object, owners, options.dry_run).await?;
    created.answer(context, kind, StatusCode::CREATED)
}

/// Reads the body of an apply and checks what it may not carry.
fn parse_apply(context: &Context, kind: &Kind, body: &Bytes) -> ApiResult<Value> {
    let text =
        std::str::from_utf8(body).map_err(|error| ApiError::bad_request(error.to_string()))?;
    let parsed = match coracle_machinery::strict::parse(body) {
        Ok(parsed) => parsed.value,
        Err(_) => {
            crate::yaml::read(text)
                .map_err(|error| {
                    ApiError::bad_request(format!(
                        "error decoding YAML: error converting YAML to JSON: yaml: {error}"
                    ))
                })?
                .0
        }
    };
    if !parsed.is_object() && !parsed.is_null() {
        let why = patch::cannot_unmarshal(&parsed, "map[string]interface {}");
        return Err(ApiError::bad_request(format!(
            "error decoding YAML: error unmarshaling JSON: while decoding JSON: {why}"
        )));
    }
    let metadata = &parsed["metadata"];
    if metadata["managedFields"]
        .as_array()
        .is_some_and(|list| !list.is_empty())
    {
        return Err(ApiError::bad_request("metadata.managedFields must be nil"));
    }
    let text = |key: &str| parsed[key].as_str().unwrap_or_default().to_owned();
    if text("kind") != kind.kind || text("apiVersion") != kind.api_version() {
        let api_version = text("apiVersion");
        let slash = if api_version.contains('/') { "" } else { "/" };
        return Err(ApiError::bad_request(format!(
            "invalid object type: {slash}{api_version}, Kind={}",
            text("kind")
        )));
    }
    if let Some(name) = metadata["name"]
        .as_str()
        .filter(|name| *name != context.name())
    {
        return Err(ApiError::bad_request(format!(
            "the name of the object ({name}) does not match the name on the URL ({})",
            context.name()
        )));
    }
    Ok(parsed)
}
