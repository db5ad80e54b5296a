//! The life of a definition: its names are accepted or refused, it is
//! established, and when it goes its objects go first. Upstream has controllers
//! inside of the server for this; here it follows each write.
//!
//! <https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/>

use std::sync::Arc;

use coracle_machinery::kind::Kind;
use coracle_store::{Expect, WriteError, WriteOptions};
use serde_json::{Map, Value, json};

use crate::managed::{self, Writer};
use crate::resource;
use crate::rules;
use crate::server::Core;
use crate::verbs::{delete, write};

const CLEANUP: &str = "customresourcecleanup.apiextensions.k8s.io";

fn kind() -> &'static Kind {
    resource::builtin("apiextensions.k8s.io", "customresourcedefinitions")
}

fn condition<'a>(definition: &'a Value, name: &str) -> Option<&'a Value> {
    definition["status"]["conditions"]
        .as_array()?
        .iter()
        .find(|condition| condition["type"] == name)
}

/// Whether the resource is served.
pub fn is_established(definition: &Value) -> bool {
    condition(definition, "Established").is_some_and(|condition| condition["status"] == "True")
}

/// Brings the status of a definition up to date after a write of it, and
/// empties it when it is going.
pub fn follow(core: &Arc<Core>, name: &str) {
    let (core, name) = (core.clone(), name.to_owned());
    tokio::spawn(async move { settle(&core, &name).await });
}

/// The waiting form of [`follow`].
pub async fn settle(core: &Core, name: &str) {
    loop {
        let Some(stored) = core.store.get(&resource::key(kind(), "", name)) else {
            return;
        };
        let live = stored.to_value();
        let mut definition = live.clone();
        if stored.meta.deleting {
            if !holds(&live) {
                return;
            }
            if empty(core, &live).await {
                release(&mut definition);
            } else {
                set(
                    &mut definition,
                    "Terminating",
                    "True",
                    "InstanceDeletionInProgress",
                    "CustomResource deletion is in progress",
                );
            }
        } else {
            judge(core, &mut definition);
        }
        rules::canonicalize(kind(), &mut definition);
        if stored.says_the_same(&definition) {
            return;
        }
        if !stored.meta.deleting {
            let writer = Writer {
                manager: "kube-apiserver",
                subresource: "status",
            };
            managed::update(kind(), &live, &mut definition, &writer);
        }
        let expect = Expect::Revision(stored.revision);
        let done = if stored.meta.deleting && finalizers(&definition).is_empty() {
            let key = resource::key(kind(), "", name);
            core.store
                .delete(key, expect, WriteOptions::default())
                .await
                .map(drop)
        } else {
            write::put(core, kind(), &definition, expect)
                .await
                .map(drop)
        };
        match done {
            Ok(()) | Err(WriteError::Missing { .. }) => return,
            Err(WriteError::Conflict { .. }) => {}
            Err(error) => {
                tracing::warn!(%error, name, "the status of a custom resource definition was not written");
                return;
            }
        }
    }
}

fn finalizers(definition: &Value) -> Vec<&str> {
    definition["metadata"]["finalizers"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect()
}

fn holds(definition: &Value) -> bool {
    finalizers(definition).contains(&CLEANUP)
}

/// Adds the finalizer that lets the objects go first.
pub fn hold(definition: &mut Value) {
    if holds(definition) {
        return;
    }
    let mut list = definition["metadata"]["finalizers"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    list.push(json!(CLEANUP));
    definition["metadata"]["finalizers"] = json!(list);
}

/// Says in the status that the objects go, and then the definition.
pub fn announce_deletion(definition: &mut Value) {
    let conditions = &mut definition["status"]["conditions"];
    let mut list = conditions.as_array().cloned().unwrap_or_default();
    if list
        .iter()
        .any(|condition| condition["type"] == "Terminating")
    {
        return;
    }
    list.push(json!({
        "type": "Terminating",
        "status": "True",
        "lastTransitionTime": coracle_machinery::time::seconds(jiff::Timestamp::now()),
        "reason": "InstanceDeletionPending",
        "message": "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon",
    }));
    *conditions = json!(list);
}

fn release(definition: &mut Value) {
    let list: Vec<Value> = definition["metadata"]["finalizers"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|one| **one != CLEANUP)
        .cloned()
        .collect();
    if list.is_empty() {
        if let Some(metadata) = definition["metadata"].as_object_mut() {
            metadata.shift_remove("finalizers");
        }
    } else {
        definition["metadata"]["finalizers"] = json!(list);
    }
}

/// Deletes every object of a definition that is going, and returns whether none
/// is left. One held by finalizers of its own is marked, as any deletion would.
async fn empty(core: &Core, definition: &Value) -> bool {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let spec = &definition["spec"];
    let (group, plural) = (text(&spec["group"]), text(&spec["names"]["plural"]));
    let versions = spec["versions"].as_array().into_iter().flatten();
    let mut rows =
        versions.filter_map(|version| core.customs.find(&group, &text(&version["name"]), &plural));
    let row = rows.next();
    let mut is_empty = true;
    let prefix = format!("/{group}/{plural}/");
    for (key, stored) in core.store.list(&prefix, None, usize::MAX).items {
        let object = stored.to_value();
        let expect = Expect::Revision(stored.revision);
        let done = match row.filter(|_| !finalizers(&object).is_empty()) {
            Some(row) => {
                is_empty = false;
                if stored.meta.deleting {
                    continue;
                }
                let mut marked = object.clone();
                delete::mark(row, &mut marked, &object, 0);
                write::put(core, row, &marked, expect).await.map(drop)
            }
            None => {
                let options = WriteOptions::default();
                let deleted = core.store.delete(key.to_string(), expect, options).await;
                deleted.map(drop)
            }
        };
        match done {
            Ok(()) | Err(WriteError::Missing { .. }) => {}
            Err(error) => {
                // Whoever wrote in between brings the definition here again.
                is_empty = false;
                tracing::debug!(%error, "a custom object was not deleted yet");
            }
        }
    }
    is_empty
}

/// Accepts the names that no other definition of the group has, and with them
/// the definition.
fn judge(core: &Core, definition: &mut Value) {
    let names = definition["spec"]["names"].clone();
    let taken = taken(core, definition);
    let before = definition["status"]["acceptedNames"].clone();
    let mut accepted = Map::new();
    let mut conflict: Option<(&str, String)> = None;
    for (field, reason) in [
        ("plural", "PluralConflict"),
        ("singular", "SingularConflict"),
        ("shortNames", "ShortNamesConflict"),
        ("kind", "KindConflict"),
        ("listKind", "ListKindConflict"),
    ] {
        let wanted = &names[field];
        let kinds = matches!(field, "kind" | "listKind");
        let list: Vec<&str> = match wanted {
            Value::Array(list) => list.iter().filter_map(Value::as_str).collect(),
            other => other.as_str().into_iter().collect(),
        };
        let clash = list
            .iter()
            .find(|name| taken.contains(&(kinds, (**name).to_owned())));
        match clash {
            Some(name) => {
                conflict = Some((reason, format!("{name:?} is already in use")));
                if let Some(old) = before.get(field).filter(|old| !old.is_null()) {
                    accepted.insert(field.to_owned(), old.clone());
                }
            }
            None if !wanted.is_null() => drop(accepted.insert(field.to_owned(), wanted.clone())),
            None => {}
        }
    }
    if let Some(categories) = names.get("categories") {
        accepted.insert("categories".to_owned(), categories.clone());
    }
    definition["status"]["acceptedNames"] = Value::Object(accepted);
    let was_established = is_established(definition);
    match conflict {
        None => {
            set(
                definition,
                "NamesAccepted",
                "True",
                "NoConflicts",
                "no conflicts found",
            );
            if !was_established {
                set(
                    definition,
                    "Established",
                    "True",
                    "InitialNamesAccepted",
                    "the initial names have been accepted",
                );
            }
        }
        Some((reason, message)) => {
            set(definition, "NamesAccepted", "False", reason, &message);
            if !was_established {
                set(
                    definition,
                    "Established",
                    "False",
                    "NotAccepted",
                    "not all names are accepted",
                );
            }
        }
    }
}

/// Names that other definitions of the group hold: whether it is a kind, and the name.
fn taken(core: &Core, definition: &Value) -> Vec<(bool, String)> {
    let mut taken = Vec::new();
    let prefix = resource::prefix(kind(), None);
    for (_, other) in core.store.list(&prefix, None, usize::MAX).items {
        let other = other.to_plain_value();
        if other["metadata"]["uid"] == definition["metadata"]["uid"]
            || other["spec"]["group"] != definition["spec"]["group"]
        {
            continue;
        }
        let names = &other["status"]["acceptedNames"];
        for field in ["plural", "singular", "kind", "listKind"] {
            if let Some(name) = names[field].as_str().filter(|name| !name.is_empty()) {
                taken.push((matches!(field, "kind" | "listKind"), name.to_owned()));
            }
        }
        for name in names["shortNames"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
        {
            taken.push((false, name.to_owned()));
        }
    }
    taken
}

fn set(definition: &mut Value, name: &str, status: &str, reason: &str, message: &str) {
    let mut conditions = definition["status"]["conditions"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let now = coracle_machinery::time::seconds(jiff::Timestamp::now());
    let since = conditions
        .iter()
        .find(|condition| condition["type"] == name && condition["status"] == status)
        .map_or(json!(now), |condition| {
            condition["lastTransitionTime"].clone()
        });
    let condition = json!({
        "type": name, "status": status, "lastTransitionTime": since, "reason": reason, "message": message,
    });
    match conditions
        .iter_mut()
        .find(|condition| condition["type"] == name)
    {
        Some(old) => *old = condition,
        None => conditions.push(condition),
    }
    definition["status"]["conditions"] = json!(conditions);
}
