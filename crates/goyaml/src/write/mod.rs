//! The writer that equals go-yaml v2 as `sigs.k8s.io/yaml` drives it.
//!
//! Main type: [`Writer`], fed with events. After libyaml's `emitter.c` for
//! what such documents hold: block collections, strings, numbers, nothing
//! anchored or tagged. [`Dialect::V3`] is go-yaml v3 with an indent of two,
//! which `toYamlPretty` uses.

mod analysis;
mod scalar;

use self::analysis::has_break;

const BEST_INDENT: isize = 2;
/// Longer keys are written as `? key`.
const SIMPLE_KEY_MAX: usize = 128;

/// Which go-yaml to equal.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Dialect {
    /// Version 2: lists are not indented below their key.
    #[default]
    V2,
    /// Version 3: lists are indented, long lines are not folded.
    V3,
}

#[derive(Clone, Copy, PartialEq)]
enum Context {
    Root,
    Sequence,
    Mapping,
}

enum Level {
    Sequence {
        first: bool,
    },
    Mapping {
        first: bool,
        simple: bool,
        key_next: bool,
    },
}

/// Writes one document from events.
pub struct Writer {
    out: Vec<u8>,
    dialect: Dialect,
    indent: isize,
    indents: Vec<isize>,
    levels: Vec<Level>,
    column: usize,
    whitespace: bool,
    indention: bool,
}

impl Default for Writer {
    fn default() -> Self {
        Writer::new(Dialect::V2)
    }
}

impl Writer {
    /// Makes a writer.
    pub fn new(dialect: Dialect) -> Self {
        Writer {
            out: Vec::new(),
            dialect,
            indent: 0,
            indents: Vec::new(),
            levels: Vec::new(),
            column: 0,
            whitespace: true,
            indention: true,
        }
    }

    /// Ends the document and returns its text.
    pub fn finish(mut self) -> Vec<u8> {
        self.indent = 0;
        self.write_indent();
        self.out
    }

    /// Starts a mapping; an empty one is `{}` and needs no end.
    pub fn begin_map(&mut self, empty: bool) {
        self.before_node(None);
        if empty {
            self.indicator(b"{", true, true, false);
            self.indicator(b"}", false, false, false);
            return;
        }
        self.levels.push(Level::Mapping {
            first: true,
            simple: true,
            key_next: true,
        });
    }

    /// Ends a mapping that was not empty.
    pub fn end_map(&mut self) {
        self.end();
    }

    /// Starts a sequence; an empty one is `[]` and needs no end.
    pub fn begin_seq(&mut self, empty: bool) {
        let context = self.before_node(None);
        if empty {
            self.indicator(b"[", true, true, false);
            self.indicator(b"]", false, false, false);
            return;
        }
        // Below a key, version 2 writes the dashes under the key itself.
        let indentless =
            self.dialect == Dialect::V2 && context == Context::Mapping && !self.indention;
        self.increase_indent(indentless);
        self.levels.push(Level::Sequence { first: true });
    }

    /// Ends a sequence that was not empty.
    pub fn end_seq(&mut self) {
        self.end();
    }

    /// Writes null, a boolean or a number as it is.
    pub fn plain(&mut self, text: &str) {
        self.before_node(Some(text.as_bytes()));
        self.write_plain(text.as_bytes(), true);
    }

    /// Writes a float: in version 2 as it looks after JSON.
    pub fn float(&mut self, number: f64) {
        let text = match self.dialect {
            Dialect::V2 => crate::number::through_json(number),
            Dialect::V3 => crate::number::general(number, false),
        };
        self.plain(&text);
    }

    /// Writes a string, quoted where it must be.
    pub fn string(&mut self, text: &str) {
        let key = self.key_is_next();
        self.before_node(Some(text.as_bytes()));
        let simple_key = key && self.last_key_is_simple();
        self.write_string(text, simple_key);
    }

    fn key_is_next(&self) -> bool {
        matches!(
            self.levels.last(),
            Some(Level::Mapping { key_next: true, .. })
        )
    }

    fn last_key_is_simple(&self) -> bool {
        matches!(
            self.levels.last(),
            Some(Level::Mapping { simple: true, .. })
        )
    }

    fn end(&mut self) {
        self.levels.pop();
        self.indent = self.indents.pop().unwrap_or(0);
    }

    fn increase_indent(&mut self, indentless: bool) {
        self.indents.push(self.indent);
        // The outermost collection starts at column zero.
        if self.indents.len() > 1 && !indentless {
            self.indent += BEST_INDENT;
        }
    }

    /// Writes what stands before a node: the dash of an item, the indent of a
    /// key, the colon before a value.
    fn before_node(&mut self, scalar: Option<&[u8]>) -> Context {
        let Some(mut level) = self.levels.pop() else {
            return Context::Root;
        };
        let context = match &mut level {
            Level::Sequence { first } => {
                *first = false;
                self.write_indent();
                self.indicator(b"-", true, false, true);
                Context::Sequence
            }
            Level::Mapping {
                first,
                simple,
                key_next: key_next @ true,
            } => {
                if std::mem::replace(first, false) {
                    self.increase_indent(false);
                }
                self.write_indent();
                *key_next = false;
                *simple =
                    scalar.is_some_and(|text| text.len() <= SIMPLE_KEY_MAX && !has_break(text));
                if !*simple {
                    self.indicator(b"?", true, false, true);
                }
                Context::Mapping
            }
            Level::Mapping {
                simple, key_next, ..
            } => {
                *key_next = true;
                if *simple {
                    self.indicator(b":", false, false, false);
                } else {
                    self.write_indent();
                    self.indicator(b":", true, false, true);
                }
                Context::Mapping
            }
        };
        self.levels.push(level);
        context
    }

    fn put(&mut self, byte: u8) {
        self.out.push(byte);
        self.column += 1;
    }

    fn put_break(&mut self) {
        self.out.push(b'\n');
        self.column = 0;
    }

    fn write_indent(&mut self) {
        let indent = self.indent.max(0) as usize;
        if !self.indention || self.column > indent || (self.column == indent && !self.whitespace) {
            self.put_break();
        }
        while self.column < indent {
            self.put(b' ');
        }
        self.whitespace = true;
        self.indention = true;
    }

    fn indicator(&mut self, text: &[u8], need_space: bool, is_space: bool, is_indention: bool) {
        if need_space && !self.whitespace {
            self.put(b' ');
        }
        self.out.extend_from_slice(text);
        self.column += text.len();
        self.whitespace = is_space;
        self.indention = self.indention && is_indention;
    }
}
