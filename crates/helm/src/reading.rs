//! Rendered texts, read as documents while the templates behind them still
//! write.
//!
//! Main type: [`Reading`].

use crate::compat::Rules;
use crate::manifest::{self, BadManifest, Document};
use crate::stack;
use std::collections::BTreeMap;
use std::mem::take;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::{Scope, ScopedJoinHandle};

/// Rendered files by path.
pub(crate) type Texts = BTreeMap<String, Arc<String>>;

/// The documents of each file, by its path.
type Read = BTreeMap<String, Result<Vec<Document>, BadManifest>>;
type Batch = Vec<(String, Arc<String>)>;

/// This much text is read together: waking the reader costs, too.
const BATCH_BYTES: usize = 32 << 10;

/// Reads texts on a thread of its own, once there is enough of them; in the
/// end the thread that wrote them helps.
pub(crate) struct Reading<'scope, 'env> {
    scope: &'scope Scope<'scope, 'env>,
    rules: &'static Rules,
    batch: Batch,
    batch_bytes: usize,
    reader: Option<Reader<'scope>>,
}

struct Reader<'scope> {
    sender: mpsc::Sender<Batch>,
    waiting: Arc<Mutex<mpsc::Receiver<Batch>>>,
    thread: ScopedJoinHandle<'scope, Read>,
}

impl<'scope, 'env> Reading<'scope, 'env> {
    pub fn new(scope: &'scope Scope<'scope, 'env>, rules: &'static Rules) -> Self {
        Reading {
            scope,
            rules,
            batch: Batch::new(),
            batch_bytes: 0,
            reader: None,
        }
    }

    /// Takes a text.
    pub fn hear(&mut self, path: &str, text: &Arc<String>) {
        self.batch_bytes += text.len();
        self.batch.push((path.to_owned(), text.clone()));
        if self.batch_bytes < BATCH_BYTES {
            return;
        }
        let (scope, rules) = (self.scope, self.rules);
        let reader = self
            .reader
            .get_or_insert_with(|| Reader::start(scope, rules));
        // Nobody hears any more only after a panic, which is told at the end.
        let _ = reader.sender.send(take(&mut self.batch));
        self.batch_bytes = 0;
    }

    /// Returns the documents in the order of their files, or the first that is
    /// none.
    pub fn finish(self) -> Result<Vec<Document>, BadManifest> {
        let mut found = read(self.batch, self.rules);
        if let Some(reader) = self.reader {
            drop(reader.sender);
            found.extend(read(batches(&reader.waiting).flatten(), self.rules));
            found.extend(stack::join(reader.thread));
        }
        let found: Result<Vec<_>, _> = found.into_values().collect();
        Ok(found?.into_iter().flatten().collect())
    }
}

impl<'scope> Reader<'scope> {
    fn start(scope: &'scope Scope<'scope, '_>, rules: &'static Rules) -> Reader<'scope> {
        let (sender, receiver) = mpsc::channel::<Batch>();
        let waiting = Arc::new(Mutex::new(receiver));
        let all = waiting.clone();
        Reader {
            sender,
            waiting,
            thread: scope.spawn(move || read(batches(&all).flatten(), rules)),
        }
    }
}

/// Takes what waits, one at a time, until no more is sent.
fn batches(waiting: &Mutex<mpsc::Receiver<Batch>>) -> impl Iterator<Item = Batch> {
    std::iter::from_fn(|| {
        let receiver = waiting.lock().unwrap_or_else(PoisonError::into_inner);
        receiver.recv().ok()
    })
}

/// Whether a file holds notes, which are no document.
pub(crate) fn is_notes(path: &str) -> bool {
    path.ends_with("NOTES.txt")
}

fn read(texts: impl IntoIterator<Item = (String, Arc<String>)>, rules: &Rules) -> Read {
    let read = |(path, text): (String, Arc<String>)| {
        let documents = match is_notes(&path) {
            true => Ok(Vec::new()),
            false => manifest::documents(&path, &text, rules),
        };
        (path, documents)
    };
    texts.into_iter().map(read).collect()
}
