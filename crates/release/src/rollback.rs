//! Rollback: a new revision that says what an older one said.
//!
//! Reference: `pkg/action/rollback.go` of Helm.

use crate::ReleaseError;
use crate::apply::Method;
use crate::event::Tell;
use crate::hooks;
use crate::names::check_name;
use crate::objects::{Object, parse};
use crate::operation::{Created, Operation};
use crate::options::{DryRun, Options};
use crate::record::{Info, Record, Status, now};
use crate::session::Session;
use crate::uninstall::not_found;
use crate::upgrade::{olds, supersede_all};

/// Rolls a release back to a revision, or to the one before the newest;
/// returns the new record.
///
/// # Errors
/// Fails if there is no such revision, and for the reasons of an upgrade.
pub async fn rollback(
    session: &Session,
    name: &str,
    revision: Option<i64>,
    options: &Options,
    tell: &mut Tell<'_>,
) -> Result<Record, ReleaseError> {
    check_name(name)?;
    let mut operation = Operation::new(session, options, tell);
    roll_back(&mut operation, name, revision).await
}

/// Rolls back within an operation.
pub(crate) async fn roll_back(
    operation: &mut Operation<'_>,
    name: &str,
    revision: Option<i64>,
) -> Result<Record, ReleaseError> {
    let options = operation.options;
    let history = if options.dry_run == DryRun::None {
        operation.settled(name).await?
    } else {
        operation.storage.history(name).await?
    };
    let Some(last) = history.first().map(|stored| &stored.record) else {
        return Err(not_found(operation, name).await);
    };
    let wanted = match revision {
        None | Some(0) => last.version - 1,
        Some(revision) => revision,
    };
    let known = history.iter().map(|stored| stored.record.version);
    let target = history
        .iter()
        .map(|stored| &stored.record)
        .find(|record| record.version == wanted)
        .ok_or_else(|| ReleaseError::NoTarget {
            name: name.to_owned(),
            revision: wanted,
            known: known.collect(),
        })?;
    let (method, word) = operation.method(Some(last));
    let description = options.description.clone();
    let mut record = Record {
        info: Info {
            first_deployed: last.info.first_deployed.clone(),
            last_deployed: now(),
            status: Status::PendingRollback,
            description: description.unwrap_or_else(|| format!("Rollback to {wanted}")),
            rollback_revision: wanted,
            notes: target.info.notes.clone(),
            ..Info::default()
        },
        version: last.version + 1,
        apply_method: word.into(),
        ..target.clone()
    };
    if options.dry_run != DryRun::None {
        return Ok(record);
    }
    let objects = parse(&record.manifest)?;
    let standing = history
        .iter()
        .map(|stored| &stored.record)
        .find(|record| record.info.status == Status::Deployed)
        .map_or(last.version, |deployed| deployed.version);
    let olds = olds(&history, standing)?;
    operation
        .storage
        .prune(&history, options.history_max)
        .await?;
    operation.claim(&record).await?;
    let pulse = operation.pulse(&record);
    let mut created = Created::new();
    let work = perform(
        operation,
        &mut record,
        &objects,
        &olds,
        method,
        &mut created,
    );
    match pulse.during(work).await {
        Ok(()) => {
            supersede_all(operation, &history).await;
            record.info.status = Status::Deployed;
            operation.finish(&record).await;
            Ok(record)
        }
        Err(error) => {
            record.set(
                Status::Failed,
                format!("Rollback \"{name}\" failed: {}", error.line()),
            );
            operation.finish(&record).await;
            if options.cleanup_on_fail {
                operation.clean_up(name, &created).await;
            }
            Err(error)
        }
    }
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
        hooks::run(operation, record, "pre-rollback").await?;
    }
    let name = record.name.clone();
    operation
        .bring(&name, method, objects, olds, created)
        .await?;
    operation.await_all(objects).await?;
    if !operation.options.no_hooks {
        hooks::run(operation, record, "post-rollback").await?;
    }
    Ok(())
}
