//! An ordered stream of committed changes under a prefix: [`Watch`]. It does
//! not filter by anything but the key.

use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::sync::mpsc;

use crate::memory::{Event, Missed};
use crate::store::Inner;
use crate::value::Value;

/// Why a watch cannot start.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum WatchError {
    /// The history no longer reaches back that far.
    #[error("revision {requested} is too old, the history begins at {oldest}")]
    Expired {
        /// Revision asked for.
        requested: u64,
        /// Oldest revision a watch may start from.
        oldest: u64,
    },
    /// The revision has not been handed out yet.
    #[error("revision {requested} is in the future, the current one is {current}")]
    Future {
        /// Revision asked for.
        requested: u64,
        /// Newest revision.
        current: u64,
    },
}

/// Committed changes in order. Ends when the reader falls too far behind or the store closes.
pub struct Watch<V: Value> {
    missed: Missed<V>,
    events: mpsc::Receiver<Arc<Event<V>>>,
    id: u64,
    inner: Arc<Inner<V>>,
}

impl<V: Value> Watch<V> {
    pub(crate) fn new(
        missed: Missed<V>,
        events: mpsc::Receiver<Arc<Event<V>>>,
        id: u64,
        inner: Arc<Inner<V>>,
    ) -> Watch<V> {
        Watch {
            missed,
            events,
            id,
            inner,
        }
    }

    /// Waits for the next change; `None` when the stream has ended.
    pub async fn next(&mut self) -> Option<Arc<Event<V>>> {
        std::future::poll_fn(|context| self.poll_next(context)).await
    }

    /// The polling form of [`Watch::next`].
    pub fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Arc<Event<V>>>> {
        match self.missed.pop_front() {
            Some(event) => Poll::Ready(Some(event)),
            None => self.events.poll_recv(context),
        }
    }

    /// Returns the next change if one is already here.
    pub fn try_next(&mut self) -> Option<Arc<Event<V>>> {
        self.missed
            .pop_front()
            .or_else(|| self.events.try_recv().ok())
    }

    /// Whether everything has been taken and nothing will come: the reader
    /// fell too far behind, or the store closed.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.missed.is_empty() && self.events.is_closed() && self.events.is_empty()
    }

    /// Returns the newest revision of the whole store. Read it, then drain
    /// [`Watch::try_next`]: everything up to it has then been seen.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.inner.memory.read().revision()
    }
}

impl<V: Value> Drop for Watch<V> {
    fn drop(&mut self) {
        self.inner.memory.write().unwatch(self.id);
    }
}
