//! Records in a cluster: read, create, update by compare-and-swap, remove; and
//! who holds the one that is being made.
//!
//! An operation marks its pending record with who runs it and when it was last
//! alive. The mark is an annotation: helm ignores it, and it needs no rights
//! beyond those for the record.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::StreamExt;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Client, ResourceExt};
use serde_json::json;

use crate::record::{Record, Status};
use crate::record_secret::{RecordError, SECRET_TYPE, SYSTEM_LABELS, secret_name};

/// Helm's words for what can fail (pkg/storage/driver/secrets.go).
const QUERY: &str = "query: failed to query with labels";
const LIST: &str = "list: failed to list";
const UPDATE: &str = "update: failed to update";

const HOLDER: &str = "coracle.dev/holder";
const ALIVE: &str = "coracle.dev/alive";
/// How often a running operation says that it is alive.
pub(crate) const HEARTBEAT: Duration = Duration::from_secs(3);
/// Silence after which an operation is taken for dead.
pub(crate) const SILENCE: Duration = Duration::from_secs(10);
/// Records removed or marked at the same time.
const AT_ONCE: usize = 8;

/// The records of a namespace.
#[derive(Clone)]
pub struct Storage {
    client: Client,
    namespace: String,
}

/// A record with what its Secret says beside it.
#[derive(Debug, Clone)]
pub struct Stored {
    /// The record.
    pub record: Record,
    /// Who makes it, and when they were last alive.
    pub holder: Option<(String, Option<Timestamp>)>,
    /// When the Secret was last written, as far as its labels say.
    pub touched: Option<Timestamp>,
    /// Version of the Secret, for compare-and-swap.
    pub(crate) resource_version: Option<String>,
}

impl Storage {
    /// Returns the records of a namespace; of all namespaces if it is empty.
    pub fn new(client: Client, namespace: impl Into<String>) -> Storage {
        Storage {
            client,
            namespace: namespace.into(),
        }
    }

    fn api(&self) -> Api<Secret> {
        if self.namespace.is_empty() {
            return Api::all(self.client.clone());
        }
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Returns the revisions of a release, the newest first.
    ///
    /// # Errors
    /// Fails if the API refuses or a record cannot be read.
    pub async fn history(&self, name: &str) -> Result<Vec<Stored>, RecordError> {
        let secrets = self.list(&format!("owner=helm,name={name}"), QUERY).await?;
        let found: Result<Vec<Stored>, RecordError> = secrets.iter().map(Stored::of).collect();
        let mut found = found?;
        found.sort_by_key(|stored| std::cmp::Reverse(stored.record.version));
        Ok(found)
    }

    /// Returns every record that can be read; `skipped` hears of the others.
    ///
    /// # Errors
    /// Fails if the API refuses.
    pub async fn all(
        &self,
        mut skipped: impl FnMut(RecordError),
    ) -> Result<Vec<Stored>, RecordError> {
        let secrets = self.list("owner=helm", LIST).await?;
        let mut found = Vec::new();
        for secret in &secrets {
            match Stored::of(secret) {
                Ok(stored) => found.push(stored),
                Err(error) => skipped(error),
            }
        }
        Ok(found)
    }

    async fn list(&self, labels: &str, step: &'static str) -> Result<Vec<Secret>, RecordError> {
        let params = ListParams::default().labels(labels);
        let list = self.api().list(&params).await;
        let list = list.map_err(failed(step))?;
        let is_record = |secret: &Secret| secret.type_.as_deref() == Some(SECRET_TYPE);
        Ok(list.into_iter().filter(is_record).collect())
    }

    /// Returns one revision.
    ///
    /// # Errors
    /// Fails if the API refuses or the record cannot be read.
    pub async fn get(&self, name: &str, version: i64) -> Result<Option<Stored>, RecordError> {
        let secret = self.api().get_opt(&secret_name(name, version)).await;
        let secret = secret.map_err(failed("get: failed to get"))?;
        secret.as_ref().map(Stored::of).transpose()
    }

    /// Creates the record of a new revision, marked with who makes it.
    ///
    /// # Errors
    /// Fails if the revision exists or the API refuses.
    pub async fn create(&self, record: &Record, holder: &str) -> Result<(), RecordError> {
        let mut secret = record.to_secret("createdAt")?;
        secret.metadata.annotations = Some(mark(holder));
        match self.api().create(&PostParams::default(), &secret).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.reason == "AlreadyExists" => {
                Err(RecordError::Exists {
                    name: record.name.clone(),
                    version: record.version,
                })
            }
            Err(error) => Err(failed("create: failed to create")(error)),
        }
    }

    /// Writes a record over the one of its revision; the mark goes unless it is
    /// still pending, and so does `createdAt`, as with Helm.
    ///
    /// # Errors
    /// Fails if the API refuses.
    pub async fn update(&self, record: &Record) -> Result<(), RecordError> {
        let failed = || failed(UPDATE);
        let mut secret = record.to_secret("modifiedAt")?;
        let current = self.api().get_metadata_opt(&record.secret_name()).await;
        let Some(current) = current.map_err(failed())? else {
            let made = self.api().create(&PostParams::default(), &secret).await;
            return made.map_err(failed()).map(drop);
        };
        if record.info.status.is_pending() {
            secret.metadata.annotations = current.metadata.annotations.clone();
        }
        let name = record.secret_name();
        let replaced = self
            .api()
            .replace(&name, &PostParams::default(), &secret)
            .await;
        replaced.map_err(failed()).map(drop)
    }

    /// Writes a record over the very one that was read.
    ///
    /// # Errors
    /// Returns whether it was still that one; fails if the API refuses.
    pub async fn swap(&self, stored: &Stored) -> Result<bool, RecordError> {
        let record = &stored.record;
        let mut secret = record.to_secret("modifiedAt")?;
        secret.metadata.resource_version = stored.resource_version.clone();
        let name = record.secret_name();
        match self
            .api()
            .replace(&name, &PostParams::default(), &secret)
            .await
        {
            Ok(_) => Ok(true),
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(false),
            Err(error) => Err(failed(UPDATE)(error)),
        }
    }

    /// Says that the operation behind a record is alive.
    pub(crate) async fn beat(&self, name: &str, version: i64, holder: &str) {
        let patch = json!({"metadata": {"annotations": mark(holder)}});
        // A lost beat is no failure: the next one comes soon.
        let _ = self
            .api()
            .patch_metadata(
                &secret_name(name, version),
                &PatchParams::default(),
                &Patch::Merge(&patch),
            )
            .await;
    }

    /// Removes the record of a revision; one that is gone is no failure.
    ///
    /// # Errors
    /// Fails if the API refuses.
    pub async fn remove(&self, name: &str, version: i64) -> Result<(), RecordError> {
        let secret = secret_name(name, version);
        match self.api().delete(&secret, &DeleteParams::default()).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            Err(error) => Err(failed("delete: failed to delete")(error)),
        }
    }

    /// Removes several records.
    ///
    /// # Errors
    /// Fails with the first refusal, after all were tried.
    pub async fn remove_all(&self, name: &str, versions: &[i64]) -> Result<(), RecordError> {
        let removals = versions.iter().map(|version| self.remove(name, *version));
        let results: Vec<_> = futures::stream::iter(removals)
            .buffer_unordered(AT_ONCE)
            .collect()
            .await;
        results.into_iter().collect()
    }

    /// Makes room for one more revision; the deployed one always stays.
    ///
    /// # Errors
    /// Fails if the API refuses.
    pub async fn prune(&self, history: &[Stored], max: usize) -> Result<(), RecordError> {
        let surplus = (history.len() + 1).saturating_sub(max);
        if max == 0 || surplus == 0 {
            return Ok(());
        }
        let Some(name) = history.first().map(|stored| stored.record.name.clone()) else {
            return Ok(());
        };
        let deployed = history
            .iter()
            .map(|stored| &stored.record)
            .find(|record| record.info.status == Status::Deployed)
            .map(|record| record.version);
        let oldest: Vec<i64> = history
            .iter()
            .rev()
            .map(|stored| stored.record.version)
            .filter(|version| Some(*version) != deployed)
            .take(surplus)
            .collect();
        self.remove_all(&name, &oldest).await
    }
}

impl Stored {
    fn of(secret: &Secret) -> Result<Stored, RecordError> {
        let record = Record::from_secret(secret)?;
        let annotations = secret.annotations();
        let alive = annotations.get(ALIVE).and_then(|time| time.parse().ok());
        let holder = annotations.get(HOLDER).map(|who| (who.clone(), alive));
        let label = |key: &str| -> Option<Timestamp> {
            let seconds: i64 = secret.labels().get(key)?.parse().ok()?;
            Timestamp::from_second(seconds).ok()
        };
        Ok(Stored {
            record,
            holder,
            touched: label("modifiedAt").or_else(|| label("createdAt")),
            resource_version: secret.resource_version(),
        })
    }
}

fn mark(holder: &str) -> BTreeMap<String, String> {
    let now = Timestamp::now().to_string();
    [(HOLDER, holder.to_owned()), (ALIVE, now)]
        .map(|(key, value)| (key.to_owned(), value))
        .into()
}

fn failed(step: &'static str) -> impl FnOnce(kube::Error) -> RecordError {
    move |source| RecordError::Api {
        step,
        source: Box::new(source),
    }
}

/// Whether labels hold one that is the storage's own.
pub fn has_system_label(labels: &BTreeMap<String, String>) -> bool {
    labels
        .keys()
        .any(|key| SYSTEM_LABELS.contains(&key.as_str()))
}
