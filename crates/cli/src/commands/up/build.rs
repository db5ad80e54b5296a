//! Phase Build: commands that come first, then images. The builder knows by
//! the content of files which steps it has done before; an image whose files
//! are as they were is not made again.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Command, Stdio};

use coracle_image::reference::Reference;

use super::super::Global;
use super::super::image::Build;
use super::super::progress::Progress;
use super::super::target::Target;
use crate::failure::{Failure, Outcome};
use crate::process::{Job, JobEvent, run_job};
use crate::project::{ImageSpec, Project};

/// The project's images after the phase.
pub struct Images {
    /// The id of each, by name.
    pub ids: BTreeMap<String, String>,
}

/// Builds every image.
pub fn all(
    project: &Project,
    global: &Global,
    target: &Target,
    progress: &Progress,
) -> Result<Images, Failure> {
    let mut images = Images {
        ids: BTreeMap::new(),
    };
    if project.images.is_empty() {
        return Ok(images);
    }
    let step = progress.step("Build");
    let before_ids = ids(project, global, target)?;
    let mut done = BTreeSet::new();
    for image in &project.images {
        for command in image.before.list() {
            if done.insert(command.clone()) {
                step.say(command);
                if let Err(failure) = before(project, command) {
                    step.failed();
                    return Err(failure);
                }
            }
        }
        step.say(format!("image {}", image.name));
        match one(project, image, global, target) {
            Ok((name, id)) => images.ids.insert(name, id),
            Err(failure) => {
                step.failed();
                return Err(failure);
            }
        };
    }
    let changed = images
        .ids
        .iter()
        .filter(|(name, id)| before_ids.get(*name) != Some(*id))
        .count();
    let total = match project.images.len() {
        1 => "1 image".to_owned(),
        number => format!("{number} images"),
    };
    match changed {
        0 => step.skipped(&format!("{total} as before")),
        number => step.done(&format!("{total}, {number} new")),
    }
    Ok(images)
}

/// Runs a command in the project's folder; its output is shown when it fails.
fn before(project: &Project, command: &str) -> Outcome {
    let mut shell = Command::new("sh");
    shell
        .args(["-c", command])
        .current_dir(&project.folder)
        .stdin(Stdio::null());
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(is_of_cargo_run) {
            shell.env_remove(name);
        }
    }
    let output = shell.output()?;
    if output.status.success() {
        return Ok(());
    }
    eprint!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    Err(anyhow::anyhow!("`{command}` ended with {}", output.status).into())
}

/// Whether `cargo run` gives this variable to what it runs. In the hands of a
/// `cargo build` it makes build scripts compile everything again, now and, as it
/// is not there then, the next time.
fn is_of_cargo_run(name: &str) -> bool {
    let starts = ["CARGO_PKG_", "CARGO_MANIFEST_"];
    ["CARGO", "OUT_DIR"].contains(&name) || starts.iter().any(|start| name.starts_with(start))
}

fn one(
    project: &Project,
    image: &ImageSpec,
    global: &Global,
    target: &Target,
) -> Result<(String, String), Failure> {
    let text = |path: &Path| project.path(path).to_string_lossy().into_owned();
    let build = Build {
        context: project.path(&image.context),
        file: Some(project.path(&image.dockerfile)),
        tags: vec![image.name.clone()],
        arguments: image.arguments.clone().into_iter().collect(),
        contexts: image
            .contexts
            .iter()
            .map(|(name, folder)| (name.clone(), text(folder)))
            .collect(),
        target: image.target.clone(),
        ..Build::default()
    };
    let name = Reference::parse(&image.name)?.familiar();
    Ok((name, build.run(global, target)?.id))
}

/// Returns the ids of the project's images in the store.
fn ids(
    project: &Project,
    global: &Global,
    target: &Target,
) -> Result<BTreeMap<String, String>, Failure> {
    if !target.home.images().exists() {
        return Ok(BTreeMap::new());
    }
    let names: BTreeSet<String> = project
        .images
        .iter()
        .filter_map(|image| Some(Reference::parse(&image.name).ok()?.familiar()))
        .collect();
    let job = Job::List {
        cluster: global.cluster.clone(),
    };
    let listed = run_job(&target.home, &job, |_| {})?;
    let ids = listed.into_iter().filter_map(|event| match event {
        JobEvent::Image { name, id, .. } if names.contains(&name) => Some((name, id)),
        _ => None,
    });
    Ok(ids.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cargo_run_gives_is_told_from_what_the_user_gives() {
        for name in ["CARGO", "CARGO_MANIFEST_DIR", "CARGO_PKG_NAME", "OUT_DIR"] {
            assert!(is_of_cargo_run(name), "{name}");
        }
        for name in ["CARGO_HOME", "CARGO_TARGET_DIR", "RUSTFLAGS", "PATH"] {
            assert!(!is_of_cargo_run(name), "{name}");
        }
    }
}
