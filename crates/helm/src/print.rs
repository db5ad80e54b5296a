//! What `helm template` prints.

use crate::compat::Level;
use crate::glob;
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
    let mut out = String::new();
    let crds = rendered.crds.iter().filter(|_| crds);
    for manifest in crds.chain(&rendered.manifests) {
        out.push_str(&format!(
            "---\n# Source: {}\n{}\n",
            manifest.path, manifest.body
        ));
    }
    out
}

/// Returns what `helm template` prints.
pub fn template(rendered: &Rendered, parts: Parts) -> String {
    let mut out = manifest(rendered, parts.crds).trim().to_owned();
    out.push('\n');
    if parts.no_hooks {
        return out;
    }
    for hook in &rendered.hooks {
        if parts.skip_tests && hook.is_test() {
            continue;
        }
        let manifest = &hook.manifest;
        out.push_str(&format!(
            "---\n# Source: {}\n{}\n",
            manifest.path, manifest.body
        ));
    }
    out
}

/// Returns path and text of each document, as `helm template --output-dir`
/// writes them.
pub fn files(rendered: &Rendered, parts: Parts) -> Vec<(String, String)> {
    let crds = rendered.crds.iter().filter(|_| parts.crds);
    let hooks = rendered
        .hooks
        .iter()
        .filter(|hook| !(parts.no_hooks || parts.skip_tests && hook.is_test()))
        .map(|hook| &hook.manifest);
    crds.chain(&rendered.manifests)
        .chain(hooks)
        .map(|manifest| {
            let path = &manifest.path;
            let text = format!("---\n# Source: {path}\n{}\n", manifest.body);
            (path.clone(), text)
        })
        .collect()
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
        let glob = glob::Glob::parse(pattern);
        let mut missing = true;
        for document in &documents {
            let Some(path) = source(document) else {
                continue;
            };
            if glob.matches(path) {
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
