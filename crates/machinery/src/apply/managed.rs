//! Who owns which fields of an object: [`ManagedFields`], the list that stands
//! in `metadata.managedFields`.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::element::push_text;
use super::set::{Set, Tree};

/// Update entries that are kept; older ones are merged into one.
const UPDATE_MANAGERS_MAX: usize = 10;
/// The manager of the merged entry.
const ANCIENT: &str = "ancient-changes";

/// How a manager wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operation {
    /// By server-side apply.
    Apply,
    /// By any other write.
    Update,
}

impl Operation {
    fn text(self) -> &'static str {
        match self {
            Operation::Apply => "Apply",
            Operation::Update => "Update",
        }
    }
}

/// Tells one entry from the others. The version is part of it for updates
/// only: who applies through a new version keeps the entry.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Identity(String);

impl Identity {
    pub(super) fn new(
        manager: &str,
        operation: Operation,
        subresource: &str,
        api_version: &str,
    ) -> Identity {
        // The text is upstream's: it also sorts entries and conflicts.
        let mut text = String::new();
        let mut separator = '{';
        let mut put = |name: &str, value: &str| {
            if !value.is_empty() {
                write_member(&mut text, separator, name, value);
                separator = ',';
            }
        };
        put("manager", manager);
        put("operation", operation.text());
        if operation == Operation::Update {
            put("apiVersion", api_version);
        }
        put("subresource", subresource);
        text.push('}');
        Identity(text)
    }
}

/// What one manager owns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Name of the manager.
    pub manager: String,
    /// How it wrote.
    pub operation: Operation,
    /// Subresource it wrote to; empty for the resource itself.
    pub subresource: String,
    /// Version its fields are named in.
    pub api_version: String,
    /// RFC 3339 time of the last change of the fields; `None` when the manager
    /// has changed nothing yet.
    pub time: Option<String>,
    /// The fields.
    pub fields: Set,
}

impl Entry {
    pub(super) fn identity(&self) -> Identity {
        Identity::new(
            &self.manager,
            self.operation,
            &self.subresource,
            &self.api_version,
        )
    }

    fn to_json(&self) -> Value {
        let mut map = Map::new();
        let mut put = |name: &str, value: &str| {
            if !value.is_empty() {
                map.insert(name.to_owned(), value.into());
            }
        };
        put("manager", &self.manager);
        put("operation", self.operation.text());
        put("apiVersion", &self.api_version);
        put("time", self.time.as_deref().unwrap_or_default());
        put("fieldsType", "FieldsV1");
        map.insert("fieldsV1".to_owned(), self.fields.to_json());
        if !self.subresource.is_empty() {
            map.insert("subresource".to_owned(), self.subresource.as_str().into());
        }
        Value::Object(map)
    }

    fn write(&self, out: &mut String) {
        let mut separator = '{';
        let mut put = |name: &str, value: &str| {
            if !value.is_empty() {
                write_member(out, separator, name, value);
                separator = ',';
            }
        };
        put("manager", &self.manager);
        put("operation", self.operation.text());
        put("apiVersion", &self.api_version);
        put("time", self.time.as_deref().unwrap_or_default());
        put("fieldsType", "FieldsV1");
        out.push_str(",\"fieldsV1\":");
        self.fields.write(out);
        if !self.subresource.is_empty() {
            write_member(out, ',', "subresource", &self.subresource);
        }
        out.push('}');
    }
}

/// Writes a member of an object whose name is plain.
fn write_member(out: &mut String, separator: char, name: &str, value: &str) {
    out.push(separator);
    out.extend(["\"", name, "\":"]);
    push_text(value, out);
}

/// An entry as it is read.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawEntry {
    #[serde(default)]
    manager: Option<String>,
    #[serde(default)]
    operation: Option<String>,
    #[serde(default)]
    api_version: Option<String>,
    #[serde(default)]
    time: Option<String>,
    #[serde(default)]
    fields_type: Option<String>,
    #[serde(default)]
    fields_v1: Option<Tree>,
    #[serde(default)]
    subresource: Option<String>,
}

impl RawEntry {
    fn into_entry(self, index: usize) -> Result<Entry, ManagedFieldsError> {
        let operation = match self.operation.as_deref() {
            Some("Apply") => Operation::Apply,
            Some("Update") => Operation::Update,
            _ => return Err(ManagedFieldsError::Operation),
        };
        let api_version = self.api_version.unwrap_or_default();
        if api_version.is_empty() {
            return Err(ManagedFieldsError::NoVersion);
        }
        match self.fields_type.as_deref().unwrap_or_default() {
            "FieldsV1" => {}
            "" => return Err(ManagedFieldsError::NoFieldsType(index)),
            unknown => {
                return Err(ManagedFieldsError::FieldsType {
                    index,
                    fields_type: unknown.to_owned(),
                });
            }
        }
        Ok(Entry {
            manager: self.manager.unwrap_or_default(),
            operation,
            subresource: self.subresource.unwrap_or_default(),
            api_version,
            time: self.time.filter(|time| !time.is_empty()),
            fields: self.fields_v1.map(|tree| tree.set).unwrap_or_default(),
        })
    }
}

/// Why a list of managed fields cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManagedFieldsError {
    /// An entry's operation is unknown.
    #[error("operation must be `Apply` or `Update`")]
    Operation,
    /// An entry names no version.
    #[error("apiVersion must not be empty")]
    NoVersion,
    /// An entry names no form of its fields.
    #[error("missing fieldsType in managed fields entry {0}")]
    NoFieldsType(usize),
    /// An entry's fields have an unknown form.
    #[error("invalid fieldsType {fields_type:?} in managed fields entry {index}")]
    FieldsType {
        /// Place of the entry.
        index: usize,
        /// The unknown form.
        fields_type: String,
    },
    /// An entry, or its fields, have another shape.
    #[error("error decoding managed fields: {0}")]
    Malformed(String),
}

/// What every manager of an object owns.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ManagedFields {
    entries: BTreeMap<Identity, Entry>,
}

impl ManagedFields {
    /// Reads `metadata.managedFields`; null counts as an empty list.
    ///
    /// # Errors
    /// When an entry is malformed.
    pub fn from_json(value: &Value) -> Result<ManagedFields, ManagedFieldsError> {
        if value.is_null() {
            return Ok(ManagedFields::default());
        }
        ManagedFields::collect(Vec::deserialize(value))
    }

    /// Returns the list as it stands in `metadata.managedFields`: appliers
    /// first, then by time and name.
    pub fn to_json(&self) -> Value {
        Value::Array(self.sorted().into_iter().map(Entry::to_json).collect())
    }

    /// Returns the list as text, equal to [`ManagedFields::to_json`] written
    /// out, without the detour.
    pub fn to_text(&self) -> String {
        let mut out = String::from("[");
        for (index, entry) in self.sorted().into_iter().enumerate() {
            if index > 0 {
                out.push(',');
            }
            entry.write(&mut out);
        }
        out.push(']');
        out
    }

    /// Reads the text of such a list.
    ///
    /// # Errors
    /// When it is not JSON, or an entry is malformed.
    pub fn from_text(text: &[u8]) -> Result<ManagedFields, ManagedFieldsError> {
        ManagedFields::collect(serde_json::from_slice(text))
    }

    fn collect(
        entries: serde_json::Result<Vec<RawEntry>>,
    ) -> Result<ManagedFields, ManagedFieldsError> {
        let entries = entries.map_err(|error| ManagedFieldsError::Malformed(error.to_string()))?;
        let mut managed = ManagedFields::default();
        for (index, entry) in entries.into_iter().enumerate() {
            managed.put(entry.into_entry(index)?);
        }
        Ok(managed)
    }

    fn sorted(&self) -> Vec<&Entry> {
        let mut entries: Vec<&Entry> = self.entries.values().collect();
        entries.sort_by_key(|entry| {
            (
                entry.operation,
                &entry.time,
                &entry.manager,
                &entry.api_version,
                &entry.subresource,
            )
        });
        entries
    }

    /// Whether nobody owns anything, as in an object that nobody tracks.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The entries, in no particular order.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values()
    }

    /// Whether both lists are equal but for the times. A write that changes
    /// the times alone is no write.
    pub fn equal_but_times(&self, other: &ManagedFields) -> bool {
        self.entries.len() == other.entries.len()
            && self.entries.iter().zip(&other.entries).all(
                |((left_id, left), (right_id, right))| {
                    left_id == right_id
                        && left.api_version == right.api_version
                        && left.fields == right.fields
                },
            )
    }

    pub(super) fn get(&self, identity: &Identity) -> Option<&Entry> {
        self.entries.get(identity)
    }

    pub(super) fn put(&mut self, entry: Entry) {
        self.entries.insert(entry.identity(), entry);
    }

    pub(super) fn remove(&mut self, identity: &Identity) -> Option<Entry> {
        self.entries.remove(identity)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Identity, &Entry)> {
        self.entries.iter()
    }

    /// Changes the fields of every entry but one, by its version, and drops those that own
    /// nothing afterwards.
    pub(super) fn retain_fields(
        &mut self,
        but: Option<&Identity>,
        change: impl Fn(&str, Set) -> Set,
    ) {
        for (identity, entry) in &mut self.entries {
            if but != Some(identity) {
                entry.fields = change(&entry.api_version, std::mem::take(&mut entry.fields));
            }
        }
        self.entries.retain(|_, entry| !entry.fields.is_empty());
    }

    /// Merges the oldest entries of updates until few enough are left. Entries
    /// of different versions are never merged.
    pub(super) fn cap_updates(&mut self) {
        let updates = self
            .entries
            .iter()
            .filter(|(_, entry)| entry.operation == Operation::Update);
        let mut oldest: Vec<_> = updates
            .map(|(identity, entry)| (entry.time.clone(), identity.clone()))
            .collect();
        if oldest.len() <= UPDATE_MANAGERS_MAX {
            return;
        }
        oldest.sort();
        let mut count = oldest.len();
        let mut first_of: BTreeMap<String, Identity> = BTreeMap::new();
        for (time, identity) in oldest {
            if count <= UPDATE_MANAGERS_MAX {
                return;
            }
            let Some(version) = self.get(&identity).map(|entry| entry.api_version.clone()) else {
                continue;
            };
            let Some(first) = first_of.get(&version) else {
                first_of.insert(version, identity);
                continue;
            };
            let bucket = Identity::new(ANCIENT, Operation::Update, "", &version);
            if identity == bucket {
                continue;
            }
            let gathered = self.remove(&bucket).or_else(|| self.remove(first));
            let merged = [gathered, self.remove(&identity)];
            let fields = merged
                .into_iter()
                .flatten()
                .fold(Set::default(), |fields, entry| fields.union(entry.fields));
            self.put(Entry {
                manager: ANCIENT.to_owned(),
                operation: Operation::Update,
                subresource: String::new(),
                api_version: version,
                time,
                fields,
            });
            count -= 1;
        }
    }
}

/// Whether a client asks to forget all owners: an empty list, or one empty entry.
pub(super) fn is_reset(value: &Value) -> bool {
    match value {
        Value::Array(list) => list.is_empty() || *list == [json!({})],
        _ => false,
    }
}
