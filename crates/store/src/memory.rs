//! What is read: the ordered map of current values, the bounded history behind
//! watches and older snapshots, and the list of watchers. Main type [`Memory`].
//! It never touches the disk; the commit thread is its only writer.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;

use tokio::sync::mpsc;

use crate::store::ReadError;
use crate::value::Value;
use crate::watch::WatchError;

/// What happened to a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKind {
    /// The key had no value before.
    Created,
    /// The key had another value before.
    Updated,
    /// The key has no value any more; the event carries the tombstone.
    Deleted,
}

/// One committed change.
#[derive(Debug)]
pub struct Event<V> {
    /// Revision of the change.
    pub revision: u64,
    /// Key that changed.
    pub key: Arc<str>,
    /// What happened.
    pub kind: EventKind,
    /// The new value, or the tombstone of a deleted one.
    pub value: Arc<V>,
    /// The value before; `None` when the key was created.
    pub previous: Option<Arc<V>>,
}

/// A part of a consistent listing.
#[derive(Debug)]
pub struct Page<V> {
    /// Keys and values in key order.
    pub items: Vec<(Arc<str>, Arc<V>)>,
    /// The revision the listing is true at.
    pub revision: u64,
    /// How many more values follow under the prefix.
    pub remaining: usize,
}

pub(crate) struct Entry<V> {
    pub revision: u64,
    pub value: Arc<V>,
}

/// Changes that happened before a watch began.
pub(crate) type Missed<V> = VecDeque<Arc<Event<V>>>;

struct Watcher<V> {
    prefix: String,
    events: mpsc::Sender<Arc<Event<V>>>,
}

pub(crate) struct Memory<V> {
    entries: BTreeMap<Arc<str>, Entry<V>>,
    revision: u64,
    history: VecDeque<Arc<Event<V>>>,
    history_weight: usize,
    history_count_max: usize,
    history_weight_max: usize,
    /// Watches must start at or above this revision.
    floor: u64,
    watchers: HashMap<u64, Watcher<V>>,
    watcher_next: u64,
}

impl<V: Value> Memory<V> {
    pub fn new(
        revision: u64,
        entries: BTreeMap<Arc<str>, Entry<V>>,
        count_max: usize,
        weight_max: usize,
    ) -> Memory<V> {
        Memory {
            entries,
            revision,
            history: VecDeque::new(),
            history_weight: 0,
            history_count_max: count_max,
            history_weight_max: weight_max,
            floor: revision,
            watchers: HashMap::new(),
            watcher_next: 0,
        }
    }

    pub fn revision(&self) -> u64 {
        self.revision
    }

    pub fn get(&self, key: &str) -> Option<&Entry<V>> {
        self.entries.get(key)
    }

    pub fn key(&self, key: &str) -> Option<Arc<str>> {
        self.entries.get_key_value(key).map(|(key, _)| key.clone())
    }

    fn range<'a>(
        &'a self,
        prefix: &'a str,
        after: Option<&str>,
    ) -> impl Iterator<Item = (&'a Arc<str>, &'a Entry<V>)> {
        let start = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix),
        };
        self.entries
            .range::<str, _>((start, Bound::Unbounded))
            .take_while(move |(key, _)| key.starts_with(prefix))
    }

    pub fn list(&self, prefix: &str, after: Option<&str>, limit: usize) -> Page<V> {
        let mut range = self.range(prefix, after);
        let items = range
            .by_ref()
            .take(limit)
            .map(|(key, entry)| (key.clone(), entry.value.clone()))
            .collect();
        Page {
            items,
            revision: self.revision,
            remaining: range.count(),
        }
    }

    /// Lists as it was at an older revision, by undoing the history since then.
    pub fn list_at(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
        revision: u64,
    ) -> Result<Page<V>, ReadError> {
        if revision >= self.revision {
            return if revision == self.revision {
                Ok(self.list(prefix, after, limit))
            } else {
                Err(ReadError::Future {
                    requested: revision,
                    current: self.revision,
                })
            };
        }
        if revision < self.floor {
            return Err(ReadError::Expired {
                requested: revision,
                oldest: self.floor,
            });
        }
        let mut then: BTreeMap<Arc<str>, Arc<V>> = self
            .range(prefix, after)
            .map(|(key, entry)| (key.clone(), entry.value.clone()))
            .collect();
        for event in self
            .history
            .iter()
            .rev()
            .take_while(|event| event.revision > revision)
        {
            if !event.key.starts_with(prefix) || after.is_some_and(|after| &*event.key <= after) {
                continue;
            }
            match &event.previous {
                Some(previous) => drop(then.insert(event.key.clone(), previous.clone())),
                None => drop(then.remove(&event.key)),
            }
        }
        let remaining = then.len().saturating_sub(limit);
        Ok(Page {
            items: then.into_iter().take(limit).collect(),
            revision,
            remaining,
        })
    }

    /// Registers a watcher and returns what it missed since `from`.
    pub fn watch(
        &mut self,
        prefix: &str,
        from: u64,
        events: mpsc::Sender<Arc<Event<V>>>,
    ) -> Result<(u64, Missed<V>), WatchError> {
        if from < self.floor {
            return Err(WatchError::Expired {
                requested: from,
                oldest: self.floor,
            });
        }
        if from > self.revision {
            return Err(WatchError::Future {
                requested: from,
                current: self.revision,
            });
        }
        let start = self.history.partition_point(|event| event.revision <= from);
        let missed = self
            .history
            .range(start..)
            .filter(|event| event.key.starts_with(prefix))
            .cloned()
            .collect();
        let id = self.watcher_next;
        self.watcher_next += 1;
        self.watchers.insert(
            id,
            Watcher {
                prefix: prefix.to_owned(),
                events,
            },
        );
        Ok((id, missed))
    }

    pub fn unwatch(&mut self, id: u64) {
        self.watchers.remove(&id);
    }

    /// Ends every watch.
    pub fn end_watches(&mut self) {
        self.watchers.clear();
    }

    /// Applies one committed change and tells the watchers.
    pub fn apply(&mut self, event: Event<V>) {
        let event = Arc::new(event);
        self.revision = event.revision;
        match event.kind {
            EventKind::Deleted => drop(self.entries.remove(&event.key)),
            EventKind::Created | EventKind::Updated => {
                let entry = Entry {
                    revision: event.revision,
                    value: event.value.clone(),
                };
                self.entries.insert(event.key.clone(), entry);
            }
        }
        // A watcher that is full has fallen behind too far: dropping its
        // sender ends its stream, and the client resumes from its last event.
        self.watchers.retain(|_, watcher| {
            !event.key.starts_with(&watcher.prefix)
                || watcher.events.try_send(event.clone()).is_ok()
        });
        self.remember(event);
    }

    fn remember(&mut self, event: Arc<Event<V>>) {
        self.history_weight += weight(&event);
        self.history.push_back(event);
        while self.history.len() > self.history_count_max
            || (self.history_weight > self.history_weight_max && self.history.len() > 1)
        {
            let Some(oldest) = self.history.pop_front() else {
                return;
            };
            self.history_weight -= weight(&oldest);
            self.floor = oldest.revision;
        }
    }
}

/// The previous value is what the history alone keeps alive; the new one is
/// usually the current value as well.
fn weight<V: Value>(event: &Event<V>) -> usize {
    128 + event
        .previous
        .as_ref()
        .map_or(0, |previous| previous.weight())
}
