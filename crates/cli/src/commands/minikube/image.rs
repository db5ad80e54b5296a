//! `minikube image`: ours, but that `load` also takes the name of an image
//! that Docker or Podman of this machine has.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use coracle_image::reference::Reference;

use super::Minikube;
use crate::commands::target::Target;
use crate::failure::{Failure, Outcome};
use crate::process::{Job, JobEvent, run_job};

/// Programs that can save an image as an archive.
const SAVERS: [&str; 3] = ["docker", "podman", "nerdctl"];

/// Runs the command.
pub fn run(minikube: &Minikube, words: &[OsString]) -> Outcome {
    let text = |at: usize| words.get(at).and_then(|word| word.to_str());
    if text(0) == Some("load")
        && let Some(name) = words[1..]
            .iter()
            .find_map(|word| word.to_str().filter(|word| !word.starts_with('-')))
        && !Path::new(name).exists()
    {
        return load(minikube, name);
    }
    let words = in_our_words(words);
    minikube.ours(std::iter::once(OsString::from("image")).chain(words))
}

/// Returns words for `coracle image`: minikube's own ones are replaced, those
/// about its machines and formats have no meaning here.
fn in_our_words(words: &[OsString]) -> Vec<OsString> {
    let mut ours: Vec<OsString> = Vec::new();
    let mut words = words.iter().peekable();
    while let Some(word) = words.next() {
        match word.to_str() {
            Some("list") if ours.is_empty() => ours.push("ls".into()),
            Some("remove" | "unload") if ours.is_empty() => ours.push("rm".into()),
            Some("--daemon" | "--remote" | "--all" | "--overwrite" | "--pull") => {}
            Some("--format") => match words.next().and_then(|format| format.to_str()) {
                Some("json") => ours.extend(["-o".into(), "json".into()]),
                Some("yaml") => ours.extend(["-o".into(), "yaml".into()]),
                _ => {}
            },
            Some("--format=json") => ours.extend(["-o".into(), "json".into()]),
            Some("--format=yaml") => ours.extend(["-o".into(), "yaml".into()]),
            Some(text) if text.starts_with("--format=") => {}
            Some(text) if text.starts_with("--overwrite=") || text.starts_with("--daemon=") => {}
            Some("--build-opt") => {
                if let Some(option) = words.next() {
                    ours.push(format!("--{}", option.to_string_lossy()).into());
                }
            }
            _ => ours.push(word.clone()),
        }
    }
    ours
}

fn load(minikube: &Minikube, name: &str) -> Outcome {
    for program in SAVERS {
        if !has_image(program, name) {
            continue;
        }
        let mut saving = Command::new(program)
            .args(["save", name])
            .stdout(Stdio::piped())
            .spawn()?;
        let stdout = saving
            .stdout
            .take()
            .ok_or_else(|| anyhow::anyhow!("{program} has no output"))?;
        let status = Command::new("/proc/self/exe")
            .arg0("coracle")
            .args(["--cluster", &minikube.profile, "image", "load", "-"])
            .stdin(stdout)
            .status()?;
        saving.wait()?;
        return if status.success() {
            Ok(())
        } else {
            Err(Failure::told())
        };
    }
    if is_here(minikube, name)? {
        eprintln!("· {name} is there already");
        return Ok(());
    }
    Err(Failure::from(anyhow::anyhow!(
        "there is no file {name}, and neither Docker nor the cluster has an image of that name"
    ))
    .hint(format!(
        "build it for the cluster: minikube image build -t {name} DIR"
    )))
}

fn has_image(program: &str, name: &str) -> bool {
    let status = Command::new(program)
        .args(["image", "inspect", name])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    status.is_ok_and(|status| status.success())
}

/// Returns whether the cluster has the image, built by `docker-env` or otherwise.
fn is_here(minikube: &Minikube, name: &str) -> Result<bool, Failure> {
    let wanted = Reference::parse(name)?.familiar();
    let target = Target::of(&minikube.global())?;
    let job = Job::List {
        cluster: minikube.profile.clone(),
    };
    let events = run_job(&target.home, &job, |_| {})?;
    Ok(events
        .iter()
        .any(|event| matches!(event, JobEvent::Image { name, .. } if *name == wanted)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minikubes_words_become_ours() {
        let check = |line: &str, expected: &str| {
            let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            let ours: Vec<String> = in_our_words(&words)
                .into_iter()
                .filter_map(|word| word.into_string().ok())
                .collect();
            assert_eq!(ours.join(" "), expected, "{line}");
        };
        check("ls --format table", "ls");
        check("list --format=json", "ls -o json");
        check("unload web:1", "rm web:1");
        check("load web.tar --daemon=false", "load web.tar");
        check(
            "build -t web:1 --build-opt target=run .",
            "build -t web:1 --target=run .",
        );
    }
}
