//! The image configuration: what a container of the image starts with.
//!
//! OCI image specification 1.1, `config.md`; `Healthcheck`, `Shell`, `OnBuild`
//! and `StopTimeout` are Docker's. Unknown fields are kept.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Platform, null_as_default};
use crate::digest::Digest;

/// An image configuration document.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ImageConfig {
    /// When the image was made, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// Who made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// CPU architecture.
    #[serde(default, deserialize_with = "null_as_default")]
    pub architecture: String,
    /// CPU variant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// Operating system.
    #[serde(default, deserialize_with = "null_as_default")]
    pub os: String,
    /// What a container starts with.
    #[serde(default, deserialize_with = "null_as_default")]
    pub config: ContainerConfig,
    /// The layers' uncompressed digests.
    #[serde(default, deserialize_with = "null_as_default")]
    pub rootfs: RootFs,
    /// How each layer came to be.
    #[serde(
        default,
        deserialize_with = "null_as_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub history: Vec<History>,
    /// Fields this crate does not know.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl ImageConfig {
    /// Returns the platform the image is for.
    pub fn platform(&self) -> Platform {
        Platform {
            architecture: self.architecture.clone(),
            os: self.os.clone(),
            variant: self.variant.clone(),
        }
    }
}

/// What a container of the image starts with.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ContainerConfig {
    /// User, `name`, `uid`, `name:group` or `uid:gid`; empty is root.
    #[serde(
        deserialize_with = "null_as_default",
        skip_serializing_if = "String::is_empty"
    )]
    pub user: String,
    /// Ports, as `80/tcp`.
    #[serde(
        deserialize_with = "null_as_default",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub exposed_ports: BTreeMap<String, Value>,
    /// Environment, `NAME=value` each.
    #[serde(
        deserialize_with = "null_as_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub env: Vec<String>,
    /// The program and its fixed arguments; `None` when unset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entrypoint: Option<Vec<String>>,
    /// Arguments that a user may replace; `None` when unset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cmd: Option<Vec<String>>,
    /// Health check.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub healthcheck: Option<Healthcheck>,
    /// Paths meant as volumes.
    #[serde(
        deserialize_with = "null_as_default",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub volumes: BTreeMap<String, Value>,
    /// Working directory; empty is `/`.
    #[serde(
        deserialize_with = "null_as_default",
        skip_serializing_if = "String::is_empty"
    )]
    pub working_dir: String,
    /// Triggers for images built from this one.
    #[serde(
        deserialize_with = "null_as_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub on_build: Vec<String>,
    /// Labels.
    #[serde(
        deserialize_with = "null_as_default",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub labels: BTreeMap<String, String>,
    /// Signal that asks a container to end; `None` is SIGTERM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_signal: Option<String>,
    /// Shell of the shell forms; `None` is `/bin/sh -c`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shell: Option<Vec<String>>,
    /// Fields this crate does not know.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl ContainerConfig {
    /// Returns the environment as pairs; an entry without `=` is skipped.
    pub fn environment(&self) -> impl Iterator<Item = (&str, &str)> {
        self.env.iter().filter_map(|entry| entry.split_once('='))
    }

    /// Returns the exposed ports as number and protocol; what is no port is
    /// skipped.
    pub fn ports(&self) -> impl Iterator<Item = (u16, &str)> {
        self.exposed_ports.keys().filter_map(|port| {
            let (number, protocol) = port.split_once('/').unwrap_or((port, "tcp"));
            Some((number.parse().ok()?, protocol))
        })
    }

    /// Returns whether `user` is numeric and not root.
    pub fn runs_as_non_root_number(&self) -> bool {
        let user = self.user.split(':').next().unwrap_or_default();
        matches!(user.parse::<u32>(), Ok(uid) if uid != 0)
    }
}

/// Docker's health check; times in nanoseconds, zero means inherit.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Healthcheck {
    /// `["NONE"]`, `["CMD", …]` or `["CMD-SHELL", command]`.
    #[serde(
        deserialize_with = "null_as_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub test: Vec<String>,
    /// Time between two checks.
    #[serde(skip_serializing_if = "is_zero")]
    pub interval: i64,
    /// Time after which a check has failed.
    #[serde(skip_serializing_if = "is_zero")]
    pub timeout: i64,
    /// Time at start in which failures do not count.
    #[serde(skip_serializing_if = "is_zero")]
    pub start_period: i64,
    /// Time between checks during the start period.
    #[serde(skip_serializing_if = "is_zero")]
    pub start_interval: i64,
    /// Failures in a row that make the container unhealthy.
    #[serde(skip_serializing_if = "is_zero")]
    pub retries: i64,
}

impl Healthcheck {
    /// Returns whether something is run.
    pub fn is_active(&self) -> bool {
        self.test.first().is_some_and(|kind| kind != "NONE")
    }

    /// Returns the interval, `None` when it is inherited.
    pub fn interval(&self) -> Option<Duration> {
        match self.interval {
            ..=0 => None,
            nanoseconds => Some(Duration::from_nanos(nanoseconds.unsigned_abs())),
        }
    }
}

fn is_zero(number: &i64) -> bool {
    *number == 0
}

/// The layers' uncompressed digests, lowest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootFs {
    /// Always `layers`.
    #[serde(rename = "type", default, deserialize_with = "null_as_default")]
    pub kind: String,
    /// Digests of the uncompressed layers, lowest first.
    #[serde(default, deserialize_with = "null_as_default")]
    pub diff_ids: Vec<Digest>,
}

impl Default for RootFs {
    fn default() -> Self {
        Self {
            kind: "layers".to_owned(),
            diff_ids: Vec::new(),
        }
    }
}

/// How one layer, or one change of the configuration, came to be.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct History {
    /// When, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// By which instruction.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_by: Option<String>,
    /// By whom.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// A remark.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// Whether no layer belongs to it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub empty_layer: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn docker_nulls_are_nothing_and_unknown_fields_stay() {
        let text = r#"{"architecture":"amd64","os":"linux","container":"c","config":{"User":"1001:1001",
            "ExposedPorts":{"7860/tcp":{}},"Env":["A=b=c","BROKEN"],"Entrypoint":null,"Cmd":["x"],
            "Volumes":null,"Labels":null,"OnBuild":null,"Hostname":"h",
            "Healthcheck":{"Test":["CMD","x"],"Interval":30000000000}},
            "rootfs":{"type":"layers","diff_ids":null},"history":null}"#;
        let config: ImageConfig = serde_json::from_str(text).expect("valid configuration");
        assert_eq!(config.config.entrypoint, None);
        assert_eq!(
            config.config.environment().collect::<Vec<_>>(),
            [("A", "b=c")]
        );
        assert_eq!(config.config.ports().collect::<Vec<_>>(), [(7860, "tcp")]);
        assert!(config.config.runs_as_non_root_number());
        let health = config.config.healthcheck.as_ref().expect("present");
        assert!(health.is_active());
        assert_eq!(health.interval(), Some(Duration::from_secs(30)));
        let again = serde_json::to_value(&config).expect("serialises");
        assert_eq!(again["container"], "c");
        assert_eq!(again["config"]["Hostname"], "h");
    }

    #[test]
    fn non_root_needs_a_number() {
        for (user, expected) in [
            ("", false),
            ("0", false),
            ("root", false),
            ("node", false),
            ("0:1", false),
            ("1001", true),
            ("1001:0", true),
        ] {
            let config = ContainerConfig {
                user: user.to_owned(),
                ..Default::default()
            };
            assert_eq!(config.runs_as_non_root_number(), expected, "{user}");
        }
    }
}
