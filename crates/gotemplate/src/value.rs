//! The Go value model: what a template sees as dot, variable, argument, result.
//!
//! Main type: [`Value`]. Maps and lists are handles to shared storage, because
//! a Go template function that changes a map changes it for everybody who
//! holds it. Strings are bytes. Single-threaded by design (`Rc`).
//!
//! Not here: printing ([`crate::fmt`]) and field access rules (`exec`).

use std::cell::{Ref, RefCell, RefMut};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

/// A Go string: immutable bytes, usually but not always UTF-8. Shared, also with
/// the files of a chart, which are never copied.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Str(Arc<[u8]>);

impl Str {
    /// Returns the bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Returns the text, with U+FFFD for bytes that are not UTF-8.
    pub fn to_text(&self) -> std::borrow::Cow<'_, str> {
        lossy(&self.0)
    }
}

impl std::fmt::Debug for Str {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.to_text())
    }
}

impl std::borrow::Borrow<[u8]> for Str {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl std::ops::Deref for Str {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl From<&str> for Str {
    fn from(text: &str) -> Self {
        Str(text.as_bytes().into())
    }
}

impl From<String> for Str {
    fn from(text: String) -> Self {
        Str(text.into_bytes().into())
    }
}

impl From<Arc<[u8]>> for Str {
    fn from(bytes: Arc<[u8]>) -> Self {
        Str(bytes)
    }
}

impl From<Vec<u8>> for Str {
    fn from(bytes: Vec<u8>) -> Self {
        Str(bytes.into())
    }
}

impl From<&[u8]> for Str {
    fn from(bytes: &[u8]) -> Self {
        Str(bytes.into())
    }
}

/// Bytes as text, with U+FFFD for what is not UTF-8; faster than the standard
/// library's where all of it is.
pub(crate) fn lossy(bytes: &[u8]) -> std::borrow::Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.into(),
        Err(_) => String::from_utf8_lossy(bytes),
    }
}

/// What the elements of a typed map or list are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Elem {
    /// `interface {}`
    Any,
    /// `string`
    String,
    /// `int`
    Int,
    /// `[]uint8`
    Bytes,
    /// `[]interface {}`
    List,
}

impl Elem {
    fn name(self) -> &'static str {
        match self {
            Elem::Any => "interface {}",
            Elem::String => "string",
            Elem::Int => "int",
            Elem::Bytes => "[]uint8",
            Elem::List => "[]interface {}",
        }
    }
}

/// A named Go type with methods, put on top of a map or list.
#[derive(Debug)]
pub struct Named {
    /// The name as `%T` prints it, such as `common.Values`.
    pub name: &'static str,
    /// The methods.
    pub methods: &'static [Method],
}

/// A method of a [`Named`] or [`StructType`] value.
pub struct Method {
    /// Name as written in a template.
    pub name: &'static str,
    /// Parameter types, without the receiver.
    pub params: &'static [Type],
    /// The body; the first argument is the receiver.
    pub call: fn(&Value, &[Value]) -> Result<Value, String>,
}

impl std::fmt::Debug for Method {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Method({})", self.name)
    }
}

/// The types that parameters of functions and methods may ask for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Type {
    /// `interface {}`
    Any,
    /// `reflect.Value`: like `Any`, but an absent value stays absent.
    Reflect,
    /// `string`
    String,
    /// `int`
    Int,
    /// `int64`
    Int64,
    /// `uint32`: only a constant can be one.
    Uint32,
    /// `float64`
    Float,
    /// `bool`
    Bool,
    /// `map[string]interface {}`
    Map,
    /// `time.Time`
    Time,
    /// `sprig.certificate`
    Certificate,
}

impl Type {
    /// Returns the name that Go prints.
    pub fn name(self) -> &'static str {
        match self {
            Type::Any => "interface {}",
            Type::Reflect => "reflect.Value",
            Type::String => "string",
            Type::Int => "int",
            Type::Int64 => "int64",
            Type::Uint32 => "uint32",
            Type::Float => "float64",
            Type::Bool => "bool",
            Type::Map => "map[string]interface {}",
            Type::Time => "time.Time",
            Type::Certificate => "sprig.certificate",
        }
    }

    /// Whether an untyped nil may be assigned.
    pub fn can_be_nil(self) -> bool {
        matches!(self, Type::Any | Type::Reflect | Type::Map)
    }
}

/// The type of a map handle; the storage does not know it.
#[derive(Clone, Copy, Debug)]
pub struct MapType {
    /// Element type.
    pub elem: Elem,
    /// The name, where the Go type has one.
    pub named: Option<&'static Named>,
}

/// `map[string]interface {}`
pub const MAP_ANY: MapType = MapType {
    elem: Elem::Any,
    named: None,
};

/// `map[string]string`
pub const MAP_STRING: MapType = MapType {
    elem: Elem::String,
    named: None,
};

/// Storage of a map; iteration is in byte order of the keys, as Go's printer
/// and `range` see it.
pub type Entries = BTreeMap<Str, Value>;

/// A handle to a shared, mutable map with string keys.
#[derive(Clone)]
pub struct Map {
    /// The type of this handle.
    pub ty: MapType,
    entries: Rc<RefCell<Entries>>,
}

impl Map {
    /// Makes a `map[string]interface {}`.
    pub fn new(entries: Entries) -> Self {
        Map::typed(MAP_ANY, entries)
    }

    /// Makes a map of the given type.
    pub fn typed(ty: MapType, entries: Entries) -> Self {
        Map {
            ty,
            entries: Rc::new(RefCell::new(entries)),
        }
    }

    /// Returns the same storage under another type.
    pub fn with_type(&self, ty: MapType) -> Self {
        Map {
            ty,
            entries: self.entries.clone(),
        }
    }

    /// Borrows the entries.
    pub fn borrow(&self) -> Ref<'_, Entries> {
        self.entries.borrow()
    }

    /// Borrows the entries for change.
    pub fn borrow_mut(&self) -> RefMut<'_, Entries> {
        self.entries.borrow_mut()
    }

    /// Returns the value under `key`.
    pub fn get(&self, key: &[u8]) -> Option<Value> {
        self.entries.borrow().get(key).cloned()
    }

    /// Puts `value` under `key`.
    pub fn insert(&self, key: impl Into<Str>, value: Value) {
        self.entries.borrow_mut().insert(key.into(), value);
    }

    /// Whether both handles share storage.
    pub fn same(&self, other: &Map) -> bool {
        Rc::ptr_eq(&self.entries, &other.entries)
    }

    /// Returns the identity of the storage.
    pub fn address(&self) -> usize {
        Rc::as_ptr(&self.entries) as *const () as usize
    }

    /// Returns the number of entries.
    pub fn len(&self) -> usize {
        self.entries.borrow().len()
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn type_name(&self) -> String {
        match self.ty.named {
            Some(named) => named.name.to_owned(),
            None => format!("map[string]{}", self.ty.elem.name()),
        }
    }
}

/// The type of a list handle.
#[derive(Clone, Copy, Debug)]
pub struct ListType {
    /// Element type.
    pub elem: Elem,
    /// The name, where the Go type has one.
    pub named: Option<&'static Named>,
}

/// A handle to a shared list.
#[derive(Clone)]
pub struct List {
    /// The type of this handle.
    pub ty: ListType,
    items: Rc<RefCell<Vec<Value>>>,
}

impl List {
    /// Makes a `[]interface {}`.
    pub fn new(items: Vec<Value>) -> Self {
        List::typed(Elem::Any, items)
    }

    /// Makes a slice with elements of the given type.
    pub fn typed(elem: Elem, items: Vec<Value>) -> Self {
        List {
            ty: ListType { elem, named: None },
            items: Rc::new(RefCell::new(items)),
        }
    }

    /// Makes a slice of a named type.
    pub fn named(elem: Elem, named: &'static Named, items: Vec<Value>) -> Self {
        List {
            ty: ListType {
                elem,
                named: Some(named),
            },
            items: Rc::new(RefCell::new(items)),
        }
    }

    /// Borrows the items.
    pub fn borrow(&self) -> Ref<'_, Vec<Value>> {
        self.items.borrow()
    }

    /// Borrows the items for change.
    pub fn borrow_mut(&self) -> RefMut<'_, Vec<Value>> {
        self.items.borrow_mut()
    }

    /// Returns the number of items.
    pub fn len(&self) -> usize {
        self.items.borrow().len()
    }

    /// Whether there is no item.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the identity of the storage.
    pub fn address(&self) -> usize {
        Rc::as_ptr(&self.items) as *const () as usize
    }

    fn type_name(&self) -> String {
        match self.ty.named {
            Some(named) => named.name.to_owned(),
            None => format!("[]{}", self.ty.elem.name()),
        }
    }
}

/// A Go struct type: names of the fields in order, and methods.
#[derive(Debug)]
pub struct StructType {
    /// The name as `%T` prints it; a leading `*` makes the value a pointer.
    pub name: &'static str,
    /// Field names in order; an unexported one starts in lower case.
    pub fields: &'static [&'static str],
    /// The methods.
    pub methods: &'static [Method],
    /// How `fmt` sees it: the text of its `String` method.
    pub display: Option<fn(&Struct) -> String>,
    /// Whether `display` belongs to the pointer type, so that only a value
    /// reached through a field (an addressable one) prints with it.
    pub display_by_pointer: bool,
    /// How `encoding/json` sees it; `None` means its exported fields.
    pub json: Option<fn(&Struct) -> Value>,
}

impl StructType {
    /// Whether values of this type are pointers.
    pub fn is_pointer(&self) -> bool {
        self.name.starts_with('*')
    }
}

/// A Go struct value.
#[derive(Clone, Debug)]
pub struct Struct {
    /// Its type.
    pub ty: &'static StructType,
    /// Its fields, in the order of the type.
    pub fields: Rc<Vec<Value>>,
}

impl Struct {
    /// Returns a field by name.
    pub fn field(&self, name: &str) -> Option<&Value> {
        let at = self.ty.fields.iter().position(|field| *field == name)?;
        self.fields.get(at)
    }
}

/// A point in time, as Go's `time.Time` in the local zone or in another.
#[derive(Clone, PartialEq, Debug)]
pub struct Time(pub jiff::Zoned);

/// Deeper than this, a value is taken to contain itself.
const NESTING_MAX: usize = 1000;

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

    /// Whether this is nil.
    pub fn is_nil(&self) -> bool {
        matches!(self, Value::Nil)
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

    /// Go's `reflect.DeepEqual`: equal types and equal contents.
    pub fn deep_equal(&self, other: &Value) -> bool {
        self.equal_within(other, NESTING_MAX)
    }

    fn equal_within(&self, other: &Value, depth: usize) -> bool {
        if depth == 0 {
            return false;
        }
        match (self, other) {
            (Value::Nil, Value::Nil) => true,
            (Value::Bool(a), Value::Bool(b)) => a == b,
            (Value::Int(a), Value::Int(b)) | (Value::Int64(a), Value::Int64(b)) => a == b,
            (Value::Uint64(a), Value::Uint64(b)) => a == b,
            (Value::Uint8(a), Value::Uint8(b)) => a == b,
            (Value::Float(a), Value::Float(b)) => a == b,
            (Value::Str(a), Value::Str(b)) | (Value::Bytes(a), Value::Bytes(b)) => a == b,
            (Value::Map(a), Value::Map(b)) => maps_equal(a, b, depth - 1),
            (Value::List(a), Value::List(b)) => lists_equal(a, b, depth - 1),
            (Value::Time(a), Value::Time(b)) => a == b,
            (Value::Struct(a), Value::Struct(b)) => {
                std::ptr::eq(a.ty, b.ty)
                    && a.fields
                        .iter()
                        .zip(b.fields.iter())
                        .all(|(a, b)| a.deep_equal(b))
            }
            _ => false,
        }
    }

    /// Copies maps and lists all the way down.
    pub fn deep_copy(&self) -> Value {
        self.copy_within(NESTING_MAX)
    }

    fn copy_within(&self, depth: usize) -> Value {
        if depth == 0 {
            return self.clone();
        }
        match self {
            Value::Map(map) => {
                let entries = map.borrow();
                let copy = entries
                    .iter()
                    .map(|(key, value)| (key.clone(), value.copy_within(depth - 1)))
                    .collect();
                Value::Map(Map::typed(map.ty, copy))
            }
            Value::List(list) => {
                let items = list.borrow();
                let copy = items
                    .iter()
                    .map(|item| item.copy_within(depth - 1))
                    .collect();
                Value::List(List {
                    ty: list.ty,
                    items: Rc::new(RefCell::new(copy)),
                })
            }
            other => other.clone(),
        }
    }
}

fn maps_equal(a: &Map, b: &Map, depth: usize) -> bool {
    if a.type_name() != b.type_name() {
        return false;
    }
    if a.same(b) {
        return true;
    }
    let (a, b) = (a.borrow(), b.borrow());
    a.len() == b.len()
        && a.iter()
            .zip(b.iter())
            .all(|((ka, va), (kb, vb))| ka == kb && va.equal_within(vb, depth))
}

fn lists_equal(a: &List, b: &List, depth: usize) -> bool {
    if a.type_name() != b.type_name() {
        return false;
    }
    if Rc::ptr_eq(&a.items, &b.items) {
        return true;
    }
    let (a, b) = (a.borrow(), b.borrow());
    a.len() == b.len()
        && a.iter()
            .zip(b.iter())
            .all(|(a, b)| a.equal_within(b, depth))
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
