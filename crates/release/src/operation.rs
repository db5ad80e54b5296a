//! What every operation on a release shares: its records, who else is at it,
//! being seen to be alive, and bringing the cluster from one set of objects to
//! another.
//!
//! Main type: [`Operation`].

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use jiff::Timestamp;
use kube::api::{DeleteParams, DynamicObject};
use tokio::sync::Notify;

use crate::apply::{Applier, Method};
use crate::diff;
use crate::event::{Change, Event, Tell};
use crate::objects::{Object, Served};
use crate::options::{Apply, Options};
use crate::ownership;
use crate::readiness::Rules;
use crate::record::{Record, Status};
use crate::refusal::unread;
use crate::session::Session;
use crate::storage::{HEARTBEAT, SILENCE, Storage, Stored};
use crate::wait::await_ready;
use crate::{RecordError, ReleaseError};

/// How often a pending record is looked at while it is not known to be dead.
const LOOK: Duration = Duration::from_millis(500);
/// Helm does not say that it is alive: a pending record of its own is left
/// alone for so long.
const FOREIGN_SILENCE: Duration = Duration::from_secs(20);
/// Objects read together.
const AT_ONCE: usize = 16;
/// A finished operation says so even if the API needs another try.
const TRIES: u32 = 5;

/// One operation on one release.
pub(crate) struct Operation<'a> {
    pub session: &'a Session,
    pub storage: Storage,
    pub options: &'a Options,
    pub tell: &'a mut Tell<'a>,
}

/// Objects that were made on the way, for cleaning up.
pub(crate) type Created = Vec<Object>;

impl<'a> Operation<'a> {
    pub fn new(
        session: &'a Session,
        options: &'a Options,
        tell: &'a mut Tell<'a>,
    ) -> Operation<'a> {
        Operation {
            session,
            storage: Storage::new(session.client().clone(), session.namespace()),
            options,
            tell,
        }
    }

    /// Writes the state of a record on the way; a failure is only told.
    pub async fn keep(&mut self, record: &Record) {
        if let Err(error) = self.storage.update(record).await {
            let error = ReleaseError::from(error);
            (self.tell)(Event::Warning(error.line()));
        }
    }

    /// Writes how an operation ended; the API gets several tries.
    pub async fn finish(&mut self, record: &Record) {
        for attempt in 1..=TRIES {
            match self.storage.update(record).await {
                Ok(()) => return,
                Err(error) if attempt == TRIES => {
                    (self.tell)(Event::Warning(format!(
                        "failed to record the release: {}",
                        ReleaseError::Record(error).line()
                    )));
                }
                Err(_) => tokio::time::sleep(LOOK * attempt).await,
            }
        }
    }

    /// Returns the revisions of a release, the newest first; one that was
    /// interrupted is recorded as failed.
    pub async fn settled(&mut self, name: &str) -> Result<Vec<Stored>, ReleaseError> {
        let mut seen: Option<Stored> = None;
        loop {
            let history = self.storage.history(name).await?;
            let newest = match history.first() {
                Some(newest) if is_under_way(&newest.record) => newest.clone(),
                _ => return Ok(history),
            };
            if let Some(seen) = &seen
                && seen.record.version == newest.record.version
                && seen.resource_version != newest.resource_version
            {
                return Err(concurrent(&newest));
            }
            if self.is_over(&newest) {
                self.recover(newest).await?;
            } else {
                if seen.is_none() {
                    (self.tell)(Event::Warning(format!(
                        "revision {} is {}: looking whether {} still works on it",
                        newest.record.version,
                        newest.record.info.status.word(),
                        holder(&newest)
                    )));
                }
                seen.get_or_insert(newest);
                tokio::time::sleep(LOOK).await;
            }
        }
    }

    /// Whether nobody works on a pending revision any more.
    fn is_over(&self, stored: &Stored) -> bool {
        let age = |since: Option<Timestamp>| -> Duration {
            let since = since.unwrap_or(Timestamp::UNIX_EPOCH);
            Timestamp::now()
                .duration_since(since)
                .try_into()
                .unwrap_or_default()
        };
        match &stored.holder {
            Some((holder, _)) if self.session.is_dead(holder) => true,
            Some((_, alive)) => age(*alive) >= SILENCE,
            None => age(stored.touched) >= FOREIGN_SILENCE,
        }
    }

    async fn recover(&mut self, mut stored: Stored) -> Result<(), ReleaseError> {
        let status = stored.record.info.status;
        stored.record.set(
            Status::Failed,
            format!(
                "Interrupted during {}; ended by the next operation",
                status.word()
            ),
        );
        if self.storage.swap(&stored).await? {
            (self.tell)(Event::Recovered {
                version: stored.record.version,
                status: status.word(),
                holder: stored.holder.map(|(holder, _)| holder),
            });
        }
        Ok(())
    }

    /// Creates the record of a new revision; somebody who was faster is named.
    pub async fn claim(&mut self, record: &Record) -> Result<(), ReleaseError> {
        match self.storage.create(record, self.session.holder()).await {
            Ok(()) => Ok(()),
            Err(RecordError::Exists { name, version }) => {
                let found = self.storage.get(&name, version).await?;
                Err(found.as_ref().map_or_else(
                    || ReleaseError::Record(RecordError::Exists { name, version }),
                    concurrent,
                ))
            }
            Err(RecordError::Api { source, .. }) if is_namespace_missing(&source) => {
                Err(ReleaseError::NoNamespace {
                    namespace: self.session.namespace().to_owned(),
                })
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Reads what stands in the cluster of some objects.
    pub async fn live(
        &self,
        objects: &[Object],
    ) -> Result<Vec<Option<DynamicObject>>, ReleaseError> {
        let served = self.session.served().await?;
        let namespace = self.session.namespace();
        let reads = objects
            .iter()
            .map(|object| read(&served, object, namespace));
        let found: Vec<_> = futures::stream::iter(reads)
            .buffered(AT_ONCE)
            .collect()
            .await;
        found.into_iter().collect()
    }

    /// Checks that objects which a release has not had may become its own.
    pub fn check_owners(
        &self,
        name: &str,
        objects: &[Object],
        live: &[Option<DynamicObject>],
        had: &[Object],
        operation: &'static str,
    ) -> Result<(), ReleaseError> {
        if self.options.take_ownership {
            return Ok(());
        }
        let namespace = self.session.namespace();
        let had: BTreeSet<_> = had
            .iter()
            .map(|object| object.identity(namespace))
            .collect();
        for (object, live) in objects.iter().zip(live) {
            if let Some(live) = live
                && !had.contains(&object.identity(namespace))
            {
                ownership::check(object, live, name, namespace, operation)?;
            }
        }
        Ok(())
    }

    /// Returns how objects are applied, and Helm's word for it.
    pub fn method(&self, previous: Option<&Record>) -> (Method, &'static str) {
        let server_side = self.options.apply != Apply::Client;
        let was_client = previous.is_some_and(|previous| previous.apply_method != "ssa");
        let method = Method {
            server_side,
            // Where the client merged before, the chart always won.
            force: self.options.force_conflicts || (server_side && was_client),
            replace: self.options.force_replace,
            strict: !self.options.skip_field_validation,
            migrate: server_side && was_client,
            adds: previous.is_some(),
        };
        (method, if server_side { "ssa" } else { "csa" })
    }

    /// Brings the cluster from the objects of `olds` to `targets`: applies, then
    /// removes what is no more. `created` collects what was made, also when it
    /// fails.
    pub async fn bring(
        &mut self,
        name: &str,
        method: Method,
        targets: &[Object],
        olds: &[Object],
        created: &mut Created,
    ) -> Result<(), ReleaseError> {
        let live = self.live(targets).await?;
        let namespace = self.session.namespace();
        for (object, live) in targets.iter().zip(&live) {
            let identity = object.identity(namespace);
            let old = olds.iter().find(|old| old.identity(namespace) == identity);
            let served = self.serving(object, targets).await?;
            let applier = Applier {
                served: &served,
                name,
                namespace,
                method,
            };
            let change = applier.apply(object, old, live.as_ref()).await?;
            if change == Change::Created {
                created.push(object.clone());
            }
            (self.tell)(Event::Object {
                title: object.title(),
                change,
            });
        }
        self.remove_others(name, method, targets, olds).await
    }

    /// Tells what bringing the cluster from `olds` to `targets` would change.
    pub async fn tell_difference(
        &mut self,
        name: &str,
        method: Method,
        targets: &[Object],
        olds: &[Object],
    ) -> Result<(), ReleaseError> {
        let served = self.session.served().await?;
        let namespace = self.session.namespace();
        let applier = Applier {
            served: &served,
            name,
            namespace,
            method,
        };
        let live = self.live(targets).await?;
        for (object, live) in targets.iter().zip(live) {
            let live = live.and_then(|live| serde_json::to_value(live).ok());
            let after = match applier.preview(object).await {
                Ok(after) => serde_json::to_value(after).unwrap_or_default(),
                // What cannot be asked is shown as the chart has it.
                Err(_) => applier.marked(object),
            };
            let change = if live.is_some() {
                Change::Configured
            } else {
                Change::Created
            };
            self.tell_one(object, change, live.as_ref(), Some(&after));
        }
        let kept: BTreeSet<_> = targets
            .iter()
            .map(|object| object.identity(namespace))
            .collect();
        for old in olds
            .iter()
            .filter(|old| !kept.contains(&old.identity(namespace)))
        {
            if let Some(live) = read(&served, old, namespace).await? {
                let live = serde_json::to_value(live).unwrap_or_default();
                self.tell_one(old, Change::Deleted, Some(&live), None);
            }
        }
        Ok(())
    }

    fn tell_one(
        &mut self,
        object: &Object,
        change: Change,
        before: Option<&serde_json::Value>,
        after: Option<&serde_json::Value>,
    ) {
        let (before, after) = diff::texts(before, after);
        let text = diff::unified(&before, &after);
        if !text.is_empty() {
            (self.tell)(Event::Diff {
                title: object.title(),
                change,
                text,
            });
        }
    }

    /// Returns what the cluster serves, once it serves the object's kind: a
    /// definition among the targets may have just brought it.
    async fn serving(
        &mut self,
        object: &Object,
        targets: &[Object],
    ) -> Result<Arc<Served>, ReleaseError> {
        let served = self.session.served().await?;
        if served.resource(object).is_some() {
            return Ok(served);
        }
        let wanted = object.group_version_kind();
        let definition = targets.iter().find(|one| {
            one.kind() == "CustomResourceDefinition"
                && one.value["spec"]["group"] == wanted.group.as_str()
                && one.value["spec"]["names"]["kind"] == wanted.kind.as_str()
        });
        let Some(definition) = definition else {
            return Ok(served);
        };
        let definition = std::slice::from_ref(definition);
        self.await_definitions(definition).await?;
        self.session.served().await
    }

    /// Waits until definitions are established and their kinds served.
    pub async fn await_definitions(&mut self, definitions: &[Object]) -> Result<(), ReleaseError> {
        let rules = Rules {
            wait: crate::options::Wait::Watcher,
            jobs: false,
        };
        let patience = Duration::from_secs(60);
        await_ready(self.session, definitions, rules, patience, self.tell).await?;
        self.session.forget_served();
        Ok(())
    }

    async fn remove_others(
        &mut self,
        name: &str,
        method: Method,
        targets: &[Object],
        olds: &[Object],
    ) -> Result<(), ReleaseError> {
        let served = self.session.served().await?;
        let namespace = self.session.namespace();
        let kept: BTreeSet<_> = targets
            .iter()
            .map(|object| object.identity(namespace))
            .collect();
        let applier = Applier {
            served: &served,
            name,
            namespace,
            method,
        };
        let mut done = BTreeSet::new();
        let others = olds
            .iter()
            .filter(|old| !old.has_generated_name() && !kept.contains(&old.identity(namespace)));
        for old in others {
            // A kind that is not served any more took its objects with it.
            if !done.insert(old.identity(namespace)) || served.resource(old).is_none() {
                continue;
            }
            let Some(live) = read(&served, old, namespace).await? else {
                continue;
            };
            let policy = live
                .metadata
                .annotations
                .as_ref()
                .and_then(|annotations| annotations.get("helm.sh/resource-policy"));
            let change = if policy.is_some_and(|policy| policy == "keep") {
                Change::Kept
            } else {
                applier.remove(old, &DeleteParams::background()).await?;
                Change::Deleted
            };
            (self.tell)(Event::Object {
                title: old.title(),
                change,
            });
        }
        Ok(())
    }

    /// Waits as the options ask.
    pub async fn await_all(&mut self, objects: &[Object]) -> Result<(), ReleaseError> {
        let wait = self.options.waits();
        if wait == crate::options::Wait::Hooks {
            return Ok(());
        }
        let rules = Rules {
            wait,
            jobs: self.options.wait_for_jobs,
        };
        let timeout = self.options.timeout;
        await_ready(self.session, objects, rules, timeout, self.tell).await
    }

    /// Removes what a failed operation made.
    pub async fn clean_up(&mut self, name: &str, created: &[Object]) {
        let Ok(served) = self.session.served().await else {
            return;
        };
        let (method, _) = self.method(None);
        let applier = Applier {
            served: &served,
            name,
            namespace: self.session.namespace(),
            method,
        };
        for object in created.iter().rev() {
            let change = Change::Deleted;
            let title = object.title();
            match applier.remove(object, &DeleteParams::background()).await {
                Ok(_) => (self.tell)(Event::Object { title, change }),
                Err(error) => (self.tell)(Event::Warning(error.line())),
            }
        }
    }

    /// Returns what is needed to be seen alive during `record`'s operation.
    pub fn pulse(&self, record: &Record) -> Pulse {
        Pulse {
            storage: self.storage.clone(),
            name: record.name.clone(),
            version: record.version,
            holder: self.session.holder().to_owned(),
            interrupt: self.options.interrupt.clone(),
        }
    }
}

/// Says that an operation is alive, and hears the user interrupt.
pub(crate) struct Pulse {
    storage: Storage,
    name: String,
    version: i64,
    holder: String,
    interrupt: Option<Arc<Notify>>,
}

impl Pulse {
    /// Runs the work of an operation to its end, or until it is interrupted.
    pub async fn during<T>(
        &self,
        work: impl Future<Output = Result<T, ReleaseError>>,
    ) -> Result<T, ReleaseError> {
        let beats = async {
            loop {
                tokio::time::sleep(HEARTBEAT).await;
                self.storage
                    .beat(&self.name, self.version, &self.holder)
                    .await;
            }
        };
        let interrupted = async {
            match &self.interrupt {
                Some(interrupt) => interrupt.notified().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            result = work => result,
            () = interrupted => Err(ReleaseError::Interrupted),
            never = beats => never,
        }
    }
}

async fn read(
    served: &Served,
    object: &Object,
    namespace: &str,
) -> Result<Option<DynamicObject>, ReleaseError> {
    if served.resource(object).is_none() || object.has_generated_name() {
        return Ok(None);
    }
    let objects = served.api(object, namespace)?;
    let found = objects.get_opt(object.name()).await;
    found.map_err(|error| unread(error, object, served.namespace(object, namespace)))
}

fn is_under_way(record: &Record) -> bool {
    record.info.status.is_pending()
}

fn holder(stored: &Stored) -> String {
    stored
        .holder
        .as_ref()
        .map_or_else(|| "helm".into(), |(holder, _)| holder.clone())
}

fn concurrent(stored: &Stored) -> ReleaseError {
    ReleaseError::Concurrent {
        name: stored.record.name.clone(),
        version: stored.record.version,
        holder: holder(stored),
    }
}

fn is_namespace_missing(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status)
        if status.code == 404 && status.message.starts_with("namespaces "))
}
