//! A record's way through a Secret of type `helm.sh/release.v1`, whose
//! `release` is base64 of gzip of JSON (helm/helm pkg/storage/driver/secrets.go
//! and util.go).
//!
//! Reading and writing them in a cluster is `storage`.

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

use crate::record::Record;

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

/// A record could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The API refused or did not answer.
    #[error("{step}")]
    Api {
        /// What was being done, in Helm's words.
        step: &'static str,
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

impl RecordError {
    /// Whether the user may not do it.
    pub(crate) fn is_forbidden(&self) -> bool {
        matches!(self, RecordError::Api { source, .. }
            if matches!(&**source, kube::Error::Api(status) if status.code == 403))
    }
}

impl Record {
    /// Returns the name of the Secret that holds the record.
    pub fn secret_name(&self) -> String {
        secret_name(&self.name, self.version)
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
    use crate::record::{Info, Status};
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
