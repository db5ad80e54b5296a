//! Charts on disk, handed to the renderer, which does no I/O of its own.

use std::path::{Path, PathBuf};

use anyhow::Context;
use coracle_helm::{Capabilities, Chart, Lookup, Release, Rendered, Values, render};

use crate::failure::Failure;
use crate::folder::Folder;

/// Loads a chart from a folder or an archive.
pub fn load(path: &Path) -> anyhow::Result<Chart> {
    if path.is_dir() {
        let files = Folder::read(path)?.files;
        return Chart::load(files).with_context(|| path.display().to_string());
    }
    let bytes =
        std::fs::read(path).with_context(|| format!("could not read chart {}", path.display()))?;
    Chart::load_archive(&bytes).with_context(|| path.display().to_string())
}

/// Gathers `-f` and `--set`.
pub fn values(files: &[PathBuf], sets: &[String]) -> Result<Values, Failure> {
    let mut values = Values::default();
    for path in files {
        let text = std::fs::read(path)
            .with_context(|| format!("could not read values {}", path.display()))?;
        values.add_file(&path.display().to_string(), &text)?;
    }
    for set in sets {
        values.set(set)?;
    }
    Ok(values)
}

/// Renders a chart; a refusal comes with place and remedy.
pub fn rendered(
    chart: &Chart,
    values: &Values,
    release: &Release,
    capabilities: &Capabilities,
    lookup: &dyn Lookup,
) -> Result<Rendered, Failure> {
    render(chart, values, release, capabilities, lookup)
        .map_err(|error| Failure::from(anyhow::anyhow!("{}", error.report().trim_end())))
}
