//! `coracle dependency`: what a chart needs, and bringing it from this disk.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, Subcommand};
use coracle_helm::dependencies::is_compatible;
use coracle_helm::package::{Changes, pack};
use coracle_helm::show::{archive_status, dependency_table, unpacked_status};
use coracle_helm::{Chart, Dependency as Needed, Lock};

use super::release::source::Fetching;
use crate::chart;
use crate::disk::path_error;
use crate::failure::{Failure, Outcome};

/// List or bring the charts that a chart needs.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  coracle dependency list charts/todo-app\n  coracle dependency build charts/umbrella   from file://../other\n  coracle dependency update charts/umbrella  and write Chart.lock\n\nCharts of repositories and registries are not downloaded yet: put their\narchives into charts/."
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
        /// Widest column.
        #[arg(long, default_value_t = 80)]
        max_col_width: usize,
    },
    /// Bring the versions of Chart.lock into charts/, from this disk (file://…).
    Build(Bring),
    /// Bring dependencies that are on this disk (file://…) into charts/ and write Chart.lock.
    #[command(alias = "up")]
    Update(Bring),
}

#[derive(Debug, Args)]
struct Bring {
    /// Folder of the chart.
    #[arg(default_value = ".")]
    chart: PathBuf,
    /// Accepted: no index of a repository is read.
    #[arg(long, hide = true)]
    skip_refresh: bool,
    #[command(flatten)]
    fetching: Fetching,
}

impl Dependency {
    /// Runs the verb.
    pub fn run(&self) -> Outcome {
        match &self.verb {
            Verb::List {
                chart,
                max_col_width,
            } => list(chart, *max_col_width),
            Verb::Build(bring) => {
                bring.fetching.check()?;
                build(&bring.chart, &mut std::io::stdout())
            }
            Verb::Update(bring) => {
                bring.fetching.check()?;
                update(&bring.chart, &mut std::io::stdout())
            }
        }
    }
}

fn list(path: &Path, width_max: usize) -> Outcome {
    std::fs::metadata(path).map_err(|error| path_error("stat", path, &error))?;
    let chart = chart::load_any(path)?;
    let folder = path.join("charts");
    if chart.metadata.dependencies.is_empty() {
        println!("WARNING: no dependencies at {}", folder.display());
        return Ok(());
    }
    let status = |dependency: &Needed| status(&folder, &chart, dependency);
    println!("{}", dependency_table(&chart, &status, width_max));
    for entry in entries(&folder) {
        let is_archive = entry
            .extension()
            .is_some_and(|extension| extension == "tgz");
        if !entry.is_dir() && !is_archive {
            continue;
        }
        let shown = format!("{:?}", entry.display().to_string());
        match chart::load_any(&entry) {
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

/// Brings what `Chart.lock` says; without one, what `Chart.yaml` says.
fn build(path: &Path, out: &mut dyn Write) -> Outcome {
    let chart = chart::load_any(path)?;
    let Some(text) = &chart.lock else {
        return update(path, out);
    };
    let lock = Lock::parse(text).map_err(|message| anyhow::anyhow!(message))?;
    if !lock.fits(&chart.metadata.dependencies) {
        let [lock, chart] = file_names(&chart);
        return Err(anyhow::anyhow!("the lock file ({lock}) is out of sync with the dependencies file ({chart}). Please update the dependencies").into());
    }
    bring(path, &chart, &lock.dependencies, out)
}

fn file_names(chart: &Chart) -> [&'static str; 2] {
    match chart.metadata.api_version.as_str() {
        "v1" => ["requirements.lock", "requirements.yaml"],
        _ => ["Chart.lock", "Chart.yaml"],
    }
}

/// Settles versions, brings them and writes the lock.
pub fn update(path: &Path, out: &mut dyn Write) -> Outcome {
    let chart = chart::load_any(path)?;
    let wanted = &chart.metadata.dependencies;
    if wanted.is_empty() {
        return Ok(());
    }
    let locked = settle(path, &chart)?;
    bring(path, &chart, &locked, out)?;
    let lock = Lock::new(wanted, locked, jiff::Timestamp::now().to_string());
    let old = chart
        .lock
        .as_deref()
        .and_then(|text| Lock::parse(text).ok());
    if old.is_some_and(|old| old.digest == lock.digest) {
        return Ok(());
    }
    let target = path.join(file_names(&chart)[0]);
    std::fs::write(&target, lock.to_text())
        .with_context(|| format!("could not write {}", target.display()))?;
    Ok(())
}

/// The exact version of each dependency.
fn settle(path: &Path, chart: &Chart) -> Result<Vec<Needed>, Failure> {
    let (mut locked, mut missing, mut elsewhere) = (Vec::new(), Vec::new(), Vec::new());
    for dependency in &chart.metadata.dependencies {
        let version = match dependency.repository.strip_prefix("file://") {
            Some(place) => local(path, place)?.metadata.version,
            None if dependency.repository.is_empty() => dependency.version.clone(),
            None => match there(chart, dependency) {
                Some(found) => found.metadata.version.clone(),
                None => {
                    let Needed {
                        name, repository, ..
                    } = dependency;
                    elsewhere.push(format!("{name} from {repository}"));
                    continue;
                }
            },
        };
        let range = &dependency.version;
        let is_local = dependency.repository.starts_with("file://");
        if is_local && !range.is_empty() && !is_compatible(range, &version) {
            let Needed {
                name, repository, ..
            } = dependency;
            missing.push(format!(
                "{name:?} (repository {repository:?}, version {range:?})"
            ));
        }
        locked.push(Needed {
            name: dependency.name.clone(),
            repository: dependency.repository.clone(),
            version,
            ..Needed::default()
        });
    }
    if !missing.is_empty() {
        return Err(anyhow::anyhow!("can't get a valid version for {} subchart(s): {}. Make sure a matching chart version exists in the repo, or change the version constraint in Chart.yaml", missing.len(), missing.join(", ")).into());
    }
    if !elsewhere.is_empty() {
        return Err(Failure::from(anyhow::anyhow!(
            "charts are not downloaded: {}",
            elsewhere.join(", ")
        ))
        .hint("put their archives into charts/"));
    }
    Ok(locked)
}

/// The chart at `file://PLACE`.
fn local(path: &Path, place: &str) -> Result<Chart, Failure> {
    let source = match Path::new(place).is_absolute() {
        true => PathBuf::from(place),
        false => path.join(place),
    };
    if !source.exists() {
        let source = std::path::absolute(&source)?;
        return Err(anyhow::anyhow!("directory {} not found", plain(&source).display()).into());
    }
    chart::load_any(&source)
}

/// A path without `..`.
fn plain(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            std::path::Component::ParentDir => {
                out.pop();
            }
            part => out.push(part),
        }
    }
    out
}

/// What lies in `charts/` already.
fn there<'c>(chart: &'c Chart, dependency: &Needed) -> Option<&'c Chart> {
    chart.dependencies.iter().find(|child| {
        child.name() == dependency.name
            && is_compatible(&dependency.version, &child.metadata.version)
    })
}

/// Packs what lies on this disk into `charts/`.
fn bring(path: &Path, chart: &Chart, locked: &[Needed], out: &mut dyn Write) -> Outcome {
    let folder = path.join("charts");
    writeln!(out, "Saving {} charts", locked.len())?;
    let mut archives = Vec::new();
    for dependency in locked {
        let Some(place) = dependency.repository.strip_prefix("file://") else {
            if dependency.repository.is_empty() {
                writeln!(
                    out,
                    "Dependency {} did not declare a repository. Assuming it exists in the charts directory",
                    dependency.name
                )?;
            }
            if there(chart, dependency).is_none() {
                let Needed { name, version, .. } = dependency;
                return Err(Failure::from(anyhow::anyhow!(
                    "{name} {version} is not in {}, and charts are not downloaded",
                    folder.display()
                ))
                .hint("put its archive there"));
            }
            continue;
        };
        let found = local(path, place)?;
        if !is_compatible(&dependency.version, &found.metadata.version) {
            return Err(anyhow::anyhow!(
                "can't get a valid version for dependency {}",
                dependency.name
            )
            .into());
        }
        let archive = pack(&found, &Changes::default()).map_err(|error| anyhow::anyhow!(error))?;
        archives.push((dependency, archive));
    }
    std::fs::create_dir_all(&folder)
        .with_context(|| format!("could not make {}", folder.display()))?;
    writeln!(out, "Deleting outdated charts")?;
    for (dependency, archive) in archives {
        remove_older(&folder, &dependency.name, &archive.name)?;
        let target = folder.join(&archive.name);
        std::fs::write(&target, &archive.bytes)
            .with_context(|| format!("could not write {}", target.display()))?;
    }
    Ok(())
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
