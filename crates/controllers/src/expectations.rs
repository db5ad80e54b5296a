//! What a controller wrote and its cache has not shown yet.
//!
//! A controller that counts from a cache must not act on a count that lacks
//! its own last writes, or it would create or delete twice.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use coracle_client::Key;
use kube::{Resource, ResourceExt};
use parking_lot::Mutex;

use crate::owner::{controller_of, uid_of};

/// After this time an expectation is given up: the event was lost or undone.
pub const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Expected {
    Present,
    Absent,
}

/// What is expected of each child of an owner, and since when.
type Children = HashMap<String, (Expected, Instant)>;

/// Children expected to appear in, or vanish from, the cache, by their owner's
/// uid: another of the same name expects nothing.
#[derive(Default)]
pub struct Expectations {
    owners: Mutex<HashMap<String, Children>>,
}

impl Expectations {
    /// Notes that child `name` was created.
    pub fn created<O: Resource>(&self, owner: &O, name: &str) {
        self.expect(owner, name, Expected::Present);
    }

    /// Notes that child `name` was deleted.
    pub fn deleted<O: Resource>(&self, owner: &O, name: &str) {
        self.expect(owner, name, Expected::Absent);
    }

    fn expect<O: Resource>(&self, owner: &O, name: &str, expected: Expected) {
        let mut owners = self.owners.lock();
        // Owners that went in the midst of it ask no more.
        owners.retain(|_, children| children.values().any(|(_, since)| is_fresh(*since)));
        let children = owners.entry(uid_of(owner).to_owned()).or_default();
        children.insert(name.to_owned(), (expected, Instant::now()));
    }

    /// Notes that the cache tells of a child: it was there, even if it is gone
    /// by the time that its owner looks.
    pub fn seen<K: Resource>(&self, child: &K) {
        let mut owners = self.owners.lock();
        let owner = controller_of(child).and_then(|owner| owners.get_mut(&owner.uid));
        if let Some(children) = owner {
            let name = child.name_any();
            children.retain(|of, (expected, _)| *of != name || *expected != Expected::Present);
        }
    }

    /// Returns whether the cache shows all that was written; `find` asks it for a
    /// child by name. One that was created may have ended meanwhile, and one
    /// that was deleted may still be on its way out.
    pub fn are_met<O: Resource, K: Resource>(
        &self,
        owner: &O,
        find: impl Fn(&str) -> Option<Arc<K>>,
    ) -> bool {
        let owner = uid_of(owner);
        let mut owners = self.owners.lock();
        let Some(children) = owners.get_mut(owner) else {
            return true;
        };
        children.retain(|name, (expected, since)| {
            let child = find(name);
            let stays = |child: &Arc<K>| child.meta().deletion_timestamp.is_none();
            let is_missed = match expected {
                Expected::Present => child.is_none(),
                Expected::Absent => child.as_ref().is_some_and(stays),
            };
            is_missed && is_fresh(*since)
        });
        if children.is_empty() {
            owners.remove(owner);
            return true;
        }
        false
    }
}

fn is_fresh(since: Instant) -> bool {
    since.elapsed() < PATIENCE
}

/// The versions that a controller's own writes gave to its objects.
///
/// What a controller decides from the status that it keeps itself must not be
/// decided on an older one.
#[derive(Default)]
pub struct OwnWrites {
    versions: Mutex<HashMap<Key, u64>>,
}

fn version<K: Resource>(object: &K) -> u64 {
    let version = object.meta().resource_version.as_deref();
    version
        .and_then(|version| version.parse().ok())
        .unwrap_or(u64::MAX)
}

impl OwnWrites {
    /// Notes an object as the API gave it back.
    pub fn note<K: Resource>(&self, key: &Key, object: &K) {
        self.versions.lock().insert(key.clone(), version(object));
    }

    /// Returns whether an object is as new as the last write to it.
    pub fn are_in<K: Resource>(&self, key: &Key, object: &K) -> bool {
        let mut versions = self.versions.lock();
        if versions
            .get(key)
            .is_some_and(|last| version(object) < *last)
        {
            return false;
        }
        versions.remove(key);
        true
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Pod;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;

    use super::*;

    #[test]
    fn an_object_older_than_the_last_write_is_told() {
        let at = |version: &str| -> Pod {
            let mut pod = Pod::default();
            pod.metadata.resource_version = Some(version.into());
            pod
        };
        let (writes, key) = (OwnWrites::default(), Key::new("ns", "web"));
        assert!(writes.are_in(&key, &at("9")));
        writes.note(&key, &at("10"));
        assert!(!writes.are_in(&key, &at("9")));
        assert!(writes.are_in(&key, &at("10")));
        assert!(writes.are_in(&key, &at("11")));
    }

    #[test]
    fn writes_are_waited_for() {
        let expectations = Expectations::default();
        let of = |uid: &str| -> Pod {
            let mut pod = Pod::default();
            pod.metadata.uid = Some(uid.into());
            pod
        };
        let owner = of("1");
        let mut ended = Pod::default();
        ended.status.get_or_insert_default().phase = Some("Failed".into());
        let mut leaving = Pod::default();
        leaving.metadata.deletion_timestamp = Some(coracle_client::now());
        let check = |cache: &[(&str, &Pod)], expected: bool| {
            let find = |name: &str| {
                let mut all = cache.iter();
                let found = all.find(|(of, _)| *of == name);
                found.map(|(_, pod)| Arc::new((*pod).clone()))
            };
            assert_eq!(expectations.are_met(&owner, find), expected);
        };
        let there = Pod::default();
        check(&[], true);
        expectations.created(&owner, "web-1");
        expectations.deleted(&owner, "web-0");
        check(&[("web-0", &there)], false);
        check(&[("web-0", &there), ("web-1", &there)], false);
        check(&[("web-0", &ended), ("web-1", &there)], false);
        check(&[("web-0", &leaving)], true);
        // What ends before it is looked at was seen all the same.
        expectations.created(&owner, "web-2");
        check(&[("web-2", &ended)], true);
        expectations.created(&owner, "web-3");
        check(&[("web-3", &leaving)], true);
        // What is told and gone again, too.
        expectations.created(&owner, "web-4");
        check(&[], false);
        let mut child = of("2");
        child.metadata.name = Some("web-4".into());
        child.owner_references_mut().push(OwnerReference {
            uid: "1".into(),
            controller: Some(true),
            ..OwnerReference::default()
        });
        expectations.seen(&child);
        check(&[], true);
        expectations.created(&owner, "web-5");
        let another = |name: &str| -> Option<Arc<Pod>> { panic!("nothing of {name} is expected") };
        assert!(expectations.are_met(&of("3"), another));
    }
}
