//! Objects of a release and where their fields stand in the rendered text.
//!
//! Main type: [`Object`]. Documents that are a `List` give their items.

use crate::report::{ObjectName, Severity};
use crate::sink::Sink;
use coracle_goyaml::{self as yaml, Document, NodeId, NodeKind, Reader};
use coracle_helm::{Manifest, Rendered};
use coracle_machinery::kind::Kind;
use coracle_machinery::kinds;
use serde_json::Value;

/// An object of the release.
pub struct Object {
    /// Index among all.
    pub index: usize,
    /// Its names; the namespace is the one it will live in.
    pub id: ObjectName,
    /// The whole of it.
    pub value: Value,
    /// Its kind, where it is built in.
    pub kind: Option<&'static Kind>,
    /// The template.
    pub path: String,
    /// The rendered document.
    pub body: String,
    /// Path inside the document: `items[2]` of a List.
    pub inside: String,
    /// Whether it runs at an event.
    pub hook: bool,
    /// Whether it is a test.
    pub test: bool,
}

impl Object {
    /// Returns an annotation.
    pub fn annotation(&self, name: &str) -> Option<&str> {
        self.value["metadata"]["annotations"].get(name)?.as_str()
    }

    /// Returns the line (from 1) of a field in the document, of the deepest
    /// part of it that stands there, and whether that is a value after a key.
    pub fn line_of(&self, field: &str) -> Option<(usize, bool)> {
        let mut reader = Reader::new(self.body.as_bytes()).ok()?;
        let document = reader.next_document().ok()??;
        let whole = [self.inside.as_str(), field].join(".");
        let segments = segments(&whole);
        let mut place = (document.nodes[document.root].start.line_number(), false);
        let mut node = document.root;
        for segment in &segments {
            let Some((at, below, keyed)) = step(&document, node, segment) else {
                break;
            };
            place = (document.nodes[at].start.line_number(), keyed);
            node = below;
        }
        Some(place)
    }
}

/// The node to point at, the node below, and whether it stands after a key.
fn step(document: &Document, node: NodeId, segment: &str) -> Option<(NodeId, NodeId, bool)> {
    match &document.nodes[node].kind {
        NodeKind::Mapping(pairs) => pairs.iter().rev().find_map(|(key, value)| {
            let NodeKind::Scalar { value: name, .. } = &document.nodes[*key].kind else {
                return None;
            };
            let scalar = matches!(document.nodes[*value].kind, NodeKind::Scalar { .. });
            (name == segment).then_some((*key, *value, scalar))
        }),
        NodeKind::Sequence(items) => {
            let item = *items.get(segment.parse::<usize>().ok()?)?;
            Some((item, item, false))
        }
        NodeKind::Alias { target, .. } => step(document, *target, segment),
        NodeKind::Scalar { .. } => None,
    }
}

/// Splits `spec.ports[0].name` and `metadata.labels[a.b/c]`.
pub fn segments(field: &str) -> Vec<String> {
    let mut out = Vec::new();
    let mut rest = field;
    while !rest.is_empty() {
        rest = rest.trim_start_matches('.');
        if let Some(inside) = rest.strip_prefix('[') {
            let end = inside.find(']').unwrap_or(inside.len());
            out.push(inside[..end].trim_matches('"').to_owned());
            rest = inside.get(end + 1..).unwrap_or_default();
            continue;
        }
        let end = rest.find(['.', '[']).unwrap_or(rest.len());
        if end > 0 {
            out.push(rest[..end].to_owned());
        }
        rest = &rest[end..];
    }
    out
}

/// Returns the value at a path of names; null where there is none.
pub fn at<'v>(value: &'v Value, path: &str) -> &'v Value {
    static NULL: Value = Value::Null;
    let mut here = value;
    for segment in segments(path) {
        let next = match here {
            Value::Object(map) => map.get(&segment),
            Value::Array(list) => segment.parse::<usize>().ok().and_then(|at| list.get(at)),
            _ => None,
        };
        match next {
            Some(next) => here = next,
            None => return &NULL,
        }
    }
    here
}

/// Reads all documents of a release.
pub fn read(rendered: &Rendered, namespace: &str, sink: &mut Sink) -> Vec<Object> {
    let mut reading = Reading {
        namespace,
        objects: Vec::new(),
        sink,
    };
    for file in &rendered.crds {
        let manifest = Manifest {
            path: file.name.clone(),
            body: String::from_utf8_lossy(&file.data).into_owned(),
            kind: "CustomResourceDefinition".into(),
            ..Manifest::default()
        };
        reading.document(&manifest, false, false);
    }
    for manifest in &rendered.manifests {
        reading.document(manifest, false, false);
    }
    for hook in &rendered.hooks {
        reading.document(&hook.manifest, true, hook.is_test());
    }
    reading.objects
}

struct Reading<'r> {
    namespace: &'r str,
    objects: Vec<Object>,
    sink: &'r mut Sink,
}

impl Reading<'_> {
    fn document(&mut self, manifest: &Manifest, hook: bool, test: bool) {
        // Files of crds/ may hold several documents, and are not yet read.
        let Ok(mut reader) = Reader::new(manifest.body.as_bytes()) else {
            return;
        };
        let mut first = true;
        while let Ok(Some(document)) = reader.next_document() {
            let Ok(value) = yaml::to_value(&document) else {
                return;
            };
            let value = to_json(value);
            if first || manifest.kind == "CustomResourceDefinition" {
                self.object(manifest, value, String::new(), (hook, test));
            }
            first = false;
        }
    }

    fn object(
        &mut self,
        manifest: &Manifest,
        value: Value,
        inside: String,
        (hook, test): (bool, bool),
    ) {
        let Value::Object(map) = &value else {
            return;
        };
        let text = |name: &str| map.get(name).and_then(Value::as_str).unwrap_or_default();
        let (api_version, kind) = (text("apiVersion").to_owned(), text("kind").to_owned());
        if kind.ends_with("List")
            && let Some(Value::Array(items)) = map.get("items")
        {
            for (at, item) in items.iter().enumerate() {
                let inside = format!("{inside}.items[{at}]");
                self.object(manifest, item.clone(), inside, (hook, test));
            }
            return;
        }
        let row = kinds::by_api_version(&api_version, &kind);
        let name = match &value["metadata"]["name"] {
            Value::String(name) => name.clone(),
            Value::Null => String::new(),
            other => other.to_string(),
        };
        let cluster_scoped = match row {
            Some(row) => !row.namespaced,
            // Of a custom kind the namespace as written is all that is known.
            None => false,
        };
        let namespace = match value["metadata"]["namespace"].as_str() {
            _ if cluster_scoped => "",
            Some(namespace) if !namespace.is_empty() => namespace,
            _ => self.namespace,
        };
        let object = Object {
            index: self.objects.len(),
            id: ObjectName {
                namespace: namespace.to_owned(),
                api_version: api_version.clone(),
                kind: kind.clone(),
                name,
            },
            value,
            kind: row,
            path: manifest.path.clone(),
            body: manifest.body.clone(),
            inside,
            hook,
            test,
        };
        self.complete(&object);
        self.objects.push(object);
    }

    /// Every object needs apiVersion, kind and a name.
    fn complete(&mut self, object: &Object) {
        let missing = |field: &str| format!("the document has no {field}");
        for (field, value) in [
            ("apiVersion", &object.id.api_version),
            ("kind", &object.id.kind),
        ] {
            if value.is_empty() {
                self.sink
                    .add(Severity::Error, "incomplete", object, field, missing(field))
                    .fix(format!("every manifest needs {field}"));
            }
        }
        let metadata = &object.value["metadata"];
        if object.id.name.is_empty() && metadata["generateName"].as_str().is_none() {
            self.sink
                .add(
                    Severity::Error,
                    "incomplete",
                    object,
                    "metadata.name",
                    missing("metadata.name"),
                )
                .fix("give it a name, usually from the chart's fullname template");
        }
    }
}

/// Converts a value; whole floats become integers, as JSON's text has no others.
pub fn to_json(value: yaml::Value) -> Value {
    match value {
        yaml::Value::Null => Value::Null,
        yaml::Value::Bool(flag) => flag.into(),
        yaml::Value::Int(number) => number.into(),
        yaml::Value::Uint(number) => number.into(),
        yaml::Value::Float(number) if number.fract() == 0.0 && number.abs() < 9e15 => {
            (number as i64).into()
        }
        yaml::Value::Float(number) => number.into(),
        yaml::Value::Str(text) => text.into(),
        yaml::Value::Seq(items) => items.into_iter().map(to_json).collect(),
        yaml::Value::Map(map) => Value::Object(
            map.into_iter()
                .map(|(key, value)| (key, to_json(value)))
                .collect(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_split_at_dots_and_brackets() {
        assert_eq!(
            segments("spec.ports[0].name"),
            ["spec", "ports", "0", "name"]
        );
        assert_eq!(
            segments("metadata.labels[a.b/c]"),
            ["metadata", "labels", "a.b/c"]
        );
        assert!(segments("").is_empty());
    }
}
