//! Which template node wrote which bytes.
//!
//! Main type: [`Trace`]. Switched on only for a second rendering after a
//! failure; the first one pays nothing. What an `include` wrote passes through
//! `nindent` and friends before it reaches the output, so inner pieces are
//! found again by the text of their lines.

use crate::tree::Source;
use std::rc::Rc;

/// A piece of output and where it came from.
#[derive(Clone, Debug)]
pub struct Piece {
    /// Offset in the output.
    pub start: usize,
    /// Length in bytes.
    pub len: usize,
    /// The text that holds the node.
    pub source: Rc<Source>,
    /// Offset of the node there.
    pub pos: usize,
    /// Whether the bytes stood in the template as they are.
    pub verbatim: bool,
    /// What templates inside wrote on the way.
    pub inner: Vec<Line>,
}

/// A line written by an inner template, trimmed.
#[derive(Clone, Debug)]
pub struct Line {
    /// The text without space around it.
    pub text: Vec<u8>,
    /// The text that holds the node.
    pub source: Rc<Source>,
    /// Offset of the node there.
    pub pos: usize,
}

/// The recorder.
#[derive(Default)]
pub struct Trace {
    stack: Vec<Level>,
    /// Pieces of the outermost template that finished last.
    pub pieces: Vec<Piece>,
}

#[derive(Default)]
struct Level {
    pieces: Vec<Piece>,
    /// Lines of templates that finished inside, not yet claimed by a write.
    pending: Vec<Line>,
}

/// More lines than this are not kept for one write.
const INNER_MAX: usize = 20_000;

impl Trace {
    /// Makes an empty recorder.
    pub fn new() -> Self {
        Trace::default()
    }

    pub(crate) fn enter(&mut self) {
        self.stack.push(Level::default());
    }

    pub(crate) fn leave(&mut self, finished: bool) {
        let Some(level) = self.stack.pop() else {
            return;
        };
        match self.stack.last_mut() {
            Some(outer) => {
                let lines = level
                    .pieces
                    .iter()
                    .flat_map(|piece| piece.inner.iter().cloned());
                outer.pending.extend(lines);
                outer.pending.truncate(INNER_MAX);
            }
            None if finished => self.pieces = level.pieces,
            None => {}
        }
    }

    pub(crate) fn wrote(&mut self, start: usize, bytes: &[u8], source: &Rc<Source>, pos: usize) {
        let Some(level) = self.stack.last_mut() else {
            return;
        };
        let mut inner = std::mem::take(&mut level.pending);
        let verbatim = source
            .text
            .get(pos..)
            .is_some_and(|text| text.starts_with(bytes));
        let mut at = 0;
        for line in bytes.split(|byte| *byte == b'\n') {
            let text = line.trim_ascii();
            if !text.is_empty() && inner.len() < INNER_MAX {
                let inside = if verbatim {
                    at + (line.len() - line.trim_ascii_start().len())
                } else {
                    0
                };
                inner.push(Line {
                    text: text.to_vec(),
                    source: source.clone(),
                    pos: pos + inside,
                });
            }
            at += line.len() + 1;
        }
        level.pieces.push(Piece {
            start,
            len: bytes.len(),
            source: source.clone(),
            pos,
            verbatim,
            inner,
        });
    }

    /// Finds the node that wrote the byte at `offset` of the last output, where
    /// `line` is the line of output that holds it.
    pub fn find(&self, offset: usize, line: &[u8]) -> Option<(Rc<Source>, usize)> {
        let piece = self
            .pieces
            .iter()
            .rev()
            .find(|piece| piece.start <= offset && (offset < piece.start + piece.len))?;
        let text = line.trim_ascii();
        // The innermost template finished first and stands first.
        if let Some(inner) = piece.inner.iter().find(|inner| inner.text == text) {
            return Some((inner.source.clone(), inner.pos));
        }
        let inside = if piece.verbatim {
            offset - piece.start
        } else {
            0
        };
        Some((piece.source.clone(), piece.pos + inside))
    }
}
