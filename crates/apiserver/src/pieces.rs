//! Answers that join many objects, written piece by piece while they are sent:
//! a list of any length takes no more memory than a piece.

use std::sync::Arc;

use bytes::Bytes;
use futures::stream;

use crate::body::{self, Body};
use crate::object::Stored;

/// A piece is sent when it is this long: as much as TLS takes at once, and
/// little enough to stay in the processor's cache on its way.
const PIECE: usize = 64 * 1024;
/// Room for the object that makes a piece full.
const OVERHANG: usize = 16 * 1024;

/// Head, objects and tail of an answer; gives the pieces in order.
pub struct Pieces<W> {
    head: Vec<u8>,
    items: std::vec::IntoIter<Arc<Stored>>,
    tail: &'static [u8],
    write: W,
    first: bool,
    done: bool,
}

impl<W: FnMut(&Stored, &mut Vec<u8>) + Send + 'static> Pieces<W> {
    /// Joins the objects, as `write` appends them, with commas.
    pub fn new(head: Vec<u8>, items: Vec<Arc<Stored>>, tail: &'static [u8], write: W) -> Pieces<W> {
        Pieces {
            head,
            items: items.into_iter(),
            tail,
            write,
            first: true,
            done: false,
        }
    }

    /// Returns the whole answer.
    pub fn whole(self) -> Bytes {
        let pieces: Vec<Bytes> = self.collect();
        match pieces.as_slice() {
            [one] => one.clone(),
            many => Bytes::from(many.concat()),
        }
    }

    /// Returns a body that sends the pieces as they are made; a short one is
    /// made at once, so that its length is told.
    pub fn body(mut self) -> Body {
        let first = self.next().unwrap_or_default();
        if self.done {
            return body::full(first);
        }
        body::stream(stream::iter(std::iter::once(first).chain(self)))
    }
}

impl<W: FnMut(&Stored, &mut Vec<u8>)> Iterator for Pieces<W> {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        if self.done {
            return None;
        }
        let mut out = std::mem::take(&mut self.head);
        if self.items.len() > 0 {
            out.reserve(PIECE + OVERHANG);
        }
        for item in self.items.by_ref() {
            if !std::mem::replace(&mut self.first, false) {
                out.push(b',');
            }
            (self.write)(&item, &mut out);
            if out.len() >= PIECE {
                return Some(Bytes::from(out));
            }
        }
        self.done = true;
        out.extend_from_slice(self.tail);
        Some(Bytes::from(out))
    }
}
