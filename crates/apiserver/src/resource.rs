//! Finds the row of a resource and the keys its objects are stored under:
//! `/group/plural/namespace/name`, with `core` for the group without a name.
//! The rows themselves are `machinery`'s.

use std::collections::HashMap;
use std::sync::OnceLock;

use coracle_machinery::kind::Kind;
use coracle_machinery::kinds;

/// A row for values whose resource is not served any more.
pub static UNKNOWN: Kind = Kind {
    group: "",
    version: "",
    kind: "",
    plural: "",
    singular: "",
    short_names: &[],
    categories: &[],
    namespaced: false,
    verbs: &[],
    subresources: &[],
    scale: None,
    selectable: &[],
    generation: &[],
    stored_as: None,
    deprecated: None,
    custom: None,
    package: "",
};

type Rows = HashMap<(&'static str, &'static str, &'static str), &'static Kind>;

/// Returns the kind served under group, version and plural.
pub fn find(group: &str, version: &str, plural: &str) -> Option<&'static Kind> {
    static ROWS: OnceLock<Rows> = OnceLock::new();
    let rows = ROWS.get_or_init(|| {
        kinds::all()
            .iter()
            .map(|kind| ((kind.group, kind.version, kind.plural), kind))
            .collect()
    });
    rows.get(&(group, version, plural)).copied()
}

/// Returns the kind whose objects are stored under `key`.
pub fn of_key(key: &str) -> Option<&'static Kind> {
    static ROWS: OnceLock<HashMap<(&'static str, &'static str), &'static Kind>> = OnceLock::new();
    let rows = ROWS.get_or_init(|| {
        kinds::all()
            .iter()
            .filter(|kind| kind.stored_as.is_none())
            .map(|kind| ((group_segment(kind), kind.plural), kind))
            .collect()
    });
    let mut segments = key.split('/').skip(1);
    rows.get(&(segments.next()?, segments.next()?)).copied()
}

fn group_segment(kind: &'static Kind) -> &'static str {
    if kind.group.is_empty() {
        "core"
    } else {
        kind.group
    }
}

/// Returns the prefix of all objects of a kind, or of those in one namespace.
pub fn prefix(kind: &'static Kind, namespace: Option<&str>) -> String {
    let kind = kind.storage();
    match namespace.filter(|_| kind.namespaced) {
        Some(namespace) => format!("/{}/{}/{namespace}/", group_segment(kind), kind.plural),
        None => format!("/{}/{}/", group_segment(kind), kind.plural),
    }
}

/// Returns the key of one object.
pub fn key(kind: &'static Kind, namespace: &str, name: &str) -> String {
    let kind = kind.storage();
    if kind.namespaced {
        format!(
            "/{}/{}/{namespace}/{name}",
            group_segment(kind),
            kind.plural
        )
    } else {
        format!("/{}/{}/{name}", group_segment(kind), kind.plural)
    }
}

/// Returns a built-in kind that the server itself relies on.
///
/// # Panics
/// When the table lacks it, which a test would show at once.
pub fn builtin(group: &str, plural: &str) -> &'static Kind {
    kinds::all()
        .iter()
        .find(|kind| kind.group == group && kind.plural == plural)
        .unwrap_or_else(|| panic!("the table of kinds has {plural}"))
}
