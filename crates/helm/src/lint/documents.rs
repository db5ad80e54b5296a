//! What templates wrote, document by document.

use super::Linter;
use super::Severity::{Error, Warning};
use super::{deprecated, names};
use crate::capabilities::KubeVersion;
use coracle_goyaml::{self as yaml, Value};

/// Says that a file has no place below `templates/`.
pub(super) fn extension(name: &str) -> Option<String> {
    let extension = extension_of(name);
    if matches!(extension, ".yaml" | ".yml" | ".tpl" | ".txt") {
        return None;
    }
    Some(format!(
        "file extension '{extension}' not valid. Valid extensions are .yaml, .yml, .tpl, or .txt"
    ))
}

/// Whether a file is YAML by its name.
pub(super) fn is_yaml(name: &str) -> bool {
    let extension = extension_of(name).to_lowercase();
    extension == ".yaml" || extension == ".yml"
}

/// Go's `filepath.Ext`: from the last dot of the last part on.
fn extension_of(name: &str) -> &str {
    let base = name.rsplit('/').next().unwrap_or(name);
    base.rfind('.').map_or("", |at| &base[at..])
}

/// Checks the documents of a file; false when linting stops here.
pub(super) fn check(
    linter: &mut Linter<'_>,
    name: &str,
    text: &str,
    version: &KubeVersion,
) -> bool {
    if let Some(line) = text.lines().find(|line| !line.trim().is_empty())
        && line.starts_with([' ', '\t'])
    {
        let quoted = coracle_gotemplate::strconv::quote(line.as_bytes(), false);
        let quoted = String::from_utf8_lossy(&quoted).into_owned();
        linter.say(
            Warning,
            name,
            format!(
                "document starts with an illegal indent: {quoted}, which may cause parsing problems"
            ),
        );
    }
    for document in split(text) {
        let head = match Head::read(&document) {
            Ok(None) => continue,
            Ok(Some(head)) => head,
            Err(message) => {
                linter.say(Error, name, format!("unable to parse YAML: {message}"));
                return false;
            }
        };
        object(linter, name, text, &head, version);
    }
    true
}

fn object(linter: &mut Linter<'_>, file: &str, text: &str, head: &Head, version: &KubeVersion) {
    if let Some(message) = names::wrong(&head.kind, &head.name) {
        linter.say(Warning, file, message);
    }
    if let Some(message) = deprecated::message(&head.api_version, &head.kind, version) {
        linter.say(Warning, file, message);
    }
    let needs_selector = matches!(
        head.kind.as_str(),
        "Deployment" | "ReplicaSet" | "DaemonSet" | "StatefulSet"
    );
    if needs_selector && !text.contains("matchLabels") && !text.contains("matchExpressions") {
        let message = format!(
            "a {} must contain matchLabels or matchExpressions, and {:?} does not",
            head.kind, head.name
        );
        linter.say(Error, file, message);
    }
    if head.kind == "List" && head.keeps_items {
        linter.say(
            Error,
            file,
            "annotation 'helm.sh/resource-policy' within List objects are ignored",
        );
    }
}

/// Checks the documents of a file of `crds/`; false when linting stops here.
pub(super) fn check_definitions(linter: &mut Linter<'_>, name: &str, text: &str) -> bool {
    for document in split(text) {
        let head = match Head::read(&document) {
            Ok(None) => continue,
            Ok(Some(head)) => head,
            Err(message) => {
                linter.say(Error, name, format!("unable to parse YAML: {message}"));
                return false;
            }
        };
        if !head.api_version.starts_with("apiextensions.k8s.io") {
            linter.say(Error, name, "apiVersion is not in 'apiextensions.k8s.io'");
        }
        if head.kind != "CustomResourceDefinition" {
            linter.say(Error, name, "object kind is not 'CustomResourceDefinition'");
        }
    }
    true
}

/// Documents as the Kubernetes reader takes them: a line of `---` and at most
/// a comment separates.
fn split(text: &str) -> Vec<String> {
    let mut documents = vec![String::new()];
    for line in text.split_inclusive('\n') {
        let separates = line.strip_prefix("---").is_some_and(|rest| {
            let rest = rest.trim();
            rest.is_empty() || rest.starts_with('#')
        });
        match documents.last_mut() {
            Some(last) if !separates => last.push_str(line),
            Some(last) if last.is_empty() => {}
            _ => documents.push(String::new()),
        }
    }
    documents.retain(|document| !document.is_empty());
    documents
}

#[derive(Default)]
struct Head {
    api_version: String,
    kind: String,
    name: String,
    /// Whether an item of a List has a resource policy.
    keeps_items: bool,
}

impl Head {
    fn read(text: &str) -> Result<Option<Head>, String> {
        let value = yaml::from_slice(text.as_bytes())
            .map_err(|error| format!("error converting YAML to JSON: {error}"))?;
        let refuse = |value: &Value, target: &str| {
            format!(
                "error unmarshaling JSON: while decoding JSON: json: cannot unmarshal {} into Go {target}",
                json_kind(value)
            )
        };
        let map = match &value {
            Value::Null => return Ok(None),
            Value::Map(map) => map,
            other => return Err(refuse(other, "value of type rules.k8sYamlStruct")),
        };
        let text = |value: Option<&Value>, field: &str| match value {
            None | Some(Value::Null) => Ok(String::new()),
            Some(value) => scalar(value)
                .ok_or_else(|| refuse(value, &format!("struct field {field} of type string"))),
        };
        // `encoding/json` takes names in any case.
        let find = |map: &yaml::Map, name: &str| {
            let same = |(key, _): &(&String, &Value)| key.eq_ignore_ascii_case(name);
            map.iter().rfind(same).map(|(_, value)| value.clone())
        };
        let mut head = Head {
            api_version: text(find(map, "apiVersion").as_ref(), "k8sYamlStruct.apiVersion")?,
            kind: text(find(map, "kind").as_ref(), "k8sYamlStruct.Kind")?,
            ..Head::default()
        };
        match find(map, "metadata") {
            None | Some(Value::Null) => {}
            Some(Value::Map(metadata)) => {
                text(
                    find(&metadata, "namespace").as_ref(),
                    "k8sYamlMetadata.Metadata.Namespace",
                )?;
                head.name = text(
                    find(&metadata, "name").as_ref(),
                    "k8sYamlMetadata.Metadata.Name",
                )?;
            }
            Some(other) => {
                return Err(refuse(
                    &other,
                    "struct field k8sYamlStruct.Metadata of type rules.k8sYamlMetadata",
                ));
            }
        }
        let items = map.get("items").and_then(Value::as_seq).unwrap_or_default();
        head.keeps_items = items.iter().any(|item| {
            let annotations = item
                .get("metadata")
                .and_then(|metadata| metadata.get("annotations"));
            annotations.is_some_and(|map| map.get("helm.sh/resource-policy").is_some())
        });
        Ok(Some(head))
    }
}

fn scalar(value: &Value) -> Option<String> {
    Some(match value {
        Value::Str(text) => text.clone(),
        Value::Int(number) => number.to_string(),
        Value::Uint(number) => number.to_string(),
        Value::Float(number) => yaml::number::general(*number, true),
        Value::Bool(flag) => flag.to_string(),
        _ => return None,
    })
}

/// The word of `encoding/json` for a value.
pub(super) fn json_kind(value: &Value) -> &'static str {
    match value {
        Value::Str(_) => "string",
        Value::Bool(_) => "bool",
        Value::Seq(_) => "array",
        Value::Map(_) => "object",
        _ => "number",
    }
}
