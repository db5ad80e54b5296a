//! What `helm template` prints.

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
