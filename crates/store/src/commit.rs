//! The commit thread: [`Committer`] takes requests in the order they arrive,
//! decides compare-and-swap against memory and the batch so far, makes the
//! batch durable with one sync, and only then shows it to readers and watchers.
//!
//! Revisions never repeat: the disk holds a ceiling above every revision handed
//! out, also above those of relaxed writes that a crash may lose.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, HashMap};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::oneshot;

use crate::disk::{Disk, Record};
use crate::memory::{Event, EventKind};
use crate::store::{Durability, Expect, Inner, WriteError};
use crate::value::Value;

/// Requests taken into one commit at most.
const BATCH_MAX: usize = 1024;
/// How far ahead of the newest revision the ceiling is set.
const CEILING_STEP: u64 = 10_000;
/// A relaxed write waits at most this long for the disk, and so does everybody
/// for the next try after the disk refused.
const RELAXED_MAX: Duration = Duration::from_secs(1);
/// Expired values are looked for no more often than this, so that an hour of
/// events does not wake the thread once for each.
const EXPIRY_STEP: Duration = Duration::from_secs(30);

pub(crate) type Reply<V> = Result<(u64, Arc<V>), WriteError>;

pub(crate) enum Operation<V> {
    Put {
        key: String,
        value: V,
        expect: Expect,
        expires: u64,
    },
    Delete {
        key: String,
        expect: Expect,
    },
}

pub(crate) struct Request<V> {
    pub operation: Operation<V>,
    pub durability: Durability,
    pub reply: ReplyTo<V>,
}

/// Who waits for the outcome.
pub(crate) enum ReplyTo<V> {
    Task(oneshot::Sender<Reply<V>>),
    Thread(Sender<Reply<V>>),
}

impl<V> ReplyTo<V> {
    /// A writer that went away has lost its answer, not its write.
    fn send(self, reply: Reply<V>) {
        match self {
            ReplyTo::Task(sender) => drop(sender.send(reply)),
            ReplyTo::Thread(sender) => drop(sender.send(reply)),
        }
    }
}

pub(crate) struct Committer<V: Value> {
    disk: Box<dyn Disk>,
    inner: Arc<Inner<V>>,
    revision: u64,
    ceiling: u64,
    /// What memory shows and the disk may not have yet: relaxed writes, and
    /// the state before a commit that failed.
    pending: Vec<Record>,
    pending_since: Option<Instant>,
    expiries: BinaryHeap<Reverse<(u64, Arc<str>)>>,
    /// The expiry that counts for each key; older entries of the heap are void.
    expiry_of: HashMap<Arc<str>, u64>,
    expiry_looked: Option<Instant>,
    /// Why the disk refused the last commit.
    failed: Option<String>,
}

/// What a batch has decided so far.
struct Batch<V> {
    events: Vec<Event<V>>,
    /// Newest state of the keys the batch touched: revision and value.
    overlay: HashMap<Arc<str>, Option<(u64, Arc<V>)>>,
    records: Vec<Record>,
    replies: Vec<(ReplyTo<V>, Reply<V>)>,
    /// What the expiries were that the batch changed; 0 for never.
    expiries: Vec<(Arc<str>, u64)>,
    durable: bool,
}

impl<V: Value> Committer<V> {
    pub fn new(
        disk: Box<dyn Disk>,
        inner: Arc<Inner<V>>,
        ceiling: u64,
        expiries: Vec<(u64, Arc<str>)>,
    ) -> Committer<V> {
        Committer {
            disk,
            inner,
            revision: ceiling,
            ceiling,
            pending: Vec::new(),
            pending_since: None,
            expiry_of: expiries
                .iter()
                .map(|(at, key)| (key.clone(), *at))
                .collect(),
            expiries: expiries.into_iter().map(Reverse).collect(),
            expiry_looked: None,
            failed: None,
        }
    }

    /// Serves requests until every sender is gone.
    pub fn run(mut self, queue: &Receiver<Request<V>>) {
        loop {
            let first = match self.wait(queue) {
                Ok(request) => Some(request),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => break,
            };
            let requests: Vec<_> = first
                .into_iter()
                .chain(queue.try_iter().take(BATCH_MAX))
                .collect();
            self.batch(requests);
        }
        self.finish();
    }

    fn wait(&self, queue: &Receiver<Request<V>>) -> Result<Request<V>, RecvTimeoutError> {
        match [self.flush_in(), self.expiry_in()]
            .into_iter()
            .flatten()
            .min()
        {
            None => queue.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(wait) => queue.recv_timeout(wait),
        }
    }

    fn is_overdue(&self) -> bool {
        self.flush_in() == Some(Duration::ZERO)
    }

    fn flush_in(&self) -> Option<Duration> {
        self.pending_since
            .map(|since| RELAXED_MAX.saturating_sub(since.elapsed()))
    }

    fn expiry_in(&self) -> Option<Duration> {
        let Reverse((at, _)) = self.expiries.peek()?;
        let due = Duration::from_secs(at.saturating_sub(now_seconds()));
        let rest = self.expiry_looked.map_or(Duration::ZERO, |looked| {
            EXPIRY_STEP.saturating_sub(looked.elapsed())
        });
        Some(due.max(rest))
    }

    fn batch(&mut self, requests: Vec<Request<V>>) {
        let overdue = self.is_overdue();
        if let Some(reason) = self.failed.as_ref().filter(|_| !overdue) {
            for request in requests {
                request.reply.send(Err(WriteError::Failed {
                    reason: reason.clone(),
                }));
            }
            return;
        }
        let mut batch = Batch {
            events: vec![],
            overlay: HashMap::new(),
            records: vec![],
            replies: vec![],
            expiries: vec![],
            durable: false,
        };
        for request in requests {
            let outcome = self.decide(&mut batch, request.operation);
            batch.durable |= outcome.is_ok() && request.durability == Durability::Durable;
            batch.replies.push((request.reply, outcome));
        }
        self.expire(&mut batch);
        self.settle(batch);
    }

    fn decide(&mut self, batch: &mut Batch<V>, operation: Operation<V>) -> Reply<V> {
        match operation {
            Operation::Put {
                key,
                mut value,
                expect,
                expires,
            } => {
                let (key, current) = self.current(batch, key);
                check(
                    &key,
                    expect,
                    current.as_ref().map(|(revision, _)| *revision),
                )?;
                self.revision += 1;
                let revision = self.revision;
                value.finish(revision);
                let value = Arc::new(value);
                batch.records.push(Record::Put {
                    key: key.to_string(),
                    revision,
                    expires,
                    bytes: value.encode(),
                });
                self.change_expiry(batch, &key, expires);
                let kind = if current.is_some() {
                    EventKind::Updated
                } else {
                    EventKind::Created
                };
                let previous = current.map(|(_, value)| value);
                batch
                    .overlay
                    .insert(key.clone(), Some((revision, value.clone())));
                batch.events.push(Event {
                    revision,
                    key,
                    kind,
                    value: value.clone(),
                    previous,
                });
                Ok((revision, value))
            }
            Operation::Delete { key, expect } => {
                let (key, current) = self.current(batch, key);
                check(
                    &key,
                    expect,
                    current.as_ref().map(|(revision, _)| *revision),
                )?;
                let Some((_, value)) = current else {
                    return Err(WriteError::Missing {
                        key: key.to_string(),
                    });
                };
                Ok((self.delete(batch, key, value.clone()), value))
            }
        }
    }

    fn delete(&mut self, batch: &mut Batch<V>, key: Arc<str>, value: Arc<V>) -> u64 {
        self.revision += 1;
        let revision = self.revision;
        batch.records.push(Record::Delete {
            key: key.to_string(),
        });
        self.change_expiry(batch, &key, 0);
        batch.overlay.insert(key.clone(), None);
        let tombstone = Arc::new(value.tombstone(revision));
        batch.events.push(Event {
            revision,
            key,
            kind: EventKind::Deleted,
            value: tombstone,
            previous: Some(value),
        });
        revision
    }

    /// Returns the shared form of the key and its state as the batch has left it.
    fn current(&self, batch: &Batch<V>, key: String) -> (Arc<str>, Option<(u64, Arc<V>)>) {
        if let Some((key, state)) = batch.overlay.get_key_value(key.as_str()) {
            return (key.clone(), state.clone());
        }
        let memory = self.inner.memory.read();
        match memory.get(&key) {
            None => (Arc::from(key), None),
            Some(entry) => {
                let state = Some((entry.revision, entry.value.clone()));
                (memory.key(&key).unwrap_or_else(|| Arc::from(key)), state)
            }
        }
    }

    fn change_expiry(&mut self, batch: &mut Batch<V>, key: &Arc<str>, expires: u64) {
        let before = self.set_expiry(key, expires);
        if before != expires {
            batch.expiries.push((key.clone(), before));
        }
    }

    /// Returns the expiry before; 0 for never.
    fn set_expiry(&mut self, key: &Arc<str>, expires: u64) -> u64 {
        let before = match expires {
            0 => self.expiry_of.remove(key),
            _ => self.expiry_of.insert(key.clone(), expires),
        };
        let before = before.unwrap_or(0);
        if expires != 0 && expires != before {
            self.expiries.push(Reverse((expires, key.clone())));
        }
        before
    }

    /// Deletes what has expired.
    fn expire(&mut self, batch: &mut Batch<V>) {
        let now = now_seconds();
        if self
            .expiries
            .peek()
            .is_none_or(|Reverse((at, _))| *at > now)
        {
            return;
        }
        self.expiry_looked = Some(Instant::now());
        while let Some(Reverse((at, key))) = self.expiries.pop() {
            if at > now {
                self.expiries.push(Reverse((at, key)));
                break;
            }
            if self.expiry_of.get(&key) != Some(&at) {
                continue;
            }
            self.change_expiry(batch, &key, 0);
            if let (key, Some((_, value))) = self.current(batch, key.to_string()) {
                self.delete(batch, key, value);
            }
        }
    }

    fn settle(&mut self, mut batch: Batch<V>) {
        let overdue = self.is_overdue();
        self.pending.append(&mut batch.records);
        if !self.pending.is_empty() && self.pending_since.is_none() {
            self.pending_since = Some(Instant::now());
        }
        if (batch.durable || overdue || self.revision > self.ceiling)
            && let Err(reason) = self.flush()
        {
            for (reply, _) in batch.replies {
                reply.send(Err(WriteError::Failed {
                    reason: reason.clone(),
                }));
            }
            return self.take_back(batch.expiries, reason);
        }
        self.publish(batch.events);
        for (reply, outcome) in batch.replies {
            reply.send(outcome);
        }
    }

    /// Forgets a batch that failed. Whether it has reached the disk nobody
    /// knows, so the next commit says of its keys again what memory shows.
    fn take_back(&mut self, expiries: Vec<(Arc<str>, u64)>, reason: String) {
        for (key, before) in expiries.into_iter().rev() {
            self.set_expiry(&key, before);
        }
        let keys: BTreeSet<String> = self.pending.drain(..).map(Record::into_key).collect();
        let memory = self.inner.memory.read();
        let restored = keys.into_iter().map(|key| match memory.get(&key) {
            None => Record::Delete { key },
            Some(entry) => Record::Put {
                revision: entry.revision,
                expires: self.expiry_of.get(&*key).copied().unwrap_or(0),
                bytes: entry.value.encode(),
                key,
            },
        });
        self.pending = restored.collect();
        drop(memory);
        self.pending_since = Some(Instant::now());
        if self.failed.as_ref() != Some(&reason) {
            tracing::error!(%reason, "a commit failed; it is tried again every second");
        }
        self.failed = Some(reason);
    }

    fn publish(&self, events: Vec<Event<V>>) {
        if events.is_empty() {
            return;
        }
        let mut memory = self.inner.memory.write();
        for event in events {
            memory.apply(event);
        }
    }

    fn flush(&mut self) -> Result<(), String> {
        let ceiling = if self.revision + CEILING_STEP / 2 > self.ceiling {
            self.revision + CEILING_STEP
        } else {
            self.ceiling
        };
        self.disk.commit(&self.pending, ceiling)?;
        self.ceiling = ceiling;
        self.pending.clear();
        self.pending_since = None;
        if self.failed.take().is_some() {
            tracing::info!("the disk takes commits again");
        }
        Ok(())
    }

    /// A clean end needs no gap in the revisions.
    fn finish(mut self) {
        if let Err(reason) = self.disk.commit(&self.pending, self.revision) {
            tracing::error!(%reason, "the last commit failed");
        }
    }
}

fn check(key: &str, expect: Expect, found: Option<u64>) -> Result<(), WriteError> {
    match (expect, found) {
        (Expect::Absent, Some(_)) => Err(WriteError::Exists {
            key: key.to_owned(),
        }),
        (Expect::Revision(_), None) => Err(WriteError::Missing {
            key: key.to_owned(),
        }),
        (Expect::Revision(expected), Some(found)) if expected != found => {
            Err(WriteError::Conflict {
                key: key.to_owned(),
                expected,
                found,
            })
        }
        _ => Ok(()),
    }
}

fn now_seconds() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}
