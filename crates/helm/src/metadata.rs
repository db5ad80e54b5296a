//! `Chart.yaml`: what a chart says about itself.
//!
//! Main types: [`Metadata`], [`Dependency`]. Reference:
//! `pkg/chart/v2/metadata.go` of Helm.

use crate::convert::{string_list, string_map};
use coracle_gotemplate::semver::Version;
use coracle_gotemplate::value::{MAP_STRING, Map};
use coracle_gotemplate::{Entries, Value};
use coracle_goyaml as yaml;
use std::collections::BTreeMap;

/// The contents of `Chart.yaml`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metadata {
    /// Name; an alias replaces it.
    pub name: String,
    /// Home page.
    pub home: String,
    /// Addresses of the source.
    pub sources: Vec<String>,
    /// Version of the chart.
    pub version: String,
    /// One sentence.
    pub description: String,
    /// Keywords.
    pub keywords: Vec<String>,
    /// Maintainers: name, email, url.
    pub maintainers: Vec<[String; 3]>,
    /// Whether a maintainer is null, which is refused.
    has_null_maintainer: bool,
    /// Whether a dependency is null, which is refused.
    has_null_dependency: bool,
    /// Address of a picture.
    pub icon: String,
    /// `v1` or `v2`.
    pub api_version: String,
    /// Condition that enables the chart.
    pub condition: String,
    /// Tags that enable the chart.
    pub tags: String,
    /// Version of what the chart installs.
    pub app_version: String,
    /// Whether it should no longer be used.
    pub deprecated: bool,
    /// Anything else.
    pub annotations: BTreeMap<String, String>,
    /// Whether annotations were given at all.
    has_annotations: bool,
    /// Constraint on the Kubernetes version.
    pub kube_version: String,
    /// Charts that this one needs.
    pub dependencies: Vec<Dependency>,
    /// Whether dependencies were given at all.
    pub has_dependencies: bool,
    /// `application`, `library` or nothing.
    pub kind: String,
}

/// A chart that another one needs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Dependency {
    /// Name of the chart; after processing, the alias.
    pub name: String,
    /// Version range.
    pub version: String,
    /// Where it comes from.
    pub repository: String,
    /// Paths of booleans in the values, separated by commas.
    pub condition: String,
    /// Tags.
    pub tags: Vec<String>,
    /// Whether it is used.
    pub enabled: bool,
    /// What to take from its values.
    pub import_values: Vec<yaml::Value>,
    /// Another name for it.
    pub alias: String,
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

impl Dependency {
    pub(crate) fn to_document(&self) -> yaml::Value {
        let mut map = yaml::Map::new();
        map.insert("name".into(), self.name.clone().into_yaml());
        map.insert("repository".into(), self.repository.clone().into_yaml());
        put(&mut map, "version", &self.version);
        put(&mut map, "condition", &self.condition);
        put(&mut map, "alias", &self.alias);
        put_list(&mut map, "tags", &self.tags);
        if self.enabled {
            map.insert("enabled".into(), yaml::Value::Bool(true));
        }
        if !self.import_values.is_empty() {
            let list = self.import_values.clone();
            map.insert("import-values".into(), yaml::Value::Seq(list));
        }
        yaml::Value::Map(map)
    }
}

trait IntoYaml {
    fn into_yaml(self) -> yaml::Value;
}

impl IntoYaml for String {
    fn into_yaml(self) -> yaml::Value {
        yaml::Value::Str(self)
    }
}

fn put(map: &mut yaml::Map, key: &str, text: &str) {
    if !text.is_empty() {
        map.insert(key.into(), text.to_owned().into_yaml());
    }
}

fn put_list(map: &mut yaml::Map, key: &str, texts: &[String]) {
    if !texts.is_empty() {
        let list = texts.iter().map(|text| text.clone().into_yaml()).collect();
        map.insert(key.into(), yaml::Value::Seq(list));
    }
}

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

    /// Checks what Helm checks on loading.
    ///
    /// # Errors
    ///
    /// In Helm's words.
    pub fn validate(&mut self) -> Result<(), String> {
        let fields = [
            &mut self.name,
            &mut self.description,
            &mut self.home,
            &mut self.icon,
            &mut self.condition,
            &mut self.tags,
            &mut self.app_version,
            &mut self.kube_version,
        ];
        for field in fields {
            sanitize(field);
        }
        self.sources.iter_mut().for_each(sanitize);
        self.keywords.iter_mut().for_each(sanitize);
        let refuse = |message: String| Err(format!("validation: {message}"));
        if self.api_version.is_empty() {
            return refuse("chart.metadata.apiVersion is required".into());
        }
        if self.name.is_empty() {
            return refuse("chart.metadata.name is required".into());
        }
        if self.name == "." || self.name == ".." {
            return refuse(format!(
                "chart.metadata.name {} is not allowed",
                quoted(&self.name)
            ));
        }
        if self.name.contains('/') {
            let name = quoted(&self.name);
            return refuse(format!("chart.metadata.name {name} is invalid"));
        }
        if self.version.is_empty() {
            return refuse("chart.metadata.version is required".into());
        }
        if Version::parse(&self.version).is_err() {
            return refuse(format!(
                "chart.metadata.version {} is invalid",
                quoted(&self.version)
            ));
        }
        if !matches!(self.kind.as_str(), "" | "application" | "library") {
            return refuse("chart.metadata.type must be application or library".into());
        }
        if self.has_null_maintainer {
            return refuse("maintainers must not contain empty or null nodes".into());
        }
        if self.has_null_dependency {
            return refuse("dependencies must not contain empty or null nodes".into());
        }
        self.validate_dependencies()
    }

    fn validate_dependencies(&mut self) -> Result<(), String> {
        let mut names: Vec<String> = Vec::new();
        for dependency in &mut self.dependencies {
            sanitize(&mut dependency.name);
            sanitize(&mut dependency.version);
            sanitize(&mut dependency.repository);
            sanitize(&mut dependency.condition);
            dependency.tags.iter_mut().for_each(sanitize);
            let alias = &dependency.alias;
            let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
            if !alias.is_empty() && !alias.chars().all(allowed) {
                return Err(format!(
                    "validation: dependency {} has disallowed characters in the alias",
                    quoted(&dependency.name)
                ));
            }
            let key = if alias.is_empty() {
                &dependency.name
            } else {
                alias
            };
            if names.contains(key) {
                return Err(format!(
                    "validation: more than one dependency with name or alias {}",
                    quoted(key)
                ));
            }
            names.push(key.clone());
        }
        Ok(())
    }

    /// Returns the metadata as a document, as `helm show chart` prints it: keys
    /// in order, what is empty left away.
    pub fn to_document(&self) -> yaml::Value {
        let mut map = yaml::Map::new();
        let texts = [
            ("name", &self.name),
            ("home", &self.home),
            ("version", &self.version),
            ("description", &self.description),
            ("icon", &self.icon),
            ("apiVersion", &self.api_version),
            ("condition", &self.condition),
            ("tags", &self.tags),
            ("appVersion", &self.app_version),
            ("kubeVersion", &self.kube_version),
            ("type", &self.kind),
        ];
        for (key, text) in texts {
            put(&mut map, key, text);
        }
        put_list(&mut map, "sources", &self.sources);
        put_list(&mut map, "keywords", &self.keywords);
        if self.deprecated {
            map.insert("deprecated".into(), yaml::Value::Bool(true));
        }
        if !self.annotations.is_empty() {
            let texts = self.annotations.iter();
            let annotations = texts.map(|(key, text)| (key.clone(), text.clone().into_yaml()));
            map.insert(
                "annotations".into(),
                yaml::Value::Map(annotations.collect()),
            );
        }
        if !self.maintainers.is_empty() {
            let people = self.maintainers.iter().map(|[name, email, url]| {
                let mut map = yaml::Map::new();
                put(&mut map, "name", name);
                put(&mut map, "email", email);
                put(&mut map, "url", url);
                yaml::Value::Map(map)
            });
            map.insert("maintainers".into(), yaml::Value::Seq(people.collect()));
        }
        if !self.dependencies.is_empty() {
            let list = self.dependencies.iter().map(Dependency::to_document);
            map.insert("dependencies".into(), yaml::Value::Seq(list.collect()));
        }
        yaml::Value::Map(map)
    }

    /// Whether templates of the chart are only partials.
    pub fn is_library(&self) -> bool {
        self.kind.eq_ignore_ascii_case("library")
    }

    /// Returns what templates see as `.Chart`.
    pub fn to_value(&self, is_root: bool) -> Value {
        let text = |text: &String| Value::str(text.as_str());
        let maintainers = self.maintainers.iter().map(|[name, email, url]| {
            Value::map(Entries::from([
                ("Name".into(), text(name)),
                ("Email".into(), text(email)),
                ("URL".into(), text(url)),
            ]))
        });
        let dependencies = self.dependencies.iter().map(Dependency::to_value);
        Value::map(Entries::from([
            ("Name".into(), text(&self.name)),
            ("Home".into(), text(&self.home)),
            ("Sources".into(), string_list(&self.sources)),
            ("Version".into(), text(&self.version)),
            ("Description".into(), text(&self.description)),
            ("Keywords".into(), string_list(&self.keywords)),
            ("Maintainers".into(), Value::list(maintainers.collect())),
            ("Icon".into(), text(&self.icon)),
            ("APIVersion".into(), text(&self.api_version)),
            ("Condition".into(), text(&self.condition)),
            ("Tags".into(), text(&self.tags)),
            ("AppVersion".into(), text(&self.app_version)),
            ("Deprecated".into(), Value::Bool(self.deprecated)),
            (
                "Annotations".into(),
                if self.has_annotations {
                    string_map(&self.annotations)
                } else {
                    Value::Map(Map::nil(MAP_STRING))
                },
            ),
            ("KubeVersion".into(), text(&self.kube_version)),
            ("Dependencies".into(), Value::list(dependencies.collect())),
            ("Type".into(), text(&self.kind)),
            ("IsRoot".into(), Value::Bool(is_root)),
        ]))
    }
}

impl Dependency {
    fn to_value(&self) -> Value {
        let text = |text: &String| Value::str(text.as_str());
        let imports = self
            .import_values
            .iter()
            .map(|value| crate::convert::to_template(value, crate::convert::Numbers::Floats));
        Value::map(Entries::from([
            ("Name".into(), text(&self.name)),
            ("Version".into(), text(&self.version)),
            ("Repository".into(), text(&self.repository)),
            ("Condition".into(), text(&self.condition)),
            ("Tags".into(), string_list(&self.tags)),
            ("Enabled".into(), Value::Bool(self.enabled)),
            ("ImportValues".into(), Value::list(imports.collect())),
            ("Alias".into(), text(&self.alias)),
        ]))
    }
}

/// Go's `%q`.
fn quoted(text: &str) -> String {
    let quoted = coracle_gotemplate::strconv::quote(text.as_bytes(), false);
    String::from_utf8_lossy(&quoted).into_owned()
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

/// Spaces of all kinds become a plain space; what cannot be printed goes.
fn sanitize(text: &mut String) {
    *text = text
        .chars()
        .map(|c| if c.is_whitespace() { ' ' } else { c })
        .filter(|c| coracle_gotemplate::strconv::is_print(*c))
        .collect();
}
