//! Writes the protobuf tag table of the machinery crate.
//!
//! Reads the public Go modules `k8s.io/api`, `k8s.io/apimachinery`,
//! `k8s.io/apiextensions-apiserver` and `k8s.io/kube-aggregator`, unpacked side
//! by side in one folder: tags and types from `generated.proto`, JSON names,
//! pointers and inlining from the struct tags. Keeps the stable versions and
//! what they reach.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// Where the table stands, from the root of the repository.
const TABLE: &str = "crates/machinery/src/protobuf/tags.txt";

const HEADER: &str = "\
# Protobuf tags of the stable Kubernetes API types, from k8s.io/api 1.36.
# Written by `cargo xtask protobuf-facts FOLDER`; do not edit.
#
# group PACKAGE GROUP/VERSION
# message NAME, then a line per field in the order of the Go type:
#        TAG JSON-NAME TYPE [FLAGS]
# types: s text, b bool, i integer, d double, x bytes, or a message;
#        [] repeated, {} map from text
# flags: z absent when zero, inline members stand in the owner itself
";

pub fn run(arguments: &[String]) -> Result<(), String> {
    let [folder] = arguments else {
        return Err("usage: cargo xtask protobuf-facts FOLDER".to_owned());
    };
    let mut facts = Facts::default();
    for proto in find_protos(Path::new(folder))? {
        facts.read_package(&proto)?;
    }
    let table = facts.write();
    std::fs::write(TABLE, &table).map_err(|error| format!("{TABLE}: {error}"))
}

fn find_protos(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let mut found = Vec::new();
    let entries =
        std::fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    for entry in entries {
        let path = entry.map_err(|error| error.to_string())?.path();
        if path.is_dir() && !path.ends_with("testapigroup") {
            found.extend(find_protos(&path)?);
        } else if path.ends_with("generated.proto") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

#[derive(Default)]
struct Facts {
    /// Short package name to `group/version`.
    groups: BTreeMap<String, String>,
    messages: BTreeMap<String, Vec<Field>>,
}

struct Field {
    tag: u32,
    /// Its place in the Go struct.
    place: usize,
    name: String,
    kind: String,
    container: &'static str,
    drop_zero: bool,
    inline: bool,
}

/// What the Go struct says of a field: its JSON tag and its type.
struct GoField {
    place: usize,
    json: String,
    pointer: bool,
}

impl Facts {
    fn read_package(&mut self, proto: &Path) -> Result<(), String> {
        let text = std::fs::read_to_string(proto)
            .map_err(|error| format!("{}: {error}", proto.display()))?;
        let folder = proto.parent().unwrap_or(Path::new("."));
        let package = text
            .lines()
            .find_map(|line| line.strip_prefix("package ")?.strip_suffix(';'));
        let package = package.ok_or_else(|| format!("{}: no package", proto.display()))?;
        let short = short_package(package);
        let sources = read_go(folder)?;
        if let Some(group) = group_name(&sources) {
            let version = short.rsplit('.').next().unwrap_or_default();
            self.groups
                .insert(short.clone(), format!("{group}/{version}"));
        }
        let structs = go_structs(&sources);
        let mut message = None;
        for line in text.lines().map(str::trim) {
            if let Some(name) = line
                .strip_prefix("message ")
                .and_then(|rest| rest.strip_suffix(" {"))
            {
                self.messages.insert(format!("{short}.{name}"), Vec::new());
                message = Some(name.to_owned());
            } else if line == "}" {
                message = None;
            } else if let (Some(name), Some(mut field)) = (&message, proto_field(line, &short)) {
                if let Some(go) = structs.get(&(name.clone(), field.tag)) {
                    field.obey(go);
                }
                self.messages
                    .entry(format!("{short}.{name}"))
                    .or_default()
                    .push(field);
            }
        }
        Ok(())
    }

    fn write(&self) -> String {
        let kept = self.reachable();
        let mut out = HEADER.to_owned();
        let stable = |package: &String| is_stable(package);
        for (package, group) in self.groups.iter().filter(|(package, _)| stable(package)) {
            let _ = writeln!(out, "group {package} {group}");
        }
        for (name, fields) in self
            .messages
            .iter()
            .filter(|(name, _)| kept.contains(*name))
        {
            let _ = writeln!(out, "message {name}");
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_by_key(|field| (field.place, field.tag));
            for field in fields {
                let flags = match (field.drop_zero, field.inline) {
                    (_, true) => " inline",
                    (true, _) => " z",
                    _ => "",
                };
                let _ = writeln!(
                    out,
                    "{} {} {}{}{flags}",
                    field.tag, field.name, field.kind, field.container
                );
            }
        }
        out
    }

    fn reachable(&self) -> BTreeSet<String> {
        let mut kept = BTreeSet::new();
        let package = |name: &str| {
            name.rsplit_once('.')
                .map(|(package, _)| package.to_owned())
                .unwrap_or_default()
        };
        let mut queue: Vec<&str> = self.messages.keys().map(String::as_str).collect();
        queue.retain(|name| is_stable(&package(name)) && self.groups.contains_key(&package(name)));
        while let Some(name) = queue.pop() {
            let Some(fields) = self.messages.get(name) else {
                continue;
            };
            if kept.insert(name.to_owned()) {
                queue.extend(fields.iter().map(|field| field.kind.as_str()));
            }
        }
        kept
    }
}

impl Field {
    fn obey(&mut self, go: &GoField) {
        self.place = go.place;
        let (name, options) = go.json.split_once(',').unwrap_or((&go.json, ""));
        if !name.is_empty() {
            self.name = name.to_owned();
        }
        self.inline = options.split(',').any(|option| option == "inline");
        let scalar = self.kind.len() == 1 && self.container.is_empty();
        self.drop_zero =
            scalar && !go.pointer && options.split(',').any(|option| option == "omitempty");
    }
}

fn is_stable(package: &str) -> bool {
    let version = package.rsplit('.').next().unwrap_or_default();
    version
        .strip_prefix('v')
        .is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()))
}

/// `k8s.io.api.core.v1` becomes `core.v1`, `k8s.io.apimachinery.pkg.runtime`
/// becomes `runtime`.
fn short_package(package: &str) -> String {
    let parts: Vec<&str> = package.split('.').collect();
    let versioned = parts
        .last()
        .is_some_and(|last| last.starts_with('v') && last[1..].starts_with(char::is_numeric));
    let count = if versioned { 2 } else { 1 };
    parts[parts.len().saturating_sub(count)..].join(".")
}

fn proto_field(line: &str, package: &str) -> Option<Field> {
    let (declaration, tag) = line.strip_suffix(';')?.split_once(" = ")?;
    let tag = tag.parse().ok()?;
    let (kind, name) = declaration.rsplit_once(' ')?;
    let (container, kind) = if let Some(kind) = kind.strip_prefix("repeated ") {
        ("[]", kind)
    } else if let Some(kind) = kind.strip_prefix("map<string, ") {
        ("{}", kind.strip_suffix('>')?)
    } else {
        (
            "",
            kind.strip_prefix("optional ")
                .or_else(|| kind.strip_prefix("required "))?,
        )
    };
    let kind = match kind {
        "string" => "s".to_owned(),
        "bool" => "b".to_owned(),
        "int32" | "int64" | "uint32" | "uint64" => "i".to_owned(),
        "double" => "d".to_owned(),
        "bytes" => "x".to_owned(),
        message => match message.strip_prefix('.') {
            Some(full) => {
                let (package, name) = full.rsplit_once('.')?;
                format!("{}.{name}", short_package(package))
            }
            None => format!("{package}.{message}"),
        },
    };
    Some(Field {
        tag,
        place: usize::MAX,
        name: name.to_owned(),
        kind,
        container,
        drop_zero: false,
        inline: false,
    })
}

fn read_go(folder: &Path) -> Result<String, String> {
    let mut text = String::new();
    let entries =
        std::fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    for entry in entries {
        let path = entry.map_err(|error| error.to_string())?.path();
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        let generated =
            name.starts_with("zz_") || name.starts_with("generated") || name.ends_with("_test.go");
        if name.ends_with(".go") && !generated {
            text += &std::fs::read_to_string(&path)
                .map_err(|error| format!("{}: {error}", path.display()))?;
        }
    }
    Ok(text)
}

/// The API group of a package, from its `GroupName` constant.
fn group_name(sources: &str) -> Option<String> {
    let line = sources.lines().find(|line| {
        line.trim_start_matches("const ")
            .starts_with("GroupName = ")
    })?;
    Some(line.split('"').nth(1)?.to_owned())
}

/// Struct fields by struct name and protobuf tag.
fn go_structs(sources: &str) -> BTreeMap<(String, u32), GoField> {
    let mut fields = BTreeMap::new();
    let mut owner = None;
    for line in sources.lines() {
        if let Some(name) = line
            .strip_prefix("type ")
            .and_then(|rest| rest.strip_suffix(" struct {"))
        {
            owner = Some(name.to_owned());
        } else if line.starts_with('}') {
            owner = None;
        } else if let (Some(owner), Some((tag, mut field))) = (&owner, go_field(line)) {
            field.place = fields.len();
            fields.insert((owner.clone(), tag), field);
        }
    }
    fields
}

fn go_field(line: &str) -> Option<(u32, GoField)> {
    let (declaration, tags) = line.split_once('`')?;
    if declaration.trim_start().starts_with("//") {
        return None;
    }
    let quoted = |name: &str| tags.split_once(&format!("{name}:\""))?.1.split('"').next();
    let tag = quoted("protobuf")?.split(',').nth(1)?.parse().ok()?;
    let kind = declaration.split_whitespace().last()?;
    Some((
        tag,
        GoField {
            place: 0,
            json: quoted("json")?.to_owned(),
            pointer: kind.starts_with('*'),
        },
    ))
}
