//! Writes `crates/machinery/src/facts/facts.bin`, what the machinery knows of
//! the built-in types.
//!
//! Two public sources are joined: the OpenAPI definitions of a Kubernetes
//! version as the Python package `kubernetes-validate` carries them (types,
//! list and patch facts, descriptions), and the type sources of the modules
//! `k8s.io/api`, `k8s.io/apimachinery`, `k8s.io/apiextensions-apiserver` and
//! `k8s.io/kube-aggregator` (which fields are pointers, which are written when zero, which defaults
//! stand beside them). The format is described in the machinery's
//! `schema/builtin.rs`. The output is a function of the input alone.

mod go;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result, bail};
use flate2::{Compression, write::DeflateEncoder};
use serde_json::{Map, Value};

use go::Structs;

const TARGET: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../crates/machinery/src/facts/facts.bin"
);

/// Packages whose types are served; what they refer to follows.
const SERVED: &[&str] = &[
    "io.k8s.api.admissionregistration.v1.",
    "io.k8s.api.apps.v1.",
    "io.k8s.api.authentication.v1.",
    "io.k8s.api.authorization.v1.",
    "io.k8s.api.autoscaling.v1.",
    "io.k8s.api.autoscaling.v2.",
    "io.k8s.api.batch.v1.",
    "io.k8s.api.certificates.v1.",
    "io.k8s.api.coordination.v1.",
    "io.k8s.api.core.v1.",
    "io.k8s.api.discovery.v1.",
    "io.k8s.api.events.v1.",
    "io.k8s.api.flowcontrol.v1.",
    "io.k8s.api.networking.v1.",
    "io.k8s.api.node.v1.",
    "io.k8s.api.policy.v1.",
    "io.k8s.api.rbac.v1.",
    "io.k8s.api.resource.v1.",
    "io.k8s.api.scheduling.v1.",
    "io.k8s.api.storage.v1.",
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.",
    "io.k8s.apimachinery.pkg.apis.meta.v1.",
    "io.k8s.apimachinery.pkg.version.Info",
    "io.k8s.kube-aggregator.pkg.apis.apiregistration.v1.",
];

/// Definitions that are one value on the wire, with their letter.
const SCALARS: &[(&str, &str)] = &[
    ("io.k8s.apimachinery.pkg.api.resource.Quantity", "q"),
    ("io.k8s.apimachinery.pkg.util.intstr.IntOrString", "p"),
    ("io.k8s.apimachinery.pkg.apis.meta.v1.Time", "t"),
    ("io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime", "m"),
    ("io.k8s.apimachinery.pkg.apis.meta.v1.FieldsV1", "*"),
    ("io.k8s.apimachinery.pkg.apis.meta.v1.Patch", "*"),
    ("io.k8s.apimachinery.pkg.runtime.RawExtension", "*"),
    (
        "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSON",
        "*",
    ),
    (
        "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrArray",
        "*",
    ),
    (
        "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrBool",
        "*",
    ),
    (
        "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrStringArray",
        "*",
    ),
];

/// Runs the chore: `facts DEFINITIONS_JSON GO_SOURCES`.
pub fn run(arguments: &[String]) -> Result<()> {
    let [definitions, sources] = arguments else {
        bail!("usage: cargo xtask facts DEFINITIONS_JSON GO_SOURCES");
    };
    let text = std::fs::read_to_string(definitions).with_context(|| definitions.clone())?;
    let document: Value = serde_json::from_str(&text).with_context(|| definitions.clone())?;
    let all = document["$defs"]
        .as_object()
        .or_else(|| document["definitions"].as_object())
        .context("the document has no definitions")?;
    let structs = Structs::read(Path::new(sources))?;
    let bytes = Writer::new(all, &structs)?.write()?;
    std::fs::write(TARGET, &bytes).with_context(|| TARGET.to_owned())?;
    eprintln!("{} bytes in {TARGET}", bytes.len());
    Ok(())
}

struct Writer<'a> {
    all: &'a Map<String, Value>,
    structs: &'a Structs,
    /// Name to place in the order of the file.
    names: BTreeMap<String, usize>,
    types: String,
    docs: Vec<&'a str>,
}

impl<'a> Writer<'a> {
    fn new(all: &'a Map<String, Value>, structs: &'a Structs) -> Result<Self> {
        let names = reachable(all)?;
        Ok(Writer {
            all,
            structs,
            names: names.into_iter().enumerate().map(|(i, n)| (n, i)).collect(),
            types: String::new(),
            docs: Vec::new(),
        })
    }

    fn write(mut self) -> Result<Vec<u8>> {
        let names: Vec<String> = self.names.keys().cloned().collect();
        for name in &names {
            self.definition(name)?;
        }
        let types = deflate(self.types.as_bytes())?;
        let docs = deflate(self.docs.join("\0").as_bytes())?;
        let mut bytes = (types.len() as u32).to_le_bytes().to_vec();
        bytes.extend(types);
        bytes.extend(docs);
        Ok(bytes)
    }

    fn definition(&mut self, name: &str) -> Result<()> {
        let definition = &self.all[name];
        let properties = definition["properties"].as_object();
        let kind = match properties {
            Some(_) => "o".to_owned(),
            None => self.kind(definition)?,
        };
        let mut attributes = Vec::new();
        for entry in array(definition, "x-kubernetes-group-version-kind") {
            let part = |key: &str| entry[key].as_str().unwrap_or_default();
            let text = format!("g={}/{}/{}", part("group"), part("version"), part("kind"));
            // Lists such as DeleteOptions' name every group; one is enough there.
            if attributes.is_empty() || !name.contains("apimachinery") {
                attributes.push(text);
            }
        }
        if definition["x-kubernetes-map-type"] == "atomic" {
            attributes.push("atomic".into());
        }
        self.line(&format!("={name}"), &kind, &attributes, definition);
        let required: BTreeSet<&str> = array(definition, "required")
            .iter()
            .filter_map(Value::as_str)
            .collect();
        for (field, schema) in properties.into_iter().flatten() {
            self.field(name, field, schema, required.contains(&**field))?;
        }
        Ok(())
    }

    fn field(&mut self, owner: &str, name: &str, schema: &'a Value, required: bool) -> Result<()> {
        let kind = self.kind(schema)?;
        let mut attributes = Vec::new();
        if required {
            attributes.push("r".to_owned());
        }
        if let Some(field) = self.structs.field(owner, name) {
            attributes.extend(field.attributes(&kind));
        } else if !owner.contains("JSONSchemaProps") {
            eprintln!("no source for {owner}.{name}");
        }
        if let Some(list) = schema["x-kubernetes-list-type"].as_str() {
            attributes.push(format!("l={list}"));
        }
        let keys = array(schema, "x-kubernetes-list-map-keys");
        if !keys.is_empty() {
            let keys: Vec<&str> = keys.iter().filter_map(Value::as_str).collect();
            attributes.push(format!("k={}", keys.join(",")));
        }
        if let Some(key) = schema["x-kubernetes-patch-merge-key"].as_str() {
            attributes.push(format!("m={key}"));
        }
        if let Some(strategy) = schema["x-kubernetes-patch-strategy"].as_str() {
            attributes.push(format!("s={strategy}"));
        }
        if schema["x-kubernetes-map-type"] == "atomic" {
            attributes.push("atomic".into());
        }
        self.line(name, &kind, &attributes, schema);
        Ok(())
    }

    fn line(&mut self, name: &str, kind: &str, attributes: &[String], schema: &'a Value) {
        self.types
            .push_str(&format!("{name}\t{kind}\t{}\n", attributes.join(" ")));
        self.docs
            .push(schema["description"].as_str().unwrap_or_default());
    }

    fn kind(&self, schema: &Value) -> Result<String> {
        if let Some(name) = reference(schema) {
            if let Some((_, letter)) = SCALARS.iter().find(|(scalar, _)| *scalar == name) {
                return Ok((*letter).to_owned());
            }
            let index = self.names.get(name).with_context(|| name.to_owned())?;
            return Ok(format!("@{index}"));
        }
        let format = schema["format"].as_str().unwrap_or_default();
        Ok(match first_type(schema) {
            "string" if format == "byte" => "y".into(),
            "string" if format == "date-time" => "t".into(),
            "string" => "s".into(),
            "integer" if format == "int32" => "i".into(),
            "integer" if format == "int64" => "l".into(),
            "integer" => "n".into(),
            "number" => "d".into(),
            "boolean" => "b".into(),
            "array" => format!("[{}", self.kind(&schema["items"])?),
            "object" if schema["additionalProperties"].is_object() => {
                format!("{{{}", self.kind(&schema["additionalProperties"])?)
            }
            "object" => "o".into(),
            _ => "*".into(),
        })
    }
}

fn deflate(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes)?;
    Ok(encoder.finish()?)
}

fn array<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().map_or(&[], Vec::as_slice)
}

fn reference(schema: &Value) -> Option<&str> {
    schema["$ref"].as_str()?.rsplit('/').next()
}

fn first_type(schema: &Value) -> &str {
    match &schema["type"] {
        Value::String(name) => name,
        Value::Array(names) => names.first().and_then(Value::as_str).unwrap_or_default(),
        _ => "",
    }
}

/// The served definitions and everything they refer to, in name order.
fn reachable(all: &Map<String, Value>) -> Result<BTreeSet<String>> {
    let is_scalar = |name: &str| SCALARS.iter().any(|(scalar, _)| *scalar == name);
    let mut open: Vec<&str> = all
        .keys()
        .map(String::as_str)
        .filter(|name| SERVED.iter().any(|served| name.starts_with(served)))
        .filter(|name| !is_scalar(name))
        .collect();
    let mut found = BTreeSet::new();
    while let Some(name) = open.pop() {
        if !found.insert(name.to_owned()) {
            continue;
        }
        let definition = all.get(name).with_context(|| name.to_owned())?;
        references(definition, &mut |name| {
            if !is_scalar(name) {
                open.push(name);
            }
        });
    }
    Ok(found)
}

fn references<'a>(value: &'a Value, visit: &mut impl FnMut(&'a str)) {
    match value {
        Value::Object(map) => {
            if let Some(name) = reference(value) {
                visit(name);
            }
            map.values().for_each(|value| references(value, visit));
        }
        Value::Array(list) => list.iter().for_each(|value| references(value, visit)),
        _ => {}
    }
}
