//! Plain values, and the conversion of documents to them as
//! `sigs.k8s.io/yaml` does it: YAML to JSON, so keys become strings.
//!
//! Main type: [`Value`].

use crate::error::Error;
use crate::go_syntax::GoValue;
use crate::node::{Document, NodeId, NodeKind, Reader};
use crate::resolve::{Scalar, resolve};
use std::borrow::Cow;
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

/// Reads the first document of `text`; no text is null. Integers stay
/// integers; `encoding/json` would make them floats.
///
/// # Errors
///
/// In the words of go-yaml and `sigs.k8s.io/yaml`, without the latter's prefix.
pub fn from_slice(text: &[u8]) -> Result<Value, Error> {
    read(text, Keep::All)
}

/// Reads as [`from_slice`] and refuses what it refuses, but keeps only some
/// keys of the outermost mapping: most of a manifest is not looked at.
///
/// # Errors
///
/// Those of [`from_slice`].
pub fn only_keys(text: &[u8], keys: &[&str]) -> Result<Value, Error> {
    read(text, Keep::Keys(keys))
}

fn read(text: &[u8], keep: Keep) -> Result<Value, Error> {
    match Reader::new(text)?.next_document()? {
        Some(document) => decode(&document, keep),
        None => Ok(Value::Null),
    }
}

/// Converts a document.
///
/// # Errors
///
/// When JSON cannot hold it, or aliases expand too far.
pub fn to_value(document: &Document) -> Result<Value, Error> {
    decode(document, Keep::All)
}

fn decode(document: &Document, keep: Keep) -> Result<Value, Error> {
    let mut decoder = Decoder {
        document,
        aliases: Vec::new(),
        decoded: 0,
        from_aliases: 0,
        no_key: None,
        no_json: None,
    };
    let value = decoder.value(document.root, keep)?;
    match decoder.no_key.or(decoder.no_json) {
        Some(error) => Err(error),
        None => Ok(value),
    }
}

/// What becomes of a node that is read; all of it is checked.
#[derive(Clone, Copy, PartialEq)]
enum Keep<'k> {
    All,
    /// A mapping keeps these keys.
    Keys(&'k [&'k str]),
    Nothing,
}

impl Keep<'_> {
    fn of_key(self, key: &str) -> Self {
        match self {
            Keep::Keys(keys) if keys.contains(&key) => Keep::All,
            Keep::Keys(_) => Keep::Nothing,
            keep => keep,
        }
    }

    fn of_item(self) -> Self {
        match self {
            Keep::Keys(_) => Keep::Nothing,
            keep => keep,
        }
    }
}

/// Nested deeper than this, aliases are refused.
const ALIAS_DEPTH_MAX: usize = 64;

struct Decoder<'d> {
    document: &'d Document<'d>,
    aliases: Vec<NodeId>,
    decoded: usize,
    from_aliases: usize,
    /// The first key that cannot become a string: found when all is read.
    no_key: Option<Error>,
    /// The first value that JSON cannot hold: found when all keys are strings.
    no_json: Option<Error>,
}

impl<'d> Decoder<'d> {
    fn fail<T>(&self, id: NodeId, message: String) -> Result<T, Error> {
        let start = self.document.nodes[id].start;
        Err(Error::Syntax {
            line: None,
            true_line: start.line_number(),
            column: start.column_number(),
            message,
        })
    }

    fn refusal(&self, id: NodeId, message: String) -> Error {
        Error::Value {
            message,
            true_line: self.document.nodes[id].start.line_number(),
        }
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

    fn value(&mut self, id: NodeId, keep: Keep) -> Result<Value, Error> {
        self.count(id)?;
        let document = self.document;
        match &document.nodes[id].kind {
            NodeKind::Scalar { .. } => self.scalar(id, keep),
            NodeKind::Alias { name, target } => {
                self.enter_alias(id, *target, name)?;
                let value = self.value(*target, keep);
                self.aliases.pop();
                value
            }
            NodeKind::Sequence(items) => {
                let keep = keep.of_item();
                let mut kept = Vec::new();
                if keep == Keep::All {
                    kept.reserve_exact(items.len());
                }
                for item in items {
                    let value = self.value(*item, keep)?;
                    if keep == Keep::All {
                        kept.push(value);
                    }
                }
                Ok(Value::Seq(kept))
            }
            NodeKind::Mapping(pairs) => {
                let mut map = Map::new();
                self.mapping(pairs, &mut map, keep)?;
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

    fn mapping(
        &mut self,
        pairs: &[(NodeId, NodeId)],
        map: &mut Map,
        keep: Keep,
    ) -> Result<(), Error> {
        for (key, value) in pairs {
            if self.is_merge(*key) {
                self.merge(*value, map, keep)?;
                continue;
            }
            let key = self.key(*key, pairs)?;
            let keep = keep.of_key(&key);
            let value = self.value(*value, keep)?;
            if keep == Keep::All {
                map.insert(key.into_owned(), value);
            }
        }
        Ok(())
    }

    fn is_merge(&self, id: NodeId) -> bool {
        let node = &self.document.nodes[id];
        match &node.kind {
            NodeKind::Scalar {
                value, implicit, ..
            } => value == "<<" && (*implicit || node.short_tag() == Some("merge")),
            _ => false,
        }
    }

    fn merge(&mut self, id: NodeId, map: &mut Map, keep: Keep) -> Result<(), Error> {
        let document = self.document;
        match &document.nodes[id].kind {
            NodeKind::Mapping(_) | NodeKind::Alias { .. } => self.merge_one(id, map, keep),
            NodeKind::Sequence(items) => {
                // Earlier ones take precedence.
                for item in items.iter().rev() {
                    self.merge_one(*item, map, keep)?;
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

    fn merge_one(&mut self, id: NodeId, map: &mut Map, keep: Keep) -> Result<(), Error> {
        self.count(id)?;
        let document = self.document;
        match &document.nodes[id].kind {
            NodeKind::Mapping(pairs) => self.mapping(pairs, map, keep),
            NodeKind::Alias { name, target } => {
                let NodeKind::Mapping(pairs) = &document.nodes[*target].kind else {
                    return self.want_map(id);
                };
                self.enter_alias(id, *target, name)?;
                let result = self.mapping(pairs, map, keep);
                self.aliases.pop();
                result
            }
            _ => self.want_map(id),
        }
    }

    fn scalar(&mut self, id: NodeId, keep: Keep) -> Result<Value, Error> {
        Ok(match self.meaning(id)? {
            Scalar::Null => Value::Null,
            Scalar::Bool(value) => Value::Bool(value),
            Scalar::Int(number) => Value::Int(number),
            Scalar::Uint(number) => Value::Uint(number),
            Scalar::Float(number) if !number.is_finite() => {
                let message = format!("json: unsupported value: {}", GoValue::Float(number));
                let error = self.refusal(id, message);
                self.no_json.get_or_insert(error);
                Value::Null
            }
            Scalar::Float(number) => Value::Float(number),
            Scalar::Timestamp | Scalar::Merge | Scalar::Str => {
                let text = self.text(id)?;
                match keep {
                    Keep::Nothing => Value::Null,
                    Keep::Keys(_) | Keep::All => Value::Str(text.into_owned()),
                }
            }
        })
    }

    /// What the scalar of a node means.
    fn meaning(&self, id: NodeId) -> Result<Scalar, Error> {
        let node = &self.document.nodes[id];
        match &node.kind {
            NodeKind::Scalar {
                implicit, value, ..
            } => match &node.tag {
                None if *implicit => Ok(resolve(value)),
                None => Ok(Scalar::Str),
                Some(_) => self.tagged(id, node.short_tag(), value),
            },
            _ => Ok(Scalar::Null),
        }
    }

    /// The text of a scalar that is one.
    fn text(&self, id: NodeId) -> Result<Cow<'d, str>, Error> {
        let node = &self.document.nodes[id];
        let NodeKind::Scalar { value, .. } = &node.kind else {
            return Ok(Cow::Borrowed(""));
        };
        if node.short_tag() != Some("binary") {
            return Ok(Cow::Borrowed(value));
        }
        match base64(value) {
            Some(bytes) => Ok(Cow::Owned(String::from_utf8_lossy(&bytes).into_owned())),
            None => self.fail(id, "!!binary value contains invalid base64 data".into()),
        }
    }

    /// Applies an explicit tag, if it is one of YAML's own, to the text of a
    /// scalar.
    fn tagged(&self, id: NodeId, tag: Option<&str>, text: &str) -> Result<Scalar, Error> {
        let wanted = match tag {
            Some(tag @ ("bool" | "int" | "float" | "null" | "timestamp")) => tag,
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
    fn key(&mut self, id: NodeId, pairs: &[(NodeId, NodeId)]) -> Result<Cow<'d, str>, Error> {
        self.count(id)?;
        let key = match &self.document.nodes[id].kind {
            NodeKind::Alias { target, .. } => *target,
            _ => id,
        };
        if !matches!(self.document.nodes[key].kind, NodeKind::Scalar { .. }) {
            let shown = self.go_value(id)?;
            return self.fail(id, format!("invalid map key: {shown}"));
        }
        let meaning = self.meaning(key)?;
        Ok(match meaning {
            Scalar::Timestamp | Scalar::Merge | Scalar::Str => self.text(key)?,
            Scalar::Int(number) => number.to_string().into(),
            Scalar::Float(number) if number.is_nan() => ".nan".into(),
            Scalar::Float(f64::INFINITY) => ".inf".into(),
            Scalar::Float(f64::NEG_INFINITY) => "-.inf".into(),
            Scalar::Float(number) => crate::number::general(number as f32 as f64, true).into(),
            Scalar::Bool(flag) => flag.to_string().into(),
            Scalar::Uint(_) | Scalar::Null => {
                self.refuse_key(id, &meaning, pairs)?;
                Cow::Borrowed("")
            }
        })
    }

    /// Keeps in mind that a key cannot become a string.
    fn refuse_key(
        &mut self,
        id: NodeId,
        key: &Scalar,
        pairs: &[(NodeId, NodeId)],
    ) -> Result<(), Error> {
        if self.no_key.is_some() {
            return Ok(());
        }
        // Of equal keys the last one counts.
        let mut value = GoValue::Nil;
        for (other, at) in pairs {
            if self.meaning(*other)? == *key {
                value = self.go_value(*at)?;
            }
        }
        let shown = match value {
            GoValue::Nil => "<nil>".into(),
            value => value.to_string(),
        };
        let typed = match key {
            Scalar::Uint(number) => format!("uint64, key: {number:#x}"),
            _ => "%!s(<nil>), key: <nil>".into(),
        };
        let message = format!("unsupported map key of type: {typed}, value: {shown}");
        self.no_key = Some(self.refusal(id, message));
        Ok(())
    }

    /// What a node decodes to, for a refusal that shows it.
    fn go_value(&mut self, id: NodeId) -> Result<GoValue, Error> {
        self.count(id)?;
        let document = self.document;
        Ok(match &document.nodes[id].kind {
            NodeKind::Alias { name, target } => {
                self.enter_alias(id, *target, name)?;
                let value = self.go_value(*target);
                self.aliases.pop();
                value?
            }
            NodeKind::Sequence(items) => {
                let items: Result<_, _> = items.iter().map(|item| self.go_value(*item)).collect();
                GoValue::Seq(items?)
            }
            NodeKind::Mapping(pairs) => {
                let mut shown = Vec::new();
                for (key, value) in pairs {
                    let key = self.go_value(*key)?;
                    if matches!(key, GoValue::Seq(_) | GoValue::Map(_)) {
                        return self.fail(id, format!("invalid map key: {key}"));
                    }
                    GoValue::put(&mut shown, key, self.go_value(*value)?);
                }
                GoValue::Map(shown)
            }
            NodeKind::Scalar { .. } => match self.meaning(id)? {
                Scalar::Null => GoValue::Nil,
                Scalar::Bool(flag) => GoValue::Bool(flag),
                Scalar::Int(number) => GoValue::Int(number),
                Scalar::Uint(number) => GoValue::Uint(number),
                Scalar::Float(number) => GoValue::Float(number),
                Scalar::Timestamp | Scalar::Merge | Scalar::Str => {
                    GoValue::Str(self.text(id)?.into_owned())
                }
            },
        })
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
