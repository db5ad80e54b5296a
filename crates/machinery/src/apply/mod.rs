//! Server-side apply and the tracking of who owns which field.
//!
//! [`apply`] merges a configuration into an object, [`track_update`] notes what
//! any other write changed; both give back the [`ManagedFields`] to store. They
//! follow `sigs.k8s.io/structured-merge-diff` and
//! `k8s.io/apimachinery/pkg/util/managedfields`.
//!
//! Upstream tracks a write right after decoding, defaulting and conversion:
//! what admission and the preparation of the object add has no owner.
//!
//! Live objects are expected in canonical form (see [`crate::canonical`]). The
//! result of [`apply`] is not: the caller decodes, defaults, prepares and
//! validates it like any other update.

mod compare;
mod conflict;
mod element;
mod fields;
mod items;
mod last_applied;
mod managed;
mod merge;
mod remove;
mod scale;
mod set;
mod types;
mod validate;
mod versions;

use std::borrow::Cow;

use serde_json::{Value, json};

use crate::canonical::canonicalize;
use crate::schema::Node;
use compare::equal;
pub use conflict::{ApplyError, Conflict};
pub use element::{Element, FieldPath, Scalar};
use fields::fields_of;
pub use managed::{Entry, ManagedFields, ManagedFieldsError, Operation};
use managed::{Identity, is_reset};
pub use scale::{from_scale, to_scale};
pub use set::Set;
use types::Type;
use versions::{Changes, Versions};

/// Owner of what stood in an untracked object before somebody applied to it.
const BEFORE_FIRST_APPLY: &str = "before-first-apply";

/// Fields that nobody owns: they identify the object, or the server keeps them.
const UNOWNED: &[&str] = &[
    "apiVersion",
    "kind",
    "metadata",
    "metadata.name",
    "metadata.namespace",
    "metadata.creationTimestamp",
    "metadata.selfLink",
    "metadata.uid",
    "metadata.clusterName",
    "metadata.generation",
    "metadata.managedFields",
    "metadata.resourceVersion",
];

/// Who writes, how and when.
#[derive(Debug, Clone, Copy)]
pub struct Manager<'a> {
    /// Name of the field manager; `unknown` if empty.
    pub name: &'a str,
    /// Subresource written to; empty for the resource itself.
    pub subresource: &'a str,
    /// Version of the request, such as `apps/v1`.
    pub api_version: &'a str,
    /// The time, RFC 3339 in UTC with seconds.
    pub now: &'a str,
    /// Dotted paths that this write cannot change and so never owns, such as
    /// `status` (see `strategy::reset_fields`).
    pub reset_fields: &'a [&'a str],
}

impl Manager<'_> {
    fn identity(&self, operation: Operation) -> Identity {
        Identity::new(
            self.known_name(),
            operation,
            self.subresource,
            self.api_version,
        )
    }

    fn known_name(&self) -> &str {
        if self.name.is_empty() {
            "unknown"
        } else {
            self.name
        }
    }

    fn entry(&self, operation: Operation, fields: Set, time: Option<String>) -> Entry {
        Entry {
            manager: self.known_name().to_owned(),
            operation,
            subresource: self.subresource.to_owned(),
            api_version: self.api_version.to_owned(),
            time,
            fields,
        }
    }

    fn filtered(&self, fields: Set) -> Set {
        if self.reset_fields.is_empty() {
            return fields;
        }
        fields.recursive_difference(&Set::from_dotted(self.reset_fields))
    }
}

/// Returns the owners after a write other than apply.
///
/// `live` is the object before, or null for a create; `new` the object to be
/// stored, after defaulting. If `new` still carries the `managedFields` that
/// the client sent they are obeyed as upstream does: kept when they are valid,
/// forgotten when the client asked so, otherwise those of the live object hold.
pub fn track_update(
    schema: Option<Node<'_>>,
    live: &Value,
    live_managed: &ManagedFields,
    new: &Value,
    manager: Manager<'_>,
) -> ManagedFields {
    let managed = requested(live_managed, new, manager.subresource);
    let is_create = live["metadata"]["uid"].as_str().is_none_or(str::is_empty);
    if managed.is_empty() && !is_create {
        // Nobody tracks this object; who applies to it first begins to.
        return managed;
    }
    update(schema, live, new, managed, manager)
}

/// The owners that a request means to begin with.
fn requested(live: &ManagedFields, new: &Value, subresource: &str) -> ManagedFields {
    let sent = &new["metadata"]["managedFields"];
    if !subresource.is_empty() || sent.is_null() {
        return live.clone();
    }
    if is_reset(sent) {
        return ManagedFields::default();
    }
    match ManagedFields::from_json(sent) {
        Ok(managed) if !managed.is_empty() => managed,
        _ => live.clone(),
    }
}

fn update(
    schema: Option<Node<'_>>,
    live: &Value,
    new: &Value,
    mut managed: ManagedFields,
    manager: Manager<'_>,
) -> ManagedFields {
    let ty = Type::root(schema);
    follow_schema(schema, &mut managed);
    let live = or_empty(schema, live);
    // Lists of owners inside the objects do no harm: nobody owns them.
    let versions = Versions::compare(&live, new, ty, &managed, manager);
    managed.retain_fields(None, |version, fields| {
        let Changes { changed, removed } = versions.of(version);
        fields.difference(changed).difference(removed)
    });
    let changed = versions.into_own().changed;
    let owned = changed.difference(&Set::from_dotted(UNOWNED));
    if !owned.is_empty() {
        let previous = managed.remove(&manager.identity(Operation::Update));
        let previous = previous.map(|previous| previous.fields);
        let fields = previous.unwrap_or_default().union(owned);
        managed.put(manager.entry(Operation::Update, fields, Some(manager.now.to_owned())));
    }
    managed.cap_updates();
    managed
}

/// Adapts the owners to a custom type whose schema may have changed since.
fn follow_schema(schema: Option<Node<'_>>, managed: &mut ManagedFields) {
    if schema.is_some_and(|schema| schema.raw().is_some()) {
        managed.retain_fields(None, |_, fields| fields.following(Type::root(schema)));
    }
}

/// The live object, or what an object of the type holds before anything is
/// written: the structures that are always there.
fn or_empty<'v>(schema: Option<Node<'_>>, live: &'v Value) -> Cow<'v, Value> {
    if live.as_object().is_some_and(|live| !live.is_empty()) {
        return Cow::Borrowed(live);
    }
    let mut empty = json!({});
    if let Some(schema) = schema {
        canonicalize(schema, &mut empty);
    }
    Cow::Owned(empty)
}

fn without_managed_fields(object: &Value) -> Cow<'_, Value> {
    if object["metadata"].get("managedFields").is_none() {
        return Cow::Borrowed(object);
    }
    let mut object = object.clone();
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.shift_remove("managedFields");
    }
    Cow::Owned(object)
}

/// Applies a configuration, and returns the object and its owners.
///
/// `live` is the object before and its owners, or `None` if it is to be
/// created. When nothing changes the object is the live one, and so are the
/// times of its owners.
///
/// # Errors
/// When other managers own fields that would change, unless `force` takes them
/// away; when the configuration does not fit its type.
pub fn apply(
    schema: Option<Node<'_>>,
    live: Option<(&Value, &ManagedFields)>,
    config: &Value,
    manager: Manager<'_>,
    force: bool,
) -> Result<(Value, ManagedFields), ApplyError> {
    let ty = Type::root(schema);
    if config["metadata"]
        .get("managedFields")
        .is_some_and(|managed| !managed.is_null())
    {
        let message = "metadata.managedFields must be nil".to_owned();
        return Err(ApplyError::Invalid { code: 400, message });
    }
    validate::validate(config, ty).map_err(|text| invalid(config, &text))?;
    let (live, mut managed) = match live {
        Some((live, managed)) => (without_managed_fields(live), managed.clone()),
        None => (or_empty(schema, &Value::Null), ManagedFields::default()),
    };
    if managed.is_empty() && live["metadata"]["uid"].is_string() {
        let before = Manager {
            name: BEFORE_FIRST_APPLY,
            ..manager
        };
        managed = update(schema, &Value::Null, &live, managed, before);
    }
    follow_schema(schema, &mut managed);
    let step = Step {
        ty,
        live: &live,
        config,
        manager,
    };
    let applied = step.run(managed.clone(), force);
    let (object, managed) = match applied {
        Err(ApplyError::Conflicts(conflicts)) if manager.name == last_applied::MANAGER => step
            .run(
                managed,
                last_applied::allows(ty, &live, conflicts, manager)?,
            )?,
        other => other?,
    };
    Ok((last_applied::kept_in_step(object, config, manager), managed))
}

fn invalid(config: &Value, text: &str) -> ApplyError {
    let of = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let metadata = &config["metadata"];
    let (namespace, name) = (of(&metadata["namespace"]), of(&metadata["name"]));
    let (mut version, kind) = (of(&config["apiVersion"]), of(&config["kind"]));
    if !version.contains('/') {
        // The core group has no name, but its slash is printed.
        version.insert(0, '/');
    }
    let message = format!(
        "failed to create typed patch object ({namespace}/{name}; {version}, Kind={kind}): {text}"
    );
    ApplyError::Invalid { code: 500, message }
}

/// One application of a configuration to a live object.
struct Step<'a> {
    ty: Type<'a>,
    live: &'a Value,
    config: &'a Value,
    manager: Manager<'a>,
}

impl Step<'_> {
    fn run(
        &self,
        mut managed: ManagedFields,
        force: bool,
    ) -> Result<(Value, ManagedFields), ApplyError> {
        let identity = self.manager.identity(Operation::Apply);
        let merged = merge::merge(self.live, self.config, self.ty);
        let last = managed.remove(&identity);
        let fields = self.manager.filtered(fields_of(self.config, self.ty));
        let time = last.as_ref().and_then(|last| last.time.clone());
        managed.put(self.manager.entry(Operation::Apply, fields, time));
        let object = match &last {
            Some(last) if !last.fields.is_empty() => self.prune(&merged, &managed, &last.fields),
            _ => None,
        };
        let object = object.as_ref().unwrap_or(&merged);
        let mut managed = self.settle(managed, &identity, object, force)?;
        let changed = !equal(self.live, object);
        if let Some(mut own) = managed.remove(&identity) {
            own.fields = own.fields.difference(&Set::from_dotted(UNOWNED));
            if changed {
                own.time = Some(self.manager.now.to_owned());
            }
            if !own.fields.is_empty() {
                managed.put(own);
            }
        }
        let object = if changed {
            remove::without_new_nulls(object.clone(), &merged)
        } else {
            self.live.clone()
        };
        Ok((object, managed))
    }

    /// Takes what changes away from the other managers, if they may lose it.
    fn settle(
        &self,
        mut managed: ManagedFields,
        own: &Identity,
        object: &Value,
        force: bool,
    ) -> Result<ManagedFields, ApplyError> {
        let versions = Versions::compare(self.live, object, self.ty, &managed, self.manager);
        let others = managed.iter().filter(|(identity, _)| *identity != own);
        let disputed = others.flat_map(|(_, entry)| {
            let changed = &versions.of(&entry.api_version).changed;
            conflict::conflicts_with(entry, entry.fields.intersection(changed).paths())
        });
        let disputed: Vec<Conflict> = disputed.collect();
        if !force && !disputed.is_empty() {
            return Err(ApplyError::Conflicts(disputed));
        }
        managed.retain_fields(Some(own), |version, fields| {
            let Changes { changed, removed } = versions.of(version);
            fields.difference(changed).difference(removed)
        });
        Ok(managed)
    }

    /// Removes what this manager applied last time, does not apply now, and
    /// nobody else owns; `None` if that is nothing. A map or list that loses
    /// its last member is null, which is not the same as being removed itself:
    /// who owns the map still does.
    fn prune(&self, merged: &Value, managed: &ManagedFields, last: &Set) -> Option<Value> {
        let named = |fields: Set| fields.with_named_fields(self.ty);
        let mentioned = |value: &Value| named(fields_of(value, self.ty));
        let last = named(last.clone());
        let everything = mentioned(merged);
        let pruned = remove::remove(merged, &last, self.ty);
        let owned = managed.entries().fold(Set::default(), |owned, entry| {
            owned.union(entry.fields.clone())
        });
        let kept = mentioned(&pruned).union(named(owned));
        let pruned = remove::remove(merged, &everything.clone().difference(&kept), self.ty);
        let gone = everything
            .difference(&mentioned(&pruned))
            .intersection(&last);
        (!gone.is_empty()).then(|| remove::remove(merged, &gone, self.ty))
    }
}

#[cfg(test)]
mod tests;
