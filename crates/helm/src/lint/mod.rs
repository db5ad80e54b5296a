//! What `helm lint` says of a chart.
//!
//! Main function: [`lint`]. Same findings, words and order as Helm 4.2.
//! Reference: `pkg/chart/v2/lint` of Helm. Findings beyond Helm's are
//! `preflight`'s.

mod chartfile;
mod deprecated;
mod documents;
mod names;

use crate::capabilities::{Capabilities, KubeVersion};
use crate::chart::{Chart, File};
use crate::compat::Level;
use crate::render::{self, LintTexts};
use crate::schema;
use crate::values::Values;
use coracle_goyaml as yaml;
use std::collections::BTreeSet;

/// How bad a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// A recommendation.
    Info,
    /// It will likely work.
    Warning,
    /// It will likely not work.
    Error,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// How bad it is.
    pub severity: Severity,
    /// The file, or a folder.
    pub path: String,
    /// Helm's words.
    pub text: String,
}

impl std::fmt::Display for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let severity = match self.severity {
            Severity::Info => "INFO",
            Severity::Warning => "WARNING",
            Severity::Error => "ERROR",
        };
        write!(f, "[{severity}] {}: {}", self.path, self.text)
    }
}

/// A chart as it lies on the disk.
pub struct Input<'i> {
    /// Absolute path of its folder, for messages.
    pub folder: &'i str,
    /// All its files.
    pub files: &'i [File],
    /// Paths of all its folders.
    pub folders: &'i BTreeSet<String>,
    /// The user's values.
    pub values: &'i Values,
    /// Namespace that templates see.
    pub namespace: &'i str,
    /// Kubernetes version; `None`: the default one.
    pub kube_version: Option<KubeVersion>,
    /// Leaves schemas unread.
    pub skip_schema_validation: bool,
}

/// Looks at a chart.
pub fn lint(input: &Input<'_>) -> Vec<Message> {
    let mut linter = Linter {
        input,
        messages: Vec::new(),
    };
    chartfile::check(&mut linter);
    linter.values();
    linter.templates();
    linter.dependencies();
    linter.crds();
    linter.messages
}

pub(crate) struct Linter<'l> {
    input: &'l Input<'l>,
    messages: Vec<Message>,
}

impl Linter<'_> {
    fn say(&mut self, severity: Severity, path: &str, text: impl Into<String>) {
        self.messages.push(Message {
            severity,
            path: path.to_owned(),
            text: text.into(),
        });
    }

    fn file(&self, name: &str) -> Option<&File> {
        self.input.files.iter().find(|file| file.name == name)
    }

    fn has_folder(&self, name: &str) -> bool {
        let below = format!("{name}/");
        self.input.folders.contains(name)
            || self
                .input
                .files
                .iter()
                .any(|file| file.name.starts_with(&below))
    }

    /// `values.yaml` alone, and against the schema beside it.
    fn values(&mut self) {
        const FILE: &str = "values.yaml";
        let Some(file) = self.file(FILE) else {
            return self.say(Severity::Info, FILE, "file does not exist");
        };
        let mut values = match read_values(&file.data) {
            Ok(values) => values,
            Err(message) => {
                return self.say(
                    Severity::Error,
                    FILE,
                    format!("unable to parse YAML: {message}"),
                );
            }
        };
        overlay(&mut values, self.input.values.map());
        let Some(schema) = self.file("values.schema.json") else {
            return;
        };
        if self.input.skip_schema_validation || schema.data.is_empty() {
            return;
        }
        if let Err(text) = schema::validate_single(&schema.data, &values) {
            self.say(Severity::Error, FILE, text);
        }
    }

    fn templates(&mut self) {
        const FOLDER: &str = "templates/";
        if self.file("templates").is_some() {
            return self.say(Severity::Error, FOLDER, "not a directory");
        }
        if !self.has_folder("templates") {
            return self.say(Severity::Warning, FOLDER, "directory does not exist");
        }
        let chart = match Chart::load(self.input.files.to_vec()) {
            Ok(chart) => chart,
            Err(error) => return self.say(Severity::Error, FOLDER, error.to_string()),
        };
        let mut capabilities = Capabilities::of(Level::default());
        if let Some(version) = &self.input.kube_version {
            capabilities.kube_version = version.clone();
        }
        let texts = render::lint_texts(
            &chart,
            self.input.values,
            self.input.namespace,
            &capabilities,
            self.input.skip_schema_validation,
        );
        let texts = match texts {
            LintTexts::Texts(texts) => texts,
            LintTexts::Refused(message) => return self.say(Severity::Error, FOLDER, message),
            LintTexts::Silent => return,
        };
        for file in &chart.templates {
            if let Some(text) = documents::extension(&file.name) {
                self.say(Severity::Error, &file.name, text);
            }
            if !documents::is_yaml(&file.name) {
                continue;
            }
            let path = format!("{}/{}", chart.name(), file.name);
            let text = texts.get(&path).map_or("", |text| &**text);
            if !text.trim().is_empty()
                && !documents::check(self, &file.name, text, &capabilities.kube_version)
            {
                return;
            }
        }
    }

    fn dependencies(&mut self) {
        let folder = self.input.folder.to_owned();
        let chart = match Chart::load(self.input.files.to_vec()) {
            Ok(chart) => chart,
            Err(error) => {
                let text = format!("unable to load chart\n\t{error}");
                return self.say(Severity::Error, "", text);
            }
        };
        let listed = &chart.metadata.dependencies;
        let not_listed: Vec<&str> = chart
            .dependencies
            .iter()
            .map(Chart::name)
            .filter(|name| !listed.iter().any(|dependency| dependency.name == *name))
            .collect();
        if !not_listed.is_empty() {
            let names = not_listed.join(",");
            let text = format!("chart metadata is missing these dependencies: {names}");
            self.say(Severity::Error, &folder, text);
        }
        let mut seen = BTreeSet::new();
        let shadowing: Vec<&str> = listed
            .iter()
            .map(|dependency| match dependency.alias.as_str() {
                "" => dependency.name.as_str(),
                alias => alias,
            })
            .filter(|key| !seen.insert(*key))
            .collect();
        if !shadowing.is_empty() {
            let names = shadowing.join(",");
            let text = format!("multiple dependencies with name or alias: {names}");
            self.say(Severity::Error, &folder, text);
        }
        let missing: Vec<&str> = listed
            .iter()
            .map(|dependency| dependency.name.as_str())
            .filter(|name| !chart.dependencies.iter().any(|child| child.name() == *name))
            .collect();
        if !missing.is_empty() {
            let names = missing.join(",");
            let text = format!("chart directory is missing these dependencies: {names}");
            self.say(Severity::Warning, &folder, text);
        }
    }

    fn crds(&mut self) {
        const FOLDER: &str = "crds/";
        if self.file("crds").is_some() {
            return self.say(Severity::Error, FOLDER, "not a directory");
        }
        if !self.has_folder("crds") {
            return;
        }
        let chart = match Chart::load(self.input.files.to_vec()) {
            Ok(chart) => chart,
            Err(error) => return self.say(Severity::Error, FOLDER, error.to_string()),
        };
        for file in chart.crds() {
            let name = file
                .name
                .strip_prefix(&format!("{}/", chart.name()))
                .unwrap_or(&file.name)
                .to_owned();
            let text = String::from_utf8_lossy(&file.data).into_owned();
            if !documents::check_definitions(self, &name, &text) {
                return;
            }
        }
    }
}

fn read_values(text: &[u8]) -> Result<yaml::Map, String> {
    let value = yaml::from_slice(text)
        .map_err(|error| format!("error converting YAML to JSON: {error}"))?;
    match value {
        yaml::Value::Null => Ok(yaml::Map::new()),
        yaml::Value::Map(map) => Ok(map),
        other => Err(format!(
            "error unmarshaling JSON: while decoding JSON: json: cannot unmarshal {} into Go value of type common.Values",
            documents::json_kind(&other)
        )),
    }
}

/// The user's values win; a null removes.
fn overlay(below: &mut yaml::Map, above: &yaml::Map) {
    for (key, value) in above {
        match (below.get_mut(key), value) {
            (_, yaml::Value::Null) => {
                below.remove(key);
            }
            (Some(yaml::Value::Map(below)), yaml::Value::Map(above)) => overlay(below, above),
            (_, value) => {
                below.insert(key.clone(), value.clone());
            }
        }
    }
}
