//! Uninstall: the objects of the newest revision go, then its records.
//!
//! Reference: `pkg/action/uninstall.go` of Helm.

use std::time::Duration;

use coracle_helm::compat::UNINSTALL_ORDER;
use kube::Client;
use kube::api::DeleteParams;

use crate::ReleaseError;
use crate::apply::Applier;
use crate::event::{Change, Event, Tell};
use crate::gone::await_gone;
use crate::hooks;
use crate::names::check_name;
use crate::objects::{Object, parse};
use crate::operation::Operation;
use crate::options::{Options, Wait};
use crate::ownership;
use crate::record::{Record, Status, now};
use crate::session::Session;
use crate::storage::{Storage, Stored};

/// How an uninstallation differs from the other operations.
#[derive(Debug, Clone, Default)]
pub struct Removal {
    /// Keeps the records.
    pub keep_history: bool,
    /// What becomes of what the objects own.
    pub cascade: Cascade,
    /// Only says what would be done.
    pub dry_run: bool,
}

/// What becomes of what a removed object owns.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Cascade {
    /// It goes afterwards.
    #[default]
    Background,
    /// It goes first.
    Foreground,
    /// It stays.
    Orphan,
}

/// What an uninstallation did.
#[derive(Debug, Clone)]
pub struct Removed {
    /// The release.
    pub record: Record,
    /// What was removed.
    pub removed: Vec<Object>,
    /// What stays because of its resource policy.
    pub kept: Vec<Object>,
}

/// Removes a release and waits until its objects are gone; returns what was
/// removed, `None` if there is no such release.
///
/// Objects annotated `helm.sh/resource-policy: keep` stay.
///
/// # Errors
/// Fails if the API refuses or an object does not go.
pub async fn uninstall(
    client: &Client,
    namespace: &str,
    name: &str,
) -> Result<Option<Vec<Object>>, ReleaseError> {
    let session = Session::new(client.clone(), namespace);
    let options = Options {
        wait: Wait::Watcher,
        timeout: Duration::from_secs(60),
        ..Options::default()
    };
    let removal = Removal::default();
    match uninstall_release(&session, name, &removal, &options, &mut |_| {}).await {
        Ok(removed) => Ok(Some(removed.removed)),
        Err(ReleaseError::NotFound { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Removes a release.
///
/// # Errors
/// Fails if there is none, a hook fails, the API refuses or an object does not
/// go.
pub async fn uninstall_release(
    session: &Session,
    name: &str,
    removal: &Removal,
    options: &Options,
    tell: &mut Tell<'_>,
) -> Result<Removed, ReleaseError> {
    check_name(name)?;
    let mut operation = Operation::new(session, options, tell);
    let history = if removal.dry_run {
        operation.storage.history(name).await?
    } else {
        operation.settled(name).await?
    };
    let Some(last) = history.first() else {
        return Err(not_found(&operation, name).await);
    };
    let mut record = last.record.clone();
    if record.info.status == Status::Uninstalled {
        return purge_uninstalled(&operation, record, &history, removal).await;
    }
    if removal.dry_run {
        let (kept, removed) = sorted(&record)?;
        return Ok(Removed {
            record,
            removed,
            kept,
        });
    }
    record.set(
        Status::Uninstalling,
        "Deletion in progress (or silently failed)",
    );
    record.info.deleted = now();
    let work = remove_objects(&mut operation, &mut record, &history, removal.cascade);
    let (removed, kept, problems) = interruptible(options, work).await?;
    let description = options.description.as_deref();
    record.set(
        Status::Uninstalled,
        description.unwrap_or("Uninstallation complete"),
    );
    if removal.keep_history {
        crate::upgrade::supersede_all(&mut operation, &history[1..]).await;
        operation.finish(&record).await;
    } else {
        let versions: Vec<i64> = history.iter().map(|stored| stored.record.version).collect();
        operation.storage.remove_all(name, &versions).await?;
    }
    if !problems.is_empty() {
        return Err(ReleaseError::Uninstall(problems));
    }
    Ok(Removed {
        record,
        removed,
        kept,
    })
}

async fn interruptible<T>(
    options: &Options,
    work: impl Future<Output = Result<T, ReleaseError>>,
) -> Result<T, ReleaseError> {
    let interrupted = async {
        match &options.interrupt {
            Some(interrupt) => interrupt.notified().await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        biased;
        result = work => result,
        () = interrupted => Err(ReleaseError::Interrupted),
    }
}

async fn purge_uninstalled(
    operation: &Operation<'_>,
    record: Record,
    history: &[Stored],
    removal: &Removal,
) -> Result<Removed, ReleaseError> {
    if removal.keep_history {
        return Err(ReleaseError::AlreadyDeleted { name: record.name });
    }
    if !removal.dry_run {
        let versions: Vec<i64> = history.iter().map(|stored| stored.record.version).collect();
        operation
            .storage
            .remove_all(&record.name, &versions)
            .await?;
    }
    Ok(Removed {
        record,
        removed: Vec::new(),
        kept: Vec::new(),
    })
}

/// Says that there is no such release, and where there is one.
pub(crate) async fn not_found(operation: &Operation<'_>, name: &str) -> ReleaseError {
    missing(operation.session, name).await
}

/// As [`not_found`], outside an operation.
pub(crate) async fn missing(session: &Session, name: &str) -> ReleaseError {
    let everywhere = Storage::new(session.client().clone(), "");
    let others = everywhere.history(name).await.unwrap_or_default();
    let mut elsewhere: Vec<String> = others
        .into_iter()
        .map(|stored| stored.record.namespace)
        .filter(|namespace| namespace != session.namespace())
        .collect();
    elsewhere.sort();
    elsewhere.dedup();
    ReleaseError::NotFound {
        name: name.to_owned(),
        namespace: session.namespace().to_owned(),
        elsewhere,
    }
}

/// Returns what stays and what goes, the latter in the order of removal.
fn sorted(record: &Record) -> Result<(Vec<Object>, Vec<Object>), ReleaseError> {
    let objects = parse(&record.manifest)?;
    let (kept, mut removed): (Vec<Object>, Vec<Object>) = objects
        .into_iter()
        .filter(|object| !object.has_generated_name())
        .partition(|object| object.annotation("helm.sh/resource-policy") == Some("keep"));
    // Kinds that the list does not know go first, as in Helm.
    let rank = |object: &Object| {
        let rank = UNINSTALL_ORDER
            .iter()
            .position(|kind| *kind == object.kind());
        rank.map_or(usize::MAX, |rank| rank)
    };
    removed.sort_by_key(rank);
    Ok((kept, removed))
}

/// Objects that went, objects that stayed, and what went wrong.
type Gone = (Vec<Object>, Vec<Object>, Vec<String>);

async fn remove_objects(
    operation: &mut Operation<'_>,
    record: &mut Record,
    history: &[Stored],
    cascade: Cascade,
) -> Result<Gone, ReleaseError> {
    if !operation.options.no_hooks {
        hooks::run(operation, record, "pre-delete").await?;
    }
    operation.keep(record).await;
    let served = operation.session.served().await?;
    let (kept, mut objects) = sorted(record)?;
    objects.extend(left_behind(operation, record, history, &kept, &objects).await?);
    let (method, _) = operation.method(None);
    let namespace = operation.session.namespace();
    let applier = Applier {
        served: &served,
        name: &record.name,
        namespace,
        method,
    };
    let params = match cascade {
        Cascade::Background => DeleteParams::background(),
        Cascade::Foreground => DeleteParams::foreground(),
        Cascade::Orphan => DeleteParams::orphan(),
    };
    let mut refusals = Vec::new();
    let mut removed = Vec::new();
    for object in objects {
        if served.resource(&object).is_none() {
            continue;
        }
        match applier.remove(&object, &params).await {
            Ok(was_there) => {
                if was_there {
                    (operation.tell)(Event::Object {
                        title: object.title(),
                        change: Change::Deleted,
                    });
                }
                removed.push(object);
            }
            Err(error) => refusals.push(format!("{}: {}", object.title(), error.line())),
        }
    }
    if !refusals.is_empty() {
        return Err(ReleaseError::NotDeleted {
            name: record.name.clone(),
            refusals,
        });
    }
    let mut problems = Vec::new();
    if operation.options.wait != Wait::Hooks {
        let gone = await_gone(&served, &removed, namespace, operation.options.timeout).await;
        problems.extend(gone.err().map(|error| error.line()));
    }
    if !operation.options.no_hooks
        && let Err(error) = hooks::run(operation, record, "post-delete").await
    {
        problems.push(error.line());
    }
    Ok((removed, kept, problems))
}

/// Returns objects that only failed revisions had and that still stand.
async fn left_behind(
    operation: &Operation<'_>,
    record: &Record,
    history: &[Stored],
    kept: &[Object],
    known: &[Object],
) -> Result<Vec<Object>, ReleaseError> {
    let namespace = operation.session.namespace();
    let mut seen: Vec<_> = kept
        .iter()
        .chain(known)
        .map(|object| object.identity(namespace))
        .collect();
    let mut others = Vec::new();
    for stored in history {
        if !matches!(stored.record.info.status, Status::Failed | Status::Deployed) {
            continue;
        }
        let (_, objects) = sorted(&stored.record)?;
        for object in objects {
            let identity = object.identity(namespace);
            if !seen.contains(&identity) {
                seen.push(identity);
                others.push(object);
            }
        }
    }
    let live = operation.live(&others).await?;
    let owned = others.into_iter().zip(live).filter(|(_, live)| {
        live.as_ref()
            .is_some_and(|live| ownership::is_owned(live, &record.name, namespace))
    });
    Ok(owned.map(|(object, _)| object).collect())
}

/// Removes a release whose installation failed.
pub(crate) async fn remove_release(
    operation: &mut Operation<'_>,
    mut record: Record,
) -> Result<(), ReleaseError> {
    let name = record.name.clone();
    let history = operation.storage.history(&name).await?;
    let (_, _, problems) =
        remove_objects(operation, &mut record, &history, Cascade::Background).await?;
    operation
        .storage
        .remove_all(&name, &[record.version])
        .await?;
    if problems.is_empty() {
        Ok(())
    } else {
        Err(ReleaseError::Uninstall(problems))
    }
}
