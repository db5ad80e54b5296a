//! The versions of a definition: schema, columns, subresources and selectable
//! fields of each.
//!
//! Upstream's internal type holds what all versions have in common once, beside
//! them, and judges it there: so faults of the schema of a single version stand
//! under `spec.validation`.

use std::collections::BTreeSet;

use serde_json::Value;

use super::schema;
use crate::path::Path;
use crate::validate::{At, Bad, Causes, go_json, names};

const COLUMN_TYPES: &[&str] = &["boolean", "date", "integer", "number", "string"];
const COLUMN_FORMATS: &[&str] = &[
    "byte",
    "date",
    "date-time",
    "double",
    "float",
    "int32",
    "int64",
    "password",
];
const DEPRECATION_MAX: usize = 256;
const SELECTABLE_MAX: usize = 8;

/// Judges the versions of a definition.
pub(super) fn check(spec: &At<'_>, causes: &mut Causes) {
    let versions = spec.field("versions");
    for (index, version) in versions.items().enumerate() {
        let name = version.field("name");
        let wrong = names::label_1035(name.text()).join(",");
        if !wrong.is_empty() {
            causes.invalid(&name.path, name.text(), &wrong);
        }
        if index == 0 && !wrong.is_empty() {
            // The internal type has the first version's name in a field of its own.
            let path = spec.path.field("version");
            causes.invalid(&path, name.text(), &wrong);
        }
        let schema = version.field("schema");
        let root = schema.field("openAPIV3Schema");
        if !root.is_set() {
            causes.required(&root.path, "");
        }
        deprecation(&version, causes);
    }
    counts(&versions, causes);
    parts(spec, &versions, causes);
}

fn counts(versions: &At<'_>, causes: &mut Causes) {
    let stored = |version: &At<'_>| version.field("storage").flag();
    let storage = versions.items().filter(stored).count();
    if storage != 1 {
        let detail = "must have exactly one version marked as storage version";
        causes.invalid(&versions.path, shown(versions), detail);
    }
    let mut seen = BTreeSet::new();
    let mut names = versions.items();
    if !names.all(|version| seen.insert(version.field("name").text().to_owned())) {
        let detail = "must contain unique version names";
        causes.invalid(&versions.path, shown(versions), detail);
    }
}

/// Versions as upstream's internal type prints them; equal schemas are hoisted
/// out of them.
fn shown(versions: &At<'_>) -> Bad {
    let shown: Vec<String> = versions
        .items()
        .map(|version| {
            format!(
                "{{\"Name\":{},\"Served\":{},\"Storage\":{},\"Deprecated\":{},\"DeprecationWarning\":{},\"Schema\":null,\"Subresources\":null,\"AdditionalPrinterColumns\":null,\"SelectableFields\":{}}}",
                version.value["name"],
                version.field("served").flag(),
                version.field("storage").flag(),
                version.field("deprecated").flag(),
                version.value["deprecationWarning"],
                go_json(&version.value["selectableFields"]),
            )
        })
        .collect();
    Bad::raw(format!("[{}]", shown.join(",")))
}

fn deprecation(version: &At<'_>, causes: &mut Causes) {
    let warning = version.field("deprecationWarning");
    if !warning.is_set() {
        return;
    }
    let text = warning.text();
    let detail = if !version.field("deprecated").flag() {
        "can only be set for deprecated versions".to_owned()
    } else if text.is_empty() {
        "must not be an empty string".to_owned()
    } else if text.len() > DEPRECATION_MAX {
        format!("must be <= {DEPRECATION_MAX} characters long")
    } else if let Some(index) = text.find(char::is_control) {
        format!(
            "must only contain printable UTF-8 characters; non-printable character found at index {index}"
        )
    } else {
        return;
    };
    causes.invalid(&warning.path, text, &detail);
}

/// Whether all versions say the same under a name.
fn is_common(versions: &At<'_>, name: &str) -> bool {
    let mut list = versions.value.as_array().into_iter().flatten();
    let first = list.next().map(|version| &version[name]);
    list.all(|version| Some(&version[name]) == first)
}

fn parts(spec: &At<'_>, versions: &At<'_>, causes: &mut Causes) {
    let has_status = |version: &At<'_>| version.value["subresources"]["status"].is_object();
    let any_status = versions.items().any(|version| has_status(&version));
    let common = Common {
        schema: is_common(versions, "schema"),
        subresources: is_common(versions, "subresources"),
        columns: is_common(versions, "additionalPrinterColumns"),
        selectable: is_common(versions, "selectableFields"),
    };
    for (index, version) in versions.items().enumerate() {
        let place = |is_common: bool| match is_common {
            true => (index == 0).then_some(spec.path),
            false => Some(version.path),
        };
        if let Some(parent) = place(common.schema) {
            let name = if common.schema {
                "validation"
            } else {
                "schema"
            };
            let path = parent.field(name);
            let path = path.field("openAPIV3Schema");
            let value = &version.value["schema"]["openAPIV3Schema"];
            let status = has_status(&version) || (common.schema && any_status);
            if value.is_object() {
                schema::check(&At { value, path }, status, causes);
            }
        }
        if let Some(parent) = place(common.subresources) {
            let path = parent.field("subresources");
            let value = &version.value["subresources"]["scale"];
            scale(value, &path, causes);
        }
        if let Some(parent) = place(common.columns) {
            let path = parent.field("additionalPrinterColumns");
            let value = &version.value["additionalPrinterColumns"];
            columns(&At { value, path }, causes);
        }
        if let Some(parent) = place(common.selectable) {
            selectable(&version, &parent.field("selectableFields"), common, causes);
        }
    }
}

/// What all versions have in common.
#[derive(Clone, Copy)]
struct Common {
    schema: bool,
    subresources: bool,
    columns: bool,
    selectable: bool,
}

fn columns(columns: &At<'_>, causes: &mut Causes) {
    for column in columns.items() {
        let name = column.field("name");
        if name.is_empty() {
            causes.required(&name.path, "");
        }
        let kind = column.field("type");
        let detail = format!("must be one of {}", COLUMN_TYPES.join(","));
        match kind.text() {
            "" => causes.required(&kind.path, &detail),
            text if COLUMN_TYPES.contains(&text) => {}
            other => causes.invalid(&kind.path, other, &detail),
        }
        let format = column.field("format");
        if !format.is_empty() && !COLUMN_FORMATS.contains(&format.text()) {
            let detail = format!("must be one of {}", COLUMN_FORMATS.join(","));
            causes.invalid(&format.path, format.text(), &detail);
        }
        // The internal type writes the name in capitals.
        let path = column.path.field("JSONPath");
        simple_path(&column.value["jsonPath"], &path, causes);
    }
}

/// A path in dots that must stand there; returns it when it is one.
fn simple_path<'v>(value: &'v Value, path: &Path<'_>, causes: &mut Causes) -> Option<&'v str> {
    let text = value.as_str().unwrap_or_default();
    if text.is_empty() {
        causes.required(path, "");
    } else if text.starts_with('.') {
        return Some(text);
    } else {
        let detail = "must be a simple json path starting with .";
        causes.invalid(path, text, detail);
    }
    None
}

fn scale(scale: &Value, subresources: &Path<'_>, causes: &mut Causes) {
    if !scale.is_object() {
        return;
    }
    for (name, parent) in [
        ("specReplicasPath", "spec"),
        ("statusReplicasPath", "status"),
    ] {
        let path = subresources.field("scale");
        let path = path.field(name);
        let given = simple_path(&scale[name], &path, causes);
        if let Some(text) = given.filter(|text| !text.starts_with(&format!(".{parent}."))) {
            let detail = format!("should be a json path under .{parent}");
            causes.invalid(&path, text, &detail);
        }
    }
    let value = &scale["labelSelectorPath"];
    if value.as_str().is_none_or(str::is_empty) {
        return;
    }
    let path = subresources.field("scale");
    let path = path.field("labelSelectorPath");
    let below = |text: &&str| text.starts_with(".spec.") || text.starts_with(".status.");
    if let Some(text) = simple_path(value, &path, causes).filter(|text| !below(text)) {
        let detail = "should be a json path under either .spec or .status";
        causes.invalid(&path, text, detail);
    }
}

fn selectable(version: &At<'_>, path: &Path<'_>, common: Common, causes: &mut Causes) {
    let value = &version.value["selectableFields"];
    let fields = At { value, path: *path };
    if fields.is_empty() {
        return;
    }
    if common.selectable && !common.schema {
        causes.invalid(
            path,
            "",
            "may only be set when validations.schema is included",
        );
        return;
    }
    if common.schema && !common.selectable {
        let detail = "may only be set when `version.schema.openAPIV3Schema` is not included";
        causes.invalid(path, "", detail);
        return;
    }
    let root = &version.value["schema"]["openAPIV3Schema"];
    let mut seen = BTreeSet::new();
    for field in fields.items() {
        let at = field.field("jsonPath");
        let text = at.text();
        if text.is_empty() {
            causes.required(&at.path, "");
            continue;
        }
        let found = match field_at(root, text) {
            Ok(found) => found,
            Err(reason) => {
                causes.invalid(&at.path, text, &format!("is an invalid path: {reason}"));
                continue;
            }
        };
        if text.starts_with(".metadata") {
            causes.invalid(&at.path, text, "must not point to fields in metadata");
        }
        if !matches!(
            found["type"].as_str(),
            Some("string" | "boolean" | "integer")
        ) {
            let detail = "must point to a field of type string, boolean or integer. Enum string fields and strings with formats are allowed.";
            causes.invalid(&at.path, text, detail);
        }
        if !seen.insert(text.to_owned()) {
            causes.duplicate(&at.path, text);
        }
    }
    if seen.len() > SELECTABLE_MAX {
        causes.too_many(path, seen.len(), SELECTABLE_MAX);
    }
}

/// The schema that a path in dots leads to.
fn field_at<'v>(root: &'v Value, path: &str) -> Result<&'v Value, String> {
    let mut schema = root;
    let mut rest = path;
    while !rest.is_empty() {
        let end = |text: &str| text.find(['.', '[', ']']).unwrap_or(text.len());
        match rest.as_bytes()[0] {
            b'[' => return Err("array notation is not allowed".to_owned()),
            b'.' => rest = &rest[1..],
            b']' => return Err("expected [ or . but got: ]".to_owned()),
            _ => return Err(format!("expected [ or . but got: {}", &rest[..end(rest)])),
        }
        if rest.is_empty() {
            return Err("unexpected end of JSON path".to_owned());
        }
        let (name, tail) = rest.split_at(end(rest).max(1));
        rest = tail;
        let others = &schema["additionalProperties"];
        let child = match schema.get("properties") {
            Some(properties) => properties.get(name),
            None => others.is_object().then_some(others),
        };
        schema = child.ok_or("does not refer to a valid field")?;
    }
    Ok(schema)
}
