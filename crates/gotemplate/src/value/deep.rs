//! Values compared and copied all the way down.

use super::{List, Map, Value};

/// Deeper than this, a value is taken to contain itself.
const NESTING_MAX: usize = 1000;

impl Value {
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
                Value::List(list.with_items(copy))
            }
            other => other.clone(),
        }
    }
}

fn maps_equal(a: &Map, b: &Map, depth: usize) -> bool {
    if a.type_name() != b.type_name() || a.ty.is_nil != b.ty.is_nil {
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
    if a.type_name() != b.type_name() || a.ty.is_nil != b.ty.is_nil {
        return false;
    }
    if a.same(b) {
        return true;
    }
    let (a, b) = (a.borrow(), b.borrow());
    a.len() == b.len()
        && a.iter()
            .zip(b.iter())
            .all(|(a, b)| a.equal_within(b, depth))
}
