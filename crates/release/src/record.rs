//! Helm's release records: what a revision is, and its way through a Secret of
//! type `helm.sh/release.v1`, whose `release` is base64 of gzip of JSON
//! (helm/helm pkg/release/v1, pkg/storage/driver/secrets.go and util.go).
//!
//! Main type: [`Record`]. Reading and writing them in a cluster is `storage`.

use std::collections::BTreeMap;
use std::io::{Read, Write};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use kube::api::ObjectMeta;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

/// The type of a record's Secret.
pub const SECRET_TYPE: &str = "helm.sh/release.v1";
/// Labels that are the storage's own and not the user's.
pub const SYSTEM_LABELS: [&str; 6] = [
    "name",
    "owner",
    "status",
    "version",
    "createdAt",
    "modifiedAt",
];
/// Bytes of a record when inflated; an API object holds about 1 MiB compressed.
const INFLATED_MAX: u64 = 64 << 20;
/// Bytes that a Secret may hold (Kubernetes `MaxSecretSize`).
const SECRET_BYTES_MAX: usize = 1 << 20;
const GZIP_MAGIC: &[u8] = &[0x1f, 0x8b, 0x08];

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

/// A record could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The API refused or did not answer.
    #[error("could not {step} of release {name}")]
    Api {
        /// What was being done.
        step: &'static str,
        /// The release.
        name: String,
        /// What the API said.
        source: Box<kube::Error>,
    },
    /// The Secret does not hold a record.
    #[error("secret {secret} holds no release: {message}")]
    Malformed {
        /// The Secret.
        secret: String,
        /// What is wrong.
        message: String,
    },
    /// The record is larger than a Secret may be.
    #[error(
        "the record of release {name} has {bytes} bytes after compression, a Secret holds {max}: {largest}"
    )]
    TooLarge {
        /// The release.
        name: String,
        /// Its bytes.
        bytes: usize,
        /// What fits.
        max: usize,
        /// What takes the most, by name and bytes.
        largest: String,
    },
    /// Another operation created the same revision first.
    #[error("revision {version} of release {name} exists already")]
    Exists {
        /// The release.
        name: String,
        /// The revision.
        version: i64,
    },
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
    /// Returns the name of the Secret that holds the record.
    pub fn secret_name(&self) -> String {
        secret_name(&self.name, self.version)
    }

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

    /// Returns the Secret of the record; `time` names the label that says when.
    ///
    /// # Errors
    /// Fails if it is larger than a Secret may be.
    pub fn to_secret(&self, time: &str) -> Result<Secret, RecordError> {
        let data = self.encode()?;
        let own = [
            ("name", self.name.clone()),
            ("owner", "helm".to_owned()),
            ("status", self.info.status.word().to_owned()),
            ("version", self.version.to_string()),
            (time, Timestamp::now().as_second().to_string()),
        ]
        .map(|(key, value)| (key.to_owned(), value));
        let labels = self.labels.clone().into_iter().chain(own).collect();
        Ok(Secret {
            metadata: ObjectMeta {
                name: Some(self.secret_name()),
                namespace: Some(self.namespace.clone()),
                labels: Some(labels),
                ..Default::default()
            },
            type_: Some(SECRET_TYPE.into()),
            data: Some([("release".to_owned(), ByteString(data))].into()),
            ..Default::default()
        })
    }

    /// Returns the bytes that a record's Secret holds.
    ///
    /// # Errors
    /// Fails if they are more than a Secret may hold.
    pub fn encode(&self) -> Result<Vec<u8>, RecordError> {
        let malformed = |message: String| RecordError::Malformed {
            secret: self.secret_name(),
            message,
        };
        let text = serde_json::to_vec(self).map_err(|error| malformed(error.to_string()))?;
        let data = pack(&text).map_err(|error| malformed(error.to_string()))?;
        if data.len() > SECRET_BYTES_MAX {
            return Err(RecordError::TooLarge {
                name: self.name.clone(),
                bytes: data.len(),
                max: SECRET_BYTES_MAX,
                largest: self.largest(),
            });
        }
        Ok(data)
    }

    /// Reads what a record's Secret holds.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn decode(data: &[u8]) -> Result<Record, String> {
        let text = unpack(data).map_err(|error| error.to_string())?;
        let record: Record = serde_json::from_slice(&text).map_err(|error| error.to_string())?;
        if record.name.is_empty() {
            return Err("it names no release".into());
        }
        Ok(record)
    }

    /// Reads the record that a Secret holds.
    ///
    /// # Errors
    /// Names the Secret and what is wrong with it.
    pub fn from_secret(secret: &Secret) -> Result<Record, RecordError> {
        let malformed = |message: String| RecordError::Malformed {
            secret: secret.name_any(),
            message,
        };
        let data = secret
            .data
            .as_ref()
            .and_then(|data| data.get("release"))
            .ok_or_else(|| malformed("it has no key \"release\"".into()))?;
        let mut record = Record::decode(&data.0).map_err(malformed)?;
        record.secret_labels = secret.labels().clone();
        record.labels = secret.labels().clone();
        record
            .labels
            .retain(|key, _| !SYSTEM_LABELS.contains(&key.as_str()));
        Ok(record)
    }

    /// Names what takes the most room, for a record that is too large.
    fn largest(&self) -> String {
        let mut parts: Vec<(usize, String)> = ["templates", "files"]
            .into_iter()
            .flat_map(|list| self.chart[list].as_array().into_iter().flatten())
            .filter_map(|file| {
                let name = file["name"].as_str()?.to_owned();
                Some((file["data"].as_str()?.len() / 4 * 3, name))
            })
            .collect();
        parts.push((self.manifest.len(), "the rendered manifest".into()));
        parts.push((self.config.to_string().len(), "the values".into()));
        parts.sort_by_key(|(bytes, _)| std::cmp::Reverse(*bytes));
        let named: Vec<String> = parts
            .iter()
            .take(3)
            .map(|(bytes, name)| format!("{name} has {bytes} bytes"))
            .collect();
        named.join(", ")
    }
}

/// Returns the name of the Secret of a revision.
pub fn secret_name(name: &str, version: i64) -> String {
    format!("sh.helm.release.v1.{name}.v{version}")
}

fn pack(text: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(text)?;
    Ok(STANDARD.encode(encoder.finish()?).into_bytes())
}

/// Records from before compression are plain.
fn unpack(data: &[u8]) -> std::io::Result<Vec<u8>> {
    let packed = STANDARD.decode(data).map_err(std::io::Error::other)?;
    if !packed.starts_with(GZIP_MAGIC) {
        return Ok(packed);
    }
    let mut text = Vec::new();
    GzDecoder::new(packed.as_slice())
        .take(INFLATED_MAX)
        .read_to_end(&mut text)?;
    if text.len() as u64 == INFLATED_MAX {
        return Err(std::io::Error::other("it inflates without end"));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn record() -> Record {
        Record {
            name: "todo".into(),
            info: Info {
                first_deployed: "2026-01-01T00:00:00Z".into(),
                last_deployed: "2026-01-01T00:00:00Z".into(),
                description: "Install complete".into(),
                status: Status::Deployed,
                notes: "hello".into(),
                ..Info::default()
            },
            chart: json!({"metadata": {"name": "todo-app", "version": "1.2.3", "appVersion": "7"}}),
            manifest: "---\n".into(),
            version: 3,
            namespace: "default".into(),
            apply_method: "ssa".into(),
            labels: [("team".to_owned(), "blue".to_owned())].into(),
            ..Record::default()
        }
    }

    #[test]
    fn records_survive_the_way_through_a_secret() {
        let record = record();
        let secret = record.to_secret("createdAt").expect("it can be written");
        assert_eq!(secret.name_any(), "sh.helm.release.v1.todo.v3");
        assert_eq!(secret.labels()["status"], "deployed");
        assert_eq!(secret.labels()["team"], "blue");
        let mut back = Record::from_secret(&secret).expect("it can be read");
        assert_eq!(back.secret_labels["owner"], "helm");
        back.secret_labels.clear();
        assert_eq!(back, record);
        assert_eq!(
            (back.chart_title().as_str(), back.app_version().as_str()),
            ("todo-app-1.2.3", "7")
        );
    }

    #[test]
    fn fields_stand_in_helms_order_and_nothing_is_left_out_or_added() {
        let text = serde_json::to_string(&record()).unwrap();
        assert_eq!(
            text,
            r#"{"name":"todo","info":{"first_deployed":"2026-01-01T00:00:00Z","last_deployed":"2026-01-01T00:00:00Z","description":"Install complete","status":"deployed","notes":"hello"},"chart":{"metadata":{"name":"todo-app","version":"1.2.3","appVersion":"7"}},"manifest":"---\n","version":3,"namespace":"default","apply_method":"ssa"}"#
        );
    }

    #[test]
    fn records_of_older_helms_are_read() {
        let check = |text: &str| -> Record {
            let data = pack(text.as_bytes()).unwrap();
            Record::decode(&data).expect("it is a record")
        };
        let record = check(
            r#"{"name":"a","info":{"first_deployed":"2020-01-01T00:00:00Z","deleted":"","status":"pending-upgrade"},"hooks":[{"name":"h","last_run":{"started_at":"","completed_at":"","phase":""},"events":null}],"version":2,"namespace":"n"}"#,
        );
        assert!(record.info.status.is_pending());
        assert_eq!(record.hooks[0].name, "h");
        assert_eq!(record.apply_method, "");
        let strange = check(r#"{"name":"a","info":{"status":"something-new"},"hooks":null}"#);
        assert_eq!(strange.info.status, Status::Unknown);
        let plain = STANDARD.encode(br#"{"name":"plain"}"#);
        assert_eq!(Record::decode(plain.as_bytes()).unwrap().name, "plain");
    }

    #[test]
    fn a_secret_that_is_no_release_is_named() {
        let check = |data: &[u8]| {
            let secret = Secret {
                metadata: ObjectMeta {
                    name: Some("s".into()),
                    ..Default::default()
                },
                data: Some([("release".to_owned(), ByteString(data.to_vec()))].into()),
                ..Default::default()
            };
            let error = Record::from_secret(&secret).unwrap_err().to_string();
            assert!(error.starts_with("secret s holds no release"), "{error}");
        };
        check(b"!");
        check(b"");
        check(b"H4sIAAAAAAAA");
        check(STANDARD.encode(b"[]").as_bytes());
    }

    #[test]
    fn a_record_that_is_too_large_says_what_takes_the_room() {
        let mut record = record();
        let mut seed = 7_u32;
        let noise: String = (0..2_000_000)
            .map(|_| {
                seed ^= seed << 13;
                seed ^= seed >> 17;
                seed ^= seed << 5;
                char::from(b'0' + (seed % 64) as u8)
            })
            .collect();
        record.chart["files"] = json!([{"name": "big.bin", "data": noise}]);
        match record.encode() {
            Err(RecordError::TooLarge { largest, .. }) => {
                assert!(largest.starts_with("big.bin has"), "{largest}");
            }
            other => panic!("{:?} bytes fit", other.map(|data| data.len())),
        }
    }
}
