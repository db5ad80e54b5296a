//! Upgrade: the next revision of a release.
//!
//! Reference: `pkg/action/upgrade.go` of Helm.

use std::collections::BTreeMap;

use crate::ReleaseError;
use crate::apply::Method;
use crate::error::during;
use crate::event::Tell;
use crate::hooks;
use crate::install::{check_kinds, check_options};
use crate::names::check_name;
use crate::objects::{Object, parse};
use crate::operation::{Created, Operation};
use crate::options::{DryRun, Options, Source};
use crate::prepare::{Prepared, prepare};
use crate::record::{Info, Record, Status, now};
use crate::rollback::roll_back;
use crate::session::Session;
use crate::storage::Stored;

/// Upgrades a release; returns its new record.
///
/// # Errors
/// Fails if there is no such release, and for the reasons of an installation;
/// the record then says `failed` and what ran stays recorded as deployed.
pub async fn upgrade(
    session: &Session,
    source: &Source,
    options: &Options,
    tell: &mut Tell<'_>,
) -> Result<Record, ReleaseError> {
    check_name(&source.name)?;
    check_options(options)?;
    let mut operation = Operation::new(session, options, tell);
    let history = if options.dry_run == DryRun::None {
        operation.settled(&source.name).await?
    } else {
        operation.storage.history(&source.name).await?
    };
    let plan = Plan::of(session, &source.name, &history)?;
    let prepared = prepare(&mut operation, source, plan.revision, Some(&plan.current)).await?;
    upgrade_prepared(&mut operation, &source.name, &history, plan, prepared).await
}

/// Upgrades to what was rendered.
pub(crate) async fn upgrade_prepared(
    operation: &mut Operation<'_>,
    name: &str,
    history: &[Stored],
    plan: Plan,
    prepared: Prepared,
) -> Result<Record, ReleaseError> {
    let options = operation.options;
    let (method, word) = operation.method(Some(&plan.last));
    let mut record = Record {
        name: name.to_owned(),
        info: Info {
            first_deployed: plan.current.info.first_deployed.clone(),
            last_deployed: now(),
            description: "Preparing upgrade".into(),
            status: Status::PendingUpgrade,
            notes: prepared.notes.clone(),
            ..Info::default()
        },
        chart: prepared.chart,
        config: prepared.config,
        manifest: prepared.manifest,
        hooks: prepared.hooks,
        version: plan.revision,
        namespace: operation.session.namespace().to_owned(),
        apply_method: word.into(),
        labels: merged(&plan.last.labels, &options.labels),
        ..Record::default()
    };
    let objects = prepared.objects;
    if options.dry_run != DryRun::Client {
        check_kinds(operation, &objects).await?;
        let live = operation.live(&objects).await;
        let live = live.map_err(during("unable to continue with update"))?;
        operation.check_owners(name, &objects, &live, &plan.olds, "update")?;
        if options.diff {
            operation
                .tell_difference(name, method, &objects, &plan.olds)
                .await?;
        }
    }
    if options.dry_run != DryRun::None {
        let description = options.description.as_deref();
        record.info.description = description.unwrap_or("Dry run complete").into();
        return Ok(record);
    }
    operation
        .storage
        .prune(history, options.history_max)
        .await?;
    operation.claim(&record).await?;
    let pulse = operation.pulse(&record);
    let mut created = Created::new();
    let work = perform(
        operation,
        &mut record,
        &objects,
        &plan.olds,
        method,
        &mut created,
    );
    match pulse.during(work).await {
        Ok(()) => {
            supersede_all(operation, history).await;
            let description = options.description.as_deref();
            record.set(Status::Deployed, description.unwrap_or("Upgrade complete"));
            operation.finish(&record).await;
            Ok(record)
        }
        Err(error) => Err(fail(operation, record, &created, error).await),
    }
}

/// What an upgrade goes by.
pub(crate) struct Plan {
    /// The newest revision.
    last: Record,
    /// The one that runs, or else the newest.
    current: Record,
    /// The number of the new one.
    revision: i64,
    /// Objects that may stand: of what runs, and of everything that was tried
    /// since.
    olds: Vec<Object>,
}

impl Plan {
    pub fn of(session: &Session, name: &str, history: &[Stored]) -> Result<Plan, ReleaseError> {
        let none = |last| ReleaseError::NoDeployed {
            name: name.to_owned(),
            namespace: session.namespace().to_owned(),
            last,
        };
        let last = &history.first().ok_or_else(|| none(None))?.record;
        let deployed = history
            .iter()
            .map(|stored| &stored.record)
            .find(|record| record.info.status == Status::Deployed);
        let current = match deployed {
            Some(deployed) => deployed,
            // An uninstallation that was interrupted is no end either.
            None if matches!(
                last.info.status,
                Status::Failed | Status::Superseded | Status::Uninstalling
            ) =>
            {
                last
            }
            None => return Err(none(Some((last.version, last.info.status)))),
        };
        Ok(Plan {
            olds: olds(history, current.version)?,
            last: last.clone(),
            current: current.clone(),
            revision: last.version + 1,
        })
    }
}

/// Returns the objects of a revision and of the failed ones after it; the
/// revision's own come first.
pub(crate) fn olds(history: &[Stored], current: i64) -> Result<Vec<Object>, ReleaseError> {
    let mut olds = Vec::new();
    let revisions = history
        .iter()
        .rev()
        .map(|stored| &stored.record)
        .filter(|record| record.version >= current);
    for record in revisions {
        olds.append(&mut parse(&record.manifest)?);
    }
    Ok(olds)
}

/// Labels of a record: new ones over old ones, `null` removes.
fn merged(
    old: &BTreeMap<String, String>,
    new: &BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let mut labels = old.clone();
    labels.extend(new.clone());
    labels.retain(|_, value| value != "null");
    labels
}

async fn perform(
    operation: &mut Operation<'_>,
    record: &mut Record,
    objects: &[Object],
    olds: &[Object],
    method: Method,
    created: &mut Created,
) -> Result<(), ReleaseError> {
    if !operation.options.no_hooks {
        hooks::run(operation, record, "pre-upgrade").await?;
    }
    let name = record.name.clone();
    operation
        .bring(&name, method, objects, olds, created)
        .await?;
    operation.await_all(objects).await?;
    if !operation.options.no_hooks {
        hooks::run(operation, record, "post-upgrade").await?;
    }
    Ok(())
}

/// Marks every revision that was deployed as superseded.
pub(crate) async fn supersede_all(operation: &mut Operation<'_>, history: &[Stored]) {
    let deployed = history
        .iter()
        .filter(|stored| stored.record.info.status == Status::Deployed);
    for stored in deployed {
        let mut record = stored.record.clone();
        record.info.status = Status::Superseded;
        operation.finish(&record).await;
    }
}

async fn fail(
    operation: &mut Operation<'_>,
    mut record: Record,
    created: &[Object],
    error: ReleaseError,
) -> ReleaseError {
    let name = record.name.clone();
    record.set(
        Status::Failed,
        format!("Upgrade \"{name}\" failed: {}", error.line()),
    );
    operation.finish(&record).await;
    if operation.options.cleanup_on_fail {
        operation.clean_up(&name, created).await;
    }
    if !operation.options.rollback_on_failure {
        return error;
    }
    match undo(operation, &name).await {
        Ok(()) => ReleaseError::Undone {
            name,
            undone: "rolled back",
            source: Box::new(error),
        },
        Err(undo) => ReleaseError::NotUndone {
            undoing: "rolling back",
            undo_error: undo.line(),
            source: Box::new(error),
        },
    }
}

/// Rolls back to the newest revision that was well once.
async fn undo(operation: &mut Operation<'_>, name: &str) -> Result<(), ReleaseError> {
    let history = operation.storage.history(name).await?;
    let good = history
        .iter()
        .map(|stored| &stored.record)
        .find(|record| matches!(record.info.status, Status::Superseded | Status::Deployed));
    let good = good.ok_or_else(|| {
        ReleaseError::Invalid(
            "unable to find a previously successful release when attempting to rollback".into(),
        )
    })?;
    roll_back(operation, name, Some(good.version))
        .await
        .map(drop)
}
