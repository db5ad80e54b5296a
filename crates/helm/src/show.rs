//! What `helm show` prints of a chart, and `helm dependency list`.
//!
//! Reference: `pkg/action/show.go` and `pkg/action/dependency.go` of Helm.

use crate::chart::{Chart, File};
use crate::dependencies;
use crate::metadata::Dependency;
use coracle_goyaml as yaml;

/// Which part of a chart to show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Everything.
    All,
    /// `Chart.yaml`.
    Chart,
    /// `values.yaml`.
    Values,
    /// The README.
    Readme,
    /// The definitions of `crds/`.
    Crds,
}

const READMES: &[&str] = &["readme.md", "readme.txt", "readme"];

/// Returns what `helm show` prints.
pub fn show(chart: &Chart, part: Part) -> Vec<u8> {
    let mut out = Vec::new();
    let all = part == Part::All;
    let mut say = |separate: bool, bytes: &[u8]| {
        if separate {
            out.extend_from_slice(b"---\n");
        }
        out.extend_from_slice(bytes);
        out.push(b'\n');
    };
    if all || part == Part::Chart {
        let text = yaml::to_string(&chart.metadata.to_document());
        say(false, text.as_bytes());
    }
    if let (true, Some(text)) = (all || part == Part::Values, &chart.values_text) {
        say(all, text);
    }
    if all || part == Part::Readme {
        let is_readme = |file: &&File| READMES.contains(&file.name.to_lowercase().as_str());
        if let Some(file) = chart.files.iter().find(is_readme) {
            say(all, &file.data);
        }
    }
    if all || part == Part::Crds {
        for file in chart.crds() {
            say(!file.data.starts_with(b"---"), &file.data);
        }
    }
    out
}

/// Returns a table, as `helm dependency list` prints it; `status` says how a
/// dependency lies in `charts/`, and no column gets wider than `width_max`.
pub fn dependency_table(
    chart: &Chart,
    status: &dyn Fn(&Dependency) -> String,
    width_max: usize,
) -> String {
    let mut rows = vec![["NAME", "VERSION", "REPOSITORY", "STATUS"].map(str::to_owned)];
    for dependency in &chart.metadata.dependencies {
        rows.push([
            dependency.name.clone(),
            dependency.version.clone(),
            dependency.repository.clone(),
            status(dependency),
        ]);
    }
    let mut widths = [0; 4];
    for row in &mut rows {
        for (cell, width) in row.iter_mut().zip(&mut widths) {
            if cell.chars().count() > width_max {
                let head: String = cell.chars().take(width_max.saturating_sub(3)).collect();
                *cell = format!("{head}...");
            }
            *width = cell.chars().count().max(*width);
        }
    }
    let mut out = String::new();
    for row in &rows {
        let cells: Vec<String> = row
            .iter()
            .zip(widths)
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        out.push_str(&cells.join("\t"));
        out.push('\n');
    }
    out
}

/// How an unpacked dependency lies in the chart.
pub fn unpacked_status(chart: &Chart, dependency: &Dependency) -> &'static str {
    let found = chart
        .dependencies
        .iter()
        .rev()
        .find(|child| child.name() == dependency.name);
    match found {
        None => "missing",
        Some(child) => version_status(&child.metadata.version, dependency).unwrap_or("unpacked"),
    }
}

/// How an archive of a dependency is.
pub fn archive_status(bytes: &[u8], dependency: &Dependency) -> &'static str {
    let Ok(chart) = Chart::load_archive(bytes) else {
        return "corrupt";
    };
    if chart.name() != dependency.name {
        return "misnamed";
    }
    version_status(&chart.metadata.version, dependency).unwrap_or("ok")
}

fn version_status(version: &str, dependency: &Dependency) -> Option<&'static str> {
    use coracle_gotemplate::semver::{Constraints, Version};
    if version == dependency.version {
        return None;
    }
    if Constraints::parse(&dependency.version).is_err() || Version::parse(version).is_err() {
        return Some("invalid version");
    }
    (!dependencies::is_compatible(&dependency.version, version)).then_some("wrong version")
}
