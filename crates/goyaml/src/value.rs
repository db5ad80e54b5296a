//! Plain values, and the conversion of documents to them as
//! `sigs.k8s.io/yaml` does it: YAML to JSON, so keys become strings.
//!
//! Main type: [`Value`].

use crate::error::Error;
use crate::node::{Document, NodeId, NodeKind, Reader};
use crate::resolve::{Scalar, resolve};
use std::collections::BTreeMap;

/// A mapping with string keys in byte order.
pub type Map = BTreeMap<String, Value>;

/// A value that JSON can hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Value {
    /// Nothing.
    #[default]
    Null,
    /// A boolean.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// An integer above the signed range.
    Uint(u64),
    /// A float.
    Float(f64),
    /// A string.
    Str(String),
    /// A sequence.
    Seq(Vec<Value>),
    /// A mapping.
    Map(Map),
}

impl Value {
    /// Returns the mapping, where this is one.
    pub fn as_map(&self) -> Option<&Map> {
        match self {
            Value::Map(map) => Some(map),
            _ => None,
        }
    }

    /// Returns the mapping for change.
    pub fn as_map_mut(&mut self) -> Option<&mut Map> {
        match self {
            Value::Map(map) => Some(map),
            _ => None,
        }
    }

    /// Returns the text of a string.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::Str(text) => Some(text),
            _ => None,
        }
    }

    /// Returns a boolean.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Value::Bool(value) => Some(*value),
            _ => None,
        }
    }

    /// Returns the items of a sequence.
    pub fn as_seq(&self) -> Option<&[Value]> {
        match self {
            Value::Seq(items) => Some(items),
            _ => None,
        }
    }

    /// Returns the value under a key.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.as_map()?.get(key)
    }

    /// Whether this is null.
    pub fn is_null(&self) -> bool {
        matches!(self, Value::Null)
    }
}

const TAG: &str = "tag:yaml.org,2002:";

/// Reads the first document of `text`; no text is null. Integers stay
/// integers; `encoding/json` would make them floats.
///
/// # Errors
///
/// In the words of go-yaml and `sigs.k8s.io/yaml`, without the latter's prefix.
pub fn from_slice(text: &[u8]) -> Result<Value, Error> {
    match Reader::new(text)?.next_document()? {
        Some(document) => to_value(&document),
        None => Ok(Value::Null),
    }
}

/// Converts a document.
///
/// # Errors
///
/// When JSON cannot hold it, or aliases expand too far.
pub fn to_value(document: &Document) -> Result<Value, Error> {
    let mut decoder = Decoder {
        document,
        aliases: Vec::new(),
        decoded: 0,
        from_aliases: 0,
    };
    decoder.value(document.root)
}

/// Nested deeper than this, aliases are refused.
const ALIAS_DEPTH_MAX: usize = 64;

struct Decoder<'d> {
    document: &'d Document,
    aliases: Vec<NodeId>,
    decoded: usize,
    from_aliases: usize,
}

impl Decoder<'_> {
    fn fail<T>(&self, id: NodeId, message: String) -> Result<T, Error> {
        let start = self.document.nodes[id].start;
        Err(Error::Syntax {
            line: None,
            true_line: start.line + 1,
            column: start.column + 1,
            message,
        })
    }

    fn value_error<T>(&self, id: NodeId, message: String) -> Result<T, Error> {
        Err(Error::Value {
            message,
            true_line: self.document.nodes[id].start.line + 1,
        })
    }

    /// go-yaml's budget against aliases that multiply.
    fn count(&mut self, id: NodeId) -> Result<(), Error> {
        self.decoded += 1;
        self.from_aliases += usize::from(!self.aliases.is_empty());
        if self.from_aliases <= 100 || self.decoded <= 1000 {
            return Ok(());
        }
        let (low, high) = (400_000.0, 4_000_000.0);
        let decoded = self.decoded as f64;
        let allowed = match decoded {
            decoded if decoded <= low => 0.99,
            decoded if decoded >= high => 0.10,
            decoded => 0.99 - 0.89 * (decoded - low) / (high - low),
        };
        if self.from_aliases as f64 / decoded > allowed {
            return self.fail(id, "document contains excessive aliasing".into());
        }
        Ok(())
    }

    fn value(&mut self, id: NodeId) -> Result<Value, Error> {
        self.count(id)?;
        let document = self.document;
        match &document.nodes[id].kind {
            NodeKind::Scalar { .. } => self.scalar(id),
            NodeKind::Alias { name, target } => {
                self.enter_alias(id, *target, name)?;
                let value = self.value(*target);
                self.aliases.pop();
                value
            }
            NodeKind::Sequence(items) => {
                let items: Result<_, _> = items.iter().map(|item| self.value(*item)).collect();
                Ok(Value::Seq(items?))
            }
            NodeKind::Mapping(pairs) => {
                let mut map = Map::new();
                self.mapping(pairs, &mut map)?;
                Ok(Value::Map(map))
            }
        }
    }

    fn enter_alias(&mut self, id: NodeId, target: NodeId, name: &str) -> Result<(), Error> {
        if self.aliases.contains(&target) || self.aliases.len() > ALIAS_DEPTH_MAX {
            return self.fail(id, format!("anchor '{name}' value contains itself"));
        }
        self.aliases.push(target);
        Ok(())
    }

    fn mapping(&mut self, pairs: &[(NodeId, NodeId)], map: &mut Map) -> Result<(), Error> {
        for (key, value) in pairs {
            if self.is_merge(*key) {
                self.merge(*value, map)?;
                continue;
            }
            let key = self.key(*key, *value)?;
            let value = self.value(*value)?;
            map.insert(key, value);
        }
        Ok(())
    }

    fn is_merge(&self, id: NodeId) -> bool {
        let node = &self.document.nodes[id];
        match &node.kind {
            NodeKind::Scalar {
                value, implicit, ..
            } => value == "<<" && (*implicit || node.tag.strip_prefix(TAG) == Some("merge")),
            _ => false,
        }
    }

    fn merge(&mut self, id: NodeId, map: &mut Map) -> Result<(), Error> {
        let document = self.document;
        match &document.nodes[id].kind {
            NodeKind::Mapping(_) | NodeKind::Alias { .. } => self.merge_one(id, map),
            NodeKind::Sequence(items) => {
                // Earlier ones take precedence.
                for item in items.iter().rev() {
                    self.merge_one(*item, map)?;
                }
                Ok(())
            }
            NodeKind::Scalar { .. } => self.want_map(id),
        }
    }

    fn want_map<T>(&self, id: NodeId) -> Result<T, Error> {
        self.fail(
            id,
            "map merge requires map or sequence of maps as the value".into(),
        )
    }

    fn merge_one(&mut self, id: NodeId, map: &mut Map) -> Result<(), Error> {
        self.count(id)?;
        let document = self.document;
        match &document.nodes[id].kind {
            NodeKind::Mapping(pairs) => self.mapping(pairs, map),
            NodeKind::Alias { name, target } => {
                let NodeKind::Mapping(pairs) = &document.nodes[*target].kind else {
                    return self.want_map(id);
                };
                self.enter_alias(id, *target, name)?;
                let result = self.mapping(pairs, map);
                self.aliases.pop();
                result
            }
            _ => self.want_map(id),
        }
    }

    fn scalar(&mut self, id: NodeId) -> Result<Value, Error> {
        let node = &self.document.nodes[id];
        let NodeKind::Scalar {
            value, implicit, ..
        } = &node.kind
        else {
            return Ok(Value::Null);
        };
        let meaning = if node.tag.is_empty() && !implicit {
            Scalar::Str
        } else {
            self.tagged(id, &node.tag, value)?
        };
        Ok(match meaning {
            Scalar::Null => Value::Null,
            Scalar::Bool(value) => Value::Bool(value),
            Scalar::Int(number) => Value::Int(number),
            Scalar::Uint(number) => Value::Uint(number),
            Scalar::Float(number) if !number.is_finite() => {
                let text = if number.is_nan() {
                    "NaN"
                } else if number > 0.0 {
                    "+Inf"
                } else {
                    "-Inf"
                };
                return self.value_error(id, format!("json: unsupported value: {text}"));
            }
            Scalar::Float(number) => Value::Float(number),
            Scalar::Str if node.tag.strip_prefix(TAG) == Some("binary") => {
                return self.binary(id, value);
            }
            Scalar::Timestamp | Scalar::Merge | Scalar::Str => Value::Str(value.clone()),
        })
    }

    fn binary(&self, id: NodeId, text: &str) -> Result<Value, Error> {
        match base64(text) {
            Some(bytes) => Ok(Value::Str(String::from_utf8_lossy(&bytes).into_owned())),
            None => self.fail(id, "!!binary value contains invalid base64 data".into()),
        }
    }

    /// Applies an explicit tag to the text of a scalar.
    fn tagged(&self, id: NodeId, tag: &str, text: &str) -> Result<Scalar, Error> {
        if tag.is_empty() {
            return Ok(resolve(text));
        }
        let Some(short) = tag.strip_prefix(TAG) else {
            return Ok(Scalar::Str);
        };
        let wanted = match short {
            "bool" | "int" | "float" | "null" | "timestamp" => short,
            _ => return Ok(Scalar::Str),
        };
        let found = resolve(text);
        let name = match &found {
            Scalar::Null => "null",
            Scalar::Bool(_) => "bool",
            Scalar::Int(_) | Scalar::Uint(_) => "int",
            Scalar::Float(_) => "float",
            Scalar::Timestamp => "timestamp",
            Scalar::Merge => "merge",
            Scalar::Str => "str",
        };
        match (wanted, found) {
            (wanted, found) if wanted == name => Ok(found),
            ("float", Scalar::Int(number)) => Ok(Scalar::Float(number as f64)),
            _ => self.fail(
                id,
                format!("cannot decode !!{name} `{text}` as a !!{wanted}"),
            ),
        }
    }

    /// A key as a string: numbers and booleans become their texts.
    fn key(&mut self, id: NodeId, value: NodeId) -> Result<String, Error> {
        let key = match self.value(id) {
            // A key that is no number for JSON still has a name.
            Err(Error::Value { message, .. }) => {
                return Ok(match message.rsplit(' ').next() {
                    Some("NaN") => ".nan",
                    Some("-Inf") => "-.inf",
                    _ => ".inf",
                }
                .into());
            }
            other => other?,
        };
        Ok(match key {
            Value::Str(text) => text,
            Value::Int(number) => number.to_string(),
            Value::Uint(number) => {
                let message = format!(
                    "unsupported map key of type: uint64, key: {number:#x}, value: {}",
                    self.go_syntax(value)
                );
                return self.value_error(id, message);
            }
            Value::Float(number) => crate::number::general(number as f32 as f64, true),
            Value::Bool(flag) => flag.to_string(),
            Value::Null => {
                let message = format!(
                    "unsupported map key of type: %!s(<nil>), key: <nil>, value: {}",
                    match self.go_syntax(value) {
                        text if text == "interface {}(nil)" => "<nil>".into(),
                        text => text,
                    }
                );
                return self.value_error(id, message);
            }
            Value::Seq(_) | Value::Map(_) => {
                let shown = self.go_syntax(id);
                return self.fail(id, format!("invalid map key: {shown}"));
            }
        })
    }

    /// Go's `%#v` of what a node decodes to.
    fn go_syntax(&mut self, id: NodeId) -> String {
        let document = self.document;
        match &document.nodes[id].kind {
            NodeKind::Sequence(items) => {
                let items: Vec<String> = items.iter().map(|item| self.go_syntax(*item)).collect();
                format!("[]interface {{}}{{{}}}", items.join(", "))
            }
            NodeKind::Mapping(pairs) => {
                let pairs: Vec<String> = pairs
                    .iter()
                    .map(|(key, value)| {
                        format!("{}:{}", self.go_syntax(*key), self.go_syntax(*value))
                    })
                    .collect();
                format!("map[interface {{}}]interface {{}}{{{}}}", pairs.join(", "))
            }
            _ => match self.value(id) {
                Ok(Value::Bool(value)) => value.to_string(),
                Ok(Value::Int(number)) => number.to_string(),
                Ok(Value::Uint(number)) => format!("{number:#x}"),
                Ok(Value::Float(number)) => crate::number::general(number, false),
                Ok(Value::Str(text)) => format!("{text:?}"),
                _ => "interface {}(nil)".into(),
            },
        }
    }
}

fn base64(text: &str) -> Option<Vec<u8>> {
    let (mut out, mut buffer, mut bits) = (Vec::new(), 0u32, 0);
    let clean: Vec<u8> = text
        .bytes()
        .filter(|byte| !matches!(byte, b'\r' | b'\n'))
        .collect();
    let end = clean
        .iter()
        .rposition(|byte| *byte != b'=')
        .map_or(0, |at| at + 1);
    if !clean.len().is_multiple_of(4) || clean.len() - end > 2 {
        return None;
    }
    for byte in &clean[..end] {
        let digit = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        buffer = buffer << 6 | u32::from(digit);
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            out.push((buffer >> bits) as u8);
        }
    }
    Some(out)
}
