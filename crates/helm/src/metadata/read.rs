//! Reading `Chart.yaml` as `encoding/json` reads it into Helm's structs.

use super::{Dependency, Metadata};
use coracle_goyaml as yaml;
use std::collections::BTreeMap;

impl Metadata {
    /// Reads a text of `Chart.yaml` or `requirements.yaml` into this metadata;
    /// fields that are not mentioned stay.
    ///
    /// # Errors
    ///
    /// In Go's words.
    pub fn read(&mut self, text: &[u8]) -> Result<(), String> {
        let value = yaml::from_slice(text)
            .map_err(|error| format!("error converting YAML to JSON: {error}"))?;
        let map = match value {
            yaml::Value::Null => return Ok(()),
            yaml::Value::Map(map) => map,
            other => {
                return Err(mismatch_whole(&other, "v2.Metadata"));
            }
        };
        for (key, value) in &map {
            self.read_field(key, value)?;
        }
        Ok(())
    }

    fn read_field(&mut self, key: &str, value: &yaml::Value) -> Result<(), String> {
        // `encoding/json` takes names in any case.
        let lower = key.to_lowercase();
        let field = format!("Metadata.{key}");
        match lower.as_str() {
            "name" => self.name = string(value, &field)?,
            "home" => self.home = string(value, &field)?,
            "sources" => self.sources = strings(value, &field)?,
            "version" => self.version = string(value, &field)?,
            "description" => self.description = string(value, &field)?,
            "keywords" => self.keywords = strings(value, &field)?,
            "maintainers" => {
                self.has_null_maintainer = has_null(value);
                self.maintainers = maintainers(value)?;
            }
            "icon" => self.icon = string(value, &field)?,
            "apiversion" => self.api_version = string(value, &field)?,
            "condition" => self.condition = string(value, &field)?,
            "tags" => self.tags = string(value, &field)?,
            "appversion" => self.app_version = string(value, &field)?,
            "deprecated" => self.deprecated = boolean(value, &field)?,
            "kubeversion" => self.kube_version = string(value, &field)?,
            "type" => self.kind = string(value, &field)?,
            "annotations" => {
                self.has_annotations = !value.is_null();
                self.annotations = match value {
                    yaml::Value::Null => BTreeMap::new(),
                    yaml::Value::Map(map) => map
                        .iter()
                        .map(|(key, value)| Ok((key.clone(), string(value, &field)?)))
                        .collect::<Result<_, String>>()?,
                    other => {
                        return Err(mismatch(json_kind(other), &field, "map[string]string"));
                    }
                };
            }
            "dependencies" => {
                self.has_dependencies = !value.is_null();
                self.has_null_dependency = has_null(value);
                self.dependencies = dependencies(value)?;
            }
            _ => {}
        }
        Ok(())
    }
}

/// Returns the `apiVersion` of a `Chart.yaml`, which decides how it is read.
///
/// # Errors
///
/// In Helm's words.
pub fn api_version(text: &[u8]) -> Result<String, String> {
    let wrap = |message: String| format!("cannot load Chart.yaml: {message}");
    let document = yaml::from_slice(text)
        .map_err(|error| wrap(format!("error converting YAML to JSON: {error}")))?;
    let version = match &document {
        yaml::Value::Null => None,
        yaml::Value::Map(map) => map.get("apiVersion"),
        other => return Err(wrap(mismatch_whole(other, "loader.chartBase"))),
    };
    version.map_or(Ok(String::new()), |version| {
        string(version, "chartBase.apiVersion").map_err(wrap)
    })
}

fn maintainers(value: &yaml::Value) -> Result<Vec<[String; 3]>, String> {
    let yaml::Value::Seq(items) = value else {
        return match value {
            yaml::Value::Null => Ok(Vec::new()),
            other => Err(mismatch(
                json_kind(other),
                "Metadata.maintainers",
                "[]*v2.Maintainer",
            )),
        };
    };
    let part = |item: &yaml::Value, key: &str| {
        item.get(key).map_or(Ok(String::new()), |value| {
            string(value, &format!("Maintainer.maintainers.{key}"))
        })
    };
    items
        .iter()
        .map(|item| {
            if !matches!(item, yaml::Value::Map(_) | yaml::Value::Null) {
                return Err(mismatch(
                    json_kind(item),
                    "Metadata.maintainers",
                    "v2.Maintainer",
                ));
            }
            Ok([
                part(item, "name")?,
                part(item, "email")?,
                part(item, "url")?,
            ])
        })
        .collect()
}

fn dependencies(value: &yaml::Value) -> Result<Vec<Dependency>, String> {
    let yaml::Value::Seq(items) = value else {
        return match value {
            yaml::Value::Null => Ok(Vec::new()),
            other => Err(mismatch(
                json_kind(other),
                "Metadata.dependencies",
                "[]*v2.Dependency",
            )),
        };
    };
    items.iter().map(dependency).collect()
}

fn dependency(value: &yaml::Value) -> Result<Dependency, String> {
    let mut dependency = Dependency::default();
    let map = match value {
        yaml::Value::Null => return Ok(dependency),
        yaml::Value::Map(map) => map,
        other => {
            return Err(mismatch(
                json_kind(other),
                "Metadata.dependencies",
                "v2.Dependency",
            ));
        }
    };
    for (key, value) in map {
        let field = format!("Dependency.dependencies.{key}");
        match key.to_lowercase().as_str() {
            "name" => dependency.name = string(value, &field)?,
            "version" => dependency.version = string(value, &field)?,
            "repository" => dependency.repository = string(value, &field)?,
            "condition" => dependency.condition = string(value, &field)?,
            "tags" => dependency.tags = strings(value, &field)?,
            "enabled" => dependency.enabled = boolean(value, &field)?,
            "alias" => dependency.alias = string(value, &field)?,
            "import-values" => {
                dependency.import_values = match value {
                    yaml::Value::Null => Vec::new(),
                    yaml::Value::Seq(items) => items.clone(),
                    other => return Err(mismatch(json_kind(other), &field, "[]interface {}")),
                };
            }
            _ => {}
        }
    }
    Ok(dependency)
}

/// go-yaml's text of a scalar where Go wants a string: numbers and booleans
/// are taken, with the digits of a 32-bit float.
fn string(value: &yaml::Value, field: &str) -> Result<String, String> {
    Ok(match value {
        yaml::Value::Null => String::new(),
        yaml::Value::Str(text) => text.clone(),
        yaml::Value::Int(number) => number.to_string(),
        yaml::Value::Uint(number) => number.to_string(),
        yaml::Value::Float(number) => yaml::number::general(*number, true),
        yaml::Value::Bool(flag) => flag.to_string(),
        yaml::Value::Seq(_) => return Err(mismatch("array", field, "string")),
        yaml::Value::Map(_) => return Err(mismatch("object", field, "string")),
    })
}

fn mismatch(got: &str, field: &str, wanted: &str) -> String {
    format!(
        "error unmarshaling JSON: while decoding JSON: json: cannot unmarshal {got} into Go struct field {field} of type {wanted}"
    )
}

/// Why a document as a whole is not of a Go type.
pub(crate) fn mismatch_whole(value: &yaml::Value, wanted: &str) -> String {
    format!(
        "error unmarshaling JSON: while decoding JSON: json: cannot unmarshal {} into Go value of type {wanted}",
        json_kind(value)
    )
}

fn has_null(value: &yaml::Value) -> bool {
    value
        .as_seq()
        .is_some_and(|items| items.iter().any(yaml::Value::is_null))
}

fn strings(value: &yaml::Value, field: &str) -> Result<Vec<String>, String> {
    match value {
        yaml::Value::Null => Ok(Vec::new()),
        yaml::Value::Seq(items) => items.iter().map(|item| string(item, field)).collect(),
        other => Err(mismatch(json_kind(other), field, "[]string")),
    }
}

fn json_kind(value: &yaml::Value) -> &'static str {
    match value {
        yaml::Value::Str(_) => "string",
        yaml::Value::Bool(_) => "bool",
        yaml::Value::Seq(_) => "array",
        yaml::Value::Map(_) => "object",
        _ => "number",
    }
}

fn boolean(value: &yaml::Value, field: &str) -> Result<bool, String> {
    match value {
        yaml::Value::Null => Ok(false),
        yaml::Value::Bool(flag) => Ok(*flag),
        other => Err(mismatch(json_kind(other), field, "bool")),
    }
}
