//! The objects of a rendered manifest, and how the API reaches them.

use coracle_goyaml as yaml;
use kube::api::{ApiResource, DynamicObject};
use kube::core::discovery::Scope;
use kube::core::gvk::GroupVersionKind;
use kube::{Api, Client, Discovery};
use serde_json::Value;

use crate::ReleaseError;
use crate::error::{UnknownKind, unreachable_or};
use crate::json::to_json;

/// One object of a manifest.
#[derive(Debug, Clone, PartialEq)]
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

    /// Returns the object's API version.
    pub fn api_version(&self) -> &str {
        self.value["apiVersion"].as_str().unwrap_or_default()
    }

    /// Returns an annotation.
    pub fn annotation(&self, key: &str) -> Option<&str> {
        self.value["metadata"]["annotations"][key].as_str()
    }

    /// Whether the server chooses the name.
    pub fn has_generated_name(&self) -> bool {
        self.name().is_empty() && self.value["metadata"]["generateName"].is_string()
    }

    /// Returns the API group, version and kind.
    pub fn group_version_kind(&self) -> GroupVersionKind {
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
        let value = yaml::from_slice(document.as_bytes())
            .map_err(|error| failed(format!("error converting YAML to JSON: {error}")))?;
        if !value.is_null() {
            place(to_json(&value), &file, &mut objects)?;
        }
    }
    Ok(objects)
}

/// Places an object, or the objects of a list.
fn place(value: Value, file: &str, objects: &mut Vec<Object>) -> Result<(), ParseError> {
    let failed = |message: &str| ParseError {
        file: file.to_owned(),
        message: message.into(),
    };
    if !value["kind"].is_string() || !value["apiVersion"].is_string() {
        return Err(failed("the document has no apiVersion and kind"));
    }
    let is_list = value["kind"]
        .as_str()
        .is_some_and(|kind| kind.ends_with("List"));
    if let (true, Some(items)) = (is_list, value["items"].as_array()) {
        for item in items {
            place(item.clone(), file, objects)?;
        }
        return Ok(());
    }
    let object = Object {
        file: file.to_owned(),
        value,
    };
    let meta = &object.value["metadata"];
    if object.name().is_empty() && !object.has_generated_name() {
        return Err(failed(&format!(
            "the {} has no metadata.name",
            object.kind()
        )));
    }
    if !object.name().is_empty() && meta["generateName"].is_string() {
        return Err(failed(
            "metadata.name and metadata.generateName cannot both be set",
        ));
    }
    objects.push(object);
    Ok(())
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
            .map_err(unreachable_or("ask what the cluster serves"))?;
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
        let (resource, scope) = self.resource(object).ok_or_else(|| self.unknown(object))?;
        Ok(match scope {
            Scope::Namespaced => {
                let namespace = object.own_namespace().unwrap_or(namespace);
                Api::namespaced_with(self.client.clone(), namespace, &resource)
            }
            Scope::Cluster => Api::all_with(self.client.clone(), &resource),
        })
    }

    /// Returns how an object's kind is called and whether it has a namespace.
    pub fn resource(&self, object: &Object) -> Option<(ApiResource, Scope)> {
        let (resource, capabilities) = self.discovery.resolve_gvk(&object.group_version_kind())?;
        Some((resource, capabilities.scope))
    }

    /// Returns where an object stands: its namespace, nothing for those of the
    /// whole cluster.
    pub fn namespace<'n>(&self, object: &'n Object, namespace: &'n str) -> &'n str {
        match self.resource(object) {
            Some((_, Scope::Cluster)) => "",
            _ => object.own_namespace().unwrap_or(namespace),
        }
    }

    fn unknown(&self, object: &Object) -> ReleaseError {
        let wanted = object.group_version_kind();
        let served = self.discovery.groups().find_map(|group| {
            let resources = group.recommended_resources();
            let (found, _) = resources
                .into_iter()
                .find(|(resource, _)| resource.kind == wanted.kind)?;
            Some(found.api_version)
        });
        ReleaseError::UnknownKind(Box::new(UnknownKind {
            file: object.file.clone(),
            name: object.name().to_owned(),
            namespace: object.own_namespace().unwrap_or_default().to_owned(),
            api_version: object.api_version().into(),
            kind: object.kind().into(),
            served,
        }))
    }

    /// Returns the groups, versions and kinds.
    pub fn discovery(&self) -> &Discovery {
        &self.discovery
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
        let listed = "kind: ConfigMapList\napiVersion: v1\nitems:\n- {kind: ConfigMap, apiVersion: v1, metadata: {name: c}}\n";
        assert_eq!(parse(listed).unwrap()[0].title(), "ConfigMap/c");
    }

    #[test]
    fn what_is_no_object_is_refused_by_name() {
        let check = |text: &str, expected: &str| {
            let error = parse(&format!("---\n# Source: a.yaml\n{text}")).expect_err(text);
            assert_eq!(error.to_string(), format!("a.yaml: {expected}"));
        };
        check(
            "kind: ConfigMap\n",
            "the document has no apiVersion and kind",
        );
        check(
            "kind: Pod\napiVersion: v1\n",
            "the Pod has no metadata.name",
        );
        check(
            "kind: Pod\napiVersion: v1\nmetadata: {name: a, generateName: b}\n",
            "metadata.name and metadata.generateName cannot both be set",
        );
    }
}
