//! `coracle lint`: what `helm lint` says, and where it went wrong.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use clap::Args;
use coracle_helm::lint::{Input, Message, Severity, lint};
use coracle_helm::{KubeVersion, Values, archive};

use crate::failure::{Failure, Outcome};
use crate::folder::Folder;
use crate::values::ValueFlags;

/// Look at a chart as `helm lint` does.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  coracle lint charts/todo-app\n  coracle lint --strict --with-subcharts charts/todo-app -f production.yaml\n\nMore than Helm's rules: coracle check CHART."
)]
pub struct Lint {
    /// Folders or archives of charts.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    values: ValueFlags,
    /// Namespace that templates see.
    #[arg(long, short, default_value = "default")]
    namespace: String,
    /// Fail on warnings too.
    #[arg(long)]
    strict: bool,
    /// Look at the charts in charts/ too.
    #[arg(long)]
    with_subcharts: bool,
    /// Kubernetes version that the chart sees.
    #[arg(long)]
    kube_version: Option<String>,
    /// Leave values.schema.json unread.
    #[arg(long)]
    skip_schema_validation: bool,
}

impl Lint {
    /// Looks at all charts and prints what was found; when `quiet`, only what
    /// is wrong.
    pub fn run(&self, quiet: bool) -> Outcome {
        let values = self.values.read()?;
        let mut paths = self.paths.clone();
        if self.with_subcharts {
            for path in &self.paths {
                let here = path.components().filter(|part| *part != Component::CurDir);
                subcharts(&here.collect::<PathBuf>().join("charts"), &mut paths);
            }
        }
        let (mut failed, mut noticed) = (0, 0);
        for path in &paths {
            let found = self.one(path, &values);
            let worst = found
                .as_ref()
                .map(|list| list.iter().map(|m| m.severity).max());
            let notable = !matches!(worst, Ok(None | Some(Severity::Info)));
            noticed += usize::from(notable);
            let limit = if self.strict {
                Severity::Warning
            } else {
                Severity::Error
            };
            failed += usize::from(match worst {
                Ok(worst) => worst.is_some_and(|worst| worst >= limit),
                Err(_) => true,
            });
            if notable || !quiet {
                show(path, &found, quiet);
            }
        }
        let summary = format!("{} chart(s) linted, {failed} chart(s) failed", paths.len());
        if failed > 0 {
            return Err(Failure::from(anyhow::anyhow!("{summary}"))
                .hint("coracle check PATH names template line, value and remedy of each fault"));
        }
        if !quiet || noticed > 0 {
            println!("{summary}");
        }
        Ok(())
    }

    fn one(&self, path: &Path, values: &Values) -> Result<Vec<Message>, String> {
        let (folder, name) = read(path)?;
        let kube_version = match &self.kube_version {
            Some(version) => Some(KubeVersion::parse(version)?),
            None => None,
        };
        if !folder.files.iter().any(|file| file.name == "Chart.yaml") {
            return Err(format!(
                "unable to check Chart.yaml file in chart: stat {}: no such file or directory",
                path.join("Chart.yaml").display()
            ));
        }
        Ok(lint(&Input {
            folder: &name,
            files: &folder.files,
            folders: &folder.folders,
            values,
            namespace: &self.namespace,
            kube_version,
            skip_schema_validation: self.skip_schema_validation,
        }))
    }
}

fn is_archive(path: &Path) -> bool {
    let name = path.to_string_lossy();
    name.ends_with(".tgz") || name.ends_with(".tar.gz")
}

/// The files of a chart and the absolute path of its folder.
fn read(path: &Path) -> Result<(Folder, String), String> {
    let name = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let name = name.display().to_string();
    if !is_archive(path) {
        if !path.is_dir() {
            return Err(format!(
                "unable to check Chart.yaml file in chart: stat {}: no such file or directory",
                path.join("Chart.yaml").display()
            ));
        }
        let folder = Folder::read(path).map_err(|error| format!("{error:#}"))?;
        return Ok((folder, name));
    }
    let bytes = std::fs::read(path).map_err(|_| {
        format!(
            "unable to open tarball: open {}: no such file or directory",
            path.display()
        )
    })?;
    let files =
        archive::unpack(&bytes).map_err(|error| format!("unable to extract tarball: {error}"))?;
    let folders = BTreeSet::new();
    Ok((Folder { files, folders }, name))
}

fn show(path: &Path, found: &Result<Vec<Message>, String>, quiet: bool) {
    println!("==> Linting {}", path.display());
    match found {
        Err(message) => println!("Error {message}"),
        Ok(messages) => {
            for message in messages {
                if !quiet || message.severity > Severity::Info {
                    println!("{message}");
                }
            }
        }
    }
    println!();
}

/// Charts below a folder, in the order of a walk.
fn subcharts(folder: &Path, paths: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return;
    };
    let mut entries: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    entries.sort();
    for path in entries {
        if path.file_name().is_some_and(|name| name == "Chart.yaml") {
            paths.extend(path.parent().map(Path::to_owned));
        } else if is_archive(&path) {
            paths.push(path);
        } else if path.is_dir() && !path.is_symlink() {
            subcharts(&path, paths);
        }
    }
}
