//! Which stages a build needs: [`Graph`].

use std::collections::BTreeSet;

use super::BuildRequest;
use super::dockerfile::{Dockerfile, Kind, Located, MountKind};

/// The stages to build, in order, and the one that becomes the image.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Graph {
    pub(crate) needed: BTreeSet<usize>,
    pub(crate) target: usize,
}

/// What a name in `FROM` or `--from` stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A context the user named, which replaces stages and images.
    Context(String),
    /// An earlier stage.
    Stage(usize),
    /// `FROM scratch`.
    Scratch,
    /// An image.
    Image(String),
}

/// Returns what `name` stands for in stage `stage`.
pub(crate) fn origin(
    request: &BuildRequest,
    dockerfile: &Dockerfile,
    stage: usize,
    name: &str,
    in_from: bool,
) -> Origin {
    if request.contexts.contains_key(name) {
        return Origin::Context(name.to_owned());
    }
    let lower = name.to_ascii_lowercase();
    let earlier = &dockerfile.stages[..stage];
    if let Some(index) = earlier
        .iter()
        .rposition(|known| known.name.as_ref() == Some(&lower))
    {
        return Origin::Stage(index);
    }
    // Only --from takes numbers.
    if !in_from
        && let Ok(index) = name.parse::<usize>()
        && index < stage
    {
        return Origin::Stage(index);
    }
    match in_from && lower == "scratch" {
        true => Origin::Scratch,
        false => Origin::Image(name.to_owned()),
    }
}

/// Finds the needed stages; `bases` are the expanded words after `FROM`.
pub(crate) fn graph(
    request: &BuildRequest,
    dockerfile: &Dockerfile,
    bases: &[String],
) -> Result<Graph, Located> {
    let target = target(request, dockerfile)?;
    let mut needed = BTreeSet::new();
    let mut todo = vec![target];
    while let Some(index) = todo.pop() {
        if !needed.insert(index) {
            continue;
        }
        let mut follow = |name: &str, in_from| {
            if let Origin::Stage(found) = origin(request, dockerfile, index, name, in_from) {
                todo.push(found);
            }
        };
        // A stage that a context replaces needs nothing.
        if is_replaced(request, dockerfile, index) {
            continue;
        }
        follow(&bases[index], true);
        for instruction in &dockerfile.stages[index].instructions {
            match &instruction.kind {
                Kind::Copy(copy) => copy.from.iter().for_each(|name| follow(name, false)),
                Kind::Run(run) => {
                    for mount in &run.mounts {
                        if let MountKind::Bind {
                            from: Some(name), ..
                        } = &mount.kind
                        {
                            follow(name, false);
                        }
                    }
                }
                _ => {}
            }
        }
    }
    Ok(Graph { needed, target })
}

/// Returns whether a named context stands for a whole stage.
pub(crate) fn is_replaced(request: &BuildRequest, dockerfile: &Dockerfile, stage: usize) -> bool {
    let name = dockerfile.stages[stage].name.as_ref();
    name.is_some_and(|name| request.contexts.contains_key(name))
}

fn target(request: &BuildRequest, dockerfile: &Dockerfile) -> Result<usize, Located> {
    let last = dockerfile.stages.len() - 1;
    let Some(name) = &request.target else {
        return Ok(last);
    };
    let lower = name.to_ascii_lowercase();
    let named = dockerfile
        .stages
        .iter()
        .rposition(|stage| stage.name.as_ref() == Some(&lower));
    let numbered = || name.parse().ok().filter(|index| *index <= last);
    named.or_else(numbered).ok_or_else(|| {
        let names = dockerfile
            .stages
            .iter()
            .filter_map(|stage| stage.name.clone());
        let names: Vec<_> = names.collect();
        let known = match names.is_empty() {
            true => "no stage has a name".to_owned(),
            false => format!("there are {}", names.join(", ")),
        };
        dockerfile.located(1, format!("no stage is named \"{name}\"; {known}"))
    })
}
