//! Follows a part of the store, for those that keep something made of it in
//! memory: [`Follower`]. What is made of a change is the keeper's.

use coracle_store::{EventKind, Store, Watch};

use crate::object::Stored;

/// What a keeper is shown.
pub enum Change<'a> {
    /// Everything known is to be forgotten; what is there follows.
    Restart,
    /// The object of a key.
    Is(&'a str, &'a Stored),
    /// A key has no object any more.
    Gone(&'a str),
}

/// A place in the changes under a prefix.
pub struct Follower {
    prefix: &'static str,
    watch: Option<Watch<Stored>>,
}

impl Follower {
    /// Follows the keys with a prefix.
    #[must_use]
    pub fn new(prefix: &'static str) -> Follower {
        Follower {
            prefix,
            watch: None,
        }
    }

    /// Shows every change up to now. One who has fallen so far behind that the
    /// watch ended begins anew.
    pub fn catch_up(&mut self, store: &Store<Stored>, mut show: impl FnMut(Change<'_>)) {
        loop {
            let Some(watch) = &mut self.watch else {
                return self.start(store, show);
            };
            let behind = watch.revision();
            while let Some(event) = watch.try_next() {
                show(match event.kind {
                    EventKind::Deleted => Change::Gone(&event.key),
                    _ => Change::Is(&event.key, &event.value),
                });
            }
            if watch.has_ended() {
                self.watch = None;
            } else if watch.revision() == behind {
                return;
            }
        }
    }

    fn start(&mut self, store: &Store<Stored>, mut show: impl FnMut(Change<'_>)) {
        match store.list_and_watch(self.prefix) {
            Ok((page, watch)) => {
                show(Change::Restart);
                for (key, object) in &page.items {
                    show(Change::Is(key, object));
                }
                self.watch = Some(watch);
            }
            Err(error) => tracing::error!(%error, prefix = self.prefix, "cannot be read"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use coracle_store::{Expect, Options, WriteOptions};
    use serde_json::json;

    #[tokio::test]
    async fn one_who_fell_behind_begins_anew() {
        let folder = tempfile::tempdir().unwrap();
        let options = Options {
            watch_queue_max: 4,
            ..Options::default()
        };
        let store: Store<Stored> = Store::open(&folder.path().join("store"), options).unwrap();
        let kind = coracle_machinery::kinds::by_plural("", "v1", "configmaps").unwrap();
        let put = async |name: &str| {
            let object =
                json!({"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": name}});
            let (key, value) = (format!("/x/{name}"), Stored::draft(kind, &object));
            store
                .put(key, value, Expect::Absent, WriteOptions::default())
                .await
                .unwrap();
        };
        let mut follower = Follower::new("/x/");
        let mut known = std::collections::BTreeSet::new();
        let mut restarts = 0;
        let mut show = |change: Change<'_>| match change {
            Change::Restart => {
                known.clear();
                restarts += 1;
            }
            Change::Is(key, _) => drop(known.insert(key.to_owned())),
            Change::Gone(key) => drop(known.remove(key)),
        };
        follower.catch_up(&store, &mut show);
        put("a").await;
        follower.catch_up(&store, &mut show);
        for name in ["b", "c", "d", "e", "f", "g", "h"] {
            put(name).await;
        }
        follower.catch_up(&store, &mut show);
        put("i").await;
        follower.catch_up(&store, &mut show);
        assert_eq!(known.len(), 9, "{known:?}");
        assert_eq!(restarts, 2);
    }
}
