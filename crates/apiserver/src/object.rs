//! Objects are bytes: [`Stored`] is canonical JSON serialised once, with the
//! revision spliced in at commit and the managed fields kept as a second slice
//! beside it. What selectors ask for stands next to it in [`Meta`], so that no
//! listing parses anything. Meaning of the fields is `machinery`'s.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use bytes::Bytes;
use coracle_machinery::kind::Kind;
use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::resource;
use crate::row::KeptRow;
use crate::table;

/// What is known of an object without parsing it.
#[derive(Debug, Clone, Default)]
pub struct Meta {
    /// `metadata.name`.
    pub name: String,
    /// `metadata.namespace`; empty for objects without one.
    pub namespace: String,
    /// `metadata.uid`.
    pub uid: String,
    /// `metadata.labels`.
    pub labels: BTreeMap<String, String>,
    /// Whether `metadata.deletionTimestamp` is set.
    pub deleting: bool,
    /// Values of the field selectors the kind knows, beyond name and namespace.
    pub fields: Vec<(&'static str, String)>,
}

/// An object as it is kept, listed and watched.
#[derive(Debug, Clone)]
pub struct Stored {
    /// What selectors and deletion ask for.
    pub meta: Meta,
    /// Revision of the last write; 0 before the commit.
    pub revision: u64,
    bytes: Bytes,
    /// Where the revision ends: managed fields are spliced in here. Before the
    /// commit, where the revision is to be put.
    split: usize,
    /// Where the metadata ends, its brace included.
    metadata_end: usize,
    managed: Bytes,
    /// The row of tables, once one was asked for.
    row: OnceLock<Option<Box<KeptRow>>>,
}

const METADATA: &str = "\"metadata\":{\"resourceVersion\":\"";

impl Stored {
    /// Serialises an object for the store; the revision follows at commit.
    #[must_use]
    pub fn draft(kind: &Kind, object: &Value) -> Stored {
        let managed = match object["metadata"].get("managedFields") {
            Some(list @ Value::Array(items)) if !items.is_empty() => Bytes::from(to_vec(list)),
            _ => Bytes::new(),
        };
        Stored::draft_with(kind, object, managed)
    }

    /// As [`Stored::draft`], with managed fields that are JSON already.
    #[must_use]
    pub fn draft_with(kind: &Kind, object: &Value, managed: Bytes) -> Stored {
        let (bytes, split, metadata_end) = serialise(object);
        Stored {
            meta: Meta::of(kind, object),
            revision: 0,
            bytes,
            split,
            metadata_end,
            managed,
            row: OnceLock::new(),
        }
    }

    /// Appends the object as JSON, managed fields included.
    pub fn write_json(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.bytes[..self.split]);
        self.write_managed(out);
        out.extend_from_slice(&self.bytes[self.split..]);
    }

    /// Appends the object without its first bytes, such as kind and version,
    /// that stand in a list only once.
    pub fn write_from(&self, start: usize, out: &mut Vec<u8>) {
        out.push(b'{');
        out.extend_from_slice(&self.bytes[start..self.split]);
        self.write_managed(out);
        out.extend_from_slice(&self.bytes[self.split..]);
    }

    /// Appends the metadata as JSON, managed fields included.
    pub fn write_metadata(&self, out: &mut Vec<u8>) {
        let start = self.metadata_start();
        out.extend_from_slice(&self.bytes[start..self.split]);
        self.write_managed(out);
        out.extend_from_slice(&self.bytes[self.split..self.metadata_end]);
    }

    fn metadata_start(&self) -> usize {
        // The opening brace is the first after the one of the object itself:
        // kind and version, which contain none, stand before it.
        memchr::memchr(b'{', &self.bytes[1..]).map_or(0, |at| at + 1)
    }

    /// Appends the object's row of a table, its closing brace left off.
    pub fn write_row(&self, kind: &'static Kind, now: Timestamp, out: &mut Vec<u8>) {
        let kept = self
            .row
            .get_or_init(|| KeptRow::of(kind, &self.to_plain_value(), now).map(Box::new));
        if let Some(kept) = kept {
            return kept.write(now, out);
        }
        out.extend_from_slice(&to_vec(&table::row_at(kind, &self.to_plain_value(), now)));
        out.pop();
    }

    fn write_managed(&self, out: &mut Vec<u8>) {
        if !self.managed.is_empty() {
            out.extend_from_slice(b",\"managedFields\":");
            out.extend_from_slice(&self.managed);
        }
    }

    /// Returns the object as JSON, managed fields included.
    #[must_use]
    pub fn to_json(&self) -> Bytes {
        if self.managed.is_empty() {
            return self.bytes.clone();
        }
        let mut out = Vec::with_capacity(self.bytes.len() + self.managed.len() + 20);
        self.write_json(&mut out);
        Bytes::from(out)
    }

    /// Parses the object, managed fields included.
    #[must_use]
    pub fn to_value(&self) -> Value {
        let mut value: Value = serde_json::from_slice(&self.bytes).unwrap_or(Value::Null);
        if !self.managed.is_empty()
            && let Ok(managed) = serde_json::from_slice::<Value>(&self.managed)
        {
            value["metadata"]["managedFields"] = managed;
        }
        value
    }

    /// Parses the object without its managed fields.
    #[must_use]
    pub fn to_plain_value(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap_or(Value::Null)
    }

    /// Whether the JSON contains a text, without parsing it. A no is certain.
    #[must_use]
    pub fn mentions(&self, text: &str) -> bool {
        memchr::memmem::find(&self.bytes, text.as_bytes()).is_some()
    }

    /// Whether a draft of the same object says the same as this one.
    #[must_use]
    pub fn says_the_same(&self, object: &Value) -> bool {
        let mut mine = self.to_value();
        remove_revision(&mut mine);
        let mut other = object.clone();
        remove_revision(&mut other);
        mine == other
    }

    /// Returns the field selector value of a label.
    #[must_use]
    pub fn field(&self, label: &str) -> Option<&str> {
        match label {
            "metadata.name" => Some(&self.meta.name),
            "metadata.namespace" => Some(&self.meta.namespace),
            _ => self
                .meta
                .fields
                .iter()
                .find(|(known, _)| *known == label)
                .map(|(_, value)| value.as_str()),
        }
    }

    fn set_revision(&mut self, revision: u64) {
        let digits = revision.to_string();
        let start = if self.revision == 0 {
            self.split
        } else {
            self.split - 1 - self.revision.to_string().len()
        };
        let rest = if self.revision == 0 {
            self.split
        } else {
            self.split - 1
        };
        let mut bytes = Vec::with_capacity(self.bytes.len() + digits.len());
        bytes.extend_from_slice(&self.bytes[..start]);
        bytes.extend_from_slice(digits.as_bytes());
        bytes.extend_from_slice(&self.bytes[rest..]);
        self.metadata_end = self.metadata_end + bytes.len() - self.bytes.len();
        self.bytes = Bytes::from(bytes);
        self.split = start + digits.len() + 1;
        self.revision = revision;
    }
}

/// Length of the JSON object that begins here.
fn object_length(json: &[u8]) -> usize {
    let (mut depth, mut in_text, mut at) = (0usize, false, 0);
    while at < json.len() {
        match json[at] {
            b'\\' if in_text => at += 1,
            b'"' => in_text = !in_text,
            b'{' if !in_text => depth += 1,
            b'}' if !in_text => {
                depth -= 1;
                if depth == 0 {
                    return at + 1;
                }
            }
            _ => {}
        }
        at += 1;
    }
    json.len()
}

fn remove_revision(object: &mut Value) {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.shift_remove("resourceVersion");
    }
}

/// Returns the JSON, where the revision goes and where the metadata ends.
fn serialise(object: &Value) -> (Bytes, usize, usize) {
    let empty = Map::new();
    let map = object.as_object().unwrap_or(&empty);
    let metadata = map
        .get("metadata")
        .and_then(Value::as_object)
        .unwrap_or(&empty);
    let mut out = Vec::with_capacity(4096);
    out.push(b'{');
    for key in ["kind", "apiVersion"] {
        if let Some(value) = map.get(key) {
            member(&mut out, key, value);
            out.push(b',');
        }
    }
    out.extend_from_slice(METADATA.as_bytes());
    let split = out.len();
    out.push(b'"');
    for (key, value) in metadata {
        if key != "resourceVersion" && key != "managedFields" {
            out.push(b',');
            member(&mut out, key, value);
        }
    }
    out.push(b'}');
    let metadata_end = out.len();
    for (key, value) in map {
        if !matches!(key.as_str(), "kind" | "apiVersion" | "metadata") {
            out.push(b',');
            member(&mut out, key, value);
        }
    }
    out.push(b'}');
    (Bytes::from(out), split, metadata_end)
}

fn member(out: &mut Vec<u8>, key: &str, value: &Value) {
    serde_json::to_writer(&mut *out, key).expect("a text always serialises");
    out.push(b':');
    serde_json::to_writer(&mut *out, value).expect("a JSON value always serialises");
}

/// Serialises a JSON value.
#[must_use]
pub fn to_vec(value: &Value) -> Vec<u8> {
    serde_json::to_vec(value).expect("a JSON value always serialises")
}

impl Meta {
    fn of(kind: &Kind, object: &Value) -> Meta {
        let metadata = &object["metadata"];
        let text = |name: &str| metadata[name].as_str().unwrap_or_default().to_owned();
        let labels = metadata["labels"].as_object().map(|labels| {
            labels
                .iter()
                .map(|(key, value)| (key.clone(), value.as_str().unwrap_or_default().to_owned()))
                .collect()
        });
        let fields = kind.selectable.iter().filter_map(|selectable| {
            let value = kind.selectable_value(object, selectable.label)?;
            Some((selectable.label, value.into_owned()))
        });
        Meta {
            name: text("name"),
            namespace: text("namespace"),
            uid: text("uid"),
            labels: labels.unwrap_or_default(),
            deleting: metadata
                .get("deletionTimestamp")
                .is_some_and(|time| !time.is_null()),
            fields: fields.collect(),
        }
    }
}

/// On disk: length of the object (u32, little endian), the object's JSON with
/// its revision, the managed fields' JSON (empty for none).
impl coracle_store::Value for Stored {
    fn finish(&mut self, revision: u64) {
        self.set_revision(revision);
    }

    fn encode(&self) -> Vec<u8> {
        let length =
            u32::try_from(self.bytes.len()).expect("bodies are limited to a few megabytes");
        [&length.to_le_bytes()[..], &self.bytes, &self.managed].concat()
    }

    fn decode(key: &str, revision: u64, bytes: &[u8]) -> Result<Stored, String> {
        let (length, rest) = bytes.split_at_checked(4).ok_or("the record is too short")?;
        let length = u32::from_le_bytes(length.try_into().expect("four bytes")) as usize;
        let (object, managed) = rest
            .split_at_checked(length)
            .ok_or("the object is cut short")?;
        let value: Value = serde_json::from_slice(object).map_err(|error| error.to_string())?;
        let text = std::str::from_utf8(object).map_err(|error| error.to_string())?;
        let start = text.find(METADATA).ok_or("the object has no metadata")? + METADATA.len();
        let digits = text[start..].find('"').ok_or("the revision does not end")?;
        let metadata = text.find(METADATA).unwrap_or_default() + "\"metadata\":".len();
        let metadata_end = metadata + object_length(&object[metadata..]);
        let meta = resource::of_key(key).map_or_else(
            || Meta::of(&resource::UNKNOWN, &value),
            |kind| Meta::of(kind, &value),
        );
        Ok(Stored {
            meta,
            revision,
            bytes: Bytes::copy_from_slice(object),
            split: start + digits + 1,
            metadata_end,
            managed: Bytes::copy_from_slice(managed),
            row: OnceLock::new(),
        })
    }

    fn tombstone(&self, revision: u64) -> Stored {
        let mut gone = self.clone();
        gone.set_revision(revision);
        gone
    }

    fn weight(&self) -> usize {
        self.bytes.len() + self.managed.len() + 256
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use coracle_store::Value as _;
    use serde_json::json;

    #[test]
    fn splices_revision_and_managed_fields() {
        let kind = coracle_machinery::kinds::by_plural("", "v1", "configmaps").unwrap();
        let object = json!({"apiVersion": "v1", "data": {"a": "b"}, "kind": "ConfigMap",
            "metadata": {"name": "x", "resourceVersion": "7", "managedFields": [{"manager": "m"}]}});
        let mut stored = Stored::draft(kind, &object);
        stored.finish(41);
        assert_eq!(
            std::str::from_utf8(&stored.to_json()).unwrap(),
            r#"{"kind":"ConfigMap","apiVersion":"v1","metadata":{"resourceVersion":"41","managedFields":[{"manager":"m"}],"name":"x"},"data":{"a":"b"}}"#
        );
        let mut metadata = Vec::new();
        stored.write_metadata(&mut metadata);
        assert_eq!(
            std::str::from_utf8(&metadata).unwrap(),
            r#"{"resourceVersion":"41","managedFields":[{"manager":"m"}],"name":"x"}"#
        );
        let gone = stored.tombstone(100);
        assert!(gone.to_plain_value()["metadata"]["resourceVersion"] == "100");
        let back = Stored::decode("/core/configmaps/n/x", 41, &stored.encode()).unwrap();
        assert_eq!(back.to_json(), stored.to_json());
        assert!(back.says_the_same(&object));
    }
}
