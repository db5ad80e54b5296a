//! Which template node wrote which part of which line.
//!
//! Main type: [`Trace`]. Switched on only for a second rendering after a
//! failure; the first one pays nothing. What an `include` wrote passes through
//! `nindent` and friends before it reaches the output, so lines of inner
//! templates are found again by their text.

use crate::tree::Source;
use std::collections::HashMap;
use std::sync::Arc;

/// A line of output and who wrote its parts.
#[derive(Clone, Debug, Default)]
pub struct Line {
    /// The text.
    pub text: Vec<u8>,
    spots: Vec<Spot>,
}

/// From a column on, this node wrote.
#[derive(Clone, Debug)]
struct Spot {
    column: usize,
    source: Arc<Source>,
    pos: usize,
    /// Whether the bytes stood in the template as they are.
    verbatim: bool,
}

impl Line {
    /// Returns the node that wrote the byte at a column: its text and offset.
    pub fn at(&self, column: usize) -> Option<(&Arc<Source>, usize)> {
        let spot = self.spots.iter().rfind(|spot| spot.column <= column)?;
        let inside = match spot.verbatim {
            true => column - spot.column,
            false => 0,
        };
        Some((&spot.source, spot.pos + inside))
    }

    fn indent(&self) -> usize {
        self.text.len() - self.text.trim_ascii_start().len()
    }
}

/// The recorder.
#[derive(Default)]
pub struct Trace {
    stack: Vec<Level>,
    /// Lines of the outermost template that finished last.
    pub lines: Vec<Line>,
}

#[derive(Default)]
struct Level {
    /// Lines so far; the last one is open.
    lines: Vec<Line>,
    /// Lines of templates that finished inside, by text, not yet claimed by a
    /// write.
    pending: HashMap<Vec<u8>, Line>,
}

/// More lines than this are not kept for one write.
const INNER_MAX: usize = 20_000;

impl Trace {
    /// Makes an empty recorder.
    pub fn new() -> Self {
        Trace::default()
    }

    pub(crate) fn enter(&mut self) {
        self.stack.push(Level {
            lines: vec![Line::default()],
            pending: HashMap::new(),
        });
    }

    pub(crate) fn leave(&mut self, finished: bool) {
        let Some(level) = self.stack.pop() else {
            return;
        };
        match self.stack.last_mut() {
            Some(outer) => {
                for line in level.lines {
                    let text = line.text.trim_ascii();
                    if !text.is_empty() && outer.pending.len() < INNER_MAX {
                        // The innermost template finished first.
                        outer.pending.entry(text.to_vec()).or_insert(line);
                    }
                }
            }
            None if finished => self.lines = level.lines,
            None => {}
        }
    }

    pub(crate) fn wrote(&mut self, bytes: &[u8], source: &Arc<Source>, pos: usize) {
        let Some(level) = self.stack.last_mut() else {
            return;
        };
        let pending = std::mem::take(&mut level.pending);
        let verbatim = source
            .text
            .get(pos..)
            .is_some_and(|text| text.starts_with(bytes));
        let mut offset = 0;
        for (index, part) in bytes.split(|byte| *byte == b'\n').enumerate() {
            if index > 0 {
                level.lines.push(Line::default());
            }
            if let Some(line) = level.lines.last_mut() {
                let spot = Spot {
                    column: line.text.len(),
                    source: source.clone(),
                    pos: if verbatim { pos + offset } else { pos },
                    verbatim,
                };
                append(line, part, spot, &pending);
            }
            offset += part.len() + 1;
        }
    }
}

/// Appends a part of a line; a whole line of an inner template keeps its own
/// writers.
fn append(line: &mut Line, part: &[u8], spot: Spot, pending: &HashMap<Vec<u8>, Line>) {
    if part.is_empty() {
        return;
    }
    let begins = line.text.trim_ascii().is_empty();
    let inner = if begins {
        pending.get(part.trim_ascii())
    } else {
        None
    };
    match inner {
        Some(inner) => {
            let indent = part.len() - part.trim_ascii_start().len();
            let here = line.text.len() + indent;
            let there = inner.indent();
            line.spots.extend(inner.spots.iter().map(|spot| Spot {
                column: (spot.column + here).saturating_sub(there),
                ..spot.clone()
            }));
            if let Some(first) = line.spots.first_mut() {
                first.column = first.column.min(here);
            }
        }
        None => line.spots.push(spot),
    }
    line.text.extend_from_slice(part);
}
