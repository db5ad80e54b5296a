//! Charts for comparison: reading folders, running Helm beside our engine.

use coracle_helm as helm;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Reads the files of a chart folder, links followed.
pub fn read_folder(folder: &Path) -> anyhow::Result<Vec<helm::File>> {
    let mut files = Vec::new();
    walk(folder, folder, &mut files)?;
    Ok(files)
}

fn walk(top: &Path, folder: &Path, files: &mut Vec<helm::File>) -> anyhow::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let Ok(metadata) = std::fs::metadata(&path) else {
            continue;
        };
        if metadata.is_dir() {
            walk(top, &path, files)?;
        } else {
            let name = path.strip_prefix(top)?.to_string_lossy().into_owned();
            files.push(helm::File::new(name, std::fs::read(&path)?));
        }
    }
    Ok(())
}

/// Loads a chart from a folder or an archive.
pub fn load(path: &Path) -> anyhow::Result<helm::Chart> {
    if path.is_dir() {
        return Ok(helm::Chart::load(read_folder(path)?)?);
    }
    Ok(helm::Chart::load_archive(&std::fs::read(path)?)?)
}

/// What one side printed: output, or the error without its prefix.
pub type Outcome = Result<String, String>;

/// Runs our engine as `helm template release-name CHART -f …` would.
pub fn ours(chart: &Path, values: &[PathBuf], level: helm::Level) -> Outcome {
    let chart = load(chart).map_err(|error| format!("{error:#}"))?;
    let mut given = helm::Values::new();
    for file in values {
        let text = std::fs::read(file).map_err(|error| error.to_string())?;
        given
            .add_file(&file.to_string_lossy(), &text)
            .map_err(|error| error.to_string())?;
    }
    let options = helm::Options {
        level,
        ..helm::Options::default()
    };
    let rendered = helm::render_with(
        &chart,
        &given,
        &helm::Release::named("release-name"),
        &helm::Capabilities::of(level),
        &helm::NoCluster,
        options,
    )
    .map_err(|error| error.template_text())?;
    Ok(helm::print::template(
        &rendered,
        helm::print::Parts::default(),
    ))
}

/// Runs Helm with a verb of one or more words.
pub fn theirs(
    binary: &Path,
    verb: &str,
    chart: &Path,
    values: &[PathBuf],
) -> anyhow::Result<Outcome> {
    outcome(Command::new(binary), verb, chart, values)
}

/// Runs a binary of ours as Helm.
pub fn program(
    binary: &Path,
    verb: &str,
    chart: &Path,
    values: &[PathBuf],
) -> anyhow::Result<Outcome> {
    let mut command = Command::new(binary);
    command.arg("helm");
    outcome(command, verb, chart, values)
}

fn outcome(
    mut command: Command,
    verb: &str,
    chart: &Path,
    values: &[PathBuf],
) -> anyhow::Result<Outcome> {
    command.args(verb.split_whitespace()).arg(chart);
    for file in values {
        command.arg("-f").arg(file);
    }
    let output = command.output()?;
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(Ok(printed));
    }
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    // Warnings stand before the error.
    let error = match text.find("Error: ") {
        Some(at) => text[at + 7..].to_owned(),
        None => text,
    };
    Ok(Err(format!("{printed}{error}")))
}
