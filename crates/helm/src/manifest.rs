//! From rendered texts to documents: splitting, hooks, order.
//!
//! Main types: [`Manifest`], [`Hook`]. Reference:
//! `pkg/release/v1/util/manifest_sorter.go` of Helm.

use crate::compat::Rules;
use coracle_goyaml as yaml;
use std::collections::BTreeMap;

/// A document of a release.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manifest {
    /// Path of the template, from the root chart's name on.
    pub path: String,
    /// `apiVersion`.
    pub api_version: String,
    /// `kind`; empty for a document of comments.
    pub kind: String,
    /// `metadata.name`.
    pub name: String,
    /// The text.
    pub body: String,
    /// Which document of its template it is.
    pub index: usize,
}

/// A document that runs at an event instead of staying.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hook {
    /// The document.
    pub manifest: Manifest,
    /// Events such as `pre-install`.
    pub events: Vec<String>,
    /// Order among the hooks of an event.
    pub weight: i64,
    /// When it is removed.
    pub delete_policies: Vec<String>,
    /// When its logs are shown.
    pub output_log_policies: Vec<String>,
}

impl Hook {
    /// Whether this is a test.
    pub fn is_test(&self) -> bool {
        self.events.iter().any(|event| event == "test")
    }
}

/// A document that is no YAML, or not what Helm needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadManifest {
    /// Path of the template.
    pub path: String,
    /// Go's words after the path.
    pub message: String,
    /// The document.
    pub body: String,
    /// The line of the document that is at fault, from 1; 0 if unknown.
    pub line: usize,
}

const HOOK: &str = "helm.sh/hook";
const HOOK_WEIGHT: &str = "helm.sh/hook-weight";
const HOOK_DELETE: &str = "helm.sh/hook-delete-policy";
const HOOK_LOG: &str = "helm.sh/hook-output-log-policy";

/// A document of a rendered file. Those whose hook events are unknown are none.
#[derive(Clone, Debug)]
pub enum Document {
    /// One that stays.
    Manifest(Manifest),
    /// One that runs at an event.
    Hook(Hook),
}

/// Splits a rendered file into its documents.
///
/// # Errors
///
/// For the first document that Helm would refuse.
pub fn documents(path: &str, text: &str, rules: &Rules) -> Result<Vec<Document>, BadManifest> {
    let mut documents = Vec::new();
    let base = path.rsplit('/').next().unwrap_or_default();
    if base.starts_with('_') || text.trim().is_empty() {
        return Ok(documents);
    }
    for (index, body) in split(text, rules).into_iter().enumerate() {
        let head = Head::read(path, &body)?;
        let manifest = Manifest {
            path: path.to_owned(),
            api_version: head.api_version,
            kind: head.kind,
            name: head.name,
            body,
            index,
        };
        match head.annotations.get(HOOK) {
            None => documents.push(Document::Manifest(manifest)),
            Some(events) => {
                let hook = hook(manifest, events, &head.annotations);
                documents.extend(hook.map(Document::Hook));
            }
        }
    }
    Ok(documents)
}

/// Sorts documents, which come in the order of their files.
pub fn sort(
    documents: impl IntoIterator<Item = Document>,
    rules: &Rules,
) -> (Vec<Manifest>, Vec<Hook>) {
    let (mut manifests, mut hooks) = (Vec::new(), Vec::new());
    for document in documents {
        match document {
            Document::Manifest(manifest) => manifests.push(manifest),
            Document::Hook(hook) => hooks.push(hook),
        }
    }
    let rank = |kind: &str| rules.install_order.iter().position(|known| *known == kind);
    let compare = |a: &str, b: &str| match (rank(a), rank(b)) {
        (Some(a), Some(b)) => a.cmp(&b),
        (Some(_), None) => std::cmp::Ordering::Less,
        (None, Some(_)) => std::cmp::Ordering::Greater,
        (None, None) => a.cmp(b),
    };
    manifests.sort_by(|a, b| compare(&a.kind, &b.kind));
    hooks.sort_by(|a, b| compare(&a.manifest.kind, &b.manifest.kind));
    (manifests, hooks)
}

/// Splits a text at `(?:^|\s*\n)---\s*`, as Helm up to 4.2.3 does.
pub fn split(text: &str, rules: &Rules) -> Vec<String> {
    let mut documents = Vec::new();
    let mut rest = text.trim_start();
    let mut first = true;
    loop {
        let found = next_separator(rest, first);
        let (document, after) = match found {
            Some((start, end)) => (&rest[..start], Some(&rest[end..])),
            None => (rest, None),
        };
        if !document.trim().is_empty() {
            let document = document.trim_start();
            let document = if rules.keep_trailing_newlines {
                document
            } else {
                document.trim_end()
            };
            documents.push(document.to_owned());
        }
        let Some(after) = after else {
            return documents;
        };
        rest = after;
        first = false;
    }
}

fn is_re_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r' | '\x0c')
}

/// Start and end of the next separator. White space before its line break and
/// after its dashes belongs to it.
fn next_separator(text: &str, at_start: bool) -> Option<(usize, usize)> {
    let end = |from: usize| {
        let after = &text[from..];
        from + (after.len() - after.trim_start_matches(is_re_space).len())
    };
    if at_start && text.starts_with("---") {
        return Some((0, end(3)));
    }
    let at = text.find("\n---")?;
    let start = text[..at].trim_end_matches(is_re_space).len();
    Some((start, end(at + 4)))
}

/// The keys that [`Head`] is read from.
const HEAD: [&str; 3] = ["apiVersion", "kind", "metadata"];

#[derive(Default)]
struct Head {
    api_version: String,
    kind: String,
    name: String,
    annotations: BTreeMap<String, String>,
}

impl Head {
    fn read(path: &str, body: &str) -> Result<Head, BadManifest> {
        let refuse = |message: String, line: usize| BadManifest {
            path: path.to_owned(),
            message,
            body: body.to_owned(),
            line,
        };
        let value = yaml::only_keys(body.as_bytes(), &HEAD).map_err(|error| {
            refuse(
                format!("error converting YAML to JSON: {error}"),
                error.line(),
            )
        })?;
        let decode = |got: &yaml::Value, target: &str| {
            let message = format!(
                "error unmarshaling JSON: while decoding JSON: json: cannot unmarshal {} into Go {target}",
                kind(got)
            );
            refuse(message, 0)
        };
        let map = match &value {
            yaml::Value::Null => return Ok(Head::default()),
            yaml::Value::Map(map) => map,
            other => return Err(decode(other, "value of type util.SimpleHead")),
        };
        let mut head = Head::default();
        let text = |value: Option<&yaml::Value>, field: &str| match value {
            None | Some(yaml::Value::Null) => Ok(String::new()),
            Some(value) => scalar(value)
                .ok_or_else(|| decode(value, &format!("struct field {field} of type string"))),
        };
        head.api_version = text(map.get("apiVersion"), "SimpleHead.apiVersion")?;
        head.kind = text(map.get("kind"), "SimpleHead.kind")?;
        let metadata = match map.get("metadata") {
            None | Some(yaml::Value::Null) => return Ok(head),
            Some(yaml::Value::Map(metadata)) => metadata,
            Some(other) => {
                return Err(decode(
                    other,
                    "struct field SimpleHead.metadata of type struct { Name string \"json:\\\"name\\\"\"; Annotations map[string]string \"json:\\\"annotations\\\"\" }",
                ));
            }
        };
        head.name = text(metadata.get("name"), ".metadata.name")?;
        match metadata.get("annotations") {
            None | Some(yaml::Value::Null) => {}
            Some(yaml::Value::Map(annotations)) => {
                for (key, value) in annotations {
                    let value = text(Some(value), ".metadata.annotations")?;
                    head.annotations.insert(key.clone(), value);
                }
            }
            Some(other) => {
                return Err(decode(
                    other,
                    "struct field .metadata.annotations of type map[string]string",
                ));
            }
        }
        Ok(head)
    }
}

/// Where Go wants a string, numbers and booleans are taken.
fn scalar(value: &yaml::Value) -> Option<String> {
    Some(match value {
        yaml::Value::Str(text) => text.clone(),
        yaml::Value::Int(number) => number.to_string(),
        yaml::Value::Uint(number) => number.to_string(),
        yaml::Value::Float(number) => yaml::number::general(*number, true),
        yaml::Value::Bool(flag) => flag.to_string(),
        _ => return None,
    })
}

fn kind(value: &yaml::Value) -> &'static str {
    match value {
        yaml::Value::Str(_) => "string",
        yaml::Value::Bool(_) => "bool",
        yaml::Value::Seq(_) => "array",
        yaml::Value::Map(_) => "object",
        _ => "number",
    }
}

/// Makes a hook; unknown events drop the document, as in Helm.
fn hook(manifest: Manifest, events: &str, annotations: &BTreeMap<String, String>) -> Option<Hook> {
    let events: Option<Vec<String>> = list(events)
        .map(|event| match event.as_str() {
            "pre-install" | "post-install" | "pre-delete" | "post-delete" | "pre-upgrade"
            | "post-upgrade" | "pre-rollback" | "post-rollback" | "test" => Some(event),
            "test-success" => Some("test".into()),
            _ => None,
        })
        .collect();
    let policies = |name: &str| {
        annotations
            .get(name)
            .map(|value| list(value).collect())
            .unwrap_or_default()
    };
    Some(Hook {
        manifest,
        events: events?,
        weight: annotations
            .get(HOOK_WEIGHT)
            .and_then(|weight| coracle_gotemplate::strconv::atoi(weight))
            .unwrap_or(0),
        delete_policies: policies(HOOK_DELETE),
        output_log_policies: policies(HOOK_LOG),
    })
}

fn list(value: &str) -> impl Iterator<Item = String> + '_ {
    value.split(',').map(|item| item.trim().to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compat::Level;

    #[test]
    fn splits_as_helm_does() {
        let check = |text: &str, expected: &[&str]| {
            assert_eq!(split(text, Level::V4_2.rules()), expected, "{text:?}");
        };
        check("a\n---\nb\n", &["a", "b\n"]);
        check("---\na\n\n\n--- \nb", &["a", "b"]);
        check("---apiVersion: v1", &["apiVersion: v1"]);
        check("\n\n---\n# c\n---\n\n", &["# c"]);
        check("a: |\n  ---\n  b\n", &["a: |\n  ---\n  b\n"]);
        assert_eq!(split("a\n\n---\nb\n", Level::V4_1.rules()), ["a", "b"]);
    }
}
