//! Label and field selectors of a request: [`Selection`].

use coracle_machinery::kind::Kind;
use coracle_machinery::selector::{FieldSelector, LabelSelector};

use crate::object::Stored;
use crate::request::Query;
use crate::status::{ApiError, ApiResult};

/// What a listing or watch lets through.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    labels: LabelSelector,
    fields: FieldSelector,
    name: Option<String>,
}

impl Selection {
    /// Reads `labelSelector` and `fieldSelector`.
    ///
    /// # Errors
    /// 400 for a selector that cannot be read or names unknown fields.
    pub fn read(kind: &Kind, query: &Query) -> ApiResult<Selection> {
        let labels = LabelSelector::parse(query.text("labelSelector"))
            .map_err(|error| ApiError::bad_request(error.to_string()))?;
        let fields = FieldSelector::parse(query.text("fieldSelector"))
            .map_err(|error| ApiError::bad_request(error.to_string()))?;
        for requirement in fields.requirements() {
            check_field(kind, &requirement.field)?;
        }
        Ok(Selection {
            labels,
            fields,
            name: None,
        })
    }

    /// Lets through the object of one name alone.
    ///
    /// # Errors
    /// 400 when the fields ask for anything but that name.
    pub fn named(mut self, name: Option<&str>) -> ApiResult<Selection> {
        let asked = self.fields.exact("metadata.name");
        if name.is_some() && !self.fields.is_everything() && asked != name {
            return Err(ApiError::bad_request(
                "fieldSelector metadata.name doesn't match requested name",
            ));
        }
        self.name = name.map(str::to_owned);
        Ok(self)
    }

    /// Whether everything passes.
    pub fn is_everything(&self) -> bool {
        self.name.is_none() && self.labels.is_everything() && self.fields.is_everything()
    }

    /// Whether an object passes.
    pub fn matches(&self, object: &Stored) -> bool {
        self.name
            .as_ref()
            .is_none_or(|name| *name == object.meta.name)
            && self.labels.matches(&object.meta.labels)
            && self.fields.matches(|label| object.field(label))
    }
}

fn check_field(kind: &Kind, label: &str) -> ApiResult<()> {
    let known = matches!(label, "metadata.name" | "metadata.namespace")
        || kind
            .selectable
            .iter()
            .any(|selectable| selectable.label == label);
    if known {
        return Ok(());
    }
    // Kinds with a conversion function of their own say it in other words.
    let plain = kind.selectable.is_empty() && kind.custom.is_none();
    Err(ApiError::bad_request(if plain {
        format!(
            "{label:?} is not a known field selector: only \"metadata.name\", \"metadata.namespace\""
        )
    } else if (kind.group, kind.kind) == ("batch", "Job") {
        format!("field label {label:?} not supported for Job")
    } else {
        format!("field label not supported: {label}")
    }))
}
