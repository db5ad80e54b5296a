//! `coracle.yaml`: what `coracle up` does in a folder.
//!
//! Main type: [`Project`]. [`read`] turns the file into one, with place and
//! advice where it is wrong. It does not look into the chart.

mod read;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use coracle_cluster::Share;
use schemars::JsonSchema;
use serde::Deserialize;

pub use read::{is_in, read, read_or};

/// The file's name.
pub const FILE: &str = "coracle.yaml";

/// What `coracle up` does in a folder.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "coracle.yaml")]
pub struct Project {
    /// Name of the release; the chart's name where it is not given.
    #[serde(default)]
    pub release: String,
    /// Namespace of the release, `default` where it is not given.
    #[serde(default = "default_namespace")]
    pub namespace: String,
    /// Folder or archive of the chart.
    pub chart: PathBuf,
    /// Files of values, later ones win.
    #[serde(default)]
    pub values: Vec<PathBuf>,
    /// Single values as `--set` takes them: key=value. They win over files.
    #[serde(default)]
    pub set: Vec<String>,
    /// Images that are built first.
    #[serde(default)]
    pub images: Vec<ImageSpec>,
    /// Registry and folder that images are pushed to when another cluster is
    /// deployed to, such as `registry.example.com/team`.
    #[serde(default)]
    pub registry: Option<String>,
    /// Addresses besides loopback on which the cluster's ports answer, such as
    /// 0.0.0.0; taken when the cluster starts. Where the key is missing, those of
    /// the last start stay; `[]` is none.
    #[serde(default)]
    pub listen: Option<Vec<IpAddr>>,
    /// Ports of this machine that pods may reach as host.coracle.internal. Where
    /// the key is missing, those of the last start stay; `[]` is none.
    #[serde(default, rename = "hostPorts")]
    pub host_ports: Option<Vec<u16>>,
    /// Folders of this machine that hostPath volumes show, each
    /// `FOLDER[:PATH][:ro]`; taken when the cluster starts. Where the key is
    /// missing, those of the last start stay; `[]` is none.
    #[serde(default, deserialize_with = "read::shares")]
    #[schemars(with = "Option<Vec<String>>")]
    pub shares: Option<Vec<Share>>,
    /// Variations, chosen by `--profile NAME`.
    #[serde(default)]
    pub profiles: BTreeMap<String, Profile>,
    /// The folder that all paths are relative to.
    #[serde(skip)]
    pub folder: PathBuf,
}

/// A variation: what it does not name stays as it is.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// Name of the release.
    #[serde(default)]
    pub release: Option<String>,
    /// Namespace of the release.
    #[serde(default)]
    pub namespace: Option<String>,
    /// Folder or archive of the chart.
    #[serde(default)]
    pub chart: Option<PathBuf>,
    /// Further files of values.
    #[serde(default)]
    pub values: Vec<PathBuf>,
    /// Further single values.
    #[serde(default)]
    pub set: Vec<String>,
    /// Registry and folder that images are pushed to.
    #[serde(default)]
    pub registry: Option<String>,
}

/// An image that is built first.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ImageSpec {
    /// Its name.
    pub name: String,
    /// Its Dockerfile.
    pub dockerfile: PathBuf,
    /// Folder of the files that the Dockerfile copies.
    #[serde(default = "default_context")]
    pub context: PathBuf,
    /// Commands that run first, by `sh -c`, in the folder of the file.
    #[serde(default)]
    pub before: Commands,
    /// Folders that stand in for stages or images.
    #[serde(default)]
    pub contexts: BTreeMap<String, PathBuf>,
    /// Values of the Dockerfile's `ARG`s.
    #[serde(default)]
    pub arguments: BTreeMap<String, String>,
    /// The stage to build; the last one where it is not given.
    #[serde(default)]
    pub target: Option<String>,
}

/// One command or several.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Commands {
    /// None.
    #[default]
    None,
    /// One.
    One(String),
    /// Several, one after another.
    Many(Vec<String>),
}

impl Commands {
    /// Returns the commands in order.
    pub fn list(&self) -> &[String] {
        match self {
            Commands::None => &[],
            Commands::One(command) => std::slice::from_ref(command),
            Commands::Many(commands) => commands,
        }
    }
}

fn default_namespace() -> String {
    "default".into()
}

fn default_context() -> PathBuf {
    ".".into()
}

impl Project {
    /// Returns what is known of a release by its name alone.
    pub fn of_release(name: &str) -> Project {
        Project {
            release: name.to_owned(),
            namespace: default_namespace(),
            ..Project::default()
        }
    }

    /// Returns a path of the file as a path of the file system.
    pub fn path(&self, path: &Path) -> PathBuf {
        self.folder.join(path)
    }

    /// Applies a variation.
    fn vary(&mut self, profile: Profile) {
        let Profile {
            release,
            namespace,
            chart,
            values,
            set,
            registry,
        } = profile;
        self.release = release.unwrap_or_else(|| std::mem::take(&mut self.release));
        self.namespace = namespace.unwrap_or_else(|| std::mem::take(&mut self.namespace));
        self.chart = chart.unwrap_or_else(|| std::mem::take(&mut self.chart));
        self.values.extend(values);
        self.set.extend(set);
        self.registry = registry.or_else(|| self.registry.take());
    }
}

/// Returns the JSON schema of the file.
pub fn schema() -> serde_json::Value {
    let mut schema = schemars::schema_for!(Project).to_value();
    schema["$id"] = "https://coracle.dev/schemas/coracle.yaml.json".into();
    schema
}
