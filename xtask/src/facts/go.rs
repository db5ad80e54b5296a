//! The type sources in Go: which fields are pointers, which are written when
//! zero, which defaults stand beside them.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

/// What the type sources say of a field.
#[derive(Clone, Default)]
pub(super) struct GoField {
    pointer: bool,
    omit_empty: bool,
    omit_zero: bool,
    default: Option<String>,
    /// The declared type without the pointer, packages as Go prints them.
    declared: String,
}

impl GoField {
    /// `p` pointer, `a` written when zero, `d` default; `kind` is the letter of the type.
    pub(super) fn attributes(&self, kind: &str) -> Vec<String> {
        let mut attributes = Vec::new();
        if self.pointer {
            attributes.push("p".to_owned());
        }
        // encoding/json: "omitempty" leaves out false, 0, nil and empty
        // collections and text, never a structure; "omitzero" does.
        let is_structure = !self.pointer && kind.starts_with(['@', 'o', 'q', 'p', 't', 'm', '*']);
        let omitted = self.omit_zero || (self.omit_empty && !is_structure);
        if !omitted {
            attributes.push("a".to_owned());
        }
        if let Some(default) = &self.default {
            attributes.push(format!("d={default}"));
        }
        // Go's decoder names the declared type of texts and lists of texts.
        let plain = match kind {
            "s" => "string",
            "[s" => "[]string",
            "{s" => "map[string]string",
            _ => return attributes,
        };
        if self.declared != plain {
            attributes.push(format!("t={}", self.declared));
        }
        attributes
    }
}

/// Structures of the type sources: package path and name to fields and embedded names.
#[derive(Default)]
pub(super) struct Structs {
    structs: BTreeMap<(String, String), GoStruct>,
}

#[derive(Default)]
struct GoStruct {
    fields: BTreeMap<String, GoField>,
    embedded: Vec<String>,
}

impl Structs {
    /// Reads the type sources of all modules below a folder.
    pub(super) fn read(root: &Path) -> Result<Self> {
        let mut structs = Structs::default();
        for module in [
            "api",
            "apimachinery",
            "apiextensions-apiserver",
            "kube-aggregator",
        ] {
            structs.folder(&root.join(module), &format!("io.k8s.{module}"))?;
        }
        Ok(structs)
    }

    fn folder(&mut self, folder: &Path, package: &str) -> Result<()> {
        let entries = std::fs::read_dir(folder).with_context(|| folder.display().to_string())?;
        let mut paths: Vec<_> = entries
            .filter_map(|entry| Some(entry.ok()?.path()))
            .collect();
        paths.sort();
        for path in paths {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if path.is_dir() {
                self.folder(&path, &format!("{package}.{name}"))?;
            } else if name.ends_with(".go")
                && !name.contains("generated")
                && !name.contains("_test")
            {
                self.file(package, &std::fs::read_to_string(&path)?);
            }
        }
        Ok(())
    }

    fn file(&mut self, package: &str, text: &str) {
        let mut open: Option<(String, GoStruct)> = None;
        let mut default = None;
        for line in text.lines() {
            let line = line.trim();
            if let Some(name) = struct_name(line) {
                open = Some((name.to_owned(), GoStruct::default()));
            } else if line == "}" {
                if let Some((name, found)) = open.take() {
                    self.structs.insert((package.to_owned(), name), found);
                }
            } else if let Some(value) = line.strip_prefix("// +default=") {
                default = literal(value);
            } else if let (Some((_, found)), false) = (&mut open, line.starts_with("//")) {
                found.line(package, line, default.take());
            }
        }
    }

    /// Returns what the sources say of a field of a definition.
    pub(super) fn field(&self, definition: &str, field: &str) -> Option<GoField> {
        let (package, name) = definition.rsplit_once('.')?;
        self.find(package, name, field)
    }

    fn find(&self, package: &str, name: &str, field: &str) -> Option<GoField> {
        let found = self.structs.get(&(package.to_owned(), name.to_owned()))?;
        found.fields.get(field).cloned().or_else(|| {
            found
                .embedded
                .iter()
                .find_map(|name| match name.rsplit_once('.') {
                    Some((_, name)) => {
                        self.find("io.k8s.apimachinery.pkg.apis.meta.v1", name, field)
                    }
                    None => self.find(package, name, field),
                })
        })
    }
}

impl GoStruct {
    fn line(&mut self, package: &str, line: &str, default: Option<String>) {
        let Some((declaration, tags)) = line.split_once('`') else {
            return;
        };
        let Some(tag) = tags
            .split_once("json:\"")
            .and_then(|(_, rest)| rest.split_once('"'))
            .map(|(tag, _)| tag)
        else {
            return;
        };
        let (name, options) = tag.split_once(',').unwrap_or((tag, ""));
        let kind = declaration.split_whitespace().last().unwrap_or_default();
        if options.split(',').any(|option| option == "inline") || name.is_empty() {
            self.embedded.push(kind.to_owned());
            return;
        }
        let has = |wanted| options.split(',').any(|option| option == wanted);
        self.fields.insert(
            name.to_owned(),
            GoField {
                pointer: kind.starts_with('*'),
                omit_empty: has("omitempty"),
                omit_zero: has("omitzero"),
                default,
                declared: declared(package, kind),
            },
        );
    }
}

/// A declared type as `reflect` prints it: `[]Capability` of `core/v1` is
/// `[]v1.Capability`, `metav1.Time` is `v1.Time`.
fn declared(package: &str, kind: &str) -> String {
    let kind = kind.trim_start_matches('*');
    let (prefix, name) = match kind.strip_prefix("[]") {
        Some(name) => ("[]", name),
        None => ("", kind),
    };
    let own = package.rsplit('.').next().unwrap_or_default();
    let name = match name.split_once('.') {
        Some((alias, name)) => {
            // Import aliases such as `metav1` and `corev1` stand for `v1`.
            let package = match alias.find('v') {
                Some(at) if alias[at + 1..].starts_with(|c: char| c.is_ascii_digit()) => {
                    &alias[at..]
                }
                _ => alias,
            };
            format!("{package}.{name}")
        }
        None if name.starts_with(|c: char| c.is_ascii_uppercase()) => format!("{own}.{name}"),
        None => name.to_owned(),
    };
    format!("{prefix}{name}")
}

fn struct_name(line: &str) -> Option<&str> {
    line.strip_prefix("type ")?.strip_suffix(" struct {")
}

/// A JSON literal, or a reference to a constant whose value is known.
fn literal(text: &str) -> Option<String> {
    let constant = match text {
        "ref(AzureDataDiskCachingReadWrite)" => Some("\"ReadWrite\""),
        "ref(AzureSharedBlobDisk)" => Some("\"Shared\""),
        _ => None,
    };
    if let Some(constant) = constant {
        return Some(constant.to_owned());
    }
    let value: Value = serde_json::from_str(text).ok()?;
    Some(value.to_string())
}
