//! Images for an existing cluster: they go to the registry that coracle.yaml
//! names, and the manifest names them by digest, so that what runs there is
//! what was built here.

use std::collections::BTreeMap;

use coracle_image::reference::Reference;

use super::super::Global;
use super::super::progress::Progress;
use super::super::target::Target;
use super::build::Images;
use crate::failure::Failure;
use crate::process::{Job, JobEvent, run_job};
use crate::project::Project;
use crate::registries::{RegistryFlags, host_of};

/// Names in the registry, with digest, by the project's own names.
pub type Pushed = BTreeMap<String, String>;

/// Pushes every image of the project.
pub fn all(
    project: &Project,
    images: &Images,
    global: &Global,
    target: &Target,
    progress: &Progress,
) -> Result<Pushed, Failure> {
    let mut pushed = Pushed::new();
    if images.ids.is_empty() {
        return Ok(pushed);
    }
    let Some(registry) = &project.registry else {
        return Err(Failure::usage(format!(
            "cluster {} cannot get the images of this machine: coracle.yaml names no registry",
            target.name()
        ))
        .hint("add a line that names one both reach: registry: registry.example.com/team"));
    };
    for name in images.ids.keys() {
        let to = format!("{}/{}", registry.trim_end_matches('/'), last_part(name));
        let step = progress.step("Push");
        step.say(&to);
        let digest = push(name, &to, global, target);
        let digest = step.finish(digest, |digest| format!("{to} is {}", short(digest)))?;
        let repository = to.rsplit_once(':').map_or(to.as_str(), |(front, _)| front);
        pushed.insert(name.clone(), format!("{repository}@{digest}"));
    }
    Ok(pushed)
}

fn push(name: &str, to: &str, global: &Global, target: &Target) -> Result<String, Failure> {
    let job = Job::Push {
        cluster: global.cluster.clone(),
        name: name.to_owned(),
        to: Some(to.to_owned()),
        registries: Box::new(RegistryFlags::default().options(&host_of(to)?)?),
    };
    let events = run_job(&target.home, &job, |_| {})?;
    let digest = events.into_iter().find_map(|event| match event {
        JobEvent::Exchanged { digest, .. } => Some(digest),
        _ => None,
    });
    digest.ok_or_else(|| anyhow::anyhow!("the registry said nothing of {to}").into())
}

/// Returns a name without its registry and folders.
fn last_part(name: &str) -> &str {
    name.rsplit_once('/').map_or(name, |(_, last)| last)
}

fn short(digest: &str) -> String {
    digest.chars().take("sha256:".len() + 12).collect()
}

/// Returns the manifest with the pushed images in place of the local ones;
/// the rest stays as the chart wrote it.
pub fn rewrite(manifest: &str, pushed: &Pushed) -> String {
    manifest
        .split_inclusive('\n')
        .map(|line| rewritten(line, pushed).unwrap_or_else(|| line.to_owned()))
        .collect()
}

fn rewritten(line: &str, pushed: &Pushed) -> Option<String> {
    let bare = line.trim_start();
    let key = bare.strip_prefix("- ").unwrap_or(bare).trim_start();
    let value = key.strip_prefix("image:")?.trim();
    let name = value.trim_matches(|c| c == '"' || c == '\'');
    let name = Reference::parse(name).ok()?.familiar();
    let there = pushed.get(&name)?;
    let (before, after) = line.split_once(value)?;
    Some(format!("{before}{there}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_named_by_digest_and_nothing_else_changes() {
        let pushed = Pushed::from([("web:1".to_owned(), "r/t/web@sha256:aa".to_owned())]);
        let check = |line: &str, expected: &str| assert_eq!(rewrite(line, &pushed), expected);
        check("  image: web:1\n", "  image: r/t/web@sha256:aa\n");
        check("  - image: \"web:1\"\n", "  - image: r/t/web@sha256:aa\n");
        check(
            "  image: 'docker.io/library/web:1'\n",
            "  image: r/t/web@sha256:aa\n",
        );
        check("  image: web:2\n", "  image: web:2\n");
        check("  name: web:1\n", "  name: web:1\n");
        check("a: b\nimage: web:1", "a: b\nimage: r/t/web@sha256:aa");
    }
}
