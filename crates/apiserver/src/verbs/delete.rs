//! `DELETE` of one object or of a collection: preconditions, grace, propagation,
//! finalizers, dry run.
//!
//! <https://kubernetes.io/docs/concepts/architecture/garbage-collection/>

use std::sync::Arc;

use bytes::Bytes;
use coracle_machinery::kind::Kind;
use coracle_store::{Expect, Store, WriteError};
use http::{Response, StatusCode};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::list;
use super::write;
use crate::admission;
use crate::body::{self, Body};
use crate::context::Context;
use crate::custom;
use crate::decode;
use crate::object::Stored;
use crate::options::invalid_options;
use crate::resource;
use crate::respond;
use crate::rules;
use crate::status::{self, ApiError, ApiResult, Details};

const TRIES: usize = 100;

/// What becomes of the dependents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Propagation {
    Orphan,
    Background,
    Foreground,
}

/// `DeleteOptions`.
#[derive(Debug, Clone, Default)]
pub struct Options {
    grace_period_seconds: Option<i64>,
    propagation: Option<Propagation>,
    orphan_dependents: Option<bool>,
    uid: Option<String>,
    revision: Option<String>,
    dry_run: bool,
}

/// What a deletion left.
pub enum Outcome {
    /// Nothing; this was the object.
    Gone(Arc<Stored>, Value),
    /// The object, marked for deletion.
    Marked(Value),
}

/// Deletes the object of the path.
///
/// # Errors
/// Whatever stands against it.
pub async fn run(
    context: &Context,
    kind: &'static Kind,
    body: &Bytes,
) -> ApiResult<Response<Body>> {
    let options = Options::read(context, body)?;
    warn_of_orphans(context, kind, &options);
    match delete(context, kind, context.namespace(), context.name(), &options).await? {
        Outcome::Marked(value) => {
            let code = if options.orphan_dependents == Some(false) {
                StatusCode::ACCEPTED
            } else {
                StatusCode::OK
            };
            respond::value(context, kind, code, &value)
        }
        Outcome::Gone(_, value) if returns_object(kind) => {
            respond::value(context, kind, StatusCode::OK, &value)
        }
        Outcome::Gone(stored, _) => {
            let answer = status::deleted(kind, &stored.meta.name, &stored.meta.uid);
            Ok(respond::json(StatusCode::OK, &answer))
        }
    }
}

/// Deletes everything the selectors name.
///
/// # Errors
/// The first thing that stands against it; what was deleted by then is.
pub async fn collection(
    context: &Context,
    kind: &'static Kind,
    body: &Bytes,
) -> ApiResult<Response<Body>> {
    let options = Options::read(context, body)?;
    let (meta, items) = list::select(context, kind)?;
    warn_of_orphans(context, kind, &options);
    let mut gone = Vec::with_capacity(items.len());
    for item in items {
        match delete(
            context,
            kind,
            &item.meta.namespace,
            &item.meta.name,
            &options,
        )
        .await
        {
            Ok(_) => gone.push(item),
            Err(error) if error.code == 404 => {}
            Err(error) => return Err(error),
        }
    }
    respond::list(context, kind, &meta, gone)
}

impl Options {
    /// Reads options given inside another object, as an eviction carries them.
    ///
    /// # Errors
    /// 422 for wrong values.
    pub fn from_value(value: &Value) -> ApiResult<Options> {
        let causes = rules::validate_delete_options(value);
        if !causes.is_empty() {
            return Err(invalid_options("DeleteOptions", causes));
        }
        let mut options = Options::default();
        options.fill(value);
        Ok(options)
    }

    /// Whether nothing is to be stored.
    pub fn is_dry_run(&self) -> bool {
        self.dry_run
    }

    /// Turns into a dry run.
    pub fn set_dry_run(&mut self) {
        self.dry_run = true;
    }

    /// Returns the revision the object must have.
    pub fn revision(&self) -> Option<&str> {
        self.revision.as_deref()
    }

    /// Refuses an object of any other revision.
    pub fn require_revision(&mut self, revision: u64) {
        self.revision = Some(revision.to_string());
    }

    fn read(context: &Context, body: &Bytes) -> ApiResult<Options> {
        if body.is_empty() {
            return Options::from_value(&from_query(context)?);
        }
        let content_type = body::content_type(&context.headers);
        let mut value = decode::parse(&content_type, body)?.value;
        check_kind(&value)?;
        decode::options("DeleteOptions", &mut value)?;
        Options::from_value(&value)
    }

    /// Compares the object with what the client expects it to be.
    ///
    /// # Errors
    /// 409 when it is another one.
    pub fn check_preconditions(&self, kind: &Kind, stored: &Stored) -> ApiResult<()> {
        let conflict = |why: String| {
            let name = &stored.meta.name;
            // Upstream names the kind of the storage here, not the resource.
            let group = kind.stored_as.map_or(kind.group, |(group, ..)| group);
            let qualified = match group {
                "" => kind.kind.to_owned(),
                group => format!("{}.{group}", kind.kind),
            };
            let message = format!("Operation cannot be fulfilled on {qualified} \"{name}\": {why}");
            ApiError::new(409, "Conflict", message).with(Details {
                name: name.clone(),
                group: group.to_owned(),
                kind: kind.kind.to_owned(),
                ..Details::default()
            })
        };
        let own_words = |what: &str, given: &str, found: &str| {
            let why = format!(
                "Precondition failed: {what} in precondition: {given}, {what} in object meta: {found}"
            );
            ApiError::conflict(kind, &stored.meta.name, &why)
        };
        // These look at preconditions before the generic deletion does.
        let looks_first = matches!(kind.kind, "Namespace" | "CustomResourceDefinition");
        if let Some(uid) = self.uid.as_ref().filter(|uid| **uid != stored.meta.uid) {
            if looks_first {
                return Err(own_words("UID", uid, &stored.meta.uid));
            }
            return Err(conflict(format!(
                "the UID in the precondition ({uid}) does not match the UID in record ({}). The object might have been deleted and then recreated",
                stored.meta.uid
            )));
        }
        let found = stored.revision.to_string();
        if let Some(revision) = self
            .revision
            .as_ref()
            .filter(|revision| **revision != found)
        {
            if looks_first {
                return Err(own_words("ResourceVersion", revision, &found));
            }
            return Err(conflict(format!(
                "the ResourceVersion in the precondition ({revision}) does not match the ResourceVersion in record ({found}). The object might have been modified"
            )));
        }
        Ok(())
    }

    fn fill(&mut self, value: &Value) {
        // A negative grace period means the shortest.
        self.grace_period_seconds = value["gracePeriodSeconds"]
            .as_i64()
            .map(|seconds| if seconds < 0 { 1 } else { seconds });
        self.orphan_dependents = value["orphanDependents"].as_bool();
        let text = |value: &Value| value.as_str().map(str::to_owned);
        self.uid = text(&value["preconditions"]["uid"]);
        self.revision = text(&value["preconditions"]["resourceVersion"]);
        self.propagation = match value["propagationPolicy"].as_str() {
            Some("Orphan") => Some(Propagation::Orphan),
            Some("Background") => Some(Propagation::Background),
            Some("Foreground") => Some(Propagation::Foreground),
            _ => None,
        };
        let dry = value["dryRun"].as_array();
        self.dry_run = dry.is_some_and(|values| !values.is_empty());
    }
}

fn check_kind(value: &Value) -> ApiResult<()> {
    let text = |key: &str| value[key].as_str().unwrap_or_default();
    if matches!(text("kind"), "" | "DeleteOptions") {
        return Ok(());
    }
    let version = match text("apiVersion") {
        "" => "meta.k8s.io/v1",
        version => version,
    };
    Err(ApiError::bad_request(format!(
        "no kind {:?} is registered for version {version:?} in scheme \"pkg/apis/meta/internalversion/scheme/register.go:27\"",
        text("kind"),
    )))
}

fn from_query(context: &Context) -> ApiResult<Value> {
    let query = &context.query;
    let mut value = json!({});
    if let Some(seconds) = query.get("gracePeriodSeconds") {
        value["gracePeriodSeconds"] = json!(list::number(seconds)?);
    }
    if let Some(policy) = query
        .get("propagationPolicy")
        .filter(|policy| !policy.is_empty())
    {
        value["propagationPolicy"] = json!(policy);
    }
    if query.get("orphanDependents").is_some() {
        value["orphanDependents"] = json!(query.flag("orphanDependents"));
    }
    let dry: Vec<&str> = query
        .all("dryRun")
        .filter(|value| !value.is_empty())
        .collect();
    if !dry.is_empty() {
        value["dryRun"] = json!(dry);
    }
    Ok(value)
}

/// Kinds whose dependents stay by default, for the sake of old clients.
fn orphans_by_default(kind: &Kind) -> bool {
    matches!(
        (kind.group, kind.plural),
        ("batch", "jobs") | ("", "replicationcontrollers")
    )
}

fn warn_of_orphans(context: &Context, kind: &Kind, options: &Options) {
    if (kind.group, kind.plural) == ("batch", "jobs")
        && options.propagation.is_none()
        && options.orphan_dependents.is_none()
    {
        context.warn("child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to remove them or set propagationPolicy=Orphan to suppress this warning");
    }
}

/// Kinds whose deletion answers with the object instead of a `Status`.
fn returns_object(kind: &Kind) -> bool {
    matches!(
        (kind.group, kind.plural),
        (
            "",
            "pods"
                | "persistentvolumes"
                | "persistentvolumeclaims"
                | "podtemplates"
                | "resourcequotas"
                | "services"
                | "serviceaccounts"
        ) | (
            "storage.k8s.io",
            "storageclasses"
                | "csidrivers"
                | "csinodes"
                | "volumeattachments"
                | "volumeattributesclasses"
        )
    )
}

/// Deletes an object, or marks it for deletion.
///
/// # Errors
/// Whatever stands against it.
pub async fn delete(
    context: &Context,
    kind: &'static Kind,
    namespace: &str,
    name: &str,
    options: &Options,
) -> ApiResult<Outcome> {
    for attempt in 1.. {
        let stored = super::get::find(context, kind, namespace, name)?;
        options.check_preconditions(kind, &stored)?;
        admission::check_delete(context, kind, &stored)?;
        match delete_once(context, kind, stored, options).await? {
            Ok(outcome) => return Ok(outcome),
            Err(WriteError::Conflict { .. }) if attempt < TRIES => {}
            Err(error) => return Err(write::refused(kind, name, &error)),
        }
    }
    unreachable!("the loop returns at its last attempt")
}

async fn delete_once(
    context: &Context,
    kind: &'static Kind,
    stored: Arc<Stored>,
    options: &Options,
) -> ApiResult<Result<Outcome, WriteError>> {
    let live = respond::served(kind, &stored);
    let mut object = live.clone();
    if kind.kind == "CustomResourceDefinition" {
        custom::definitions::hold(&mut object);
        custom::definitions::announce_deletion(&mut object);
    }
    let finalizers = finalizers_after(kind, &object, options);
    set_list(&mut object["metadata"], "finalizers", &finalizers);
    let grace = grace(kind, &live, options);
    let held = !finalizers.is_empty()
        || grace > 0
        || (kind.kind == "Namespace"
            && !live["spec"]["finalizers"]
                .as_array()
                .is_none_or(Vec::is_empty));
    mark(kind, &mut object, &live, grace);
    rules::canonicalize(kind, &mut object);
    let expect = Expect::Revision(stored.revision);
    if !held {
        // Only a graceful deletion shows in the object that is returned.
        let marked = is_graceful(kind) || stored.meta.deleting;
        let mut shown = if marked { object } else { live.clone() };
        if options.dry_run {
            return Ok(Ok(Outcome::Gone(stored, shown)));
        }
        return Ok(match take(context, kind, &stored, &shown, &live).await {
            Ok(revision) => {
                shown["metadata"]["resourceVersion"] = json!(revision.to_string());
                Ok(Outcome::Gone(stored, shown))
            }
            Err(error) => Err(error),
        });
    }
    if options.dry_run || object == live {
        return Ok(Ok(Outcome::Marked(object)));
    }
    let written = write::put(&context.core, kind, &object, expect).await;
    if written.is_ok() && kind.kind == "CustomResourceDefinition" {
        custom::definitions::follow(&context.core, &stored.meta.name);
    }
    Ok(written.map(|stored| Outcome::Marked(respond::served(kind, &stored))))
}

/// Takes an object away. One that is deleted with grace is marked first, so
/// that watchers see it go in the same steps whatever its time.
async fn take(
    context: &Context,
    kind: &'static Kind,
    stored: &Stored,
    marked: &Value,
    live: &Value,
) -> Result<u64, WriteError> {
    let store = &context.core.store;
    let key = resource::key(kind, &stored.meta.namespace, &stored.meta.name);
    let mut revision = stored.revision;
    let is_marked = is_graceful(kind) && marked != live;
    if is_marked {
        revision = write::put(&context.core, kind, marked, Expect::Revision(revision))
            .await?
            .revision;
    }
    let options = write::store_options(kind);
    match store
        .delete(key.clone(), Expect::Revision(revision), options)
        .await
    {
        Ok(deleted) => Ok(deleted.revision),
        // Whoever saw the mark may have taken it away in between: that it is
        // gone is what was asked for.
        Err(_) if is_marked && !is_there(store, &key, stored) => Ok(revision),
        Err(error) => Err(error),
    }
}

fn is_there(store: &Store<Stored>, key: &str, stored: &Stored) -> bool {
    let found = store.get(key);
    found.is_some_and(|found| found.meta.uid == stored.meta.uid)
}

fn finalizers_after(kind: &Kind, live: &Value, options: &Options) -> Vec<String> {
    const ORPHAN: &str = "orphan";
    const FOREGROUND: &str = "foregroundDeletion";
    let mut finalizers: Vec<String> = live["metadata"]["finalizers"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|finalizer| finalizer.as_str().map(str::to_owned))
        .collect();
    // A namespace on its way out stays as its first deletion made it.
    let settled = kind.kind == "Namespace" && !live["metadata"]["deletionTimestamp"].is_null();
    if settled || !collects_garbage(kind) {
        return finalizers;
    }
    let has = |name: &str| finalizers.iter().any(|finalizer| finalizer == name);
    let wanted = options.propagation.or_else(|| {
        options
            .orphan_dependents
            .map(|orphan| match (orphan, kind.kind) {
                (true, _) => Propagation::Orphan,
                // Upstream's namespaces read the old option in their own way.
                (false, "Namespace") => Propagation::Foreground,
                (false, _) => Propagation::Background,
            })
    });
    let wanted = wanted.unwrap_or_else(|| {
        if has(ORPHAN) {
            Propagation::Orphan
        } else if has(FOREGROUND) {
            Propagation::Foreground
        } else if orphans_by_default(kind) {
            Propagation::Orphan
        } else {
            Propagation::Background
        }
    });
    finalizers.retain(|finalizer| finalizer != ORPHAN && finalizer != FOREGROUND);
    match wanted {
        Propagation::Orphan => finalizers.push(ORPHAN.to_owned()),
        Propagation::Foreground => finalizers.push(FOREGROUND.to_owned()),
        Propagation::Background => {}
    }
    finalizers
}

/// Events are never owners.
fn collects_garbage(kind: &Kind) -> bool {
    kind.kind != "Event"
}

fn is_graceful(kind: &Kind) -> bool {
    (kind.group, kind.plural) == ("", "pods")
}

/// Pods that run somewhere get time; everything else goes at once.
fn grace(kind: &Kind, live: &Value, options: &Options) -> i64 {
    if !is_graceful(kind) {
        return 0;
    }
    let spec = &live["spec"];
    let unscheduled = spec["nodeName"].as_str().unwrap_or_default().is_empty();
    let finished = matches!(
        live["status"]["phase"].as_str(),
        Some("Succeeded" | "Failed")
    );
    if unscheduled || finished {
        return 0;
    }
    let asked = options
        .grace_period_seconds
        .or_else(|| spec["terminationGracePeriodSeconds"].as_i64());
    let asked = asked.map_or(30, |seconds| if seconds < 0 { 1 } else { seconds });
    // A second deletion may only shorten the time.
    match live["metadata"]["deletionGracePeriodSeconds"].as_i64() {
        Some(left) if live["metadata"].get("deletionTimestamp").is_some() => {
            if options.grace_period_seconds.is_some() {
                asked.min(left)
            } else {
                left
            }
        }
        _ => asked,
    }
}

/// Marks an object for deletion in so many seconds.
pub fn mark(kind: &Kind, object: &mut Value, live: &Value, grace: i64) {
    let deleting = live["metadata"]
        .get("deletionTimestamp")
        .is_some_and(|time| !time.is_null());
    let shortened = live["metadata"]["deletionGracePeriodSeconds"]
        .as_i64()
        .is_some_and(|left| grace < left);
    if deleting && !shortened {
        return;
    }
    let time = Timestamp::now()
        .saturating_add(SignedDuration::from_secs(grace))
        .unwrap_or(Timestamp::MAX);
    let metadata = &mut object["metadata"];
    metadata["deletionTimestamp"] = json!(coracle_machinery::time::seconds(time));
    // Upstream's namespaces and definitions mark their own deletion, without a
    // time of grace and without counting it.
    let own_mark = matches!(kind.kind, "Namespace" | "CustomResourceDefinition");
    if !own_mark {
        metadata["deletionGracePeriodSeconds"] = json!(grace);
    }
    if let Some(generation) = metadata["generation"]
        .as_i64()
        .filter(|&generation| generation > 0 && !own_mark)
    {
        metadata["generation"] = json!(generation + 1);
    }
    if kind.kind == "Namespace" {
        object["status"]["phase"] = json!("Terminating");
    }
}

fn set_list(metadata: &mut Value, key: &str, list: &[String]) {
    if list.is_empty() {
        if let Some(map) = metadata.as_object_mut() {
            map.shift_remove(key);
        }
    } else {
        metadata[key] = json!(list);
    }
}
