//! Looking at releases: one revision, the history, all of them, the objects of
//! one. Nothing is changed.

use std::collections::BTreeMap;

use kube::Client;
use kube::api::{DynamicObject, ListParams};
use serde_json::{Map, Value};

use crate::chart_record::chart_from_record;
use crate::error::api;
use crate::json::{map_from_json, map_to_json};
use crate::objects::{Object, parse};
use crate::prepare::laid_over;
use crate::record::Record;
use crate::session::Session;
use crate::storage::Storage;
use crate::uninstall::missing;
use crate::{RecordError, ReleaseError};

/// Returns a revision of a release; the newest if none is named.
///
/// # Errors
/// Fails if there is none or the API refuses.
pub async fn revision(
    session: &Session,
    name: &str,
    version: Option<i64>,
) -> Result<Record, ReleaseError> {
    let history = history(session, name).await?;
    let known: Vec<i64> = history.iter().map(|record| record.version).collect();
    match version.filter(|version| *version > 0) {
        None => history.into_iter().next().ok_or(ReleaseError::NotFound {
            name: name.to_owned(),
            namespace: session.namespace().to_owned(),
            elsewhere: Vec::new(),
        }),
        Some(version) => history
            .into_iter()
            .find(|record| record.version == version)
            .ok_or(ReleaseError::NoRevision {
                name: name.to_owned(),
                known,
            }),
    }
}

/// Returns the newest revision of a release, if there is one.
///
/// # Errors
/// Fails if the API refuses or a record cannot be read.
pub async fn latest(
    client: &Client,
    namespace: &str,
    name: &str,
) -> Result<Option<Record>, RecordError> {
    let storage = Storage::new(client.clone(), namespace);
    let history = storage.history(name).await?;
    Ok(history.into_iter().next().map(|stored| stored.record))
}

/// Returns the revisions of a release, the newest first.
///
/// # Errors
/// Fails if there is none or the API refuses.
pub async fn history(session: &Session, name: &str) -> Result<Vec<Record>, ReleaseError> {
    let storage = Storage::new(session.client().clone(), session.namespace());
    let history = storage.history(name).await?;
    if history.is_empty() {
        return Err(missing(session, name).await);
    }
    Ok(history.into_iter().map(|stored| stored.record).collect())
}

/// Returns every record of the session's namespace, of all if it is empty, and
/// says what could not be read.
///
/// # Errors
/// Fails if the API refuses.
pub async fn records(session: &Session) -> Result<(Vec<Record>, Vec<String>), ReleaseError> {
    let storage = Storage::new(session.client().clone(), session.namespace());
    let mut skipped = Vec::new();
    let all = storage.all(|error| skipped.push(error.to_string())).await?;
    Ok((
        all.into_iter().map(|stored| stored.record).collect(),
        skipped,
    ))
}

/// Returns the values of a revision: the chart's with the user's laid over.
///
/// # Errors
/// Fails if they do not fit together.
pub fn computed_values(record: &Record) -> Result<Map<String, Value>, ReleaseError> {
    let config = record
        .config
        .as_object()
        .map(map_from_json)
        .unwrap_or_default();
    let laid = laid_over(&chart_from_record(&record.chart), &config)?;
    Ok(map_to_json(&laid))
}

/// Objects of a revision as they stand, by `version/Kind`, with the pods of its
/// workloads under `v1/Pod(related)`.
pub type Resources = BTreeMap<String, Vec<Value>>;

/// Returns the objects of a revision as they stand in the cluster.
///
/// # Errors
/// Fails if the API refuses.
pub async fn resources(session: &Session, record: &Record) -> Result<Resources, ReleaseError> {
    let served = session.served().await?;
    let mut found = Resources::new();
    let mut selectors: Vec<Map<String, Value>> = Vec::new();
    for object in parse(&record.manifest)? {
        if served.resource(&object).is_none() || object.has_generated_name() {
            continue;
        }
        let live = served.api(&object, session.namespace())?;
        let live = live.get_opt(object.name()).await;
        let Some(live) = live.map_err(api(format!("read {}", object.title())))? else {
            continue;
        };
        let key = format!("{}/{}", object.group_version_kind().version, object.kind());
        let value = complete(&live, object.api_version(), object.kind());
        if let Some(labels) = pod_labels(&value)
            && !selectors.contains(&labels)
        {
            let namespace = served.namespace(&object, session.namespace());
            let pods = related_pods(session, namespace, &labels).await?;
            selectors.push(labels);
            found
                .entry("v1/Pod(related)".into())
                .or_default()
                .extend(pods);
        }
        found.entry(key).or_default().push(value);
    }
    found.retain(|_, objects| !objects.is_empty());
    Ok(found)
}

/// Types are lost where a list was asked for; they are known.
fn complete(live: &DynamicObject, api_version: &str, kind: &str) -> Value {
    let mut value = serde_json::to_value(live).unwrap_or_default();
    value["apiVersion"] = api_version.into();
    value["kind"] = kind.into();
    value.sort_all_objects();
    value
}

fn pod_labels(value: &Value) -> Option<Map<String, Value>> {
    let selector = &value["spec"]["selector"];
    match value["kind"].as_str()? {
        "ReplicaSet" | "Deployment" | "StatefulSet" | "DaemonSet" | "Job" => {
            selector["matchLabels"].as_object().cloned()
        }
        "ReplicationController" => selector.as_object().cloned(),
        _ => None,
    }
}

async fn related_pods(
    session: &Session,
    namespace: &str,
    labels: &Map<String, Value>,
) -> Result<Vec<Value>, ReleaseError> {
    let served = session.served().await?;
    let kind = Object {
        file: String::new(),
        value: serde_json::json!({"apiVersion": "v1", "kind": "Pod"}),
    };
    let pairs: Vec<String> = labels
        .iter()
        .filter_map(|(key, value)| Some(format!("{key}={}", value.as_str()?)))
        .collect();
    let params = ListParams::default().labels(&pairs.join(","));
    let pods = served.api(&kind, namespace)?.list(&params).await;
    let pods = pods.map_err(api("list the pods of a workload"))?;
    Ok(pods.iter().map(|pod| complete(pod, "v1", "Pod")).collect())
}

/// A table of the server's: a title and rows of cells, headers first.
pub type Table = (String, Vec<Vec<String>>);

/// Returns the objects of a revision as the tables that the API makes of them,
/// by `version/Kind`.
///
/// # Errors
/// Fails if the API refuses.
pub async fn resource_tables(
    session: &Session,
    record: &Record,
) -> Result<Vec<Table>, ReleaseError> {
    let served = session.served().await?;
    let mut tables: BTreeMap<String, Vec<Vec<String>>> = BTreeMap::new();
    let mut seen: Vec<Map<String, Value>> = Vec::new();
    for object in parse(&record.manifest)? {
        if served.resource(&object).is_none() || object.has_generated_name() {
            continue;
        }
        let objects = served.api(&object, session.namespace())?;
        let path = format!("{}/{}", objects.resource_url(), object.name());
        let Some(rows) = table(session, &path).await? else {
            continue;
        };
        let key = format!("{}/{}", object.group_version_kind().version, object.kind());
        append(tables.entry(key).or_default(), rows);
        let Some(labels) = pod_labels(&object.value) else {
            continue;
        };
        if seen.contains(&labels) {
            continue;
        }
        let namespace = served.namespace(&object, session.namespace());
        let path = format!(
            "/api/v1/namespaces/{namespace}/pods?labelSelector={}",
            encoded(&selector(&labels))
        );
        seen.push(labels);
        if let Some(rows) = table(session, &path).await?.filter(|rows| rows.len() > 1) {
            append(tables.entry("v1/Pod(related)".into()).or_default(), rows);
        }
    }
    Ok(tables.into_iter().collect())
}

/// Rows of another table of the same kind; its headers are there already.
fn append(table: &mut Vec<Vec<String>>, rows: Vec<Vec<String>>) {
    let skip = usize::from(!table.is_empty());
    table.extend(rows.into_iter().skip(skip));
}

fn selector(labels: &Map<String, Value>) -> String {
    let pairs: Vec<String> = labels
        .iter()
        .filter_map(|(key, value)| Some(format!("{key}={}", value.as_str()?)))
        .collect();
    pairs.join(",")
}

/// Percent-encodes what has a meaning in a query.
fn encoded(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// Asks for a table; nothing where there is no such object.
async fn table(session: &Session, path: &str) -> Result<Option<Vec<Vec<String>>>, ReleaseError> {
    let request = http::Request::get(path)
        .header(
            "accept",
            "application/json;as=Table;v=v1;g=meta.k8s.io,application/json",
        )
        .body(Vec::new());
    let request = request.map_err(|error| ReleaseError::Invalid(error.to_string()))?;
    let table: Value = match session.client().request(request).await {
        Ok(table) => table,
        Err(kube::Error::Api(status)) if status.code == 404 => return Ok(None),
        Err(error) => return Err(api(format!("read {path}"))(error)),
    };
    let columns = table["columnDefinitions"].as_array();
    let shown: Vec<usize> = columns
        .into_iter()
        .flatten()
        .enumerate()
        .filter(|(_, column)| column["priority"].as_i64().unwrap_or(0) == 0)
        .map(|(at, _)| at)
        .collect();
    let header = |at: &usize| {
        let name = table["columnDefinitions"][*at]["name"].as_str();
        name.unwrap_or_default().to_uppercase()
    };
    let mut rows = vec![shown.iter().map(header).collect()];
    for row in table["rows"].as_array().into_iter().flatten() {
        let cell = |at: &usize| match &row["cells"][*at] {
            Value::String(text) => text.clone(),
            Value::Null => "<none>".into(),
            other => other.to_string(),
        };
        rows.push(shown.iter().map(cell).collect());
    }
    Ok(Some(rows))
}
