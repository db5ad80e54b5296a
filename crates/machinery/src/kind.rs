//! A kind is a row: [`Kind`] holds what the generic paths need to know of one
//! resource. The rows stand in [`crate::kinds`]; behaviour beyond a row is in
//! `defaults/`, `validate/`, `table/` and `strategy`.

use std::borrow::Cow;

use serde_json::Value;

use crate::custom::Custom;
use crate::schema::{self, Node};

/// Verbs of an ordinary stored resource, in discovery order.
pub const ALL_VERBS: &[&str] = &[
    "create",
    "delete",
    "deletecollection",
    "get",
    "list",
    "patch",
    "update",
    "watch",
];
/// Verbs of a resource that only answers questions, such as a review.
pub const CREATE: &[&str] = &["create"];
/// Verbs of `status` and `scale`.
pub const GET_PATCH_UPDATE: &[&str] = &["get", "patch", "update"];

/// One resource, built-in or custom (`crate::custom` makes rows of the latter).
#[derive(Debug)]
pub struct Kind {
    /// API group; empty for the core group.
    pub group: &'static str,
    /// Served version.
    pub version: &'static str,
    /// Kind, such as `Pod`.
    pub kind: &'static str,
    /// Resource name in paths, such as `pods`.
    pub plural: &'static str,
    /// Singular resource name, such as `pod`.
    pub singular: &'static str,
    /// Short names of kubectl, such as `po`.
    pub short_names: &'static [&'static str],
    /// Categories of kubectl, such as `all`.
    pub categories: &'static [&'static str],
    /// Whether objects live in a namespace.
    pub namespaced: bool,
    /// Verbs of the resource itself.
    pub verbs: &'static [&'static str],
    /// Subresources in name order, `status` and `scale` among them.
    pub subresources: &'static [Subresource],
    /// Where the replicas of the `scale` subresource stand.
    pub scale: Option<ScalePaths>,
    /// Field selectors beyond `metadata.name` and `metadata.namespace`.
    pub selectable: &'static [Selectable],
    /// Parts whose change increments `metadata.generation`; empty for kinds
    /// that have no generation. New objects of the others start at 1.
    pub generation: &'static [&'static str],
    /// Group, version and plural of the kind whose storage this one shares,
    /// when it is another (see `convert`).
    pub stored_as: Option<(&'static str, &'static str, &'static str)>,
    /// Text of the deprecation warning that every request earns.
    pub deprecated: Option<&'static str>,
    /// OpenAPI package of the type, such as `io.k8s.api.core`.
    pub package: &'static str,
    /// What a custom resource brings; `None` for built-in kinds.
    pub custom: Option<&'static Custom>,
}

/// A subresource of a kind.
#[derive(Debug)]
pub struct Subresource {
    /// Name in the path, such as `status`.
    pub name: &'static str,
    /// Verbs in discovery order.
    pub verbs: &'static [&'static str],
    /// Group, version and kind of what is sent or answered, where it is not
    /// the kind itself.
    pub kind: Option<(&'static str, &'static str, &'static str)>,
}

/// Where the scale of a kind stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScalePaths {
    /// Dotted path of the desired replicas.
    pub spec_replicas: &'static str,
    /// Dotted path of the observed replicas.
    pub status_replicas: &'static str,
    /// Dotted path of the label selector (a `LabelSelector` or a plain map).
    pub selector: &'static str,
}

/// A label that field selectors of a kind may name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Selectable {
    /// The label, such as `spec.nodeName`.
    pub label: &'static str,
    /// Dotted paths tried in turn; the first that is set and not empty counts.
    pub paths: &'static [&'static str],
    /// What an absent field compares as.
    pub absent: &'static str,
}

impl Kind {
    /// Returns `group/version`, or the version alone in the core group.
    pub fn api_version(&self) -> Cow<'static, str> {
        match self.group {
            "" => Cow::Borrowed(self.version),
            group => Cow::Owned(format!("{group}/{}", self.version)),
        }
    }

    /// Returns the kind of lists of this kind.
    pub fn list_kind(&self) -> String {
        format!("{}List", self.kind)
    }

    /// Returns `plural.group`, or the plural alone in the core group; the
    /// resource as error messages name it.
    pub fn qualified_resource(&self) -> Cow<'static, str> {
        match self.group {
            "" => Cow::Borrowed(self.plural),
            group => Cow::Owned(format!("{}.{group}", self.plural)),
        }
    }

    /// Returns the OpenAPI name of the type.
    pub fn definition(&self) -> String {
        format!("{}.{}.{}", self.package, self.version, self.kind)
    }

    /// Returns the type of the kind's objects.
    ///
    /// # Panics
    /// When the facts lack the kind; a test walks all kinds.
    pub fn schema(&self) -> Node<'static> {
        if let Some(root) = self.custom.and_then(|custom| custom.definitions.root()) {
            return root;
        }
        schema::builtin()
            .get(&self.definition())
            .expect("every kind has its definition among the facts")
    }

    /// Returns the kind whose storage holds the objects of this one.
    pub fn storage(&'static self) -> &'static Kind {
        if let Some(storage) = self.custom.and_then(Custom::storage) {
            return storage;
        }
        self.stored_as
            .and_then(|(group, version, plural)| crate::kinds::by_plural(group, version, plural))
            .unwrap_or(self)
    }

    /// Whether objects are stored at all; reviews are answered and forgotten.
    pub fn is_stored(&self) -> bool {
        (self.verbs.contains(&"get") || self.custom.is_some()) && self.plural != "componentstatuses"
    }

    /// Whether there is a `status` subresource.
    pub fn has_status(&self) -> bool {
        self.subresource("status").is_some()
    }

    /// Returns the subresource called `name`.
    pub fn subresource(&self, name: &str) -> Option<&'static Subresource> {
        self.subresources.iter().find(|sub| sub.name == name)
    }

    /// Returns what `object` has under a field selector's label, or `None`
    /// when the kind does not know the label.
    pub fn selectable_value<'a>(&self, object: &'a Value, label: &str) -> Option<Cow<'a, str>> {
        let selectable = match label {
            "metadata.name" => return Some(text_at(object, "metadata.name")),
            "metadata.namespace" => return Some(text_at(object, "metadata.namespace")),
            _ => self.selectable.iter().find(|known| known.label == label)?,
        };
        let found = selectable
            .paths
            .iter()
            .map(|path| text_at(object, path))
            .find(|text| !text.is_empty());
        Some(found.unwrap_or(Cow::Borrowed(selectable.absent)))
    }
}

/// Returns the scalar at a dotted path as text; empty when absent.
fn text_at<'a>(object: &'a Value, path: &str) -> Cow<'a, str> {
    let found = path
        .split('.')
        .try_fold(object, |value, name| value.get(name));
    match found {
        Some(Value::String(text)) => Cow::Borrowed(text),
        Some(Value::Bool(flag)) => Cow::Borrowed(if *flag { "true" } else { "false" }),
        Some(Value::Number(number)) => Cow::Owned(number.to_string()),
        _ => Cow::Borrowed(""),
    }
}
