//! Go's types, as far as templates can tell them apart: those of elements and
//! parameters, named ones with methods, structs.

use super::Value;
use std::rc::Rc;

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
    pub(super) fn name(self) -> &'static str {
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
