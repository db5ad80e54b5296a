//! Names of objects by kind, in the words of `k8s.io/apimachinery`.

use coracle_gotemplate::strconv::quote;

const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const LABEL_1035: &str = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";

/// Says what is wrong with the name of an object.
pub(super) fn wrong(kind: &str, name: &str) -> Option<String> {
    let found = match kind.to_lowercase().as_str() {
        "service" => label(name, true),
        "namespace" => label(name, false),
        "certificatesigningrequest" => Vec::new(),
        "role" | "clusterrole" | "rolebinding" | "clusterrolebinding" => path_segment(name),
        _ => subdomain(name),
    };
    if found.is_empty() {
        return None;
    }
    let quoted = String::from_utf8_lossy(&quote(name.as_bytes(), false)).into_owned();
    let errors: Vec<String> = found
        .iter()
        .map(|message| format!("metadata.name: Invalid value: {quoted}: {message}"))
        .collect();
    let errors = match errors.as_slice() {
        [one] => one.clone(),
        many => format!("[{}]", many.join(", ")),
    };
    Some(format!(
        "object name does not conform to Kubernetes naming requirements: {quoted}: {errors}"
    ))
}

fn is_word(text: &str) -> bool {
    let edge = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    !text.is_empty()
        && text.chars().all(|c| edge(c) || c == '-')
        && text.starts_with(edge)
        && text.ends_with(edge)
}

fn subdomain(name: &str) -> Vec<String> {
    let mut found = Vec::new();
    if name.len() > 253 {
        found.push("must be no more than 253 bytes".to_owned());
    }
    if !name.split('.').all(is_word) {
        found.push(SUBDOMAIN.to_owned());
    }
    found
}

fn label(name: &str, must_begin_with_letter: bool) -> Vec<String> {
    let mut found = Vec::new();
    if name.len() > 63 {
        found.push("must be no more than 63 bytes".to_owned());
    }
    let letter = name.starts_with(|c: char| c.is_ascii_lowercase());
    if !is_word(name) || (must_begin_with_letter && !letter) {
        let words = if must_begin_with_letter {
            LABEL_1035
        } else {
            LABEL
        };
        found.push(words.to_owned());
    }
    found
}

fn path_segment(name: &str) -> Vec<String> {
    if name == "." || name == ".." {
        return vec![format!("may not be '{name}'")];
    }
    ['/', '%']
        .iter()
        .filter(|c| name.contains(**c))
        .map(|c| format!("may not contain '{c}'"))
        .collect()
}
