//! Install and upgrade: the objects are applied by the server, what the last
//! revision had and this one has not is removed, and a record says so.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::Namespace;
use kube::api::{DeleteParams, ObjectMeta, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::{Map, Value, json};

use crate::objects::{Object, Served, parse};
use crate::record::{Info, Record, Status, latest};
use crate::{ReleaseError, api};

/// The field manager of Helm 4.
const MANAGER: &str = "helm";

/// What is to be deployed.
#[derive(Debug, Clone)]
pub struct Request {
    /// Name of the release.
    pub name: String,
    /// Namespace of the release.
    pub namespace: String,
    /// The chart, as Helm's records keep it.
    pub chart: Value,
    /// The values that the user gave.
    pub config: Value,
    /// The rendered manifest.
    pub manifest: String,
    /// The rendered NOTES.txt.
    pub notes: String,
}

/// What was deployed.
#[derive(Debug, Clone)]
pub struct Deployed {
    /// The revision.
    pub version: i64,
    /// Its objects.
    pub objects: Vec<Object>,
}

/// Installs the release, or upgrades it if there is one; a revision that was
/// interrupted is simply followed by the next.
///
/// # Errors
/// Fails if a document is no object or the API refuses one; the record then
/// says `failed`.
pub async fn deploy(client: &Client, request: &Request) -> Result<Deployed, ReleaseError> {
    let objects = parse(&request.manifest)?;
    ensure_namespace(client, &request.namespace).await?;
    let served = Served::ask(client.clone()).await?;
    for object in &objects {
        served.api(object, &request.namespace)?;
    }
    let last = latest(client, &request.namespace, &request.name).await?;
    let mut record = new_record(request, last.as_ref());
    record.write(client).await?;
    let result = apply_all(&served, request, &objects, last.as_ref()).await;
    let installed = record.version == 1;
    match &result {
        Ok(()) => {
            record.info.status = Status::Deployed;
            record.info.description = if installed {
                "Install complete"
            } else {
                "Upgrade complete"
            }
            .into();
            if let Some(mut last) = last.filter(|last| last.info.status == Status::Deployed) {
                last.info.status = Status::Superseded;
                last.write(client).await?;
            }
        }
        Err(error) => {
            record.info.status = Status::Failed;
            record.info.description = error.to_string();
        }
    }
    record.write(client).await?;
    result.map(|()| Deployed {
        version: record.version,
        objects,
    })
}

async fn ensure_namespace(client: &Client, name: &str) -> Result<(), ReleaseError> {
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let namespace = Namespace {
        metadata: ObjectMeta {
            name: Some(name.into()),
            ..Default::default()
        },
        ..Default::default()
    };
    match namespaces.create(&PostParams::default(), &namespace).await {
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
        Err(error) => Err(api(format!("create namespace {name}"))(error)),
        Ok(_) => Ok(()),
    }
}

fn new_record(request: &Request, last: Option<&Record>) -> Record {
    let now = jiff::Timestamp::now().to_string();
    Record {
        name: request.name.clone(),
        info: Info {
            first_deployed: last
                .map_or_else(|| now.clone(), |last| last.info.first_deployed.clone()),
            last_deployed: now,
            deleted: String::new(),
            description: if last.is_none() {
                "Initial install underway"
            } else {
                "Preparing upgrade"
            }
            .into(),
            status: if last.is_none() {
                Status::PendingInstall
            } else {
                Status::PendingUpgrade
            },
            notes: request.notes.clone(),
            more: Map::new(),
        },
        chart: request.chart.clone(),
        config: request.config.clone(),
        manifest: request.manifest.clone(),
        hooks: json!([]),
        version: last.map_or(1, |last| last.version + 1),
        namespace: request.namespace.clone(),
        apply_method: Some("ssa".into()),
    }
}

async fn apply_all(
    served: &Served,
    request: &Request,
    objects: &[Object],
    last: Option<&Record>,
) -> Result<(), ReleaseError> {
    for object in objects {
        apply(served, request, object).await?;
    }
    let kept: BTreeSet<_> = objects
        .iter()
        .map(|object| object.identity(&request.namespace))
        .collect();
    for old in last
        .map(|last| parse(&last.manifest))
        .transpose()?
        .unwrap_or_default()
    {
        if !kept.contains(&old.identity(&request.namespace)) {
            remove(served, &old, &request.namespace).await?;
        }
    }
    Ok(())
}

/// Applies one object as Helm does: with its marks of ownership.
async fn apply(served: &Served, request: &Request, object: &Object) -> Result<(), ReleaseError> {
    let mut value = object.value.clone();
    let meta = &mut value["metadata"];
    put(meta, "labels", "app.kubernetes.io/managed-by", "Helm");
    put(
        meta,
        "annotations",
        "meta.helm.sh/release-name",
        &request.name,
    );
    put(
        meta,
        "annotations",
        "meta.helm.sh/release-namespace",
        &request.namespace,
    );
    let params = PatchParams::apply(MANAGER);
    let objects = served.api(object, &request.namespace)?;
    objects
        .patch(object.name(), &params, &Patch::Apply(&value))
        .await
        .map_err(api(format!("apply {} ({})", object.title(), object.file)))
        .map(drop)
}

fn put(meta: &mut Value, map: &str, key: &str, value: &str) {
    if !meta[map].is_object() {
        meta[map] = json!({});
    }
    meta[map][key] = json!(value);
}

/// Removes one object; one that is gone is no failure.
pub(crate) async fn remove(
    served: &Served,
    object: &Object,
    namespace: &str,
) -> Result<bool, ReleaseError> {
    let objects = served.api(object, namespace)?;
    match objects
        .delete(object.name(), &DeleteParams::background())
        .await
    {
        Ok(_) => Ok(true),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(false),
        Err(error) => Err(api(format!("delete {}", object.title()))(error)),
    }
}
