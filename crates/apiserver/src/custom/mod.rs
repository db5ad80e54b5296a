//! Custom resources: every served version of an established definition becomes
//! a row like a built-in one, so that the generic path serves it. [`Customs`]
//! follows the stored definitions; what a row means is `machinery`'s.
//!
//! CEL rules and conversion between versions with different schemas are not here.

pub mod definitions;

use std::collections::{BTreeMap, HashMap, HashSet};

use coracle_machinery::custom;
use coracle_machinery::kind::Kind;
use coracle_store::Store;
use parking_lot::Mutex;
use serde_json::Value;

use crate::follow::{Change, Follower};
use crate::object::Stored;
use crate::resource;

const PREFIX: &str = "/apiextensions.k8s.io/customresourcedefinitions/";

type Path = (String, String, String);

struct State {
    follower: Follower,
    known: Known,
}

#[derive(Default)]
struct Known {
    by_path: BTreeMap<Path, &'static Kind>,
    /// Paths whose definition is going: nothing new is made.
    terminating: HashSet<Path>,
    /// Rows made for a definition, by uid and generation, so that a change of
    /// its status makes no new ones.
    made: HashMap<(String, i64), Vec<&'static Kind>>,
    by_definition: HashMap<String, Vec<Path>>,
    /// The literal schemas, for documents.
    schemas: HashMap<Path, Value>,
}

/// The custom resources of one server.
pub struct Customs {
    store: Store<Stored>,
    state: Mutex<State>,
}

impl Customs {
    /// Starts from what is stored and follows it.
    pub fn new(store: &Store<Stored>) -> Customs {
        Customs {
            store: store.clone(),
            state: Mutex::new(State {
                follower: Follower::new(PREFIX),
                known: Known::default(),
            }),
        }
    }

    /// Returns the row served under group, version and plural.
    pub fn find(&self, group: &str, version: &str, plural: &str) -> Option<&'static Kind> {
        let mut state = self.state.lock();
        state.follow(&self.store);
        let path = (group.to_owned(), version.to_owned(), plural.to_owned());
        state.known.by_path.get(&path).copied()
    }

    /// Whether the definition of a row is going.
    pub fn is_terminating(&self, kind: &Kind) -> bool {
        kind.custom.is_some() && self.state.lock().known.terminating.contains(&path_of(kind))
    }

    /// Returns the literal schema of a row; `Null` without one.
    pub fn schema(&self, kind: &Kind) -> Value {
        self.state
            .lock()
            .known
            .schemas
            .get(&path_of(kind))
            .cloned()
            .unwrap_or_default()
    }

    /// Returns every row, by group and version.
    pub fn all(&self) -> Vec<&'static Kind> {
        let mut state = self.state.lock();
        state.follow(&self.store);
        state.known.by_path.values().copied().collect()
    }

    /// Returns the groups with their versions, preferred version first.
    pub fn groups(&self) -> Vec<(String, Vec<String>)> {
        let mut groups: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for kind in self.all() {
            let versions = groups.entry(kind.group.to_owned()).or_default();
            if !versions.iter().any(|version| version == kind.version) {
                versions.push(kind.version.to_owned());
            }
        }
        for versions in groups.values_mut() {
            versions.sort_by_key(|version| std::cmp::Reverse(priority(version)));
        }
        groups.into_iter().collect()
    }
}

/// Order of versions: stable before beta before alpha, then by number
/// (`k8s.io/apimachinery/pkg/version`).
fn priority(version: &str) -> (u8, u32, u32, std::cmp::Reverse<String>) {
    let name = std::cmp::Reverse(version.to_owned());
    let none = (0, 0, 0, name.clone());
    let Some(rest) = version.strip_prefix('v') else {
        return none;
    };
    let digits = rest
        .find(|letter: char| !letter.is_ascii_digit())
        .unwrap_or(rest.len());
    let Ok(major) = rest[..digits].parse() else {
        return none;
    };
    let tail = &rest[digits..];
    for (word, rank) in [("beta", 2), ("alpha", 1)] {
        if let Some(minor) = tail.strip_prefix(word).and_then(|minor| minor.parse().ok()) {
            return (rank, major, minor, name);
        }
    }
    if tail.is_empty() {
        (3, major, 0, name)
    } else {
        none
    }
}

impl State {
    fn follow(&mut self, store: &Store<Stored>) {
        let known = &mut self.known;
        self.follower.catch_up(store, |change| match change {
            // Rows are leaked once made, so they are kept.
            Change::Restart => {
                let made = std::mem::take(&mut known.made);
                *known = Known {
                    made,
                    ..Known::default()
                };
            }
            Change::Is(key, definition) => known.set(key, Some(definition)),
            Change::Gone(key) => known.set(key, None),
        });
    }
}

impl Known {
    fn set(&mut self, key: &str, definition: Option<&Stored>) {
        for path in self.by_definition.remove(key).unwrap_or_default() {
            self.by_path.remove(&path);
            self.terminating.remove(&path);
            self.schemas.remove(&path);
        }
        let Some(definition) = definition else { return };
        let value = definition.to_plain_value();
        if !definitions::is_established(&value) {
            return;
        }
        let generation = value["metadata"]["generation"].as_i64().unwrap_or(0);
        let at = (definition.meta.uid.clone(), generation);
        let rows = self.made.entry(at).or_insert_with(|| rows(&value)).clone();
        let mut paths = Vec::new();
        for kind in rows.into_iter().filter(|kind| !kind.verbs.is_empty()) {
            let path = path_of(kind);
            self.by_path.insert(path.clone(), kind);
            self.schemas
                .insert(path.clone(), schema_of(&value, kind.version));
            if definition.meta.deleting {
                self.terminating.insert(path.clone());
            }
            paths.push(path);
        }
        self.by_definition.insert(key.to_owned(), paths);
    }
}

fn schema_of(definition: &Value, version: &str) -> Value {
    let versions = definition["spec"]["versions"].as_array();
    let found = versions
        .into_iter()
        .flatten()
        .find(|one| one["name"] == version);
    found
        .map(|version| version["schema"]["openAPIV3Schema"].clone())
        .unwrap_or_default()
}

fn path_of(kind: &Kind) -> Path {
    (
        kind.group.to_owned(),
        kind.version.to_owned(),
        kind.plural.to_owned(),
    )
}

fn rows(definition: &Value) -> Vec<&'static Kind> {
    custom::kinds(definition).unwrap_or_else(|error| {
        tracing::warn!(%error, name = %definition["metadata"]["name"], "a custom schema is not usable");
        Vec::new()
    })
}

/// Finds a kind among the built-in and the custom ones.
pub fn find(customs: &Customs, group: &str, version: &str, plural: &str) -> Option<&'static Kind> {
    resource::find(group, version, plural).or_else(|| customs.find(group, version, plural))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered_as_upstream() {
        let mut versions = [
            "v1", "v10", "v2beta1", "foo1", "v1alpha1", "v11beta2", "v2", "v3beta1",
        ]
        .to_vec();
        versions.sort_by_key(|version| std::cmp::Reverse(priority(version)));
        assert_eq!(
            versions,
            [
                "v10", "v2", "v1", "v11beta2", "v3beta1", "v2beta1", "v1alpha1", "foo1"
            ]
        );
    }
}
