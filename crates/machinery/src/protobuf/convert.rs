//! From fields on the wire to members of a JSON object.
//!
//! Go writes every field that is not a pointer, zero or not; its JSON encoder
//! leaves some of them out. The table's flag says which, so that `replicas: 0`
//! stays and `hostPort: 0` goes.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use super::tags::{Container, Field, Kind, Tags};
use super::wire::{Fields, Wire, varint};
use super::{DEPTH_MAX, DecodeError, MAGIC, decode_at, text};

/// Turns messages into objects, noting what it does not know.
pub(super) struct Decoder<'t, 'u> {
    tags: &'t Tags,
    unknown: &'u mut Vec<String>,
    path: Vec<&'t str>,
    /// How deep the envelope stands in others.
    depth: usize,
}

impl<'t, 'u> Decoder<'t, 'u> {
    pub(super) fn new(
        tags: &'t Tags,
        unknown: &'u mut Vec<String>,
        depth: usize,
    ) -> Decoder<'t, 'u> {
        Decoder {
            tags,
            unknown,
            path: Vec::new(),
            depth,
        }
    }

    /// Puts the fields of a message into `object`.
    pub(super) fn fill(
        &mut self,
        object: &mut Map<String, Value>,
        message: usize,
        bytes: &[u8],
    ) -> Result<(), DecodeError> {
        if self.depth + self.path.len() > DEPTH_MAX {
            return Err(DecodeError::TooDeep);
        }
        for field in Fields::new(bytes) {
            let (tag, wire) = field?;
            let Some(field) = self.tags.find(message, tag) else {
                self.note(tag);
                continue;
            };
            self.path.push(field.name);
            self.member(object, field, wire)?;
            self.path.pop();
        }
        Ok(())
    }

    fn note(&mut self, tag: u64) {
        let mut path = self.path.join(".");
        if !path.is_empty() {
            path.push('.');
        }
        self.unknown.push(format!("{path}{tag}"));
    }

    fn malformed(&self) -> DecodeError {
        DecodeError::Malformed(self.path.join("."))
    }

    fn member(
        &mut self,
        object: &mut Map<String, Value>,
        field: Field,
        wire: Wire<'_>,
    ) -> Result<(), DecodeError> {
        match (field.container, field.kind, wire) {
            (Container::One, Kind::Message(message), Wire::Bytes(bytes)) if field.inline => {
                self.fill(object, message, bytes)
            }
            (Container::One, ..) => {
                if let Some(value) = self.value(field, wire)? {
                    object.insert(field.name.to_owned(), value);
                }
                Ok(())
            }
            (Container::List, ..) => {
                let items = self.items(field, wire)?;
                match object
                    .entry(field.name)
                    .or_insert_with(|| Value::Array(Vec::new()))
                {
                    Value::Array(list) => list.extend(items),
                    _ => return Err(self.malformed()),
                }
                Ok(())
            }
            (Container::Map, _, Wire::Bytes(bytes)) => {
                let (key, value) = self.entry(field, bytes)?;
                match object
                    .entry(field.name)
                    .or_insert_with(|| Value::Object(Map::new()))
                {
                    Value::Object(map) => map.insert(key, value),
                    _ => return Err(self.malformed()),
                };
                Ok(())
            }
            _ => Err(self.malformed()),
        }
    }

    /// The items that one occurrence of a repeated field holds: one, or a run
    /// of packed numbers.
    fn items(&mut self, field: Field, wire: Wire<'_>) -> Result<Vec<Value>, DecodeError> {
        if let (Kind::Integer | Kind::Bool, Wire::Bytes(mut packed)) = (field.kind, wire) {
            let mut items = Vec::new();
            while !packed.is_empty() {
                let number = varint(&mut packed)?;
                items.extend(self.value(field, Wire::Varint(number))?);
            }
            return Ok(items);
        }
        let value = self.value(
            Field {
                drop_zero: false,
                ..field
            },
            wire,
        )?;
        Ok(vec![value.unwrap_or_default()])
    }

    fn entry(&mut self, field: Field, bytes: &[u8]) -> Result<(String, Value), DecodeError> {
        let (mut key, mut value) = (String::new(), None);
        let field = Field {
            drop_zero: false,
            container: Container::One,
            ..field
        };
        for member in Fields::new(bytes) {
            match member? {
                (1, Wire::Bytes(bytes)) => key = text(bytes, field.name)?,
                (2, wire) => value = self.value(field, wire)?,
                _ => {}
            }
        }
        let value = match value {
            Some(value) => value,
            None => self.value(field, Wire::Bytes(&[]))?.unwrap_or_default(),
        };
        Ok((key, value))
    }

    fn value(&mut self, field: Field, wire: Wire<'_>) -> Result<Option<Value>, DecodeError> {
        let value = match (field.kind, wire) {
            (Kind::Text, Wire::Bytes(bytes)) => {
                let text = text(bytes, field.name)?;
                if field.drop_zero && text.is_empty() {
                    return Ok(None);
                }
                text.into()
            }
            (Kind::Bool, Wire::Varint(number)) if !(field.drop_zero && number == 0) => {
                Value::Bool(number != 0)
            }
            (Kind::Integer, Wire::Varint(number)) if !(field.drop_zero && number == 0) => {
                (number as i64).into()
            }
            (Kind::Double, Wire::Fixed64(bits))
                if !(field.drop_zero && f64::from_bits(bits) == 0.0) =>
            {
                f64::from_bits(bits).into()
            }
            (Kind::Bool | Kind::Integer, Wire::Varint(_)) | (Kind::Double, Wire::Fixed64(_)) => {
                return Ok(None);
            }
            (Kind::Bytes, Wire::Bytes(bytes)) if !(field.drop_zero && bytes.is_empty()) => {
                STANDARD.encode(bytes).into()
            }
            (Kind::Bytes, Wire::Bytes(_)) => return Ok(None),
            (_, Wire::Bytes(bytes)) => return self.message(field.kind, bytes),
            _ => return Err(self.malformed()),
        };
        Ok(Some(value))
    }

    fn message(&mut self, kind: Kind, bytes: &[u8]) -> Result<Option<Value>, DecodeError> {
        Ok(match kind {
            Kind::Message(message) => {
                let mut object = Map::new();
                self.fill(&mut object, message, bytes)?;
                Some(Value::Object(object))
            }
            Kind::Time => self.time(bytes, "%Y-%m-%dT%H:%M:%SZ")?,
            Kind::MicroTime => self.time(bytes, "%Y-%m-%dT%H:%M:%S.%6fZ")?,
            Kind::Quantity => Some(self.quantity(bytes)?),
            Kind::IntOrString => Some(self.int_or_string(bytes)?),
            Kind::Json => self.json(bytes)?,
            Kind::TextList => Some(self.text_list(bytes)?),
            Kind::SchemaOr(schema) => Some(self.schema_or(schema, bytes)?),
            _ => return Err(self.malformed()),
        })
    }

    /// A time; an empty message is no time at all.
    fn time(&self, bytes: &[u8], format: &str) -> Result<Option<Value>, DecodeError> {
        if bytes.is_empty() {
            return Ok(None);
        }
        let (mut seconds, mut nanos) = (0, 0);
        for field in Fields::new(bytes) {
            match field? {
                (1, Wire::Varint(number)) => seconds = number as i64,
                (2, Wire::Varint(number)) => nanos = number as i32,
                _ => {}
            }
        }
        let time = jiff::Timestamp::new(seconds, nanos).map_err(|_| self.malformed())?;
        Ok(Some(time.strftime(format).to_string().into()))
    }

    fn quantity(&self, bytes: &[u8]) -> Result<Value, DecodeError> {
        let mut quantity = "0".to_owned();
        for field in Fields::new(bytes) {
            if let (1, Wire::Bytes(bytes)) = field? {
                quantity = text(bytes, "quantity")?;
            }
        }
        Ok(quantity.into())
    }

    fn int_or_string(&self, bytes: &[u8]) -> Result<Value, DecodeError> {
        let (mut is_text, mut number, mut string) = (false, 0, String::new());
        for field in Fields::new(bytes) {
            match field? {
                (1, Wire::Varint(kind)) => is_text = kind == 1,
                (2, Wire::Varint(value)) => number = value as i64,
                (3, Wire::Bytes(bytes)) => string = text(bytes, "strVal")?,
                _ => {}
            }
        }
        Ok(if is_text {
            string.into()
        } else {
            number.into()
        })
    }

    /// JSON, or again an envelope, inside a field of bytes.
    fn json(&mut self, bytes: &[u8]) -> Result<Option<Value>, DecodeError> {
        for field in Fields::new(bytes) {
            if let (1, Wire::Bytes(raw)) = field? {
                if raw.is_empty() {
                    return Ok(None);
                }
                if raw.starts_with(MAGIC) {
                    return decode_at(raw, self.unknown, self.depth + self.path.len() + 1)
                        .map(Some);
                }
                return serde_json::from_slice(raw)
                    .map(Some)
                    .map_err(|_| self.malformed());
            }
        }
        Ok(None)
    }

    fn text_list(&self, bytes: &[u8]) -> Result<Value, DecodeError> {
        let mut items = Vec::new();
        for field in Fields::new(bytes) {
            if let (1, Wire::Bytes(bytes)) = field? {
                items.push(Value::from(text(bytes, "items")?));
            }
        }
        Ok(items.into())
    }

    /// A schema (field 1, but field 2 beside a boolean), or what stands in
    /// its place.
    fn schema_or(&mut self, schema: usize, bytes: &[u8]) -> Result<Value, DecodeError> {
        let mut list = Vec::new();
        let mut allows = None;
        let mut single = None;
        for field in Fields::new(bytes) {
            let (tag, wire) = field?;
            match wire {
                Wire::Varint(number) => allows = Some(Value::Bool(number != 0)),
                Wire::Bytes(bytes) if tag == 1 || allows.is_some() => {
                    single = self.message(Kind::Message(schema), bytes)?;
                }
                Wire::Bytes(bytes) if self.path.last() == Some(&"dependencies") => {
                    list.push(text(bytes, "property")?.into());
                }
                Wire::Bytes(bytes) => list.extend(self.message(Kind::Message(schema), bytes)?),
                _ => return Err(self.malformed()),
            }
        }
        if !list.is_empty() {
            return Ok(list.into());
        }
        Ok(single.or(allows).unwrap_or(Value::Null))
    }
}
