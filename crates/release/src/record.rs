//! Helm's release records: what a revision is (helm/helm pkg/release/v1).
//!
//! Main type: [`Record`]. Its way through a Secret is `record_secret`.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

/// Where a release stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// It is what runs.
    Deployed,
    /// It was removed, its history kept.
    Uninstalled,
    /// A later revision runs.
    Superseded,
    /// It could not be deployed.
    Failed,
    /// It is being removed.
    Uninstalling,
    /// It is being installed.
    PendingInstall,
    /// It is being upgraded.
    PendingUpgrade,
    /// It is being rolled back.
    PendingRollback,
    /// Nobody knows.
    #[default]
    #[serde(other)]
    Unknown,
}

impl Status {
    /// Returns Helm's word.
    pub fn word(self) -> &'static str {
        match self {
            Status::Unknown => "unknown",
            Status::Deployed => "deployed",
            Status::Uninstalled => "uninstalled",
            Status::Superseded => "superseded",
            Status::Failed => "failed",
            Status::Uninstalling => "uninstalling",
            Status::PendingInstall => "pending-install",
            Status::PendingUpgrade => "pending-upgrade",
            Status::PendingRollback => "pending-rollback",
        }
    }

    /// Whether an operation was begun and its end is not recorded.
    pub fn is_pending(self) -> bool {
        matches!(
            self,
            Status::PendingInstall | Status::PendingUpgrade | Status::PendingRollback
        )
    }
}

/// When and how a revision was deployed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Info {
    /// When the release was first installed (RFC 3339).
    #[serde(
        default,
        deserialize_with = "text",
        skip_serializing_if = "is_zero_time"
    )]
    pub first_deployed: String,
    /// When this revision was deployed (RFC 3339).
    #[serde(
        default,
        deserialize_with = "text",
        skip_serializing_if = "is_zero_time"
    )]
    pub last_deployed: String,
    /// When it was removed; empty while it is not.
    #[serde(
        default,
        deserialize_with = "text",
        skip_serializing_if = "is_zero_time"
    )]
    pub deleted: String,
    /// What happened last.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Where it stands.
    #[serde(default)]
    pub status: Status,
    /// The revision that was rolled back to; 0 for none.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub rollback_revision: i64,
    /// What NOTES.txt came to.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub notes: String,
    /// Fields of other versions of Helm.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

/// A hook, and how it last ran.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Hook {
    /// `metadata.name`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// `kind`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// The template.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub path: String,
    /// The document.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub manifest: String,
    /// Events that it runs at.
    #[serde(
        default,
        deserialize_with = "list",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub events: Vec<String>,
    /// Its last run.
    #[serde(default)]
    pub last_run: Run,
    /// Order among the hooks of an event.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub weight: i64,
    /// When its object is removed.
    #[serde(
        default,
        deserialize_with = "list",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub delete_policies: Vec<String>,
    /// When its logs are shown.
    #[serde(
        default,
        deserialize_with = "list",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub output_log_policies: Vec<String>,
}

/// A run of a hook.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// When it began (RFC 3339).
    #[serde(
        default,
        deserialize_with = "text",
        skip_serializing_if = "is_zero_time"
    )]
    pub started_at: String,
    /// When it ended (RFC 3339).
    #[serde(
        default,
        deserialize_with = "text",
        skip_serializing_if = "is_zero_time"
    )]
    pub completed_at: String,
    /// `Running`, `Succeeded`, `Failed`, `Unknown` or nothing.
    #[serde(default, deserialize_with = "text")]
    pub phase: String,
}

/// One revision of a release.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The release's name.
    #[serde(default)]
    pub name: String,
    /// When and how.
    #[serde(default)]
    pub info: Info,
    /// The chart, as Helm keeps it; its charts below are not kept.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub chart: Value,
    /// The values that the user gave.
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub config: Value,
    /// What was rendered.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub manifest: String,
    /// The hooks that were rendered.
    #[serde(
        default,
        deserialize_with = "list",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub hooks: Vec<Hook>,
    /// The revision's number.
    #[serde(default)]
    pub version: i64,
    /// The release's namespace.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// `ssa` where objects were applied by the server, `csa` or nothing else.
    #[serde(
        default,
        deserialize_with = "text",
        skip_serializing_if = "String::is_empty"
    )]
    pub apply_method: String,
    /// The user's labels; they stand on the Secret, not in it.
    #[serde(skip)]
    pub labels: BTreeMap<String, String>,
    /// All labels of the Secret, as it was read.
    #[serde(skip)]
    pub secret_labels: BTreeMap<String, String>,
}

/// Go writes its zero time in places where nothing was meant.
fn is_zero_time(text: &str) -> bool {
    text.is_empty() || text.starts_with("0001-01-01T00:00:00")
}

fn is_zero(number: &i64) -> bool {
    *number == 0
}

fn is_nothing(value: &Value) -> bool {
    value.is_null() || value.as_object().is_some_and(Map::is_empty)
}

/// Go's null is an empty list.
fn list<'de, D: Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<Vec<T>, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

/// Go's null is an empty text.
fn text<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

/// Returns the present time as a record has it.
pub fn now() -> String {
    Timestamp::now().to_string()
}

impl Hook {
    /// Returns a hook that has not run yet.
    pub fn of(hook: &coracle_helm::Hook) -> Hook {
        Hook {
            name: hook.manifest.name.clone(),
            kind: hook.manifest.kind.clone(),
            path: hook.manifest.path.clone(),
            manifest: hook.manifest.body.clone(),
            events: hook.events.clone(),
            last_run: Run::default(),
            weight: hook.weight,
            delete_policies: hook.delete_policies.clone(),
            output_log_policies: hook.output_log_policies.clone(),
        }
    }

    /// Returns `Kind/name`.
    pub fn title(&self) -> String {
        format!("{}/{}", self.kind, self.name)
    }

    /// Whether it runs at an event.
    pub fn runs_at(&self, event: &str) -> bool {
        self.events.iter().any(|one| one == event)
    }
}

impl Record {
    /// Sets where the release stands and why.
    pub fn set(&mut self, status: Status, description: impl Into<String>) {
        self.info.status = status;
        self.info.description = description.into();
    }

    /// Returns `NAME-VERSION` of the chart, as lists show it.
    pub fn chart_title(&self) -> String {
        let meta = &self.chart["metadata"];
        if !meta.is_object() {
            return "MISSING".into();
        }
        let text = |key: &str| meta[key].as_str().unwrap_or_default().to_owned();
        format!("{}-{}", text("name"), text("version"))
    }

    /// Returns the version of what the chart installs, as lists show it.
    pub fn app_version(&self) -> String {
        let meta = &self.chart["metadata"];
        if !meta.is_object() {
            return "MISSING".into();
        }
        meta["appVersion"].as_str().unwrap_or_default().to_owned()
    }
}
