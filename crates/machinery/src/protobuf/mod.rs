//! Request bodies in Kubernetes' protobuf encoding.
//!
//! Go programs send `application/vnd.kubernetes.protobuf` and do not fall back
//! to JSON. [`decode`] turns such a body into the JSON value that the same
//! program would have sent, so that everything behind it knows JSON alone.
//! Answers are never written in this encoding: clients accept JSON.
//!
//! The messages are those of `k8s.io/api` (see `tags.txt` beside this file);
//! [`decode_noting`] also names the fields that it does not know.

mod convert;
mod order;
mod tags;
mod wire;

use serde_json::{Map, Value};

pub use order::arrange;

use convert::Decoder;
use tags::Tags;
use wire::{Fields, Wire};

/// The four bytes that open every body
/// (`k8s.io/apimachinery/pkg/runtime/serializer/protobuf`).
const MAGIC: &[u8] = b"k8s\0";

/// Messages nest at most this deep, envelopes within envelopes included.
const DEPTH_MAX: usize = 128;

/// Why a body cannot be decoded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The body does not open with the four bytes of the envelope.
    #[error(
        "provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]"
    )]
    NoEnvelope,
    /// The envelope names no type.
    #[error("the protobuf envelope names no apiVersion and kind")]
    NoType,
    /// The type named by the envelope is not one of the known ones.
    #[error("no kind {kind:?} is registered for version {api_version:?}")]
    UnknownType {
        /// The `apiVersion` of the envelope.
        api_version: String,
        /// The `kind` of the envelope.
        kind: String,
    },
    /// The object is compressed or in another encoding.
    #[error("unsupported protobuf content encoding {0:?}")]
    Encoding(String),
    /// The bytes end in the middle of a field.
    #[error("unexpected end of the protobuf message")]
    Truncated,
    /// A field is encoded in another way than its type asks for.
    #[error("field {0} of the protobuf message is malformed")]
    Malformed(String),
    /// The message nests too deep.
    #[error("the protobuf message nests deeper than {DEPTH_MAX}")]
    TooDeep,
}

/// Returns the object in `body`, with `apiVersion` and `kind` first.
///
/// # Errors
/// When the body is not an envelope around an object of a known kind.
pub fn decode(body: &[u8]) -> Result<Value, DecodeError> {
    decode_noting(body, &mut Vec::new())
}

/// Like [`decode`]; adds the path of every unknown field to `unknown`, with
/// its tag in place of a name (`spec.template.77`).
///
/// # Errors
/// When the body is not an envelope around an object of a known kind.
pub fn decode_noting(body: &[u8], unknown: &mut Vec<String>) -> Result<Value, DecodeError> {
    decode_at(body, unknown, 0)
}

/// Decodes an envelope that stands `depth` messages deep in another.
fn decode_at(body: &[u8], unknown: &mut Vec<String>, depth: usize) -> Result<Value, DecodeError> {
    let envelope = Envelope::read(body.strip_prefix(MAGIC).ok_or(DecodeError::NoEnvelope)?)?;
    if envelope.kind.is_empty() {
        return Err(DecodeError::NoType);
    }
    let tags = Tags::get();
    let message = tags
        .kind(&envelope.api_version, &envelope.kind)
        .ok_or_else(|| DecodeError::UnknownType {
            api_version: envelope.api_version.clone(),
            kind: envelope.kind.clone(),
        })?;
    let mut object = Map::new();
    object.insert("apiVersion".to_owned(), envelope.api_version.into());
    object.insert("kind".to_owned(), envelope.kind.into());
    Decoder::new(tags, unknown, depth).fill(&mut object, message, envelope.raw)?;
    Ok(Value::Object(object))
}

/// `runtime.Unknown`: a type and the bytes of the object.
struct Envelope<'b> {
    api_version: String,
    kind: String,
    raw: &'b [u8],
}

impl<'b> Envelope<'b> {
    fn read(bytes: &'b [u8]) -> Result<Envelope<'b>, DecodeError> {
        let mut envelope = Envelope {
            api_version: String::new(),
            kind: String::new(),
            raw: &[],
        };
        for field in Fields::new(bytes) {
            match field? {
                (1, Wire::Bytes(bytes)) => {
                    for field in Fields::new(bytes) {
                        match field? {
                            (1, Wire::Bytes(bytes)) => {
                                envelope.api_version = text(bytes, "apiVersion")?
                            }
                            (2, Wire::Bytes(bytes)) => envelope.kind = text(bytes, "kind")?,
                            _ => {}
                        }
                    }
                }
                (2, Wire::Bytes(bytes)) => envelope.raw = bytes,
                (3, Wire::Bytes(bytes)) if !bytes.is_empty() => {
                    return Err(DecodeError::Encoding(text(bytes, "contentEncoding")?));
                }
                _ => {}
            }
        }
        Ok(envelope)
    }
}

fn text(bytes: &[u8], field: &str) -> Result<String, DecodeError> {
    let text = std::str::from_utf8(bytes).map_err(|_| DecodeError::Malformed(field.to_owned()))?;
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests;
