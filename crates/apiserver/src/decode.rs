//! From the bytes of a body to a decoded object of its kind: media type, YAML
//! and protobuf, duplicate and unknown fields. Defaults and rules follow later.

use bytes::Bytes;
use coracle_machinery::kind::Kind;
use coracle_machinery::{protobuf, schema, strict};
use serde_json::Value;

use crate::context::Context;
use crate::gojson;
use crate::options::{FieldValidation, cause};
use crate::status::{ApiError, ApiResult};

/// Media types of objects in requests.
const ACCEPTED: &str = "application/json, application/yaml, application/vnd.kubernetes.protobuf";
/// How upstream names the place its kinds are registered at.
const SCHEME: &str = "pkg/api/legacyscheme/scheme.go:30";

/// A body before its kind is looked at.
pub struct Parsed {
    /// The value.
    pub value: Value,
    /// What strict validation finds fault with so far.
    pub findings: Vec<String>,
}

/// Parses a body by its media type.
///
/// # Errors
/// 415 for an unknown media type, 400 for a body that is not of its type.
pub fn parse(content_type: &str, bytes: &Bytes) -> ApiResult<Parsed> {
    match content_type {
        "" | "application/json" => parse_json(bytes),
        "application/yaml" => parse_yaml(bytes),
        "application/vnd.kubernetes.protobuf" => {
            let mut findings = Vec::new();
            let value = protobuf::decode_noting(bytes, &mut findings)
                .map_err(|error| ApiError::bad_request(error.to_string()))?;
            Ok(Parsed { value, findings })
        }
        _ => Err(ApiError::unsupported_media_type(ACCEPTED)),
    }
}

fn parse_json(bytes: &[u8]) -> ApiResult<Parsed> {
    let parsed = strict::parse(bytes).map_err(|error| {
        let why = gojson::fault(bytes).unwrap_or_else(|| error.to_string());
        ApiError::bad_request(format!(
            "couldn't get version/kind; json parse error: {why}"
        ))
    })?;
    if !parsed.value.is_object() {
        let found = match &parsed.value {
            Value::Array(_) => "array",
            Value::String(_) => "string",
            Value::Number(_) => "number",
            Value::Bool(_) => "bool",
            _ => {
                return Ok(Parsed {
                    value: Value::Object(serde_json::Map::new()),
                    findings: vec![],
                });
            }
        };
        return Err(ApiError::bad_request(format!(
            "couldn't get version/kind; json parse error: json: cannot unmarshal {found} into Go value of type \
             struct {{ APIVersion string \"json:\\\"apiVersion,omitempty\\\"\"; Kind string \"json:\\\"kind,omitempty\\\"\" }}"
        )));
    }
    Ok(Parsed {
        value: parsed.value,
        findings: parsed.duplicates,
    })
}

/// Reads YAML as `kubectl` and upstream do (YAML 1.1 scalars); the last of
/// duplicate keys counts and is reported.
pub fn parse_yaml(bytes: &[u8]) -> ApiResult<Parsed> {
    let text =
        std::str::from_utf8(bytes).map_err(|_| ApiError::bad_request("yaml: invalid UTF-8"))?;
    let (value, findings) =
        crate::yaml::read(text).map_err(|error| ApiError::bad_request(format!("yaml: {error}")))?;
    Ok(Parsed { value, findings })
}

/// Decodes a body as an object of `kind`.
///
/// # Errors
/// 400 when the body is of another kind or type, or unknown fields are refused.
pub fn object(
    context: &Context,
    kind: &'static Kind,
    content_type: &str,
    bytes: &Bytes,
    validation: FieldValidation,
) -> ApiResult<Value> {
    let parsed = parse(content_type, bytes).map_err(|error| unrecognized(kind, bytes, error))?;
    typed(context, kind, parsed, validation)
}

/// Adds to a syntax error what the body was to be.
fn unrecognized(kind: &Kind, bytes: &[u8], mut error: ApiError) -> ApiError {
    if error.code == 400 {
        error.message = format!(
            "the object provided is unrecognized (must be of type {}): {} ({})",
            kind.kind,
            error.message,
            summary(bytes)
        );
    }
    error
}

/// As upstream's `summarizeData`: JSON as text, everything else in hex.
fn summary(bytes: &[u8]) -> String {
    const LENGTH_MAX: usize = 30;
    let cut = &bytes[..bytes.len().min(LENGTH_MAX)];
    let more = if bytes.len() > LENGTH_MAX { " ..." } else { "" };
    match bytes.first() {
        None => "<empty>".to_owned(),
        Some(b'{') => format!("{}{more}", String::from_utf8_lossy(cut)),
        Some(_) => {
            let hex: String = cut.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("{hex}{more}")
        }
    }
}

/// Reads a parsed value as options of a request; fields nobody knows are dropped.
///
/// # Errors
/// 400 where a field has another type.
pub fn options(name: &str, value: &mut Value) -> ApiResult<()> {
    let definition = format!("io.k8s.apimachinery.pkg.apis.meta.v1.{name}");
    if let Some(schema) = schema::builtin().get(&definition) {
        strict::decode(schema, value).map_err(|error| ApiError::bad_request(error.to_string()))?;
    }
    Ok(())
}

/// Reads a parsed value as an object of `kind`.
///
/// # Errors
/// As [`object`].
pub fn typed(
    context: &Context,
    kind: &'static Kind,
    parsed: Parsed,
    validation: FieldValidation,
) -> ApiResult<Value> {
    if kind.custom.is_some() {
        return typed_custom(context, kind, parsed, validation);
    }
    let Parsed {
        mut value,
        mut findings,
    } = parsed;
    let (api_version, name) = type_of(kind, &value);
    let version = api_version
        .rsplit('/')
        .next()
        .unwrap_or_default()
        .to_owned();
    let cannot = |why: String| {
        ApiError::bad_request(format!(
            "{name} in version {version:?} cannot be handled as a {}: {why}",
            kind.kind
        ))
    };
    if name != kind.kind || api_version != kind.api_version() {
        let other = coracle_machinery::kinds::by_api_version(&api_version, &name);
        if other.is_some() && name == kind.kind {
            return Err(ApiError::bad_request(format!(
                "the API version in the data ({api_version}) does not match the expected API version ({})",
                kind.api_version()
            )));
        }
        if let Some(other) = other {
            strict::decode(other.schema(), &mut value)
                .map_err(|error| cannot(error.to_string()))?;
        }
        return Err(cannot(if name == "List" && api_version == "v1" {
            format!(
                "converting (v1.List) to ({}): unknown conversion",
                internal_name(kind)
            )
        } else if other.is_some() {
            format!(
                "converting ({version}.{name}) to ({}): unknown conversion",
                internal_name(kind)
            )
        } else {
            format!(
                "no kind {name:?} is registered for version {api_version:?} in scheme {SCHEME:?}"
            )
        }));
    }
    value["apiVersion"] = api_version.clone().into();
    value["kind"] = name.clone().into();
    let unknown =
        strict::decode(kind.schema(), &mut value).map_err(|error| cannot(error.to_string()))?;
    // A field nobody knows is not said to be there twice as well.
    let doubled = |finding: &String| finding.replacen("duplicate", "unknown", 1);
    findings.retain(|finding| !unknown.contains(&doubled(finding)));
    findings.extend(unknown);
    judge(context, findings, validation).map_err(&cannot)?;
    if !value["metadata"].is_object() {
        value["metadata"] = Value::Object(serde_json::Map::new());
    }
    Ok(value)
}

/// Reads a parsed value as a custom object.
fn typed_custom(
    context: &Context,
    kind: &'static Kind,
    parsed: Parsed,
    validation: FieldValidation,
) -> ApiResult<Value> {
    let Parsed {
        mut value,
        mut findings,
    } = parsed;
    let (api_version, name) = type_of(kind, &value);
    if api_version != kind.api_version() {
        // No schema stands behind such a version, so it knows no fields.
        let fields = value.as_object().into_iter().flatten();
        findings.extend(
            fields
                .filter(|(field, _)| !matches!(&***field, "apiVersion" | "kind" | "metadata"))
                .map(|(field, _)| format!("unknown field {field:?}")),
        );
        judge(context, findings, validation).map_err(ApiError::bad_request)?;
        return Err(ApiError::bad_request(format!(
            "the API version in the data ({api_version}) does not match the expected API version ({})",
            kind.api_version()
        )));
    }
    if name != kind.kind {
        let message = format!("Invalid value: {name:?}: must be {}", kind.kind);
        let object = value["metadata"]["name"].as_str().unwrap_or_default();
        let causes = vec![cause("FieldValueInvalid", "kind", message)];
        return Err(ApiError::invalid(kind.group, &name, object, causes));
    }
    value["apiVersion"] = api_version.into();
    value["kind"] = name.into();
    if !value["metadata"].is_object() {
        value["metadata"] = Value::Object(serde_json::Map::new());
    }
    let cannot = |why: String| {
        let (version, kind) = (kind.version, kind.kind);
        ApiError::bad_request(format!(
            "{kind} in version {version:?} cannot be handled as a {kind}: {why}"
        ))
    };
    let mut unknown = strict::read(kind, &mut value).map_err(|error| cannot(error.to_string()))?;
    unknown.sort();
    let doubled = |finding: &String| finding.replacen("duplicate", "unknown", 1);
    findings.retain(|finding| !unknown.contains(&doubled(finding)));
    findings.extend(unknown);
    judge(context, findings, validation).map_err(cannot)?;
    Ok(value)
}

/// Returns `apiVersion` and `kind` of a value, with those of `kind` for what is missing.
fn type_of(kind: &Kind, value: &Value) -> (String, String) {
    let text = |key: &str| value[key].as_str().filter(|text| !text.is_empty());
    (
        text("apiVersion").map_or_else(|| kind.api_version().into_owned(), str::to_owned),
        text("kind").unwrap_or(kind.kind).to_owned(),
    )
}

/// Lets unknown and duplicate fields pass, warn or refuse.
///
/// # Errors
/// The message of the refusal.
pub fn judge(
    context: &Context,
    findings: Vec<String>,
    validation: FieldValidation,
) -> Result<(), String> {
    match validation {
        FieldValidation::Ignore => Ok(()),
        FieldValidation::Warn => {
            findings
                .into_iter()
                .for_each(|finding| context.warn(finding));
            Ok(())
        }
        FieldValidation::Strict if findings.is_empty() => Ok(()),
        FieldValidation::Strict => Err(strict::strict_message(&findings)),
    }
}

/// Returns the name of upstream's internal type, such as `core.ConfigMap`.
pub fn internal_name(kind: &Kind) -> String {
    let group = if kind.group.is_empty() {
        "core"
    } else {
        kind.group.split('.').next().unwrap_or_default()
    };
    format!("{group}.{}", kind.kind)
}
