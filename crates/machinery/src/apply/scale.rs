//! Owners of `replicas`, seen through the `scale` subresource.
//!
//! A write to `scale` is tracked on an `autoscaling/v1` object that has the one
//! field `spec.replicas`; [`to_scale`] and [`from_scale`] carry the owners of
//! that field over and back.

use super::element::Element;
use super::managed::{Entry, ManagedFields};
use super::set::Set;

const SCALE_VERSION: &str = "autoscaling/v1";
const SCALE_REPLICAS: &str = "spec.replicas";

/// Returns the owners of the object's replicas as owners of a scale.
/// `replicas` is the dotted path of the replicas in the object.
pub fn to_scale(object: &ManagedFields, replicas: &str) -> ManagedFields {
    let path = path(replicas);
    let mut scale = ManagedFields::default();
    for entry in object.entries().filter(|entry| entry.fields.has(&path)) {
        put_as(
            &mut scale,
            entry,
            SCALE_VERSION,
            Set::from_dotted(&[SCALE_REPLICAS]),
            entry.time.clone(),
            object,
        );
    }
    scale
}

/// Returns the owners of the object after those of its scale have changed:
/// who lost the scale's replicas loses the object's.
pub fn from_scale(
    object: &ManagedFields,
    scale: &ManagedFields,
    replicas: &str,
    api_version: &str,
) -> ManagedFields {
    let path = path(replicas);
    let only_replicas = Set::from_dotted(&[replicas]);
    let mut managed = ManagedFields::default();
    let mut seen = Vec::new();
    for entry in object.entries() {
        let mut entry = entry.clone();
        if entry.fields.has(&path) {
            let kept = scale.entries().find(|scale| is_same(scale, &entry));
            match kept {
                Some(kept) => seen.push(kept.clone()),
                None => entry.fields = std::mem::take(&mut entry.fields).difference(&only_replicas),
            }
        }
        if !entry.fields.is_empty() {
            managed.put(entry);
        }
    }
    let replicas_in_scale = self::path(SCALE_REPLICAS);
    for entry in scale
        .entries()
        .filter(|entry| entry.fields.has(&replicas_in_scale))
    {
        if !seen.contains(entry) {
            // Upstream looks for the time among the object's entries, where
            // a new owner has none.
            put_as(
                &mut managed,
                entry,
                api_version,
                only_replicas.clone(),
                None,
                object,
            );
        }
    }
    managed
}

/// Whether an entry of the scale stands for an entry of the object. They
/// differ in the version, which updates are told apart by otherwise.
fn is_same(scale: &Entry, object: &Entry) -> bool {
    scale.manager == object.manager
        && scale.operation == object.operation
        && scale.subresource == object.subresource
}

fn put_as(
    managed: &mut ManagedFields,
    entry: &Entry,
    api_version: &str,
    fields: Set,
    time: Option<String>,
    object: &ManagedFields,
) {
    let known = object.entries().find(|known| is_same(known, entry));
    let time = time.or_else(|| known.and_then(|known| known.time.clone()));
    managed.put(Entry {
        api_version: api_version.to_owned(),
        fields,
        time,
        ..entry.clone()
    });
}

fn path(dotted: &str) -> Vec<Element> {
    dotted
        .split('.')
        .map(|name| Element::Field(name.to_owned()))
        .collect()
}
