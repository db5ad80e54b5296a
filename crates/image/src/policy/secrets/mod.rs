//! The search for secret material: in files of every layer (a file removed by
//! a later layer can still be read), in the environment, in the history.

mod files;
mod forms;

use std::sync::LazyLock;

use regex::bytes::Regex;

use super::{Finding, Rule, Severity};
use crate::store::Image;
pub(super) use files::layers;
use forms::search;

/// Names of variables that hold secrets.
static SECRET_NAME: LazyLock<Regex> = LazyLock::new(|| {
    let pattern = r"(?i)(?:^|_)(?:password|passwd|pwd|secret|token|api_?key|private_?key|secret_?key|access_?key|auth_?key|credentials?|database_url|connection_string)$";
    Regex::new(pattern).expect("a valid pattern")
});

/// A login inside a URL.
static URL_LOGIN: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"[a-z][a-z0-9+.-]*://[^\s/:@]+:[^\s/@$<{]{3,}@").expect("a valid pattern")
});

/// Finds secrets in the environment, the labels and the history.
pub(super) fn configuration(image: &Image, findings: &mut Vec<Finding>) {
    let config = &image.config.config;
    for (name, value) in config.environment() {
        if let Some(what) = variable(name, value) {
            findings.push(configured(
                format!("the image's environment variable {name} holds {what}"),
                "remove the ENV; hand the value in with a Secret when the pod starts",
            ));
        }
    }
    for (name, value) in &config.labels {
        if let Some(hit) = search(value.as_bytes()) {
            let message = format!("the image's label {name} holds {}", hit.name);
            findings.push(configured(message, "remove the LABEL"));
        }
    }
    for entry in &image.config.history {
        let text = entry.created_by.as_deref().unwrap_or_default();
        if let Some(what) = history(text) {
            findings.push(configured(
                format!("the image's history shows {what}"),
                "do not pass secrets as ARG or in a RUN line: everyone with the image can read them",
            ));
        }
    }
}

fn configured(message: String, fix: &str) -> Finding {
    Finding {
        rule: Rule::Secret,
        severity: Severity::Error,
        message,
        fix: fix.to_owned(),
        place: None,
    }
}

fn variable(name: &str, value: &str) -> Option<&'static str> {
    if let Some(hit) = search(value.as_bytes()) {
        return Some(hit.name);
    }
    let named = SECRET_NAME.is_match(name.as_bytes());
    let is_url = value.contains("://");
    if is_url {
        return URL_LOGIN
            .is_match(value.as_bytes())
            .then_some("a login in a URL");
    }
    (named && !is_placeholder(value)).then_some("a value that looks secret")
}

// Flags, paths and words that stand for "fill me in" are no secrets.
fn is_placeholder(value: &str) -> bool {
    let lower = value.trim().to_ascii_lowercase();
    let words = [
        "true",
        "false",
        "none",
        "null",
        "changeme",
        "change-me",
        "xxx",
        "todo",
        "example",
        "placeholder",
    ];
    lower.len() < 3
        || lower.starts_with(['/', '$', '<', '{'])
        || words.contains(&lower.as_str())
        || lower.bytes().all(|byte| byte == b'*' || byte == b'x')
}

fn history(text: &str) -> Option<String> {
    if let Some(hit) = search(text.as_bytes()) {
        return Some(hit.name.to_owned());
    }
    let declared = text
        .strip_prefix("ARG ")
        .or_else(|| text.strip_prefix("/bin/sh -c #(nop)  ARG "))?;
    let (name, value) = declared.split_once('=')?;
    variable(name.trim(), value).map(|what| format!("ARG {name} with {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_judged_by_name_and_value() {
        let check = |name: &str, value: &str, expected: bool| {
            assert_eq!(variable(name, value).is_some(), expected, "{name}={value}");
        };
        check("DB_PASSWORD", "hunter22", true);
        check("DB_PASSWORD_FILE", "/run/secrets/x", false);
        check("PASSWORD", "", false);
        check("GPG_KEY", "7169605F62C751356D054A26A821E680E5FA6305", false);
        check("PYTHON_SHA256", "abcdef", false);
        check("API_KEY", "true", false);
        check("DATABASE_URL", "postgres://user:secret@db:5432/x", true);
        check("DATABASE_URL", "postgres://db:5432/x", false);
        check("PATH", "/bin", false);
    }
}
