//! Custom resources: the rows, types, defaults, validation and columns that a
//! CustomResourceDefinition brings.
//!
//! [`kinds`] turns a definition into rows like the built-in ones, so that the
//! generic paths need no second way. Conversion between versions changes the
//! `apiVersion` alone. Rules in CEL (`x-kubernetes-validations`) are not
//! evaluated.

mod format;
mod validate;

use std::sync::OnceLock;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::jsonpath::{self, JsonPath};
use crate::kind::{Kind, ScalePaths, Selectable, Subresource};
use crate::schema::{Definitions, GroupVersionKind, Node, SchemaError, Shape};
use crate::table::{self, Row};
use crate::time;

pub(crate) use validate::{create, judge_value, update};

/// Verbs of a custom resource, in the order discovery has them.
const VERBS: &[&str] = &[
    "delete",
    "deletecollection",
    "get",
    "list",
    "patch",
    "create",
    "update",
    "watch",
];

/// What a custom kind has beyond its row.
#[derive(Debug)]
pub struct Custom {
    /// The types of the version.
    pub definitions: Definitions,
    /// `columnDefinitions` of its tables.
    pub column_definitions: Value,
    columns: Vec<Column>,
    storage: OnceLock<&'static Kind>,
}

#[derive(Debug)]
struct Column {
    kind: String,
    path: Option<JsonPath>,
}

impl Custom {
    /// Returns the row of the version that objects are stored in.
    pub fn storage(&self) -> Option<&'static Kind> {
        self.storage.get().copied()
    }
}

/// Returns one row per served version of a definition, and the one of the
/// storage version if that is not served (last, without verbs).
///
/// Rows live as long as the process, as the built-in ones do: a definition
/// that changes leaves its former rows behind, some kilobytes each.
///
/// # Errors
/// When a schema is not an object or is nested beyond reason; validation of
/// the definition refuses such schemas first.
pub fn kinds(definition: &Value) -> Result<Vec<&'static Kind>, SchemaError> {
    let mut rows: Vec<(&'static Kind, &'static Custom)> = Vec::new();
    let mut storage = None;
    for version in list(&definition["spec"]["versions"]) {
        let served = version["served"] == true;
        if !served && version["storage"] != true {
            continue;
        }
        let (kind, custom) = row(definition, version, served)?;
        if version["storage"] == true {
            storage = Some(kind);
        }
        rows.push((kind, custom));
    }
    for (_, custom) in &rows {
        if let Some(storage) = storage {
            // Just made; nobody else has set it.
            let _ = custom.storage.set(storage);
        }
    }
    rows.sort_by_key(|(kind, _)| kind.verbs.is_empty());
    Ok(rows.into_iter().map(|(kind, _)| kind).collect())
}

fn row(
    definition: &Value,
    version: &Value,
    served: bool,
) -> Result<(&'static Kind, &'static Custom), SchemaError> {
    let spec = &definition["spec"];
    let names = &spec["names"];
    let group_version_kind = GroupVersionKind {
        group: text(&spec["group"]).to_owned(),
        version: text(&version["name"]).to_owned(),
        kind: text(&names["kind"]).to_owned(),
    };
    let schema = &version["schema"]["openAPIV3Schema"];
    let custom: &'static Custom = Box::leak(Box::new(Custom {
        definitions: Definitions::from_structural(group_version_kind, schema)?,
        column_definitions: column_definitions(version),
        columns: columns(version),
        storage: OnceLock::new(),
    }));
    let deprecated = (version["deprecated"] == true).then(|| deprecation(spec, version));
    let kind = Kind {
        group: keep(&spec["group"]),
        version: keep(&version["name"]),
        kind: keep(&names["kind"]),
        plural: keep(&names["plural"]),
        singular: keep(&names["singular"]),
        short_names: keep_all(&names["shortNames"]),
        categories: keep_all(&names["categories"]),
        namespaced: spec["scope"] == "Namespaced",
        verbs: if served { VERBS } else { &[] },
        subresources: subresources(version),
        scale: scale(version),
        selectable: selectable(version),
        // Counted over everything but metadata and status; see `strategy`.
        generation: &["spec"],
        stored_as: None,
        deprecated: deprecated.map(leak),
        package: "",
        custom: Some(custom),
    };
    Ok((Box::leak(Box::new(kind)), custom))
}

fn deprecation(spec: &Value, version: &Value) -> String {
    match version["deprecationWarning"].as_str() {
        Some(text) => text.to_owned(),
        None => format!(
            "{}/{} {} is deprecated",
            text(&spec["group"]),
            text(&version["name"]),
            text(&spec["names"]["kind"])
        ),
    }
}

fn subresources(version: &Value) -> &'static [Subresource] {
    let verbs = crate::kind::GET_PATCH_UPDATE;
    let mut found = Vec::new();
    if version["subresources"]["status"].is_object() {
        found.push(Subresource {
            name: "status",
            verbs,
            kind: None,
        });
    }
    if version["subresources"]["scale"].is_object() {
        found.push(Subresource {
            name: "scale",
            verbs,
            kind: Some(("autoscaling", "v1", "Scale")),
        });
    }
    Vec::leak(found)
}

fn scale(version: &Value) -> Option<ScalePaths> {
    let scale = version["subresources"]["scale"].as_object()?;
    let path = |name: &str| -> &'static str {
        let path = scale.get(name).and_then(Value::as_str).unwrap_or_default();
        leak(path.trim_start_matches('.').to_owned())
    };
    Some(ScalePaths {
        spec_replicas: path("specReplicasPath"),
        status_replicas: path("statusReplicasPath"),
        selector: path("labelSelectorPath"),
    })
}

fn selectable(version: &Value) -> &'static [Selectable] {
    let fields = list(&version["selectableFields"]).map(|field| {
        let path = text(&field["jsonPath"]).trim_start_matches('.');
        let label = leak(path.to_owned());
        Selectable {
            label,
            paths: Vec::leak(vec![label]),
            absent: "",
        }
    });
    Vec::leak(fields.collect())
}

fn columns(version: &Value) -> Vec<Column> {
    let given: Vec<Column> = list(&version["additionalPrinterColumns"])
        .map(|column| Column {
            kind: text(&column["type"]).to_owned(),
            path: JsonPath::parse_path(text(&column["jsonPath"])).ok(),
        })
        .collect();
    if given.is_empty() {
        return vec![Column {
            kind: "date".into(),
            path: JsonPath::parse_path(".metadata.creationTimestamp").ok(),
        }];
    }
    given
}

fn column_definitions(version: &Value) -> Value {
    let standard = table::default_definitions();
    let mut definitions = vec![standard[0].clone()];
    for column in list(&version["additionalPrinterColumns"]) {
        let path = text(&column["jsonPath"]);
        let description = match text(&column["description"]) {
            "" => format!("Custom resource definition column (in JSONPath format): {path}"),
            text => text.to_owned(),
        };
        definitions.push(json!({
            "name": column["name"],
            "type": column["type"],
            "format": text(&column["format"]),
            "description": description,
            "priority": column["priority"].as_i64().unwrap_or(0),
        }));
    }
    if definitions.len() == 1 {
        let mut age = standard[1].clone();
        age["name"] = "Age".into();
        age["type"] = "date".into();
        definitions.push(age);
    }
    Value::Array(definitions)
}

/// Returns the cells of a custom object.
pub(crate) fn table_row(custom: &Custom, object: &Value, now: Timestamp) -> Row {
    let mut cells = vec![object["metadata"]["name"].clone()];
    for column in &custom.columns {
        let found = column.path.as_ref().and_then(|path| path.first(object));
        cells.push(found.map_or(Value::Null, |value| cell(&column.kind, &value, now)));
    }
    cells.into()
}

/// A found value in the type of its column.
fn cell(kind: &str, value: &Value, now: Timestamp) -> Value {
    match kind {
        "integer" => match value {
            Value::Number(number) => number
                .as_i64()
                .or_else(|| number.as_f64().map(|float| float as i64))
                .map_or(Value::Null, Value::from),
            _ => Value::Null,
        },
        "number" if value.is_number() => value.clone(),
        "boolean" if value.is_boolean() => value.clone(),
        "string" => jsonpath::as_text(value).into(),
        "date" => match value.as_str() {
            Some(text) => match time::read(text) {
                Some(then) => time::human(now.duration_since(then)).into(),
                None => "<invalid>".into(),
            },
            None => Value::Null,
        },
        _ => Value::Null,
    }
}

/// Writes the defaults of a structural schema: fields that are absent, or
/// `null` without being nullable.
pub(crate) fn default(node: Node<'_>, value: &mut Value) {
    match value {
        Value::Object(map) if node.shape() == Shape::Map => {
            if let Some(element) = node.element() {
                map.values_mut()
                    .for_each(|value| default_element(element, value));
            }
        }
        Value::Object(map) => default_fields(node, map),
        Value::Array(list) => {
            if let Some(element) = node.element() {
                list.iter_mut()
                    .for_each(|value| default_element(element, value));
            }
        }
        _ => {}
    }
}

fn default_element(element: Node<'_>, value: &mut Value) {
    if let Some(default) = literal(element)
        && value.is_null()
        && !element.is_nullable()
    {
        *value = default.clone();
    }
    default(element, value);
}

fn default_fields(node: Node<'_>, map: &mut Map<String, Value>) {
    for (name, field) in node.fields() {
        if let Some(default) = literal(field) {
            let missing = match map.get(name) {
                None => true,
                Some(Value::Null) => !field.is_nullable(),
                Some(_) => false,
            };
            if missing {
                map.insert(name.to_owned(), default.clone());
            }
        }
        if let Some(value) = map.get_mut(name) {
            default(field, value);
        }
    }
}

/// The default a schema spells out; standard metadata has none.
fn literal(node: Node<'_>) -> Option<&Value> {
    node.raw().and(node.default())
}

/// Whether anything but metadata (and the status, where it is a subresource)
/// differs.
pub(crate) fn content_changed(kind: &Kind, object: &Value, old: &Value) -> bool {
    let has_status = kind.has_status();
    let ignored = |name: &str| {
        matches!(name, "metadata" | "apiVersion" | "kind") || (has_status && name == "status")
    };
    let (Some(new), Some(old)) = (object.as_object(), old.as_object()) else {
        return object != old;
    };
    let names = new.keys().chain(old.keys());
    names
        .into_iter()
        .any(|name| !ignored(name) && new.get(name) != old.get(name))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn leak(text: String) -> &'static str {
    Box::leak(text.into_boxed_str())
}

fn keep(value: &Value) -> &'static str {
    leak(text(value).to_owned())
}

fn keep_all(values: &Value) -> &'static [&'static str] {
    Vec::leak(list(values).map(keep).collect())
}

#[cfg(test)]
mod tests;
