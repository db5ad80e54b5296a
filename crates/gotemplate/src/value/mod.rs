//! The Go value model: what a template sees as dot, variable, argument, result.
//!
//! Main type: [`Value`]. Maps and lists are handles to shared storage, because
//! a Go template function that changes a map changes it for everybody who
//! holds it. Strings are bytes. Single-threaded by design (`Rc`).
//!
//! Not here: printing ([`crate::fmt`]) and field access rules (`exec`).

mod deep;
mod handles;
mod text;
mod types;

use std::rc::Rc;

pub use self::handles::{Entries, List, ListType, MAP_ANY, MAP_STRING, Map, MapType};
pub use self::text::Str;
pub(crate) use self::text::lossy;
pub use self::types::{Elem, Method, Named, Struct, StructType, Type};

/// A point in time, as Go's `time.Time` in the local zone or in another.
#[derive(Clone, PartialEq, Debug)]
pub struct Time(pub jiff::Zoned);

/// Any value that a template can hold.
#[derive(Clone, Default)]
pub enum Value {
    /// Untyped nil, and the value that is not there.
    #[default]
    Nil,
    /// `bool`
    Bool(bool),
    /// `int`
    Int(i64),
    /// `int64`
    Int64(i64),
    /// `uint64`
    Uint64(u64),
    /// `uint8`
    Uint8(u8),
    /// `float64`
    Float(f64),
    /// `string`
    Str(Str),
    /// `[]uint8`
    Bytes(Str),
    /// A map with string keys.
    Map(Map),
    /// A slice.
    List(List),
    /// A struct or a pointer to one.
    Struct(Struct),
    /// `time.Time`
    Time(Rc<Time>),
}

/// Go's `reflect.Kind`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum Kind {
    Invalid,
    Bool,
    Int,
    Int64,
    Uint8,
    Uint64,
    Float64,
    String,
    Slice,
    Map,
    Struct,
    Ptr,
}

impl Kind {
    /// Returns the name that `kindOf` prints.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Invalid => "invalid",
            Kind::Bool => "bool",
            Kind::Int => "int",
            Kind::Int64 => "int64",
            Kind::Uint8 => "uint8",
            Kind::Uint64 => "uint64",
            Kind::Float64 => "float64",
            Kind::String => "string",
            Kind::Slice => "slice",
            Kind::Map => "map",
            Kind::Struct => "struct",
            Kind::Ptr => "ptr",
        }
    }
}

impl Value {
    /// Makes a string.
    pub fn str(text: impl Into<Str>) -> Self {
        Value::Str(text.into())
    }

    /// Makes a `map[string]interface {}`.
    pub fn map(entries: Entries) -> Self {
        Value::Map(Map::new(entries))
    }

    /// Makes a `[]interface {}`.
    pub fn list(items: Vec<Value>) -> Self {
        Value::List(List::new(items))
    }

    /// Makes a `[]string`.
    pub fn strings<T: Into<Str>>(items: impl IntoIterator<Item = T>) -> Self {
        let items = items.into_iter().map(Value::str).collect();
        Value::List(List::typed(Elem::String, items))
    }

    /// Returns the kind.
    pub fn kind(&self) -> Kind {
        match self {
            Value::Nil => Kind::Invalid,
            Value::Bool(_) => Kind::Bool,
            Value::Int(_) => Kind::Int,
            Value::Int64(_) => Kind::Int64,
            Value::Uint64(_) => Kind::Uint64,
            Value::Uint8(_) => Kind::Uint8,
            Value::Float(_) => Kind::Float64,
            Value::Str(_) => Kind::String,
            Value::Bytes(_) | Value::List(_) => Kind::Slice,
            Value::Map(_) => Kind::Map,
            Value::Struct(object) if object.ty.is_pointer() => Kind::Ptr,
            Value::Struct(_) | Value::Time(_) => Kind::Struct,
        }
    }

    /// Returns the type as `%T` prints it.
    pub fn type_name(&self) -> String {
        match self {
            Value::Nil => "<nil>".into(),
            Value::Bytes(_) => "[]uint8".into(),
            Value::List(list) => list.type_name(),
            Value::Map(map) => map.type_name(),
            Value::Struct(object) => object.ty.name.into(),
            Value::Time(_) => "time.Time".into(),
            other => other.kind().name().into(),
        }
    }

    /// Go templates' truth: not the zero of its type; structs are always true.
    pub fn truth(&self) -> bool {
        match self {
            Value::Nil => false,
            Value::Bool(value) => *value,
            Value::Int(value) | Value::Int64(value) => *value != 0,
            Value::Uint64(value) => *value != 0,
            Value::Uint8(value) => *value != 0,
            Value::Float(value) => *value != 0.0,
            Value::Str(value) | Value::Bytes(value) => !value.is_empty(),
            Value::Map(map) => !map.is_empty(),
            Value::List(list) => !list.is_empty(),
            Value::Struct(_) | Value::Time(_) => true,
        }
    }

    /// Whether this is untyped nil.
    pub fn is_nil(&self) -> bool {
        matches!(self, Value::Nil)
    }

    /// Go's `reflect.Value.IsNil` of a map or slice.
    pub(crate) fn is_typed_nil(&self) -> bool {
        match self {
            Value::Map(map) => map.ty.is_nil,
            Value::List(list) => list.ty.is_nil,
            _ => false,
        }
    }

    /// Returns the methods of the value's type.
    pub fn methods(&self) -> &'static [Method] {
        match self {
            Value::Map(map) => map.ty.named.map_or(&[], |named| named.methods),
            Value::List(list) => list.ty.named.map_or(&[], |named| named.methods),
            Value::Struct(object) => object.ty.methods,
            Value::Time(_) => crate::funcs::date::METHODS,
            _ => &[],
        }
    }

    /// Returns the items of a slice, bytes included.
    pub fn items(&self) -> Option<Vec<Value>> {
        match self {
            Value::List(list) => Some(list.borrow().clone()),
            Value::Bytes(bytes) => Some(bytes.iter().map(|byte| Value::Uint8(*byte)).collect()),
            _ => None,
        }
    }

    /// Returns the string, where this is one.
    pub fn as_str(&self) -> Option<&Str> {
        match self {
            Value::Str(text) => Some(text),
            _ => None,
        }
    }

    /// Returns the map, where this is one.
    pub fn as_map(&self) -> Option<&Map> {
        match self {
            Value::Map(map) => Some(map),
            _ => None,
        }
    }
}

impl std::fmt::Debug for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut out = Vec::new();
        crate::fmt::write_value(&mut out, self);
        f.write_str(&String::from_utf8_lossy(&out))
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Value::str(text)
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Value::str(text)
    }
}

impl From<Vec<u8>> for Value {
    fn from(bytes: Vec<u8>) -> Self {
        Value::str(bytes)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Value::Bool(value)
    }
}
