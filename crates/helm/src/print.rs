//! What `helm template` prints.

use crate::compat::Level;
use crate::ignore;
use crate::manifest;
use crate::render::Rendered;
use std::borrow::Cow;

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
    manifest_pieces(rendered, crds).concat()
}

/// Returns what `helm template` prints.
pub fn template(rendered: &Rendered, parts: Parts) -> String {
    pieces(rendered, parts).concat()
}

/// Returns what `helm template` prints, piece by piece: nothing is copied.
pub fn pieces(rendered: &Rendered, parts: Parts) -> Vec<Cow<'_, str>> {
    let mut out = manifest_pieces(rendered, parts.crds);
    trim_end(&mut out);
    out.push("\n".into());
    if parts.no_hooks {
        return out;
    }
    for hook in &rendered.hooks {
        if parts.skip_tests && hook.is_test() {
            continue;
        }
        let manifest = &hook.manifest;
        out.extend(document(&manifest.path, Cow::Borrowed(&manifest.body)));
    }
    out
}

fn manifest_pieces(rendered: &Rendered, crds: bool) -> Vec<Cow<'_, str>> {
    let mut out = Vec::new();
    for file in rendered.crds.iter().filter(|_| crds) {
        out.extend(document(&file.name, String::from_utf8_lossy(&file.data)));
    }
    for manifest in &rendered.manifests {
        out.extend(document(&manifest.path, Cow::Borrowed(&manifest.body)));
    }
    out
}

/// The pieces of a document.
fn document<'r>(path: &'r str, body: Cow<'r, str>) -> [Cow<'r, str>; 5] {
    let source = "---\n# Source: ";
    [source.into(), path.into(), "\n".into(), body, "\n".into()]
}

/// Takes the white space at the end away.
fn trim_end(pieces: &mut Vec<Cow<'_, str>>) {
    while let Some(last) = pieces.pop() {
        let length = last.trim_end().len();
        if length > 0 {
            pieces.push(match last {
                Cow::Borrowed(text) => Cow::Borrowed(&text[..length]),
                Cow::Owned(text) => Cow::Owned(text[..length].to_owned()),
            });
            return;
        }
    }
}

/// Returns path and text of each document, as `helm template --output-dir`
/// writes them.
pub fn files(rendered: &Rendered, parts: Parts) -> Vec<(String, String)> {
    let mut files = Vec::new();
    let mut add = |path: &str, body: &str| {
        let text = document(path, Cow::Borrowed(body)).concat();
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
