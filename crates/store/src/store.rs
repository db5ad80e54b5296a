//! The door: [`Store`] opens the disk, starts the commit thread and answers
//! reads from memory. How a commit is put together is told in `commit.rs`.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc as thread_channel;
use std::thread::JoinHandle;

use parking_lot::{Mutex, RwLock};
use tokio::sync::{mpsc, oneshot};

use crate::commit::{Committer, Operation, Reply, ReplyTo, Request};
use crate::disk::{Disk, RedbDisk};
use crate::memory::{Entry, Memory, Page};
use crate::seal::Seal;
use crate::value::Value;
use crate::watch::{Watch, WatchError};

/// How much history and queue a store keeps.
pub struct Options {
    /// Seals key ranges at the disk edge; `None` seals nothing.
    pub seal: Option<Seal>,
    /// Changes kept for watches and older snapshots; default 32,768.
    pub history_count_max: usize,
    /// Bytes that the history may keep alive; default 32 MiB.
    pub history_bytes_max: usize,
    /// Events that may wait for one slow watcher before it is cut off; default 16,384.
    pub watch_queue_max: usize,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            seal: None,
            history_count_max: 32_768,
            history_bytes_max: 32 << 20,
            watch_queue_max: 16_384,
        }
    }
}

/// Why a store does not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it open.
    #[error("{path} is in use by another process")]
    Locked {
        /// The file.
        path: String,
    },
    /// The file cannot be opened.
    #[error("cannot open {path}")]
    Io {
        /// The file.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// A newer program wrote it.
    #[error("the data has format {found}, this program knows up to {known}; use a newer program")]
    Newer {
        /// Format of the file.
        found: u64,
        /// Newest format known here.
        known: u64,
    },
    /// A value cannot be read.
    #[error("the value of {key} is damaged: {reason}")]
    Damaged {
        /// Its key.
        key: String,
        /// What is wrong.
        reason: String,
    },
    /// A sealed value does not open.
    #[error("the value of {key} is sealed and does not open with the key given")]
    Unsealable {
        /// Its key.
        key: String,
    },
    /// The database itself reports an error.
    #[error("the database does not open: {reason}")]
    Database {
        /// What it reports.
        reason: String,
    },
}

/// Why a write was refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq, Clone)]
pub enum WriteError {
    /// The key was to be absent.
    #[error("{key} exists already")]
    Exists {
        /// The key.
        key: String,
    },
    /// The key was to be there.
    #[error("{key} does not exist")]
    Missing {
        /// The key.
        key: String,
    },
    /// The key has another revision than expected.
    #[error("{key} is at revision {found}, not {expected}")]
    Conflict {
        /// The key.
        key: String,
        /// Revision the writer saw.
        expected: u64,
        /// Revision the key has.
        found: u64,
    },
    /// The disk refused. It is tried again every second; until then nothing is taken.
    #[error("the disk refused a commit: {reason}")]
    Failed {
        /// What it said.
        reason: String,
    },
    /// The store is closed.
    #[error("the store is closed")]
    Closed,
}

/// Why an older snapshot cannot be read.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ReadError {
    /// The history no longer reaches back that far.
    #[error("revision {requested} is too old, the history begins at {oldest}")]
    Expired {
        /// Revision asked for.
        requested: u64,
        /// Oldest readable revision.
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

/// What a writer believes about a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// Nothing.
    Any,
    /// It has no value.
    Absent,
    /// It has a value of this revision.
    Revision(u64),
}

/// When a write is acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// After it is on disk.
    #[default]
    Durable,
    /// At once; it reaches the disk with the next commit, at the latest after a second.
    Relaxed,
}

/// How a write is treated.
#[derive(Debug, Clone, Copy, Default)]
pub struct WriteOptions {
    /// When it is acknowledged.
    pub durability: Durability,
    /// Seconds since 1970 after which the value is deleted; `None` for never.
    pub expires: Option<u64>,
}

/// What a deletion took away.
#[derive(Debug)]
pub struct Deleted<V> {
    /// Revision of the deletion.
    pub revision: u64,
    /// The last value.
    pub value: Arc<V>,
}

pub(crate) struct Inner<V: Value> {
    pub memory: RwLock<Memory<V>>,
    requests: Mutex<Option<thread_channel::Sender<Request<V>>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    watch_queue_max: usize,
}

/// Revisioned keys. Clones share one store.
pub struct Store<V: Value> {
    inner: Arc<Inner<V>>,
    /// Held by stores only, so that watches do not keep the disk open.
    _closer: Arc<Closer<V>>,
}

struct Closer<V: Value>(Arc<Inner<V>>);

impl<V: Value> Drop for Closer<V> {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl<V: Value> Clone for Store<V> {
    fn clone(&self) -> Store<V> {
        Store {
            inner: self.inner.clone(),
            _closer: self._closer.clone(),
        }
    }
}

impl<V: Value> Inner<V> {
    fn close(&self) {
        drop(self.requests.lock().take());
        if let Some(thread) = self.thread.lock().take() {
            // The commit thread reports its own panic through dropped replies.
            let _ = thread.join();
        }
        self.memory.write().end_watches();
    }
}

impl<V: Value> Store<V> {
    /// Opens or creates the store in the file `path` and holds its lock.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(path: &Path, mut options: Options) -> Result<Store<V>, OpenError> {
        let disk = RedbDisk::open(path, options.seal.take())?;
        Store::on_disk(disk, options)
    }

    /// Opens a store on any [`Disk`].
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn on_disk(mut disk: impl Disk, options: Options) -> Result<Store<V>, OpenError> {
        let mut entries = BTreeMap::new();
        let mut expiries = Vec::new();
        let ceiling = disk.load(&mut |key, revision, expires, bytes| {
            let key: Arc<str> = Arc::from(key);
            let value = Arc::new(V::decode(&key, revision, bytes)?);
            if expires != 0 {
                expiries.push((expires, key.clone()));
            }
            entries.insert(key, Entry { revision, value });
            Ok(())
        })?;
        let memory = Memory::new(
            ceiling,
            entries,
            options.history_count_max,
            options.history_bytes_max,
        );
        let (requests, queue) = thread_channel::channel();
        let inner = Arc::new(Inner {
            memory: RwLock::new(memory),
            requests: Mutex::new(Some(requests)),
            thread: Mutex::new(None),
            watch_queue_max: options.watch_queue_max,
        });
        let committer = Committer::new(Box::new(disk), inner.clone(), ceiling, expiries);
        let thread = std::thread::Builder::new()
            .name("store-commit".to_owned())
            .spawn(move || committer.run(&queue))
            .map_err(|source| OpenError::Io {
                path: "commit thread".to_owned(),
                source,
            })?;
        *inner.thread.lock() = Some(thread);
        Ok(Store {
            _closer: Arc::new(Closer(inner.clone())),
            inner,
        })
    }

    /// Writes a value and returns it with its revision.
    ///
    /// # Errors
    /// When the key is not as expected, or the disk refuses.
    pub async fn put(
        &self,
        key: String,
        value: V,
        expect: Expect,
        options: WriteOptions,
    ) -> Result<Arc<V>, WriteError> {
        let reply = self.send(
            Operation::Put {
                key,
                value,
                expect,
                expires: options.expires.unwrap_or(0),
            },
            options,
        )?;
        reply
            .await
            .map_err(|_| WriteError::Closed)?
            .map(|(_, value)| value)
    }

    /// Writes many values whose keys have none yet, in as few commits as
    /// possible, and blocks until they are durable. Keys that have a value keep
    /// it. Meant for filling a new store before anything runs.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn put_missing_blocking(&self, values: Vec<(String, V)>) -> Result<(), WriteError> {
        let (sender, replies) = thread_channel::channel();
        for (key, value) in values {
            let operation = Operation::Put {
                key,
                value,
                expect: Expect::Absent,
                expires: 0,
            };
            self.send_to(
                operation,
                Durability::Durable,
                ReplyTo::Thread(sender.clone()),
            )?;
        }
        drop(sender);
        for reply in replies {
            match reply {
                Ok(_) | Err(WriteError::Exists { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Deletes a key and returns its last value.
    ///
    /// # Errors
    /// When the key is missing or not as expected, or the disk refuses.
    pub async fn delete(
        &self,
        key: String,
        expect: Expect,
        options: WriteOptions,
    ) -> Result<Deleted<V>, WriteError> {
        let reply = self.send(Operation::Delete { key, expect }, options)?;
        let (revision, value) = reply.await.map_err(|_| WriteError::Closed)??;
        Ok(Deleted { revision, value })
    }

    fn send(
        &self,
        operation: Operation<V>,
        options: WriteOptions,
    ) -> Result<oneshot::Receiver<Reply<V>>, WriteError> {
        let (reply, receiver) = oneshot::channel();
        self.send_to(operation, options.durability, ReplyTo::Task(reply))?;
        Ok(receiver)
    }

    fn send_to(
        &self,
        operation: Operation<V>,
        durability: Durability,
        reply: ReplyTo<V>,
    ) -> Result<(), WriteError> {
        let request = Request {
            operation,
            durability,
            reply,
        };
        let requests = self.inner.requests.lock();
        requests
            .as_ref()
            .ok_or(WriteError::Closed)?
            .send(request)
            .map_err(|_| WriteError::Closed)
    }

    /// Returns the current value of a key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<Arc<V>> {
        self.inner
            .memory
            .read()
            .get(key)
            .map(|entry| entry.value.clone())
    }

    /// Returns the newest revision.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.inner.memory.read().revision()
    }

    /// Lists up to `limit` values under `prefix` whose key is greater than `after`.
    #[must_use]
    pub fn list(&self, prefix: &str, after: Option<&str>, limit: usize) -> Page<V> {
        self.inner.memory.read().list(prefix, after, limit)
    }

    /// Lists as it was at an older revision.
    ///
    /// # Errors
    /// When the history does not reach back that far, or the revision is in the future.
    pub fn list_at(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
        revision: u64,
    ) -> Result<Page<V>, ReadError> {
        self.inner
            .memory
            .read()
            .list_at(prefix, after, limit, revision)
    }

    /// Watches changes under `prefix` that are newer than revision `from`.
    ///
    /// # Errors
    /// When the history does not reach back that far, or the revision is in the future.
    pub fn watch(&self, prefix: &str, from: u64) -> Result<Watch<V>, WatchError> {
        let (sender, events) = mpsc::channel(self.inner.watch_queue_max);
        let (id, missed) = self.inner.memory.write().watch(prefix, from, sender)?;
        Ok(Watch::new(missed, events, id, self.inner.clone()))
    }

    /// Lists everything under `prefix` and watches from there, with nothing in between.
    ///
    /// # Errors
    /// None in practice; the type is that of [`Store::watch`].
    pub fn list_and_watch(&self, prefix: &str) -> Result<(Page<V>, Watch<V>), WatchError> {
        let (sender, events) = mpsc::channel(self.inner.watch_queue_max);
        let mut memory = self.inner.memory.write();
        let page = memory.list(prefix, None, usize::MAX);
        let (id, missed) = memory.watch(prefix, page.revision, sender)?;
        drop(memory);
        Ok((page, Watch::new(missed, events, id, self.inner.clone())))
    }

    /// Writes what is pending and gives up the lock. Later writes are refused, reads still answer.
    pub fn close(&self) {
        self.inner.close();
    }
}
