//! The objects of a rendered manifest, and how the API reaches them.

use kube::api::DynamicObject;
use kube::core::discovery::Scope;
use kube::core::gvk::GroupVersionKind;
use kube::{Api, Client, Discovery};
use serde_json::Value;

use crate::{ReleaseError, api};

/// One object of a manifest.
#[derive(Debug, Clone)]
pub struct Object {
    /// The template it came from, as Helm names it.
    pub file: String,
    /// The object.
    pub value: Value,
}

/// A document of a manifest is no object.
#[derive(Debug, thiserror::Error)]
#[error("{file}: {message}")]
pub struct ParseError {
    /// The template.
    pub file: String,
    /// What is wrong.
    pub message: String,
}

impl Object {
    /// Returns the object's kind.
    pub fn kind(&self) -> &str {
        self.value["kind"].as_str().unwrap_or_default()
    }

    /// Returns the object's name.
    pub fn name(&self) -> &str {
        self.value["metadata"]["name"].as_str().unwrap_or_default()
    }

    /// Returns the namespace that the object itself names.
    pub fn own_namespace(&self) -> Option<&str> {
        self.value["metadata"]["namespace"].as_str()
    }

    /// Returns `Kind/name`, as people name it.
    pub fn title(&self) -> String {
        format!("{}/{}", self.kind(), self.name())
    }

    fn api_version(&self) -> &str {
        self.value["apiVersion"].as_str().unwrap_or_default()
    }

    fn group_version_kind(&self) -> GroupVersionKind {
        let (group, version) = self
            .api_version()
            .split_once('/')
            .unwrap_or(("", self.api_version()));
        GroupVersionKind::gvk(group, version, self.kind())
    }

    /// Tells objects apart: what an upgrade no longer has is removed.
    pub fn identity(&self, namespace: &str) -> (String, String, String, String) {
        let group = self.group_version_kind().group;
        let namespace = self.own_namespace().unwrap_or(namespace).to_owned();
        (
            group,
            self.kind().to_owned(),
            namespace,
            self.name().to_owned(),
        )
    }
}

/// Splits a manifest, as `helm template` prints it, into its objects.
///
/// # Errors
/// Names the template whose document is not YAML or no object.
pub fn parse(manifest: &str) -> Result<Vec<Object>, ParseError> {
    let mut objects = Vec::new();
    for document in documents(manifest) {
        let file = document
            .lines()
            .find_map(|line| line.strip_prefix("# Source: "))
            .unwrap_or("manifest")
            .to_owned();
        let failed = |message: String| ParseError {
            file: file.clone(),
            message,
        };
        let value: Value =
            serde_saphyr::from_str(document).map_err(|error| failed(error.to_string()))?;
        match value {
            Value::Null => {}
            Value::Object(_) if value["kind"].is_string() && value["apiVersion"].is_string() => {
                objects.push(Object { file, value });
            }
            _ => return Err(failed("the document has no apiVersion and kind".into())),
        }
    }
    Ok(objects)
}

/// Splits at lines that begin with `---`.
fn documents(manifest: &str) -> Vec<&str> {
    let mut documents = Vec::new();
    let (mut start, mut position) = (0, 0);
    for line in manifest.split_inclusive('\n') {
        if line.starts_with("---") {
            documents.push(&manifest[start..position]);
            start = position + line.len();
        }
        position += line.len();
    }
    documents.push(&manifest[start..]);
    documents
        .into_iter()
        .filter(|document| !document.trim().is_empty())
        .collect()
}

/// What the cluster serves.
pub struct Served {
    client: Client,
    discovery: Discovery,
}

impl Served {
    /// Asks the cluster.
    ///
    /// # Errors
    /// Returns what the API says.
    pub async fn ask(client: Client) -> Result<Served, ReleaseError> {
        let discovery = Discovery::new(client.clone())
            .run_aggregated()
            .await
            .map_err(api("ask what the cluster serves"))?;
        Ok(Served { client, discovery })
    }

    /// Returns the API of an object, in its own namespace or else in `namespace`.
    ///
    /// # Errors
    /// Fails if the cluster does not serve its kind.
    pub fn api(
        &self,
        object: &Object,
        namespace: &str,
    ) -> Result<Api<DynamicObject>, ReleaseError> {
        let (resource, capabilities) = self
            .discovery
            .resolve_gvk(&object.group_version_kind())
            .ok_or_else(|| ReleaseError::UnknownKind {
                file: object.file.clone(),
                api_version: object.api_version().into(),
                kind: object.kind().into(),
            })?;
        Ok(match capabilities.scope {
            Scope::Namespaced => {
                let namespace = object.own_namespace().unwrap_or(namespace);
                Api::namespaced_with(self.client.clone(), namespace, &resource)
            }
            Scope::Cluster => Api::all_with(self.client.clone(), &resource),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_split_and_know_their_template() {
        let manifest = "\n---\n# Source: c/templates/a.yaml\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n---\n# Source: c/templates/empty.yaml\n---\n# Source: c/templates/b.yaml\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: b, namespace: there}\n";
        let objects = parse(manifest).expect("it is YAML");
        let titles: Vec<String> = objects.iter().map(Object::title).collect();
        assert_eq!(titles, ["ConfigMap/a", "Deployment/b"]);
        assert_eq!(objects[1].file, "c/templates/b.yaml");
        assert_eq!(objects[1].identity("default").2, "there");
    }

    #[test]
    fn what_is_no_object_is_refused_by_name() {
        let error = parse("---\n# Source: c/templates/a.yaml\nkind: ConfigMap\n")
            .expect_err("no apiVersion");
        assert_eq!(
            error.to_string(),
            "c/templates/a.yaml: the document has no apiVersion and kind"
        );
    }
}
