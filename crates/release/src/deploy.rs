//! Install or upgrade, whichever it takes.

use coracle_helm::File;
use serde_json::Value;

use crate::ReleaseError;
use crate::event::Tell;
use crate::install::{install, install_files, install_prepared};
use crate::objects::{Object, parse};
use crate::operation::Operation;
use crate::options::{Options, Source};
use crate::prepare::Prepared;
use crate::record::{Hook, Record, Status};
use crate::session::Session;
use crate::storage::{Storage, Stored};
use crate::upgrade::{Plan, upgrade, upgrade_prepared};

/// What is to be deployed, rendered already.
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
    /// The rendered hooks.
    pub hooks: Vec<Hook>,
    /// The rendered NOTES.txt.
    pub notes: String,
    /// Files of crds/: applied before the first revision, never changed after.
    pub definitions: Vec<File>,
}

/// What was deployed.
#[derive(Debug, Clone)]
pub struct Deployed {
    /// The revision.
    pub version: i64,
    /// Its objects.
    pub objects: Vec<Object>,
}

/// Installs the release, or upgrades it if there is one, from what was rendered
/// already; its namespace is made.
///
/// # Errors
/// Fails if a document is no object, the API refuses one or a hook fails; the
/// record then says `failed`.
pub async fn deploy(client: &kube::Client, request: &Request) -> Result<Deployed, ReleaseError> {
    let session = Session::new(client.clone(), &request.namespace);
    let options = Options {
        create_namespace: true,
        replace: true,
        ..Options::default()
    };
    let mut deaf = |_| {};
    let mut operation = Operation::new(&session, &options, &mut deaf);
    let objects = parse(&request.manifest)?;
    let prepared = Prepared {
        chart: request.chart.clone(),
        config: request.config.clone(),
        manifest: request.manifest.clone(),
        hooks: request.hooks.clone(),
        notes: request.notes.clone(),
        objects: objects.clone(),
    };
    let history = operation.settled(&request.name).await?;
    let record = if can_upgrade(&history) {
        let plan = Plan::of(&session, &request.name, &history)?;
        upgrade_prepared(&mut operation, &request.name, &history, plan, prepared).await?
    } else {
        install_files(&mut operation, &request.name, &request.definitions).await?;
        install_prepared(&mut operation, &request.name, &history, prepared).await?
    };
    Ok(Deployed {
        version: record.version,
        objects,
    })
}

/// Upgrades the release if there is one and installs it otherwise; one that was
/// removed is installed anew.
///
/// # Errors
/// As [`install`] and [`upgrade`].
pub async fn upgrade_or_install(
    session: &Session,
    source: &Source,
    options: &Options,
    tell: &mut Tell<'_>,
) -> Result<Record, ReleaseError> {
    if is_there(session, &source.name).await? {
        return upgrade(session, source, options, tell).await;
    }
    let options = Options {
        replace: true,
        ..options.clone()
    };
    install(session, source, &options, tell).await
}

/// Whether there is a release that can be upgraded.
///
/// # Errors
/// Fails if the API refuses.
pub async fn is_there(session: &Session, name: &str) -> Result<bool, ReleaseError> {
    let storage = Storage::new(session.client().clone(), session.namespace());
    Ok(can_upgrade(&storage.history(name).await?))
}

fn can_upgrade(history: &[Stored]) -> bool {
    history
        .first()
        .is_some_and(|last| last.record.info.status != Status::Uninstalled)
}
