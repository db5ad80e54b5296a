//! Formats in the schemas of custom resources that nothing is held against.

use serde_json::Value;

use super::super::{At, quote};

/// Formats of texts (`supportedVersionedFormats` of the apiextensions server),
/// without their hyphens.
const OF_TEXTS: &[&str] = &[
    "bsonobjectid",
    "byte",
    "cidr",
    "creditcard",
    "date",
    "datetime",
    "duration",
    "email",
    "hexcolor",
    "hostname",
    "ipv4",
    "ipv6",
    "isbn",
    "isbn10",
    "isbn13",
    "k8slongname",
    "k8sshortname",
    "mac",
    "password",
    "rgbcolor",
    "ssn",
    "uri",
    "uuid",
    "uuid3",
    "uuid4",
    "uuid5",
];

/// A `CustomResourceDefinition`; an update is told of what it adds.
pub(super) fn definition(object: &At<'_>, old: Option<&Value>, found: &mut Vec<String>) {
    let before = old.map(unknown).unwrap_or_default();
    let added = unknown(object.value).into_iter();
    found.extend(
        added
            .filter(|format| !before.contains(format))
            .map(|format| format!("unrecognized format {}", quote(format))),
    );
}

/// The formats that nobody knows, each once.
fn unknown(definition: &Value) -> Vec<&str> {
    let mut found = Vec::new();
    let versions = definition["spec"]["versions"].as_array();
    for version in versions.into_iter().flatten() {
        collect(&version["schema"]["openAPIV3Schema"], &mut found);
    }
    found
}

fn collect<'a>(schema: &'a Value, found: &mut Vec<&'a str>) {
    if let Some(format) = schema["format"].as_str()
        && !is_known(schema["type"].as_str().unwrap_or_default(), format)
        && !found.contains(&format)
    {
        found.push(format);
    }
    for name in ["allOf", "anyOf", "oneOf"] {
        let list = schema[name].as_array().into_iter().flatten();
        list.for_each(|schema| collect(schema, found));
    }
    for name in ["items", "not", "additionalProperties"] {
        if schema[name].is_object() {
            collect(&schema[name], found);
        }
    }
    let properties = schema["properties"].as_object().into_iter().flatten();
    properties.for_each(|(_, schema)| collect(schema, found));
}

fn is_known(kind: &str, format: &str) -> bool {
    match kind {
        "" | "string" => format.is_empty() || OF_TEXTS.contains(&&*format.replace('-', "")),
        "integer" => matches!(format, "" | "int32" | "int64"),
        "number" => matches!(format, "" | "float" | "double"),
        _ => format.is_empty(),
    }
}
