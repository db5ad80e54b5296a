//! Types of custom resources, read from a structural JSON schema.
//!
//! Follows the rules of structural schemas (Kubernetes documentation, "Custom
//! Resource Definition Versioning" and "Extend the Kubernetes API with
//! CustomResourceDefinitions", section "Specifying a structural schema").
//! Values are not judged here; the literal schema stays at every node
//! ([`super::Node::raw`]) for whoever judges them.

use serde_json::Value;

use super::{
    Definition, Definitions, Extra, FieldRow, Format, GroupVersionKind, NONE, Row, Shape, flag,
};

/// Deepest nesting of a schema that is followed.
const DEPTH_MAX: usize = 128;

/// Why a schema cannot become a set of types.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SchemaError {
    /// The schema is nested too deeply.
    #[error("schema is nested deeper than {DEPTH_MAX} levels at {0}")]
    TooDeep(String),
    /// Something other than an object stands where a schema is expected.
    #[error("schema at {0} is not an object")]
    NotAnObject(String),
}

impl Definitions {
    /// Builds the types of a custom resource from its `openAPIV3Schema`. The
    /// standard fields `apiVersion`, `kind` and `metadata` are added as the
    /// built-in types define them.
    ///
    /// # Errors
    /// When the schema is not an object or nested beyond reason.
    pub fn from_structural(
        kind: GroupVersionKind,
        schema: &Value,
    ) -> Result<Definitions, SchemaError> {
        let mut set = Definitions {
            docs: Some(Vec::new()),
            ..Definitions::default()
        };
        let row = set.structural(schema, &mut Vec::new())?;
        set.rows[row as usize].definition = 0;
        set.definitions.push(Definition {
            name: reverse_name(&kind).into(),
            row,
            kinds: [kind].into(),
        });
        set.add_standard_fields(row);
        Ok(set)
    }

    fn structural(&mut self, schema: &Value, path: &mut Vec<String>) -> Result<u32, SchemaError> {
        if path.len() > DEPTH_MAX {
            return Err(SchemaError::TooDeep(path.join(".")));
        }
        let Some(object) = schema.as_object() else {
            return Err(SchemaError::NotAnObject(path.join(".")));
        };
        let mut row = Row::new(shape(schema));
        row.format = format(schema);
        row.flags = flags(schema);
        self.element(&mut row, schema, path)?;
        let mut fields = Vec::new();
        if let (Shape::Object, Some(Value::Object(properties))) =
            (row.shape, object.get("properties"))
        {
            for (name, property) in properties {
                path.push(name.clone());
                let child = self.structural(property, path)?;
                path.pop();
                if array(schema, "required").any(|required| *required == **name) {
                    self.rows[child as usize].flags |= flag::REQUIRED;
                }
                fields.push(self.name(name, child));
            }
        }
        self.place(&mut row, fields);
        self.describe(&mut row, schema);
        row.extra = self.extras.len() as u32;
        self.extras.push(Extra {
            keys: array(schema, "x-kubernetes-list-map-keys")
                .filter_map(|key| key.as_str().map(Box::from))
                .collect(),
            merge_key: None,
            go_type: None,
            default: object.get("default").cloned(),
            raw: Some(Box::new(without_children(schema))),
        });
        self.rows.push(row);
        Ok(self.rows.len() as u32 - 1)
    }

    fn element(
        &mut self,
        row: &mut Row,
        schema: &Value,
        path: &mut Vec<String>,
    ) -> Result<(), SchemaError> {
        let (child, step) = match row.shape {
            Shape::List => (schema.get("items"), "items"),
            Shape::Map => (schema.get("additionalProperties"), "additionalProperties"),
            _ => return Ok(()),
        };
        let any = Value::Object(serde_json::Map::from_iter([(
            "x-kubernetes-preserve-unknown-fields".to_owned(),
            Value::Bool(true),
        )]));
        path.push(step.to_owned());
        let child = child.filter(|child| child.is_object()).unwrap_or(&any);
        row.element = self.structural(child, path)?;
        path.pop();
        Ok(())
    }

    fn name(&mut self, name: &str, row: u32) -> FieldRow {
        FieldRow::new(&mut self.names, name, row)
    }

    fn place(&mut self, row: &mut Row, mut fields: Vec<FieldRow>) {
        fields.sort_by(|a, b| self.field_name(a).cmp(self.field_name(b)));
        row.field_first = self.fields.len() as u32;
        row.field_count = fields.len() as u16;
        self.fields.append(&mut fields);
    }

    fn describe(&mut self, row: &mut Row, schema: &Value) {
        let (Some(text), Some(docs)) = (schema["description"].as_str(), &mut self.docs) else {
            return;
        };
        row.doc = docs.len() as u32;
        docs.push(text.into());
    }

    /// Adds what every object has, copied from the built-in types.
    fn add_standard_fields(&mut self, root: u32) {
        let builtin = super::builtin();
        let meta = builtin
            .get("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta")
            .expect("object metadata is among the facts");
        let meta = self.copy(builtin, meta.row);
        self.rows.push(Row::new(Shape::String));
        let text = self.rows.len() as u32 - 1;
        let mut row = self.rows[root as usize];
        let first = row.field_first as usize;
        let mut fields: Vec<FieldRow> = self.fields[first..first + row.field_count as usize]
            .iter()
            .copied()
            .filter(|field| !matches!(self.field_name(field), "apiVersion" | "kind" | "metadata"))
            .collect();
        for (name, child) in [("apiVersion", text), ("kind", text), ("metadata", meta)] {
            fields.push(self.name(name, child));
        }
        row.shape = Shape::Object;
        self.place(&mut row, fields);
        self.rows[root as usize] = row;
    }

    /// Copies a (not recursive) type of another set into this one.
    fn copy(&mut self, from: &Definitions, index: u32) -> u32 {
        let mut row = from.rows[index as usize];
        row.definition = NONE;
        row.doc = NONE;
        if row.element != NONE {
            row.element = self.copy(from, row.element);
        }
        if let Some(extra) = from.extras.get(row.extra as usize) {
            row.extra = self.extras.len() as u32;
            self.extras.push(Extra {
                keys: extra.keys.clone(),
                merge_key: extra.merge_key.clone(),
                default: extra.default.clone(),
                go_type: extra.go_type.clone(),
                raw: None,
            });
        }
        let first = row.field_first as usize;
        let source = &from.fields[first..first + row.field_count as usize];
        let fields = source
            .iter()
            .map(|field| {
                let child = self.copy(from, field.row);
                self.name(from.field_name(field), child)
            })
            .collect();
        self.place(&mut row, fields);
        self.rows.push(row);
        self.rows.len() as u32 - 1
    }
}

/// The OpenAPI name of a custom type: its group's labels reversed.
fn reverse_name(kind: &GroupVersionKind) -> String {
    let mut parts: Vec<&str> = kind.group.split('.').rev().collect();
    parts.push(&kind.version);
    parts.push(&kind.kind);
    parts.join(".")
}

fn shape(schema: &Value) -> Shape {
    if schema["x-kubernetes-int-or-string"] == true {
        return Shape::IntOrString;
    }
    match schema["type"].as_str() {
        Some("object") if has_map_values(schema) => Shape::Map,
        Some("object") => Shape::Object,
        Some("array") => Shape::List,
        Some("string") => Shape::String,
        Some("integer") => Shape::Integer,
        Some("number") => Shape::Number,
        Some("boolean") => Shape::Boolean,
        _ => Shape::Any,
    }
}

/// `additionalProperties` as a schema, or `true`, and no named properties.
fn has_map_values(schema: &Value) -> bool {
    let values = &schema["additionalProperties"];
    schema.get("properties").is_none() && (values.is_object() || *values == true)
}

fn format(schema: &Value) -> Format {
    match (schema["type"].as_str(), schema["format"].as_str()) {
        (Some("integer"), Some("int32")) => Format::Int32,
        (Some("integer"), _) => Format::Int64,
        (Some("number"), _) => Format::Double,
        _ => Format::None,
    }
}

fn flags(schema: &Value) -> u16 {
    let mut flags = 0;
    for (key, flag) in [
        (
            "x-kubernetes-preserve-unknown-fields",
            flag::PRESERVES_UNKNOWN,
        ),
        ("x-kubernetes-embedded-resource", flag::EMBEDDED),
        ("nullable", flag::NULLABLE),
    ] {
        if schema[key] == true {
            flags |= flag;
        }
    }
    if schema["x-kubernetes-map-type"] == "atomic" {
        flags |= flag::ATOMIC_MAP;
    }
    flags
        | match schema["x-kubernetes-list-type"].as_str() {
            Some("set") => flag::LIST_SET,
            Some("map") => flag::LIST_MAP,
            Some("atomic") => flag::LIST_ATOMIC,
            _ => 0,
        }
}

/// A schema without the parts that have nodes of their own.
fn without_children(schema: &Value) -> Value {
    let Some(object) = schema.as_object() else {
        return Value::Null;
    };
    let own = object.iter().filter(|(key, _)| {
        !matches!(
            key.as_str(),
            "properties" | "items" | "additionalProperties" | "description" | "default"
        )
    });
    Value::Object(
        own.map(|(key, value)| (key.clone(), value.clone()))
            .collect(),
    )
}

fn array<'a>(schema: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    schema[key].as_array().into_iter().flatten()
}
