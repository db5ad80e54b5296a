//! The objects of a cache by something that they have in common: who belongs to
//! a group is found without looking at all the others.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use kube::Resource;
use parking_lot::RwLock;

use crate::cache::{Cache, Key, key_of};

/// The groups, and the group of each member.
#[derive(Default)]
struct Index {
    groups: HashMap<Key, BTreeSet<Key>>,
    of_member: HashMap<Key, Key>,
}

impl Index {
    fn put(&mut self, member: &Key, group: Option<Key>) {
        if self.of_member.get(member) == group.as_ref() {
            return;
        }
        if let Some(old) = self.of_member.remove(member)
            && let Some(members) = self.groups.get_mut(&old)
        {
            members.remove(member);
            if members.is_empty() {
                self.groups.remove(&old);
            }
        }
        if let Some(group) = group {
            let members = self.groups.entry(group.clone()).or_default();
            members.insert(member.clone());
            self.of_member.insert(member.clone(), group);
        }
    }
}

/// The objects of a cache by group.
pub struct Groups<K> {
    cache: Cache<K>,
    index: Arc<RwLock<Index>>,
}

impl<K> Clone for Groups<K> {
    fn clone(&self) -> Self {
        Groups {
            cache: self.cache.clone(),
            index: self.index.clone(),
        }
    }
}

impl<K> Groups<K>
where
    K: Resource<DynamicType = ()> + Send + Sync + 'static,
{
    /// Groups the objects of `cache`, now and in future. Whoever subscribes to
    /// the cache after this finds a change in its group already.
    pub fn new(
        cache: &Cache<K>,
        group_of: impl Fn(&K) -> Option<Key> + Send + Sync + 'static,
    ) -> Groups<K> {
        let index = Arc::new(RwLock::new(Index::default()));
        let (own, present) = (index.clone(), cache.clone());
        cache.on_change(move |object| {
            let key = key_of(&**object);
            let group = present.of(&key).and_then(|object| group_of(&object));
            own.write().put(&key, group);
        });
        Groups {
            cache: cache.clone(),
            index,
        }
    }

    /// Returns the members of a group, ordered by namespace and name.
    pub fn members(&self, group: &Key) -> Vec<Arc<K>> {
        let index = self.index.read();
        let members = index.groups.get(group).into_iter().flatten();
        members.filter_map(|key| self.cache.of(key)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_is_in_one_group() {
        let mut index = Index::default();
        let (member, a, b) = (Key::new("n", "m"), Key::new("n", "a"), Key::new("n", "b"));
        let sizes =
            |index: &Index| [&a, &b].map(|group| index.groups.get(group).map(BTreeSet::len));
        index.put(&member, Some(a.clone()));
        assert_eq!(sizes(&index), [Some(1), None]);
        index.put(&member, Some(b.clone()));
        assert_eq!(sizes(&index), [None, Some(1)]);
        index.put(&member, None);
        assert!(index.groups.is_empty() && index.of_member.is_empty());
    }
}
