//! Helm's release records: a Secret of type `helm.sh/release.v1` per revision,
//! whose `release` is base64 of gzip of JSON
//! (helm/helm pkg/storage/driver/secrets.go, util.go).

use std::collections::BTreeMap;
use std::io::{Read, Write};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{DeleteParams, ListParams, ObjectMeta, PostParams};
use kube::{Api, Client, ResourceExt};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

const TYPE: &str = "helm.sh/release.v1";
/// Bytes of a record when inflated; an API object holds about 1 MiB compressed.
const INFLATED_MAX: u64 = 64 << 20;

/// Where a release stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// Nobody knows.
    Unknown,
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
}

/// When and how a revision was deployed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Info {
    /// When the release was first installed (RFC 3339).
    pub first_deployed: String,
    /// When this revision was deployed (RFC 3339).
    pub last_deployed: String,
    /// When it was removed; empty while it is not.
    #[serde(default)]
    pub deleted: String,
    /// What happened last.
    #[serde(default)]
    pub description: String,
    /// Where it stands.
    pub status: Status,
    /// What NOTES.txt came to.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub notes: String,
    /// Fields of other versions of Helm.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

/// One revision of a release.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Record {
    /// The release's name.
    pub name: String,
    /// When and how.
    pub info: Info,
    /// The chart, as Helm keeps it.
    #[serde(default)]
    pub chart: Value,
    /// The values that the user gave.
    #[serde(default)]
    pub config: Value,
    /// What was rendered.
    #[serde(default)]
    pub manifest: String,
    /// The hooks that were rendered.
    #[serde(default)]
    pub hooks: Value,
    /// The revision's number.
    pub version: i64,
    /// The release's namespace.
    pub namespace: String,
    /// `ssa` where objects were applied by the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub apply_method: Option<String>,
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
}

impl Record {
    fn secret_name(&self) -> String {
        format!("sh.helm.release.v1.{}.v{}", self.name, self.version)
    }

    fn to_secret(&self) -> Result<Secret, RecordError> {
        let malformed = |message: String| RecordError::Malformed {
            secret: self.secret_name(),
            message,
        };
        let text = serde_json::to_vec(self).map_err(|error| malformed(error.to_string()))?;
        let data = encode(&text).map_err(|error| malformed(error.to_string()))?;
        let labels: BTreeMap<String, String> = [
            ("name", self.name.clone()),
            ("owner", "helm".to_owned()),
            ("status", self.info.status.word().to_owned()),
            ("version", self.version.to_string()),
            ("modifiedAt", jiff::Timestamp::now().as_second().to_string()),
        ]
        .map(|(key, value)| (key.to_owned(), value))
        .into();
        Ok(Secret {
            metadata: ObjectMeta {
                name: Some(self.secret_name()),
                namespace: Some(self.namespace.clone()),
                labels: Some(labels),
                ..Default::default()
            },
            type_: Some(TYPE.into()),
            data: Some([("release".to_owned(), ByteString(data))].into()),
            ..Default::default()
        })
    }

    fn from_secret(secret: &Secret) -> Result<Record, RecordError> {
        let malformed = |message: String| RecordError::Malformed {
            secret: secret.name_any(),
            message,
        };
        let data = secret
            .data
            .as_ref()
            .and_then(|data| data.get("release"))
            .ok_or_else(|| malformed("it has no key \"release\"".into()))?;
        let text = decode(&data.0).map_err(|error| malformed(error.to_string()))?;
        serde_json::from_slice(&text).map_err(|error| malformed(error.to_string()))
    }

    /// Writes the record, replacing what stands under its revision.
    ///
    /// # Errors
    /// Fails if the API refuses.
    pub async fn write(&self, client: &Client) -> Result<(), RecordError> {
        let api: Api<Secret> = Api::namespaced(client.clone(), &self.namespace);
        let failed = |source| RecordError::Api {
            step: "write a record",
            name: self.name.clone(),
            source: Box::new(source),
        };
        let secret = self.to_secret()?;
        match api.create(&PostParams::default(), &secret).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.code == 409 => {
                let mut current = api.get(&self.secret_name()).await.map_err(failed)?;
                current.data = secret.data;
                current.metadata.labels = secret.metadata.labels;
                api.replace(&self.secret_name(), &PostParams::default(), &current)
                    .await
                    .map_err(failed)
                    .map(drop)
            }
            Err(error) => Err(failed(error)),
        }
    }

    /// Removes the record.
    ///
    /// # Errors
    /// Fails if the API refuses.
    pub async fn remove(&self, client: &Client) -> Result<(), RecordError> {
        let api: Api<Secret> = Api::namespaced(client.clone(), &self.namespace);
        match api
            .delete(&self.secret_name(), &DeleteParams::default())
            .await
        {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            Err(source) => Err(RecordError::Api {
                step: "remove a record",
                name: self.name.clone(),
                source: Box::new(source),
            }),
        }
    }
}

fn encode(text: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(text)?;
    Ok(STANDARD.encode(encoder.finish()?).into_bytes())
}

fn decode(data: &[u8]) -> std::io::Result<Vec<u8>> {
    let packed = STANDARD.decode(data).map_err(std::io::Error::other)?;
    let mut text = Vec::new();
    GzDecoder::new(packed.as_slice())
        .take(INFLATED_MAX)
        .read_to_end(&mut text)?;
    Ok(text)
}

/// Returns the revisions of a release, the newest first.
///
/// # Errors
/// Fails if the API refuses or a record cannot be read.
pub async fn history(
    client: &Client,
    namespace: &str,
    name: &str,
) -> Result<Vec<Record>, RecordError> {
    let api: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let params = ListParams::default().labels(&format!("owner=helm,name={name}"));
    let secrets = api.list(&params).await.map_err(|source| RecordError::Api {
        step: "list the records",
        name: name.to_owned(),
        source: Box::new(source),
    })?;
    let mut records = secrets
        .iter()
        .map(Record::from_secret)
        .collect::<Result<Vec<_>, _>>()?;
    records.sort_by_key(|record| std::cmp::Reverse(record.version));
    Ok(records)
}

/// Returns the newest revision of a release.
///
/// # Errors
/// Fails if the API refuses or a record cannot be read.
pub async fn latest(
    client: &Client,
    namespace: &str,
    name: &str,
) -> Result<Option<Record>, RecordError> {
    Ok(history(client, namespace, name).await?.into_iter().next())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_survive_the_way_through_a_secret() {
        let record = Record {
            name: "todo".into(),
            info: Info {
                first_deployed: "2026-01-01T00:00:00Z".into(),
                last_deployed: "2026-01-01T00:00:00Z".into(),
                deleted: String::new(),
                description: "Install complete".into(),
                status: Status::Deployed,
                notes: "hello".into(),
                more: Map::new(),
            },
            chart: serde_json::json!({"metadata": {"name": "todo-app"}}),
            config: Value::Null,
            manifest: "---\n".into(),
            hooks: Value::Null,
            version: 3,
            namespace: "default".into(),
            apply_method: Some("ssa".into()),
        };
        let secret = record.to_secret().expect("it can be written");
        assert_eq!(secret.name_any(), "sh.helm.release.v1.todo.v3");
        assert_eq!(secret.labels()["status"], "deployed");
        let back = Record::from_secret(&secret).expect("it can be read");
        assert_eq!(
            serde_json::to_value(&back).unwrap(),
            serde_json::to_value(&record).unwrap()
        );
    }

    #[test]
    fn a_secret_that_is_no_release_is_named() {
        let secret = Secret {
            metadata: ObjectMeta {
                name: Some("s".into()),
                ..Default::default()
            },
            data: Some([("release".to_owned(), ByteString(b"!".to_vec()))].into()),
            ..Default::default()
        };
        assert!(
            Record::from_secret(&secret)
                .unwrap_err()
                .to_string()
                .starts_with("secret s holds no release")
        );
    }
}
