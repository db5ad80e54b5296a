//! Labels, label selectors and annotations.

use super::{At, Causes, names};

/// Most bytes that the annotations of an object have together.
const ANNOTATIONS_MAX: usize = 256 * 1024;

/// A map of labels.
pub(super) fn labels(labels: &At<'_>, causes: &mut Causes) {
    for (key, value) in labels.entries() {
        causes.invalid_text(&labels.path, key, names::qualified(key));
        let value = value.as_str().unwrap_or_default();
        causes.invalid_text(&labels.path, value, names::label_value(value));
    }
}

/// A map of annotations; the case of keys does not matter.
pub(super) fn annotations(annotations: &At<'_>, causes: &mut Causes) {
    let mut size = 0;
    for (key, value) in annotations.entries() {
        let wrong = names::qualified(&key.to_lowercase());
        causes.invalid_text(&annotations.path, key, wrong);
        size += key.len() + value.as_str().map_or(0, str::len);
    }
    if size > ANNOTATIONS_MAX {
        causes.too_long(&annotations.path, ANNOTATIONS_MAX);
    }
}

/// A `LabelSelector`.
pub(super) fn selector(selector: &At<'_>, causes: &mut Causes) {
    labels(&selector.field("matchLabels"), causes);
    for expression in selector.field("matchExpressions").items() {
        requirement(&expression, causes);
    }
}

/// One of a selector's requirements.
pub(super) fn requirement(expression: &At<'_>, causes: &mut Causes) {
    let values = expression.field("values");
    let operator = expression.field("operator");
    match operator.text() {
        "In" | "NotIn" if values.is_empty() => causes.required(
            &values.path,
            "must be specified when `operator` is 'In' or 'NotIn'",
        ),
        "In" | "NotIn" => {}
        "Exists" | "DoesNotExist" if !values.is_empty() => causes.forbidden(
            &values.path,
            "may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
        ),
        "Exists" | "DoesNotExist" => {}
        other => causes.invalid(&operator.path, other, "not a valid selector operator"),
    }
    let key = expression.field("key");
    causes.invalid_text(&key.path, key.text(), names::qualified(key.text()));
    for value in values.items() {
        causes.invalid_text(&value.path, value.text(), names::label_value(value.text()));
    }
}

/// Whether a `LabelSelector` selects everything.
pub(super) fn is_empty(selector: &At<'_>) -> bool {
    selector.field("matchLabels").is_empty() && selector.field("matchExpressions").is_empty()
}

/// Whether a `LabelSelector` can be evaluated at all.
pub(super) fn is_readable(selector: &At<'_>) -> bool {
    let mut causes = Causes::default();
    self::selector(selector, &mut causes);
    causes.len() == 0
}

/// Whether a `LabelSelector` selects a set of labels.
pub(super) fn selects(selector: &At<'_>, labels: &At<'_>) -> bool {
    let has = |key: &str| labels.value.get(key).and_then(|value| value.as_str());
    let pairs = selector
        .field("matchLabels")
        .entries()
        .all(|(key, value)| has(key) == value.as_str());
    pairs
        && selector
            .field("matchExpressions")
            .items()
            .all(|expression| {
                let found = has(expression.field("key").text());
                let values = expression.field("values");
                let listed = found.is_some_and(|f| values.items().any(|v| v.text() == f));
                match expression.field("operator").text() {
                    "In" => listed,
                    "NotIn" => !listed,
                    "Exists" => found.is_some(),
                    _ => found.is_none(),
                }
            })
}
