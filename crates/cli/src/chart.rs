//! Charts on disk, handed to the renderer, which does no I/O of its own.
//!
//! Refusals are in Helm's words, with ours below.

use std::path::{Path, PathBuf};

use anyhow::Context;
use coracle_helm::metadata::api_version;
use coracle_helm::{Capabilities, Chart, Lookup, Release, Rendered, Values, render};

use crate::disk::path_error;
use crate::failure::Failure;
use crate::folder::Folder;

/// How much of a file tells what it is (Go's `http.DetectContentType`).
const SNIFFED_BYTES: usize = 512;

/// Finds the folder or archive that a word of the command line names.
pub fn locate(reference: &str) -> Result<PathBuf, Failure> {
    let reference = reference.trim();
    let path = Path::new(reference);
    if path.exists() {
        return Ok(path.to_owned());
    }
    let elsewhere = "charts of repositories and registries are not downloaded: fetch the archive first and name it, or a chart's folder";
    let (message, hint) = if path.is_absolute() || reference.starts_with('.') {
        (
            format!("path {reference:?} not found"),
            "name a chart's folder or its .tgz archive",
        )
    } else if reference.contains("://") {
        (format!("{reference} is not on this disk"), elsewhere)
    } else if let Some((repository, _)) = reference.split_once('/') {
        (format!("repo {repository} not found"), elsewhere)
    } else {
        (
            format!(
                "non-absolute URLs should be in form of repo_name/path_to_chart, got: {reference}"
            ),
            elsewhere,
        )
    };
    Err(Failure::from(anyhow::anyhow!(message)).hint(hint))
}

/// Finds and loads the chart that a word of the command line names.
pub fn named(reference: &str) -> Result<Chart, Failure> {
    load(&locate(reference)?)
}

/// Loads a chart from a folder or an archive. Its `apiVersion` is looked at
/// first, as everything else depends on it.
pub fn load(path: &Path) -> Result<Chart, Failure> {
    if let Ok(text) = std::fs::read(path.join("Chart.yaml")) {
        let version = api_version(&text)
            .map_err(|message| anyhow::anyhow!("{message}\n  chart: {}", path.display()))?;
        // Helm reads a chart of the third version before it refuses it.
        if version != "v3" {
            check_version(path, &version)?;
        }
    }
    let chart = load_any(path)?;
    check_version(path, &chart.metadata.api_version)?;
    Ok(chart)
}

/// Loads a chart whatever its `apiVersion`, to look at it.
pub fn load_any(path: &Path) -> Result<Chart, Failure> {
    match path.is_dir() {
        true => load_folder(path),
        false => load_archive(path),
    }
}

fn check_version(path: &Path, version: &str) -> Result<(), Failure> {
    match version {
        "" | "v1" | "v2" => Ok(()),
        "v3" => Err(anyhow::anyhow!(
            "invalid chart apiVersion\n  {} says v3; v1 and v2 are known",
            at(path)
        )
        .into()),
        other => Err(anyhow::anyhow!(
            "unsupported chart version\n  {} says apiVersion {other}; v1 and v2 are known",
            at(path)
        )
        .into()),
    }
}

fn at(path: &Path) -> String {
    path.join("Chart.yaml").display().to_string()
}

fn load_folder(path: &Path) -> Result<Chart, Failure> {
    let metadata = std::path::absolute(path)?.join("Chart.yaml");
    if !metadata.exists() {
        let metadata = metadata.display();
        return Err(Failure::from(anyhow::anyhow!(
            "unable to detect chart at {metadata}: open {metadata}: no such file or directory"
        ))
        .hint("name the folder that holds Chart.yaml"));
    }
    let files = Folder::of_chart(path)?.files;
    Chart::load_kept(files)
        .map_err(|error| anyhow::anyhow!("{error}\n  chart: {}", path.display()).into())
}

fn load_archive(path: &Path) -> Result<Chart, Failure> {
    let bytes = std::fs::read(path).map_err(|error| path_error("open", path, &error))?;
    if !bytes.starts_with(b"\x1f\x8b") {
        let name = path.display().to_string();
        let message = match name.ends_with(".yaml") || name.ends_with(".yml") {
            true => {
                format!("file '{name}' seems to be a YAML file, but expected a gzipped archive")
            }
            false => format!(
                "file '{name}' does not appear to be a gzipped archive; got '{}'",
                kind(&bytes)
            ),
        };
        return Err(anyhow::anyhow!(message).into());
    }
    Chart::load_archive(&bytes)
        .map_err(|error| anyhow::anyhow!("{error}\n  chart: {}", path.display()).into())
}

/// What a file looks like; Helm looks at so many bytes even if there are fewer.
fn kind(bytes: &[u8]) -> &'static str {
    let is_text = |byte: &u8| !matches!(byte, 0..=8 | 11 | 14..=26 | 28..=31);
    let is_long = bytes.len() >= SNIFFED_BYTES;
    match is_long && bytes[..SNIFFED_BYTES].iter().all(is_text) {
        true => "text/plain; charset=utf-8",
        false => "application/octet-stream",
    }
}

/// Gathers `-f` and `--set`.
pub fn values(files: &[PathBuf], sets: &[String]) -> Result<Values, Failure> {
    let mut values = Values::default();
    for path in files {
        let text = std::fs::read(path)
            .with_context(|| format!("could not read values {}", path.display()))?;
        let added = values.add_file(&path.display().to_string(), &text);
        added.map_err(|error| {
            Failure::from(error).hint("correct the file there, then do the same again")
        })?;
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
