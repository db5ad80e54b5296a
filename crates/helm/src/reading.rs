//! Rendered texts, read as documents while the templates behind them still
//! write.
//!
//! Main type: [`Reading`].

use crate::compat::Rules;
use crate::manifest::{self, BadManifest, Document};
use crate::stack;
use std::collections::BTreeMap;
use std::mem::take;
use std::sync::{Arc, mpsc};
use std::thread::{Scope, ScopedJoinHandle};

/// Rendered files by path.
pub(crate) type Texts = BTreeMap<String, Arc<str>>;

/// The documents of each file, by its path.
type Read = BTreeMap<String, Result<Vec<Document>, BadManifest>>;
type Batch = Vec<(String, Arc<str>)>;

/// This much text is read together: waking the reader costs, too.
const BATCH_BYTES: usize = 32 << 10;

/// Reads texts on a thread of its own, once there is enough of them.
pub(crate) struct Reading<'scope, 'env> {
    scope: &'scope Scope<'scope, 'env>,
    rules: &'static Rules,
    batch: Batch,
    batch_bytes: usize,
    reader: Option<(mpsc::Sender<Batch>, ScopedJoinHandle<'scope, Read>)>,
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
    pub fn hear(&mut self, path: &str, text: &Arc<str>) {
        self.batch_bytes += text.len();
        self.batch.push((path.to_owned(), text.clone()));
        if self.batch_bytes < BATCH_BYTES {
            return;
        }
        let (scope, rules) = (self.scope, self.rules);
        let (sender, _) = self.reader.get_or_insert_with(|| {
            let (sender, receiver) = mpsc::channel::<Batch>();
            let read = move || read(receiver.into_iter().flatten(), rules);
            (sender, scope.spawn(read))
        });
        // Nobody hears any more only after a panic, which is told at the end.
        let _ = sender.send(take(&mut self.batch));
        self.batch_bytes = 0;
    }

    /// Returns the documents in the order of their files, or the first that is
    /// none.
    pub fn finish(self) -> Result<Vec<Document>, BadManifest> {
        let mut found = read(self.batch, self.rules);
        if let Some((sender, reader)) = self.reader {
            drop(sender);
            let others = stack::join(reader);
            found.extend(others);
        }
        let found: Result<Vec<_>, _> = found.into_values().collect();
        Ok(found?.into_iter().flatten().collect())
    }
}

/// Whether a file holds notes, which are no document.
pub(crate) fn is_notes(path: &str) -> bool {
    path.ends_with("NOTES.txt")
}

fn read(texts: impl IntoIterator<Item = (String, Arc<str>)>, rules: &Rules) -> Read {
    let read = |(path, text): (String, Arc<str>)| {
        let documents = match is_notes(&path) {
            true => Ok(Vec::new()),
            false => manifest::documents(&path, &text, rules),
        };
        (path, documents)
    };
    texts.into_iter().map(read).collect()
}
