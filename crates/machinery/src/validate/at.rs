//! A value together with its path: what validators walk.

use serde_json::Value;

use crate::path::Path;

/// A value and the path that leads to it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct At<'a> {
    /// The value; `Null` where nothing stands.
    pub(crate) value: &'a Value,
    /// Where it stands.
    pub(crate) path: Path<'a>,
}

impl<'a> At<'a> {
    /// The whole object.
    pub(crate) fn root(value: &'a Value) -> At<'a> {
        At {
            value,
            path: Path::ROOT,
        }
    }

    /// Goes to a field.
    pub(crate) fn field(&'a self, name: &'a str) -> At<'a> {
        At {
            value: &self.value[name],
            path: self.path.field(name),
        }
    }

    /// The elements of a list.
    pub(crate) fn items(&'a self) -> impl Iterator<Item = At<'a>> {
        let list = self.value.as_array().map_or(&[][..], Vec::as_slice);
        list.iter().enumerate().map(|(index, value)| At {
            value,
            path: self.path.index(index),
        })
    }

    /// The entries of a map, in key order.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (&'a str, &'a Value)> + use<'a> {
        let mut entries: Vec<_> = self.value.as_object().into_iter().flatten().collect();
        entries.sort_by_key(|(key, _)| key.as_str());
        entries
            .into_iter()
            .map(|(key, value)| (key.as_str(), value))
    }

    /// Whether something stands here.
    pub(crate) fn is_set(&self) -> bool {
        !self.value.is_null()
    }

    /// The text, empty where none stands.
    pub(crate) fn text(&self) -> &'a str {
        self.value.as_str().unwrap_or_default()
    }

    /// The whole number, if one stands here.
    pub(crate) fn int(&self) -> Option<i64> {
        self.value.as_i64()
    }

    /// The truth value, false where none stands.
    pub(crate) fn flag(&self) -> bool {
        self.value.as_bool().unwrap_or(false)
    }

    /// Number of elements or entries.
    pub(crate) fn len(&self) -> usize {
        match self.value {
            Value::Array(list) => list.len(),
            Value::Object(map) => map.len(),
            Value::String(text) => text.len(),
            _ => 0,
        }
    }

    /// Whether nothing, or an empty text, list or map stands here.
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
