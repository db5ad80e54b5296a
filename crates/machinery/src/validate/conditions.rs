//! Conditions of the common type (`ValidateConditions` of
//! `k8s.io/apimachinery/pkg/apis/meta/v1/validation`).

use super::{At, Causes, names};

const REASON_MAX: usize = 1024;
const MESSAGE_MAX: usize = 32 * 1024;
const REASON: &str = "a condition reason must start with alphabetic character, optionally followed by a string of alphanumeric characters or '_,:', and must end with an alphanumeric character or '_' (e.g. 'my_name',  or 'MY_NAME',  or 'MyName',  or 'ReasonA,ReasonB',  or 'ReasonA:ReasonB', regex used for validation is '[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?')";

/// A list of conditions.
pub(super) fn check(conditions: &At<'_>, causes: &mut Causes) {
    let mut seen = Vec::new();
    for condition in conditions.items() {
        let kind = condition.field("type");
        let text = kind.text().to_owned();
        if seen.contains(&text) {
            causes.duplicate(&kind.path, &text);
        }
        causes.invalid_text(&kind.path, &text, names::qualified(&text));
        seen.push(text);
        one(&condition, causes);
    }
}

fn one(condition: &At<'_>, causes: &mut Causes) {
    causes.one_of(&condition.field("status"), &["False", "True", "Unknown"]);
    let generation = condition.field("observedGeneration");
    if let Some(number) = generation.int().filter(|number| *number < 0) {
        let detail = "must be greater than or equal to zero";
        causes.invalid(&generation.path, number, detail);
    }
    let time = condition.field("lastTransitionTime");
    if !time.is_set() {
        causes.required(&time.path, "");
    }
    let reason = condition.field("reason");
    if reason.is_empty() {
        causes.required(&reason.path, "");
    } else if !is_reason(reason.text()) {
        causes.invalid(&reason.path, reason.text(), REASON);
    }
    let message = condition.field("message");
    for (at, max) in [(&reason, REASON_MAX), (&message, MESSAGE_MAX)] {
        if at.len() > max {
            causes.too_long(&at.path, max);
        }
    }
}

fn is_reason(text: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let bytes = text.as_bytes();
    bytes.first().is_some_and(u8::is_ascii_alphabetic)
        && bytes.last().copied().is_some_and(word)
        && bytes.iter().all(|b| word(*b) || matches!(b, b',' | b':'))
}
