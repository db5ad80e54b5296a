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
