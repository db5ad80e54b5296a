//! Values from files and flags, and where each of them was written.
//!
//! Main type: [`Values`]. Origins are found when they are asked for, by
//! reading the sources again; a rendering that succeeds pays nothing.
//! Reference: `pkg/cli/values/options.go` of Helm.

use crate::chart::{load_values, merge_maps};
use crate::strvals;
use coracle_goyaml::{self as yaml, Map, NodeId, NodeKind, Reader};
use std::sync::Arc;

/// The user's values.
#[derive(Clone, Debug, Default)]
pub struct Values {
    map: Map,
    sources: Vec<Source>,
}

/// Where values came from, later ones on top.
#[derive(Clone, Debug)]
pub enum Source {
    /// A values file (`-f`): its name and text.
    File {
        /// Name for messages.
        name: String,
        /// The text.
        text: Arc<[u8]>,
    },
    /// A flag: `--set` and its sisters.
    Flag {
        /// The flag.
        flag: &'static str,
        /// Its argument.
        text: String,
    },
}

/// Where a value was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// File, or flag with its argument.
    pub source: String,
    /// Line from 1; 0 for a flag.
    pub line: usize,
    /// Column from 1; 0 for a flag.
    pub column: usize,
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.line {
            0 => write!(f, "{}", self.source),
            line => write!(f, "{}:{line}:{}", self.source, self.column),
        }
    }
}

/// Why values cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ValuesError {
    /// A values file is broken.
    #[error("failed to parse {file}: {message}")]
    File {
        /// The file.
        file: String,
        /// Why.
        message: String,
    },
    /// A flag's argument is broken.
    #[error("failed parsing {flag} data{}{message}", separator(flag, text))]
    Flag {
        /// The flag.
        flag: &'static str,
        /// Its argument.
        text: String,
        /// Why.
        message: String,
    },
}

/// Helm quotes bad JSON instead of saying what is wrong.
fn separator(flag: &str, text: &str) -> &'static str {
    match flag {
        "--set-json" if text.trim_start().starts_with('{') => " JSON: ",
        "--set-json" => " ",
        _ => ": ",
    }
}

impl Values {
    /// Makes empty values.
    pub fn new() -> Self {
        Values::default()
    }

    /// Makes values from a map that has no origin.
    pub fn from_map(map: Map) -> Self {
        Values {
            map,
            sources: Vec::new(),
        }
    }

    /// Returns the values.
    pub fn map(&self) -> &Map {
        &self.map
    }

    /// Returns the sources.
    pub fn sources(&self) -> &[Source] {
        &self.sources
    }

    /// Lays a map without origin over these values.
    pub fn merge_map(&mut self, map: Map) {
        merge_maps(&mut self.map, map);
    }

    /// Adds a values file (`-f`).
    ///
    /// # Errors
    ///
    /// When it is no YAML map.
    pub fn add_file(&mut self, name: &str, text: &[u8]) -> Result<(), ValuesError> {
        let text = text.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(text);
        let map = load_values(text).map_err(|message| ValuesError::File {
            file: name.into(),
            message,
        })?;
        merge_maps(&mut self.map, map);
        self.sources.push(Source::File {
            name: name.into(),
            text: text.into(),
        });
        Ok(())
    }

    fn add_flag(
        &mut self,
        flag: &'static str,
        text: &str,
        parse: impl FnOnce(&str, &mut Map) -> Result<(), String>,
    ) -> Result<(), ValuesError> {
        parse(text, &mut self.map).map_err(|message| ValuesError::Flag {
            flag,
            text: text.into(),
            message,
        })?;
        self.sources.push(Source::Flag {
            flag,
            text: text.into(),
        });
        Ok(())
    }

    /// Adds `--set`.
    ///
    /// # Errors
    ///
    /// When the argument breaks the grammar.
    pub fn set(&mut self, text: &str) -> Result<(), ValuesError> {
        self.add_flag("--set", text, strvals::parse_into)
    }

    /// Adds `--set-string`.
    ///
    /// # Errors
    ///
    /// When the argument breaks the grammar.
    pub fn set_string(&mut self, text: &str) -> Result<(), ValuesError> {
        self.add_flag("--set-string", text, strvals::parse_into_string)
    }

    /// Adds `--set-json`.
    ///
    /// # Errors
    ///
    /// When the argument breaks the grammar.
    pub fn set_json(&mut self, text: &str) -> Result<(), ValuesError> {
        self.add_flag("--set-json", text, strvals::parse_json)
    }

    /// Adds `--set-literal`.
    ///
    /// # Errors
    ///
    /// When the argument breaks the grammar.
    pub fn set_literal(&mut self, text: &str) -> Result<(), ValuesError> {
        self.add_flag("--set-literal", text, strvals::parse_literal)
    }

    /// Adds `--set-file`; `read` gives the text of a file.
    ///
    /// # Errors
    ///
    /// When the argument breaks the grammar, or a file cannot be read.
    pub fn set_file(
        &mut self,
        text: &str,
        read: &dyn Fn(&str) -> Result<String, String>,
    ) -> Result<(), ValuesError> {
        self.add_flag("--set-file", text, |text, map| {
            strvals::parse_file(text, map, read)
        })
    }

    /// Finds where the value at a path was written; the last source wins.
    pub fn origin(&self, path: &[&str]) -> Option<Origin> {
        self.sources.iter().rev().find_map(|source| match source {
            Source::File { name, text } => find_in_text(name, text, path),
            Source::Flag { flag, text } => {
                let mut map = Map::new();
                let parsed = match *flag {
                    "--set-json" => strvals::parse_json(text, &mut map),
                    "--set-literal" => strvals::parse_literal(text, &mut map),
                    "--set-file" => strvals::parse_file(text, &mut map, &|_| Ok(String::new())),
                    _ => strvals::parse_into_string(text, &mut map),
                };
                parsed.ok()?;
                has_path(&map, path).then(|| Origin {
                    source: format!("{flag} {text}"),
                    line: 0,
                    column: 0,
                })
            }
        })
    }
}

fn has_path(map: &Map, path: &[&str]) -> bool {
    let Some((first, rest)) = path.split_first() else {
        return true;
    };
    match map.get(*first) {
        None => false,
        Some(yaml::Value::Map(below)) => has_path(below, rest),
        Some(yaml::Value::Seq(_)) => true,
        Some(_) => rest.is_empty(),
    }
}

/// Finds where a YAML text writes the value at a path.
pub fn find_in_text(name: &str, text: &[u8], path: &[&str]) -> Option<Origin> {
    let mut found = None;
    for part in crate::chart::split_documents(text) {
        let before = part.as_ptr() as usize - text.as_ptr() as usize;
        let lines = text[..before].iter().filter(|byte| **byte == b'\n').count();
        let mut reader = Reader::new(part).ok()?;
        if let Ok(Some(document)) = reader.next_document()
            && let Some(place) = find_node(&document, document.root, path)
        {
            found = Some(Origin {
                source: name.into(),
                line: place.line_number() + lines,
                column: place.column_number(),
            });
        }
    }
    found
}

fn find_node(document: &yaml::Document, id: NodeId, path: &[&str]) -> Option<yaml::Place> {
    let node = &document.nodes[id];
    let Some((first, rest)) = path.split_first() else {
        return Some(node.start);
    };
    match &node.kind {
        NodeKind::Mapping(pairs) => pairs.iter().rev().find_map(|(key, value)| {
            let NodeKind::Scalar { value: name, .. } = &document.nodes[*key].kind else {
                return None;
            };
            if name != first {
                return None;
            }
            if rest.is_empty() {
                return Some(document.nodes[*key].start);
            }
            find_node(document, *value, rest)
        }),
        NodeKind::Sequence(items) => {
            let at: usize = first.parse().ok()?;
            find_node(document, *items.get(at)?, rest)
        }
        NodeKind::Alias { target, .. } => find_node(document, *target, path),
        NodeKind::Scalar { .. } => None,
    }
}
