//! A chart in memory, loaded from a list of files.
//!
//! Main type: [`Chart`]. Reading the disk is the caller's business; archives
//! inside `charts/` are opened by `archive`. Reference:
//! `pkg/chart/v2/loader/load.go` of Helm.

use crate::archive;
use crate::ignore::Rules;
use crate::metadata::{Metadata, mismatch_whole};
use coracle_goyaml as yaml;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

/// A file of a chart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Path inside the chart, with `/`.
    pub name: String,
    /// Contents.
    pub data: Arc<[u8]>,
    /// When it was changed last, where that is known: records keep it.
    pub modified: Option<SystemTime>,
}

impl File {
    /// Makes a file.
    pub fn new(name: impl Into<String>, data: impl Into<Arc<[u8]>>) -> Self {
        File {
            name: name.into(),
            data: data.into(),
            modified: None,
        }
    }
}

/// A chart with everything below it.
#[derive(Clone, Debug, Default)]
pub struct Chart {
    /// `Chart.yaml` and `requirements.yaml`.
    pub metadata: Metadata,
    /// Files below `templates/`.
    pub templates: Vec<File>,
    /// Files that `.Files` shows.
    pub files: Vec<File>,
    /// The default values.
    pub values: yaml::Map,
    /// The text of `values.yaml`, for naming the origin of values.
    pub values_text: Option<Arc<[u8]>>,
    /// The text of `values.schema.json`.
    pub schema: Option<Arc<[u8]>>,
    /// The text of `Chart.lock` or `requirements.lock`.
    pub lock: Option<Arc<[u8]>>,
    /// Charts in `charts/`.
    pub dependencies: Vec<Chart>,
    /// Every file as it was given, in that order.
    pub raw: Vec<File>,
    /// Warnings of the loader, as Helm prints them.
    pub warnings: Vec<String>,
}

/// Why files are no chart.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// There is no `Chart.yaml`.
    #[error("Chart.yaml file is missing")]
    NoChartYaml,
    /// A file of the chart cannot be read.
    #[error("cannot load {file}: {message}")]
    BadFile {
        /// The file.
        file: String,
        /// Why.
        message: String,
    },
    /// `Chart.yaml` breaks a rule.
    #[error("{0}")]
    Invalid(String),
    /// `.helmignore` breaks a rule.
    #[error("{0}")]
    Ignore(String),
    /// An archive cannot be opened.
    #[error("{0}")]
    Archive(String),
    /// A chart inside the chart cannot be loaded.
    #[error("error unpacking subchart {name} in {parent}: {cause}")]
    Subchart {
        /// Its folder or archive.
        name: String,
        /// The chart around it.
        parent: String,
        /// Why.
        cause: Box<LoadError>,
    },
}

const BOM: &[u8] = b"\xEF\xBB\xBF";
/// Charts nest at most this deep.
const DEPTH_MAX: usize = 32;

impl Chart {
    /// Loads the files of a chart folder; applies its `.helmignore`.
    ///
    /// # Errors
    ///
    /// When a file is missing or broken.
    pub fn load(files: Vec<File>) -> Result<Chart, LoadError> {
        let ignore = files.iter().find(|file| file.name == ".helmignore");
        let rules =
            Rules::parse(ignore.map_or(&b""[..], |file| &file.data)).map_err(LoadError::Ignore)?;
        let kept = files.into_iter().filter(|file| !rules.ignores(&file.name));
        Chart::load_kept(kept.collect())
    }

    /// Loads the files of a chart folder whose ignored ones are left out.
    ///
    /// # Errors
    ///
    /// As [`Chart::load`].
    pub fn load_kept(mut kept: Vec<File>) -> Result<Chart, LoadError> {
        for file in &mut kept {
            if let Some(rest) = file.data.strip_prefix(BOM) {
                file.data = rest.into();
            }
        }
        kept.sort_by(|a, b| walk_order(&a.name, &b.name));
        Chart::load_files(kept, 0)
    }

    /// Loads a chart archive (`.tgz`).
    ///
    /// # Errors
    ///
    /// When the archive or a file in it is broken.
    pub fn load_archive(bytes: &[u8]) -> Result<Chart, LoadError> {
        let files = archive::unpack(bytes).map_err(LoadError::Archive)?;
        Chart::load_files(files, 0)
    }

    fn load_files(files: Vec<File>, depth: usize) -> Result<Chart, LoadError> {
        let mut chart = Chart::default();
        let chart_yaml = files.iter().find(|file| file.name == "Chart.yaml");
        let mut has_metadata = false;
        if let Some(file) = chart_yaml {
            read_metadata(&mut chart.metadata, file)?;
            has_metadata = true;
            if chart.metadata.api_version.is_empty() {
                chart.metadata.api_version = "v1".into();
            }
        }
        let mut below: BTreeMap<String, Vec<File>> = BTreeMap::new();
        for file in &files {
            chart.place(file, &mut below, &mut has_metadata)?;
        }
        chart.raw = files;
        if !has_metadata {
            return Err(LoadError::NoChartYaml);
        }
        chart.metadata.validate().map_err(LoadError::Invalid)?;
        for (name, files) in below {
            if let Some(child) = chart.load_child(&name, files, depth)? {
                chart.dependencies.push(child);
            }
        }
        Ok(chart)
    }

    fn place(
        &mut self,
        file: &File,
        below: &mut BTreeMap<String, Vec<File>>,
        has_metadata: &mut bool,
    ) -> Result<(), LoadError> {
        match file.name.as_str() {
            "Chart.yaml" => {}
            "Chart.lock" => {
                check_lock(file)?;
                self.lock = Some(file.data.clone());
            }
            "values.yaml" => {
                self.values = load_values(&file.data).map_err(|message| LoadError::BadFile {
                    file: "values.yaml".into(),
                    message,
                })?;
                self.values_text = Some(file.data.clone());
            }
            "values.schema.json" => self.schema = Some(file.data.clone()),
            "requirements.yaml" => {
                if self.metadata.api_version != "v1" {
                    self.warnings.push("Warning: Dependencies are handled in Chart.yaml since apiVersion \"v2\". We recommend migrating dependencies to Chart.yaml.".into());
                }
                read_metadata(&mut self.metadata, file)?;
                *has_metadata = true;
                if self.metadata.api_version == "v1" {
                    self.files.push(file.clone());
                }
            }
            "requirements.lock" => {
                check_lock(file)?;
                self.lock = Some(file.data.clone());
                if self.metadata.api_version != "v1" {
                    self.warnings.push("Warning: Dependency locking is handled in Chart.lock since apiVersion \"v2\". We recommend migrating to Chart.lock.".into());
                } else {
                    self.files.push(file.clone());
                }
            }
            name if name.starts_with("templates/") => self.templates.push(file.clone()),
            name => match name.strip_prefix("charts/") {
                Some(rest) if !name.ends_with(".prov") => {
                    let child = rest.split('/').next().unwrap_or_default();
                    let file = File::new(rest, file.data.clone());
                    below.entry(child.to_owned()).or_default().push(file);
                }
                _ => self.files.push(file.clone()),
            },
        }
        Ok(())
    }

    fn load_child(
        &self,
        name: &str,
        files: Vec<File>,
        depth: usize,
    ) -> Result<Option<Chart>, LoadError> {
        if name.starts_with(['_', '.']) {
            return Ok(None);
        }
        let wrap = |cause: LoadError| LoadError::Subchart {
            name: name.to_owned(),
            parent: self.metadata.name.clone(),
            cause: Box::new(cause),
        };
        if depth >= DEPTH_MAX {
            return Err(wrap(LoadError::Archive(
                "charts are nested too deep".into(),
            )));
        }
        if name.ends_with(".tgz") {
            let Some(file) = files.first().filter(|file| file.name == name) else {
                return Err(LoadError::Archive(format!(
                    "error unpacking subchart tar in {}: expected {name}",
                    self.metadata.name
                )));
            };
            let files =
                archive::unpack(&file.data).map_err(|message| wrap(LoadError::Archive(message)))?;
            return Chart::load_files(files, depth + 1).map(Some).map_err(wrap);
        }
        let files = files
            .into_iter()
            .filter_map(|file| {
                let (_, rest) = file.name.split_once('/')?;
                Some(File::new(rest, file.data.clone()))
            })
            .collect();
        Chart::load_files(files, depth + 1).map(Some).map_err(wrap)
    }

    /// Copies the chart without the list of its files as given.
    pub(crate) fn without_raw(&self) -> Chart {
        Chart {
            metadata: self.metadata.clone(),
            templates: self.templates.clone(),
            files: self.files.clone(),
            values: self.values.clone(),
            values_text: self.values_text.clone(),
            schema: self.schema.clone(),
            lock: None,
            dependencies: self.dependencies.iter().map(Chart::without_raw).collect(),
            raw: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// Returns the chart's name.
    pub fn name(&self) -> &str {
        &self.metadata.name
    }

    /// Returns the custom resource definitions of the chart and those below:
    /// path and text.
    pub fn crds(&self) -> Vec<File> {
        let mut crds = Vec::new();
        self.collect_crds(self.name(), &mut crds);
        crds
    }

    fn collect_crds(&self, path: &str, crds: &mut Vec<File>) {
        for file in &self.files {
            if file.name.starts_with("crds/") && is_manifest(&file.name) {
                crds.push(File::new(
                    format!("{path}/{}", file.name),
                    file.data.clone(),
                ));
            }
        }
        for child in &self.dependencies {
            child.collect_crds(&format!("{path}/charts/{}", child.name()), crds);
        }
    }
}

fn is_manifest(name: &str) -> bool {
    let extension = name
        .rsplit_once('.')
        .map(|(_, extension)| extension.to_ascii_lowercase());
    matches!(extension.as_deref(), Some("yaml" | "yml" | "json"))
}

fn read_metadata(metadata: &mut Metadata, file: &File) -> Result<(), LoadError> {
    metadata
        .read(&file.data)
        .map_err(|message| LoadError::BadFile {
            file: file.name.clone(),
            message,
        })
}

/// A lock is read only when it is needed, but must be one.
fn check_lock(file: &File) -> Result<(), LoadError> {
    let message = match yaml::from_slice(&file.data) {
        Ok(yaml::Value::Null | yaml::Value::Map(_)) => return Ok(()),
        Ok(other) => mismatch_whole(&other, "v2.Lock"),
        Err(error) => format!("error converting YAML to JSON: {error}"),
    };
    Err(LoadError::BadFile {
        file: file.name.clone(),
        message,
    })
}

/// The order in which a walk over a folder meets files: names compared part by
/// part.
fn walk_order(a: &str, b: &str) -> std::cmp::Ordering {
    a.split('/').cmp(b.split('/'))
}

/// Reads a values file: one or more documents, later ones on top.
///
/// # Errors
///
/// In Helm's words.
pub fn load_values(text: &[u8]) -> Result<yaml::Map, String> {
    let mut values = yaml::Map::new();
    for document in split_documents(text) {
        let value = yaml::from_slice(document).map_err(|error| {
            format!("cannot unmarshal yaml document: error converting YAML to JSON: {error}")
        })?;
        match value {
            yaml::Value::Null => {}
            yaml::Value::Map(map) => {
                let mut map = yaml::Value::Map(map);
                crate::convert::floats(&mut map);
                if let yaml::Value::Map(map) = map {
                    merge_maps(&mut values, map);
                }
            }
            other => {
                let kind = match other {
                    yaml::Value::Str(_) => "string",
                    yaml::Value::Bool(_) => "bool",
                    yaml::Value::Seq(_) => "array",
                    _ => "number",
                };
                return Err(format!(
                    "cannot unmarshal yaml document: error unmarshaling JSON: while decoding JSON: json: cannot unmarshal {kind} into Go value of type map[string]interface {{}}"
                ));
            }
        }
    }
    Ok(values)
}

/// Splits at lines that start with `---`, as the Kubernetes reader does.
pub(crate) fn split_documents(text: &[u8]) -> Vec<&[u8]> {
    let mut documents = Vec::new();
    let (mut start, mut at) = (0, 0);
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        let separator = line
            .strip_prefix(b"---")
            .is_some_and(|rest| rest.trim_ascii().is_empty());
        if separator {
            if at > start {
                documents.push(&text[start..at]);
            }
            start = at + line.len();
        }
        at += line.len();
    }
    if at > start {
        documents.push(&text[start..at]);
    }
    documents
}

/// Puts `above` on top of `below`: maps are merged, the rest is replaced.
pub fn merge_maps(below: &mut yaml::Map, above: yaml::Map) {
    for (key, value) in above {
        match (below.get_mut(&key), value) {
            (Some(yaml::Value::Map(below)), yaml::Value::Map(above)) => merge_maps(below, above),
            (_, value) => {
                below.insert(key, value);
            }
        }
    }
}
