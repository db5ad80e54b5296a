//! What `helm template` prints.

use crate::compat::Level;
use crate::ignore;
use crate::manifest;
use crate::render::Rendered;

/// Which parts to print.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Parts {
    /// Definitions of `crds/` first (`--include-crds`).
    pub crds: bool,
    /// No hooks (`--no-hooks`).
    pub no_hooks: bool,
    /// No tests (`--skip-tests`).
    pub skip_tests: bool,
}

/// Returns the manifest of a release, as its record keeps it.
pub fn manifest(rendered: &Rendered, crds: bool) -> String {
    let lengths = rendered.manifests.iter();
    let length = lengths.map(|manifest| manifest.path.len() + manifest.body.len() + AROUND_BYTES);
    let mut out = String::with_capacity(length.sum::<usize>());
    for file in rendered.crds.iter().filter(|_| crds) {
        push(&mut out, &file.name, &String::from_utf8_lossy(&file.data));
    }
    for manifest in &rendered.manifests {
        push(&mut out, &manifest.path, &manifest.body);
    }
    out
}

/// Returns what `helm template` prints.
pub fn template(rendered: &Rendered, parts: Parts) -> String {
    let mut out = manifest(rendered, parts.crds);
    out.truncate(out.trim_end().len());
    let blank = out.len() - out.trim_start().len();
    out.drain(..blank);
    out.push('\n');
    if parts.no_hooks {
        return out;
    }
    for hook in &rendered.hooks {
        if parts.skip_tests && hook.is_test() {
            continue;
        }
        let manifest = &hook.manifest;
        push(&mut out, &manifest.path, &manifest.body);
    }
    out
}

const SOURCE: &str = "---\n# Source: ";
/// What stands around the path and the text of a document.
const AROUND_BYTES: usize = SOURCE.len() + 2;

/// Appends a document.
fn push(out: &mut String, path: &str, body: &str) {
    for part in [SOURCE, path, "\n", body, "\n"] {
        out.push_str(part);
    }
}

/// Returns path and text of each document, as `helm template --output-dir`
/// writes them.
pub fn files(rendered: &Rendered, parts: Parts) -> Vec<(String, String)> {
    let mut files = Vec::new();
    let mut add = |path: &str, body: &str| {
        let mut text = String::new();
        push(&mut text, path, body);
        files.push((path.to_owned(), text));
    };
    for file in rendered.crds.iter().filter(|_| parts.crds) {
        add(&file.name, &String::from_utf8_lossy(&file.data));
    }
    for manifest in &rendered.manifests {
        add(&manifest.path, &manifest.body);
    }
    for hook in &rendered.hooks {
        if !(parts.no_hooks || parts.skip_tests && hook.is_test()) {
            add(&hook.manifest.path, &hook.manifest.body);
        }
    }
    files
}

/// Keeps the documents of some templates, as `helm template --show-only`.
///
/// # Errors
///
/// When a pattern finds nothing.
pub fn only(text: &str, patterns: &[String], level: Level) -> Result<String, String> {
    let documents = manifest::split(text, level.rules());
    let mut out = String::new();
    for pattern in patterns {
        let mut missing = true;
        for document in &documents {
            let Some(path) = source(document) else {
                continue;
            };
            if ignore::matches(pattern, path) == Some(true) {
                out.push_str(&format!("---\n{document}\n"));
                missing = false;
            }
        }
        if missing {
            return Err(format!("could not find template {pattern} in chart"));
        }
    }
    Ok(out)
}

/// The path in `# Source: CHART/PATH`.
fn source(document: &str) -> Option<&str> {
    let at = document.find("# Source: ")? + "# Source: ".len();
    let line = document[at..].lines().next()?;
    line.split_once('/').map(|(_, path)| path)
}
