//! Writes answers: objects, lists and tables in the form the client asked for,
//! and errors as `Status`.

use std::sync::Arc;

use bytes::Bytes;
use coracle_machinery::convert;
use coracle_machinery::kind::Kind;
use http::{HeaderValue, Response, StatusCode, header};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::accept::{self, Encoding, Form, Shape};
use crate::body::{self, Body};
use crate::context::Context;
use crate::object::{Stored, to_vec};
use crate::pieces::Pieces;
use crate::rules;
use crate::status::{ApiError, ApiResult};
use crate::table;

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const YAML: HeaderValue = HeaderValue::from_static("application/yaml");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

/// Answers with bytes of a content type.
pub fn bytes(
    status: StatusCode,
    content_type: HeaderValue,
    bytes: impl Into<Bytes>,
) -> Response<Body> {
    let mut response = Response::new(body::full(bytes));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, content_type);
    response
}

/// Answers with JSON.
pub fn json(status: StatusCode, value: &Value) -> Response<Body> {
    bytes(status, JSON, to_vec(value))
}

/// Answers with plain text.
pub fn text(status: StatusCode, text: impl Into<Bytes>) -> Response<Body> {
    bytes(status, TEXT, text)
}

/// Answers with an error.
pub fn error(error: &ApiError) -> Response<Body> {
    let status = error.status_code();
    let mut response = if error.plain {
        text(status, error.message.clone())
    } else {
        json(status, &error.to_value())
    };
    if error.message.is_empty() {
        response.headers_mut().remove(header::CONTENT_TYPE);
    }
    if let Some(seconds) = error
        .details
        .as_ref()
        .map(|details| details.retry_after_seconds)
        .filter(|&s| s > 0)
    {
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, seconds.into());
    }
    response
}

/// Answers with JSON, or with the same as YAML, its keys in order.
///
/// # Errors
/// 500 for a text that is no JSON.
pub fn encoded(status: StatusCode, encoding: Encoding, json: Bytes) -> ApiResult<Response<Body>> {
    match encoding {
        Encoding::Json => Ok(bytes(status, JSON, json)),
        Encoding::Yaml => {
            let mut value: Value = serde_json::from_slice(&json).map_err(ApiError::internal)?;
            value.sort_all_objects();
            let text = serde_saphyr::to_string(&value).map_err(ApiError::internal)?;
            Ok(bytes(status, YAML, text))
        }
    }
}

/// Returns an object as `kind` serves it.
pub fn served(kind: &'static Kind, stored: &Stored) -> Value {
    let mut value = stored.to_value();
    if kind.stored_as.is_some() || kind.custom.is_some() {
        convert::from_storage(kind, &mut value);
        rules::canonicalize(kind, &mut value);
    }
    value
}

/// Returns an object's JSON as `kind` serves it, parsed only for a conversion.
pub fn served_json(kind: &'static Kind, stored: &Stored) -> Bytes {
    if kind.stored_as.is_some() || kind.custom.is_some() {
        Bytes::from(to_vec(&served(kind, stored)))
    } else {
        stored.to_json()
    }
}

/// Answers with a stored object.
///
/// # Errors
/// 406 when the form asked for does not exist.
pub fn stored(
    context: &Context,
    kind: &'static Kind,
    status: StatusCode,
    stored: &Stored,
) -> ApiResult<Response<Body>> {
    let form = accept::choose(&context.headers)?;
    match form.shape {
        Shape::Plain => encoded(status, form.encoding, served_json(kind, stored)),
        _ => value_as(context, kind, status, &served(kind, stored), &form),
    }
}

/// Answers with an object that is not stored as it is shown.
///
/// # Errors
/// 406 when the form asked for does not exist.
pub fn value(
    context: &Context,
    kind: &'static Kind,
    status: StatusCode,
    value: &Value,
) -> ApiResult<Response<Body>> {
    value_as(
        context,
        kind,
        status,
        value,
        &accept::choose(&context.headers)?,
    )
}

fn value_as(
    context: &Context,
    kind: &'static Kind,
    status: StatusCode,
    value: &Value,
    form: &Form,
) -> ApiResult<Response<Body>> {
    let shaped = match form.shape {
        Shape::Plain => return encoded(status, form.encoding, Bytes::from(to_vec(value))),
        Shape::Table(version) => {
            let include = include_object(context)?;
            let list = ListMeta {
                revision: revision_of(value),
                ..ListMeta::default()
            };
            table_of(
                kind,
                version,
                include,
                &list,
                std::slice::from_ref(value),
                true,
            )
        }
        Shape::Metadata(version) => partial(value, version),
        Shape::MetadataList(_) => {
            return Err(ApiError::new(
                406,
                "NotAcceptable",
                format!(
                    "you requested PartialObjectMetadataList, but the requested object is not a list (*{})",
                    crate::decode::internal_name(kind)
                ),
            ));
        }
    };
    encoded(status, form.encoding, Bytes::from(to_vec(&shaped)))
}

fn revision_of(value: &Value) -> String {
    value["metadata"]["resourceVersion"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

/// `metadata` of a list.
#[derive(Debug, Clone, Default)]
pub struct ListMeta {
    /// `resourceVersion`.
    pub revision: String,
    /// `continue`; empty for the last page.
    pub continue_token: String,
    /// `remainingItemCount`, where it is known.
    pub remaining: Option<usize>,
}

impl ListMeta {
    fn to_value(&self) -> Value {
        let mut map = Map::new();
        map.insert("resourceVersion".to_owned(), json!(self.revision));
        if !self.continue_token.is_empty() {
            map.insert("continue".to_owned(), json!(self.continue_token));
        }
        if let Some(remaining) = self.remaining.filter(|&count| count > 0) {
            map.insert("remainingItemCount".to_owned(), json!(remaining));
        }
        Value::Object(map)
    }
}

/// Answers with a list of stored objects.
///
/// # Errors
/// 406 when the form asked for does not exist.
pub fn list(
    context: &Context,
    kind: &'static Kind,
    meta: &ListMeta,
    items: Vec<Arc<Stored>>,
) -> ApiResult<Response<Body>> {
    let form = accept::choose_list(&context.headers)?;
    let shaped = match form.shape {
        Shape::Plain => {
            return list_json(kind, meta, items, form.encoding);
        }
        Shape::Table(version) => {
            let include = include_object(context)?;
            if include != Include::Object && has_plain_metadata(kind) && !items.is_empty() {
                return table_json(kind, version, include, meta, items, form.encoding);
            }
            let values: Vec<Value> = items.iter().map(|item| served(kind, item)).collect();
            table_of(kind, version, include, meta, &values, true)
        }
        Shape::MetadataList(version) => {
            let items: Vec<Value> = items
                .iter()
                .map(|item| partial(&served(kind, item), version))
                .collect();
            json!({
                "kind": "PartialObjectMetadataList",
                "apiVersion": format!("meta.k8s.io/{version}"),
                "metadata": meta.to_value(),
                "items": null_if_empty(items),
            })
        }
        Shape::Metadata(_) => {
            return Err(ApiError::new(
                406,
                "NotAcceptable",
                format!(
                    "you requested PartialObjectMetadata, but the requested object is a list (*{}List)",
                    crate::decode::internal_name(kind)
                ),
            ));
        }
    };
    encoded(StatusCode::OK, form.encoding, Bytes::from(to_vec(&shaped)))
}

/// Joins custom objects. Their items keep kind and version.
fn custom_list_json(kind: &'static Kind, meta: &ListMeta, items: &[Arc<Stored>]) -> Bytes {
    let mut metadata = meta.to_value();
    metadata["continue"] = json!(meta.continue_token);
    let items: Vec<Value> = items.iter().map(|item| served(kind, item)).collect();
    Bytes::from(to_vec(&json!({
        "apiVersion": kind.api_version(), "items": items, "kind": kind.list_kind(), "metadata": metadata,
    })))
}

/// Answers with stored bytes. Items of built-in lists carry neither kind nor version.
fn list_json(
    kind: &'static Kind,
    meta: &ListMeta,
    items: Vec<Arc<Stored>>,
    encoding: Encoding,
) -> ApiResult<Response<Body>> {
    if kind.custom.is_some() {
        return encoded(
            StatusCode::OK,
            encoding,
            custom_list_json(kind, meta, &items),
        );
    }
    let head = format!(
        "{{\"kind\":\"{}\",\"apiVersion\":\"{}\",\"metadata\":{},\"items\":[",
        kind.list_kind(),
        kind.api_version(),
        meta.to_value()
    );
    let type_length = format!(
        "{{\"kind\":\"{}\",\"apiVersion\":\"{}\",",
        kind.kind,
        kind.api_version()
    )
    .len();
    let write = move |item: &Stored, out: &mut Vec<u8>| {
        if kind.stored_as.is_some() {
            out.extend_from_slice(&strip_type(served(kind, item)));
        } else {
            item.write_from(type_length, out);
        }
    };
    joined(
        Pieces::new(head.into_bytes(), items, b"]}", write),
        encoding,
    )
}

/// Answers with joined objects: JSON as it is written, the rest as a whole.
fn joined<W>(pieces: Pieces<W>, encoding: Encoding) -> ApiResult<Response<Body>>
where
    W: FnMut(&Stored, &mut Vec<u8>) + Send + 'static,
{
    if encoding != Encoding::Json {
        return encoded(StatusCode::OK, encoding, pieces.whole());
    }
    let mut response = Response::new(pieces.body());
    response.headers_mut().insert(header::CONTENT_TYPE, JSON);
    Ok(response)
}

fn strip_type(mut value: Value) -> Vec<u8> {
    if let Some(map) = value.as_object_mut() {
        map.shift_remove("kind");
        map.shift_remove("apiVersion");
    }
    to_vec(&value)
}

/// Which part of an object a table row carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Include {
    /// Its metadata.
    Metadata,
    /// All of it.
    Object,
    /// Nothing.
    None,
}

/// Reads `includeObject`.
///
/// # Errors
/// 400 for another word.
pub fn include_object(context: &Context) -> ApiResult<Include> {
    match context.query.text("includeObject") {
        "" | "Metadata" => Ok(Include::Metadata),
        "Object" => Ok(Include::Object),
        "None" => Ok(Include::None),
        other => Err(ApiError::bad_request(format!(
            "Unable to convert to Table as requested: includeObject: Invalid value: {other:?}: must be 'Metadata', 'Object', 'None', or empty"
        ))),
    }
}

/// Builds a `Table`.
pub fn table_of(
    kind: &'static Kind,
    version: &str,
    include: Include,
    meta: &ListMeta,
    values: &[Value],
    columns: bool,
) -> Value {
    let rows: Vec<Value> = values
        .iter()
        .map(|value| {
            let mut row = table::row(kind, value);
            match include {
                Include::Metadata => {
                    row["object"] = partial(value, version);
                    drop_conversions(kind, &mut row["object"]["metadata"]);
                }
                Include::Object => row["object"] = value.clone(),
                Include::None => row["object"] = Value::Null,
            }
            row
        })
        .collect();
    json!({
        "kind": "Table",
        "apiVersion": format!("meta.k8s.io/{version}"),
        "metadata": meta.to_value(),
        "columnDefinitions": if columns { table::columns(kind) } else { Value::Null },
        "rows": if table::is_default(kind) { null_if_empty(rows) } else { json!(rows) },
    })
}

/// Whether the metadata of a kind is answered as it is stored.
fn has_plain_metadata(kind: &Kind) -> bool {
    kind.stored_as.is_none() && kind.custom.is_none() && kind.kind != "DaemonSet"
}

/// Joins rows to a `Table`: what is stored is copied, only the cells are made.
fn table_json(
    kind: &'static Kind,
    version: &str,
    include: Include,
    meta: &ListMeta,
    items: Vec<Arc<Stored>>,
    encoding: Encoding,
) -> ApiResult<Response<Body>> {
    let table = table_of(kind, version, include, meta, &[], true);
    let mut head = b"{".to_vec();
    for part in ["kind", "apiVersion", "metadata", "columnDefinitions"] {
        head.extend_from_slice(format!("\"{part}\":{},", table[part]).as_bytes());
    }
    head.extend_from_slice(b"\"rows\":[");
    let object = format!(
        ",\"object\":{{\"kind\":\"PartialObjectMetadata\",\"apiVersion\":\"meta.k8s.io/{version}\",\"metadata\":"
    );
    let now = Timestamp::now();
    let write = move |item: &Stored, out: &mut Vec<u8>| {
        item.write_row(kind, now, out);
        if include == Include::Metadata {
            out.extend_from_slice(object.as_bytes());
            item.write_metadata(out);
            out.extend_from_slice(b"}}");
        } else {
            out.extend_from_slice(b",\"object\":null}");
        }
    };
    joined(Pieces::new(head, items, b"]}", write), encoding)
}

/// Go's nil slices: what upstream builds by appending is `null` when empty.
fn null_if_empty(list: Vec<Value>) -> Value {
    if list.is_empty() {
        Value::Null
    } else {
        Value::Array(list)
    }
}

/// Annotations that a conversion adds are not there yet when a table is made.
fn drop_conversions(kind: &Kind, metadata: &mut Value) {
    if kind.stored_as.is_none() {
        return;
    }
    let Some(Value::Object(annotations)) = metadata.get_mut("annotations") else {
        return;
    };
    annotations.retain(|name, _| !name.starts_with("autoscaling.alpha.kubernetes.io/"));
    if annotations.is_empty()
        && let Some(metadata) = metadata.as_object_mut()
    {
        metadata.shift_remove("annotations");
    }
}

/// Reduces an object to its metadata.
pub fn partial(value: &Value, version: &str) -> Value {
    let mut metadata = value["metadata"].clone();
    // Tables are made of upstream's internal objects, which count templates elsewhere.
    if value["kind"] == "DaemonSet"
        && let Some(annotations) = metadata["annotations"].as_object_mut()
    {
        annotations.shift_remove(rules::TEMPLATE_GENERATION);
        if annotations.is_empty()
            && let Some(metadata) = metadata.as_object_mut()
        {
            metadata.shift_remove("annotations");
        }
    }
    json!({
        "kind": "PartialObjectMetadata",
        "apiVersion": format!("meta.k8s.io/{version}"),
        "metadata": metadata,
    })
}
