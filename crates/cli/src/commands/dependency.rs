//! `coracle dependency`: what a chart needs, and bringing it from this disk.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, Subcommand};
use coracle_helm::package::{Changes, pack};
use coracle_helm::show::{archive_status, dependency_table, unpacked_status};
use coracle_helm::{Chart, Dependency as Needed};

use crate::chart;
use crate::failure::{Failure, Outcome};

/// List or bring the charts that a chart needs.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  coracle dependency list charts/todo-app\n  coracle dependency build charts/umbrella   from file://../other\n\nCharts of repositories and registries are not downloaded yet: put their\narchives into charts/."
)]
pub struct Dependency {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List the dependencies and whether they lie in charts/.
    #[command(alias = "ls")]
    List {
        /// Folder of the chart.
        #[arg(default_value = ".")]
        chart: PathBuf,
    },
    /// Bring dependencies of this disk (file://…) into charts/.
    #[command(alias = "update", alias = "up")]
    Build {
        /// Folder of the chart.
        #[arg(default_value = ".")]
        chart: PathBuf,
    },
}

impl Dependency {
    /// Runs the verb.
    pub fn run(&self) -> Outcome {
        match &self.verb {
            Verb::List { chart } => list(chart),
            Verb::Build { chart } => build(chart),
        }
    }
}

fn list(path: &Path) -> Outcome {
    let chart = chart::load(path)?;
    let folder = path.join("charts");
    if chart.metadata.dependencies.is_empty() {
        println!("WARNING: no dependencies at {}", folder.display());
        return Ok(());
    }
    let status = |dependency: &Needed| status(&folder, &chart, dependency);
    println!("{}", dependency_table(&chart, &status));
    for entry in entries(&folder) {
        let is_archive = entry
            .extension()
            .is_some_and(|extension| extension == "tgz");
        if !entry.is_dir() && !is_archive {
            continue;
        }
        let shown = format!("{:?}", entry.display().to_string());
        match chart::load(&entry) {
            Err(_) => println!("WARNING: {shown} is not a chart."),
            Ok(found) => {
                let named = |dependency: &Needed| dependency.name == found.name();
                if !chart.metadata.dependencies.iter().any(named) {
                    println!("WARNING: {shown} is not in Chart.yaml.");
                }
            }
        }
    }
    Ok(())
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

/// Archives first, then unpacked charts, as Helm looks.
fn status(folder: &Path, chart: &Chart, dependency: &Needed) -> String {
    let prefix = format!("{}-", dependency.name);
    let version = |path: &Path| {
        let name = path.file_name()?.to_str()?;
        let rest = name.strip_prefix(&prefix)?.strip_suffix(".tgz")?;
        Some(rest.to_owned())
    };
    let archives: Vec<PathBuf> = entries(folder)
        .into_iter()
        .filter(|path| version(path).is_some())
        .collect();
    let strict: Vec<&PathBuf> = match archives.len() {
        0 | 1 => archives.iter().collect(),
        _ => archives
            .iter()
            .filter(|path| {
                version(path).is_some_and(|version| {
                    coracle_helm::semver::Version::parse_strict(&version).is_ok()
                })
            })
            .collect(),
    };
    match strict.as_slice() {
        [] => {}
        [one] => {
            if let Ok(bytes) = std::fs::read(one) {
                return archive_status(&bytes, dependency).into();
            }
        }
        _ => return "too many matches".into(),
    }
    unpacked_status(chart, dependency).into()
}

/// Packs what lies on this disk into `charts/`.
fn build(path: &Path) -> Outcome {
    let chart = chart::load(path)?;
    let folder = path.join("charts");
    let mut elsewhere = Vec::new();
    for dependency in &chart.metadata.dependencies {
        let Some(place) = dependency.repository.strip_prefix("file://") else {
            let there = !matches!(
                status(&folder, &chart, dependency).as_str(),
                "missing" | "wrong version" | "corrupt"
            );
            if !there && !dependency.repository.is_empty() {
                elsewhere.push(format!(
                    "{} from {}",
                    dependency.name, dependency.repository
                ));
            }
            continue;
        };
        let source = path.join(place);
        let found = chart::load(&source)
            .with_context(|| format!("dependency {} at {}", dependency.name, source.display()))?;
        let range = &dependency.version;
        let version = &found.metadata.version;
        if !range.is_empty() && !coracle_helm::dependencies::is_compatible(range, version) {
            return Err(Failure::from(anyhow::anyhow!(
                "can't get a valid version for dependency {}: {} has {version}, wanted {range}",
                dependency.name,
                source.display()
            )));
        }
        let archive = pack(&found, &Changes::default()).map_err(|error| anyhow::anyhow!(error))?;
        std::fs::create_dir_all(&folder)
            .with_context(|| format!("could not make {}", folder.display()))?;
        remove_older(&folder, &dependency.name, &archive.name)?;
        let target = folder.join(&archive.name);
        std::fs::write(&target, &archive.bytes)
            .with_context(|| format!("could not write {}", target.display()))?;
        println!("Saving {} from {}", archive.name, source.display());
    }
    if elsewhere.is_empty() {
        return Ok(());
    }
    Err(Failure::from(anyhow::anyhow!(
        "charts are not downloaded yet: {}",
        elsewhere.join(", ")
    ))
    .hint("put their archives into charts/, for instance with helm dependency build"))
}

/// Other versions of the same chart would be loaded too.
fn remove_older(folder: &Path, name: &str, keep: &str) -> anyhow::Result<()> {
    for path in entries(folder) {
        let file = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let version = file
            .strip_prefix(&format!("{name}-"))
            .and_then(|rest| rest.strip_suffix(".tgz"));
        let older = version
            .is_some_and(|version| coracle_helm::semver::Version::parse_strict(version).is_ok());
        if older && file != keep {
            std::fs::remove_file(&path)
                .with_context(|| format!("could not remove {}", path.display()))?;
        }
    }
    Ok(())
}
