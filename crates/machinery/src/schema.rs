//! Types of objects: one node API for built-in and custom resources.
//!
//! [`Definitions`] holds a set of types in a compact arena; [`Node`] is a
//! cheap, copyable place in it. References are resolved when the arena is
//! built, so a walk never sees them (recursive types share their fields).
//! Descriptions of the built-in types stay compressed until somebody asks.
//! This module says what a type is; it judges no object.

mod builtin;
mod custom;

use std::sync::OnceLock;

use serde_json::Value;

pub use builtin::{builtin, descriptions};
pub use custom::SchemaError;

/// What kind of value a node describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Shape {
    /// A structure with named fields.
    Object,
    /// A map from text to one element type.
    Map,
    /// A list of one element type.
    List,
    /// Text.
    String,
    /// A whole number; see [`Node::format`].
    Integer,
    /// A floating-point number.
    Number,
    /// `true` or `false`.
    Boolean,
    /// A whole number or text.
    IntOrString,
    /// A resource quantity such as `500m`.
    Quantity,
    /// RFC 3339 time with seconds.
    Time,
    /// RFC 3339 time with microseconds.
    MicroTime,
    /// Bytes, written as base64.
    Bytes,
    /// Anything; no type is known.
    Any,
}

/// How wide a number is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// No format is given.
    None,
    /// 32-bit signed.
    Int32,
    /// 64-bit signed.
    Int64,
    /// 64-bit floating point.
    Double,
}

/// How a list is merged by server-side apply (`x-kubernetes-list-type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListType<'a> {
    /// The list is replaced as a whole.
    Atomic,
    /// Scalars without duplicates.
    Set,
    /// Objects identified by their key fields.
    Map {
        /// The key fields, in the schema's order.
        keys: &'a [Box<str>],
    },
}

/// How a strategic merge patch treats a field (`x-kubernetes-patch-strategy`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PatchStrategy {
    /// Lists are merged by key instead of replaced.
    pub merge: bool,
    /// Keys not named in the patch's `$retainKeys` are cleared.
    pub retain_keys: bool,
}

/// A set of types. The built-in set is [`builtin()`]; a custom resource
/// brings its own (see [`Definitions::from_structural`]).
#[derive(Debug, Default)]
pub struct Definitions {
    rows: Vec<Row>,
    fields: Vec<FieldRow>,
    names: String,
    extras: Vec<Extra>,
    definitions: Vec<Definition>,
    /// Descriptions of a custom set; the built-in ones stay compressed.
    docs: Option<Vec<Box<str>>>,
}

/// A named type of a set.
#[derive(Debug)]
struct Definition {
    name: Box<str>,
    row: u32,
    kinds: Box<[GroupVersionKind]>,
}

/// Group, version and kind of an object.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GroupVersionKind {
    /// Group, empty for the core group.
    pub group: String,
    /// Version.
    pub version: String,
    /// Kind.
    pub kind: String,
}

const NONE: u32 = u32::MAX;

#[derive(Clone, Copy, Debug)]
struct Row {
    shape: Shape,
    format: Format,
    flags: u16,
    field_count: u16,
    field_first: u32,
    element: u32,
    extra: u32,
    definition: u32,
    doc: u32,
}

impl Row {
    const fn new(shape: Shape) -> Row {
        Row {
            shape,
            format: Format::None,
            flags: 0,
            field_count: 0,
            field_first: 0,
            element: NONE,
            extra: NONE,
            definition: NONE,
            doc: NONE,
        }
    }
}

mod flag {
    pub const ATOMIC_MAP: u16 = 1;
    pub const PRESERVES_UNKNOWN: u16 = 1 << 1;
    pub const PATCH_MERGE: u16 = 1 << 2;
    pub const PATCH_RETAIN_KEYS: u16 = 1 << 3;
    pub const REQUIRED: u16 = 1 << 4;
    pub const POINTER: u16 = 1 << 5;
    pub const ALWAYS: u16 = 1 << 6;
    pub const LIST_SET: u16 = 1 << 7;
    pub const LIST_MAP: u16 = 1 << 8;
    pub const LIST_ATOMIC: u16 = 1 << 9;
    pub const EMBEDDED: u16 = 1 << 10;
    pub const NULLABLE: u16 = 1 << 11;
}

#[derive(Clone, Copy, Debug)]
struct FieldRow {
    /// The first bytes of the name: mostly they tell it from the others.
    prefix: u64,
    name_start: u32,
    name_len: u16,
    row: u32,
}

impl FieldRow {
    /// Adds the name to `names`.
    fn new(names: &mut String, name: &str, row: u32) -> FieldRow {
        let name_start = names.len() as u32;
        names.push_str(name);
        FieldRow {
            prefix: prefix(name),
            name_start,
            name_len: name.len() as u16,
            row,
        }
    }
}

/// A number that orders as the first eight bytes of a name do.
fn prefix(name: &str) -> u64 {
    let mut bytes = [0; 8];
    let length = name.len().min(8);
    bytes[..length].copy_from_slice(&name.as_bytes()[..length]);
    u64::from_be_bytes(bytes)
}

/// What few nodes have, kept beside the rows.
#[derive(Debug, Default)]
struct Extra {
    keys: Box<[Box<str>]>,
    merge_key: Option<Box<str>>,
    default: Option<Value>,
    /// The name of a text's type, where it has one of its own.
    go_type: Option<Box<str>>,
    /// The literal JSON schema of a custom node, for value validation.
    raw: Option<Box<Value>>,
}

impl Definitions {
    /// Returns the node of the type called `name`, an OpenAPI name such as
    /// `io.k8s.api.core.v1.Pod`.
    pub fn get(&self, name: &str) -> Option<Node<'_>> {
        let index = self
            .definitions
            .binary_search_by(|definition| (*definition.name).cmp(name))
            .ok()?;
        Some(self.node(self.definitions[index].row))
    }

    /// Returns the first type of the set: of a custom set, its whole object.
    pub fn root(&self) -> Option<Node<'_>> {
        self.definitions.first().map(|first| self.node(first.row))
    }

    /// Returns every named type, in name order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Node<'_>)> {
        self.definitions
            .iter()
            .map(|definition| (&*definition.name, self.node(definition.row)))
    }

    fn node(&self, row: u32) -> Node<'_> {
        Node { set: self, row }
    }
}

/// A place in a type.
#[derive(Clone, Copy)]
pub struct Node<'a> {
    set: &'a Definitions,
    row: u32,
}

impl std::fmt::Debug for Node<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Node({:?} {:?})", self.shape(), self.definition())
    }
}

impl<'a> Node<'a> {
    fn data(self) -> &'a Row {
        &self.set.rows[self.row as usize]
    }

    fn has(self, flag: u16) -> bool {
        self.data().flags & flag != 0
    }

    fn extra(self) -> Option<&'a Extra> {
        self.set.extras.get(self.data().extra as usize)
    }

    /// Returns what kind of value stands here.
    pub fn shape(self) -> Shape {
        self.data().shape
    }

    /// Returns the width of a number.
    pub fn format(self) -> Format {
        self.data().format
    }

    /// Returns the field called `name` of an object.
    pub fn field(self, name: &str) -> Option<Node<'a>> {
        let rows = self.field_rows();
        let wanted = prefix(name);
        let order = |field: &FieldRow| {
            let order = field.prefix.cmp(&wanted);
            order.then_with(|| self.set.field_name(field).cmp(name))
        };
        let index = rows.binary_search_by(order).ok()?;
        Some(self.set.node(rows[index].row))
    }

    /// Returns the fields of an object, in name order.
    pub fn fields(self) -> impl Iterator<Item = (&'a str, Node<'a>)> {
        let set = self.set;
        self.field_rows()
            .iter()
            .map(move |field| (set.field_name(field), set.node(field.row)))
    }

    fn field_rows(self) -> &'a [FieldRow] {
        let row = self.data();
        let first = row.field_first as usize;
        &self.set.fields[first..first + row.field_count as usize]
    }

    /// Returns the type of the elements of a list or map.
    pub fn element(self) -> Option<Node<'a>> {
        let element = self.data().element;
        (element != NONE).then(|| self.set.node(element))
    }

    /// Follows a dotted path of fields; lists and maps on the way are entered
    /// through their element without being named.
    pub fn at(self, path: &str) -> Option<Node<'a>> {
        path.split('.').try_fold(self, |mut node, name| {
            while let (Shape::List | Shape::Map, Some(element)) = (node.shape(), node.element()) {
                node = element;
            }
            node.field(name)
        })
    }

    /// Returns how server-side apply merges this list.
    pub fn list_type(self) -> ListType<'a> {
        if self.has(flag::LIST_MAP) {
            let keys = self.extra().map_or(&[][..], |extra| &extra.keys);
            ListType::Map { keys }
        } else if self.has(flag::LIST_SET) {
            ListType::Set
        } else {
            ListType::Atomic
        }
    }

    /// Whether a list type is written in the schema (an absent one means atomic).
    pub fn has_list_type(self) -> bool {
        self.has(flag::LIST_ATOMIC | flag::LIST_SET | flag::LIST_MAP)
    }

    /// Whether an object or map is owned and replaced as a whole
    /// (`x-kubernetes-map-type: atomic`).
    pub fn is_atomic_map(self) -> bool {
        self.has(flag::ATOMIC_MAP)
    }

    /// Returns the key by which a strategic merge patch finds list elements.
    pub fn patch_merge_key(self) -> Option<&'a str> {
        self.extra()?.merge_key.as_deref()
    }

    /// Returns how a strategic merge patch treats this field.
    pub fn patch_strategy(self) -> PatchStrategy {
        PatchStrategy {
            merge: self.has(flag::PATCH_MERGE),
            retain_keys: self.has(flag::PATCH_RETAIN_KEYS),
        }
    }

    /// Returns the value an absent field has. For built-in types this covers
    /// literal defaults (`protocol: TCP`) and the zero values of fields that
    /// are always written (`name: ""`), as upstream's OpenAPI documents do.
    pub fn default(self) -> Option<&'a Value> {
        if let Some(value) = self.extra().and_then(|extra| extra.default.as_ref()) {
            return Some(value);
        }
        if !self.has(flag::ALWAYS) || self.has(flag::POINTER) {
            return None;
        }
        let zeros = zeros();
        match self.shape() {
            Shape::String => Some(&zeros[0]),
            Shape::Integer | Shape::Number => Some(&zeros[1]),
            Shape::Boolean => Some(&zeros[2]),
            Shape::Object => Some(&zeros[3]),
            _ => None,
        }
    }

    /// Whether the schema lists this field among the required ones.
    pub fn is_required(self) -> bool {
        self.has(flag::REQUIRED)
    }

    /// Returns the names of the required fields of an object.
    pub fn required(self) -> impl Iterator<Item = &'a str> {
        self.fields()
            .filter(|(_, field)| field.is_required())
            .map(|(name, _)| name)
    }

    /// Whether "absent" and "zero" differ here (a pointer in upstream's types).
    pub fn is_pointer(self) -> bool {
        self.has(flag::POINTER)
    }

    /// Whether the field is written even when zero (no `omitempty` upstream,
    /// or a structure held by value).
    pub fn is_always_written(self) -> bool {
        self.has(flag::ALWAYS)
    }

    /// Whether fields unknown to the schema are kept.
    pub fn preserves_unknown(self) -> bool {
        self.has(flag::PRESERVES_UNKNOWN) || self.shape() == Shape::Any
    }

    /// Whether a whole object with its own `apiVersion`, `kind` and
    /// `metadata` stands here (`x-kubernetes-embedded-resource`).
    pub fn is_embedded_resource(self) -> bool {
        self.has(flag::EMBEDDED)
    }

    /// Whether `null` is a value (custom resources only).
    pub fn is_nullable(self) -> bool {
        self.has(flag::NULLABLE)
    }

    /// Returns the OpenAPI name of the type that stands here, if it has one.
    pub fn definition(self) -> Option<&'a str> {
        let index = self.data().definition;
        (index != NONE).then(|| &*self.set.definitions[index as usize].name)
    }

    /// Returns the group, version and kind pairs of a named type.
    pub fn kinds(self) -> &'a [GroupVersionKind] {
        let index = self.data().definition;
        if index == NONE {
            return &[];
        }
        &self.set.definitions[index as usize].kinds
    }

    /// Returns the description of a custom type. Those of built-in types are
    /// compressed: read them with [`Node::description_in`].
    pub fn description(self) -> Option<&'a str> {
        let docs = self.set.docs.as_ref()?;
        docs.get(self.data().doc as usize).map(|doc| &**doc)
    }

    /// Returns the description of a built-in type from the inflated
    /// [`descriptions()`], or of a custom one from its own set.
    pub fn description_in(self, docs: &'a Descriptions) -> Option<&'a str> {
        match self.set.docs {
            Some(_) => self.description(),
            None => docs.get(self.data().doc),
        }
        .filter(|doc| !doc.is_empty())
    }

    /// Returns the name upstream's type of a text (or list of texts) has, where
    /// it is more than `string`: error messages carry it.
    pub fn go_type(self) -> Option<&'a str> {
        self.extra()?.go_type.as_deref()
    }

    /// Returns the literal JSON schema of a node of a custom resource.
    pub fn raw(self) -> Option<&'a Value> {
        self.extra()?.raw.as_deref()
    }
}

impl Definitions {
    fn field_name(&self, field: &FieldRow) -> &str {
        let start = field.name_start as usize;
        &self.names[start..start + field.name_len as usize]
    }
}

/// The inflated descriptions of the built-in types; about 600 KB, so hold it
/// only while a document is written.
#[derive(Debug)]
pub struct Descriptions {
    text: String,
    ends: Vec<u32>,
}

impl Descriptions {
    fn get(&self, index: u32) -> Option<&str> {
        let index = index as usize;
        let end = *self.ends.get(index)? as usize;
        let start = match index {
            0 => 0,
            _ => self.ends[index - 1] as usize + 1,
        };
        self.text.get(start..end)
    }
}

fn zeros() -> &'static [Value; 4] {
    static ZEROS: OnceLock<[Value; 4]> = OnceLock::new();
    ZEROS.get_or_init(|| {
        [
            Value::String(String::new()),
            Value::from(0),
            Value::Bool(false),
            Value::Object(serde_json::Map::new()),
        ]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_is_found_by_its_name() {
        for (name, node) in builtin().iter() {
            for (field, child) in node.fields() {
                let found = node.field(field).map(|found| found.row);
                assert_eq!(found, Some(child.row), "{name}.{field}");
                for other in [&field[1..], &format!("{field}2"), &format!("{field}\0")] {
                    let known = node.fields().any(|(known, _)| known == other);
                    assert_eq!(node.field(other).is_some(), known, "{name}.{other}");
                }
            }
        }
    }
}
