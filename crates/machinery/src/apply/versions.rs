//! What a write changes, in the words of every version its owners speak.
//!
//! An owner that wrote through another version of a kind owns that version's
//! fields. Where a conversion is known the objects are compared in that
//! version; otherwise the fields are taken to have the same names.

use serde_json::Value;

use super::Manager;
use super::compare::{Comparison, compare};
use super::managed::ManagedFields;
use super::set::Set;
use super::types::Type;
use crate::convert::{from_storage, to_storage};
use crate::kind::Kind;
use crate::kinds;

/// The fields that a write changes and removes.
pub(super) struct Changes {
    pub(super) changed: Set,
    pub(super) removed: Set,
}

/// [`Changes`] by version.
pub(super) struct Versions {
    own: Changes,
    others: Vec<(String, Changes)>,
}

impl Versions {
    /// Compares two objects in the version of the request and in those of the
    /// owners.
    pub(super) fn compare(
        live: &Value,
        new: &Value,
        ty: Type<'_>,
        managed: &ManagedFields,
        manager: Manager<'_>,
    ) -> Versions {
        let resets = Set::from_dotted(manager.reset_fields);
        let mut versions = Versions {
            own: Changes::between(live, new, ty, &resets),
            others: Vec::new(),
        };
        for entry in managed.entries() {
            let version = entry.api_version.as_str();
            let known = version == manager.api_version
                || versions.others.iter().any(|(other, _)| other == version);
            if known {
                continue;
            }
            if let Some((live, new, ty)) = converted(live, new, manager.api_version, version) {
                versions.others.push((
                    version.to_owned(),
                    Changes::between(&live, &new, ty, &resets),
                ));
            }
        }
        versions
    }

    /// The changes in the words of a version.
    pub(super) fn of(&self, version: &str) -> &Changes {
        let other = self.others.iter().find(|(other, _)| other == version);
        other.map_or(&self.own, |(_, changes)| changes)
    }

    /// The changes in the words of the request.
    pub(super) fn into_own(self) -> Changes {
        self.own
    }
}

impl Changes {
    fn between(live: &Value, new: &Value, ty: Type<'_>, resets: &Set) -> Changes {
        let Comparison {
            removed,
            modified,
            added,
        } = compare(live, new, ty).without(resets);
        Changes {
            changed: modified.union(added),
            removed,
        }
    }
}

/// Both objects in another version, if it is one of the same stored kind.
fn converted(
    live: &Value,
    new: &Value,
    from: &str,
    to: &str,
) -> Option<(Value, Value, Type<'static>)> {
    let name = new["kind"].as_str()?;
    let (source, target) = (
        kinds::by_api_version(from, name)?,
        kinds::by_api_version(to, name)?,
    );
    if !std::ptr::eq(source.storage(), target.storage()) {
        return None;
    }
    let ty = Type::root(Some(target.schema()));
    Some((
        in_version(live, source, target),
        in_version(new, source, target),
        ty,
    ))
}

fn in_version(object: &Value, source: &'static Kind, target: &'static Kind) -> Value {
    let mut object = object.clone();
    to_storage(source, &mut object);
    from_storage(target, &mut object);
    object
}
