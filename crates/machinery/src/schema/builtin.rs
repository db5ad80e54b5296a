//! The built-in types, decoded once from the checked-in facts.
//!
//! The file holds two deflate streams: the types as lines of text, and the
//! descriptions separated by NUL. Its first four bytes are the length of the
//! first stream, little endian. `cargo xtask facts` writes it.
//!
//! A line `=NAME TYPE ATTRIBUTES` opens a definition; the lines after it are
//! its fields; columns are separated by tabs. A type is one of `s` text, `y`
//! bytes, `i` int32, `l` int64, `n` integer, `d` double, `b` boolean, `p` int
//! or string, `q` quantity, `t` time, `m` micro time, `*` anything, `o`
//! object, `[T` list, `{T` map, `@N` the N-th definition. Descriptions come
//! in the order of the lines.

use std::io::Read;
use std::sync::OnceLock;

use flate2::read::DeflateDecoder;

use super::{
    Definition, Definitions, Descriptions, Extra, FieldRow, Format, GroupVersionKind, NONE, Row,
    Shape, flag,
};

static FACTS: &[u8] = include_bytes!("../facts/facts.bin");

/// Returns the types of every built-in kind.
pub fn builtin() -> &'static Definitions {
    static BUILTIN: OnceLock<Definitions> = OnceLock::new();
    BUILTIN.get_or_init(|| decode(&inflate(streams().0)))
}

/// Inflates the descriptions of the built-in types.
pub fn descriptions() -> Descriptions {
    let text = inflate(streams().1);
    let mut ends: Vec<u32> = memchr_all(text.as_bytes());
    ends.push(text.len() as u32);
    Descriptions { text, ends }
}

fn memchr_all(bytes: &[u8]) -> Vec<u32> {
    let positions = bytes.iter().enumerate().filter(|(_, byte)| **byte == 0);
    positions.map(|(index, _)| index as u32).collect()
}

fn streams() -> (&'static [u8], &'static [u8]) {
    let (length, rest) = FACTS.split_at(4);
    let length = u32::from_le_bytes(length.try_into().expect("four bytes were split off"));
    rest.split_at(length as usize)
}

fn inflate(bytes: &[u8]) -> String {
    let mut text = String::new();
    DeflateDecoder::new(bytes)
        .read_to_string(&mut text)
        .expect("the checked-in facts inflate; a test reads them all");
    text
}

#[derive(Default)]
struct Decoder {
    set: Definitions,
    /// Rows of each definition's fields, sorted into `set.fields` when it ends.
    open: Vec<FieldRow>,
    doc: u32,
}

fn decode(text: &str) -> Definitions {
    let mut decoder = Decoder::default();
    for line in text.lines() {
        let mut columns = line.splitn(3, '\t');
        let name = columns.next().unwrap_or_default();
        let kind = columns.next().unwrap_or_default();
        let attributes = columns.next().unwrap_or_default();
        match name.strip_prefix('=') {
            Some(name) => decoder.definition(name, kind, attributes),
            None => decoder.field(name, kind, attributes),
        }
    }
    decoder.finish()
}

impl Decoder {
    fn definition(&mut self, name: &str, kind: &str, attributes: &str) {
        self.close();
        let row = self.row(kind, attributes);
        self.set.rows[row as usize].definition = self.set.definitions.len() as u32;
        let kinds = attributes
            .split(' ')
            .filter_map(|attribute| attribute.strip_prefix("g="))
            .filter_map(group_version_kind)
            .collect();
        self.set.definitions.push(Definition {
            name: name.into(),
            row,
            kinds,
        });
    }

    fn field(&mut self, name: &str, kind: &str, attributes: &str) {
        let row = self.row(kind, attributes);
        self.open
            .push(FieldRow::new(&mut self.set.names, name, row));
    }

    /// Ends the open definition: its fields move into the arena by name.
    fn close(&mut self) {
        let Some(definition) = self.set.definitions.last() else {
            return;
        };
        let row = definition.row as usize;
        let set = &self.set;
        self.open
            .sort_by(|a, b| set.field_name(a).cmp(set.field_name(b)));
        self.set.rows[row].field_first = self.set.fields.len() as u32;
        self.set.rows[row].field_count = self.open.len() as u16;
        self.set.fields.append(&mut self.open);
    }

    fn row(&mut self, kind: &str, attributes: &str) -> u32 {
        let mut row = self.shape(kind);
        row.doc = self.doc;
        self.doc += 1;
        self.attributes(&mut row, attributes);
        self.set.rows.push(row);
        self.set.rows.len() as u32 - 1
    }

    fn shape(&mut self, kind: &str) -> Row {
        let (head, rest) = kind.split_at(1.min(kind.len()));
        match head {
            "s" => Row::new(Shape::String),
            "y" => Row::new(Shape::Bytes),
            "i" => number(Shape::Integer, Format::Int32),
            "l" => number(Shape::Integer, Format::Int64),
            "n" => number(Shape::Integer, Format::None),
            "d" => number(Shape::Number, Format::Double),
            "b" => Row::new(Shape::Boolean),
            "p" => Row::new(Shape::IntOrString),
            "q" => Row::new(Shape::Quantity),
            "t" => Row::new(Shape::Time),
            "m" => Row::new(Shape::MicroTime),
            "o" => Row::new(Shape::Object),
            "@" => {
                let mut row = Row::new(Shape::Object);
                row.definition = rest.parse().unwrap_or(NONE);
                row
            }
            "[" | "{" => {
                let element = self.shape(rest);
                self.set.rows.push(element);
                let mut row = Row::new(if head == "[" { Shape::List } else { Shape::Map });
                row.element = self.set.rows.len() as u32 - 1;
                row
            }
            _ => Row::new(Shape::Any),
        }
    }

    fn attributes(&mut self, row: &mut Row, attributes: &str) {
        let mut extra = Extra::default();
        let mut has_extra = false;
        for attribute in attributes.split(' ') {
            let (name, value) = attribute.split_once('=').unwrap_or((attribute, ""));
            match name {
                "r" => row.flags |= flag::REQUIRED,
                "p" => row.flags |= flag::POINTER,
                "a" => row.flags |= flag::ALWAYS,
                "atomic" => row.flags |= flag::ATOMIC_MAP,
                "l" if value == "atomic" => row.flags |= flag::LIST_ATOMIC,
                "l" if value == "set" => row.flags |= flag::LIST_SET,
                "l" => row.flags |= flag::LIST_MAP,
                "k" => {
                    extra.keys = value.split(',').map(Box::from).collect();
                    has_extra = true;
                }
                "m" => {
                    extra.merge_key = Some(value.into());
                    has_extra = true;
                }
                "s" if value == "merge" => row.flags |= flag::PATCH_MERGE,
                "s" if value == "retainKeys" => row.flags |= flag::PATCH_RETAIN_KEYS,
                "s" => row.flags |= flag::PATCH_MERGE | flag::PATCH_RETAIN_KEYS,
                "t" => {
                    extra.go_type = Some(value.into());
                    has_extra = true;
                }
                "d" => {
                    extra.default = serde_json::from_str(value).ok();
                    has_extra = true;
                }
                _ => {}
            }
        }
        if has_extra {
            row.extra = self.set.extras.len() as u32;
            self.set.extras.push(extra);
        }
    }

    /// Gives every reference the shape and fields of its definition.
    fn finish(mut self) -> Definitions {
        self.close();
        for index in 0..self.set.rows.len() {
            let row = self.set.rows[index];
            let Some(definition) = self.set.definitions.get(row.definition as usize) else {
                continue;
            };
            let target = self.set.rows[definition.row as usize];
            let row = &mut self.set.rows[index];
            row.shape = target.shape;
            row.field_first = target.field_first;
            row.field_count = target.field_count;
            row.element = target.element;
            row.flags |= target.flags & flag::ATOMIC_MAP;
        }
        self.set
    }
}

const fn number(shape: Shape, format: Format) -> Row {
    let mut row = Row::new(shape);
    row.format = format;
    row
}

fn group_version_kind(text: &str) -> Option<GroupVersionKind> {
    let mut parts = text.split('/');
    Some(GroupVersionKind {
        group: parts.next()?.into(),
        version: parts.next()?.into(),
        kind: parts.next()?.into(),
    })
}
