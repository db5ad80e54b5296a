//! Why a container has no image.

use serde_json::Value;

use super::words::{items, similar, text};
use super::{Cause, Facts};
use crate::ReleaseError;

/// Explains an image that cannot be had.
pub async fn cause(
    facts: &Facts,
    pod: &Value,
    status: &Value,
    title: &str,
    reason: &str,
    message: &str,
) -> Result<Cause, ReleaseError> {
    let name = wanted(pod, text(&status["name"])).unwrap_or_else(|| text(&status["image"]));
    if reason == "InvalidImageName" {
        return Ok(
            Cause::new(title, format!("{name:?} is no name of an image: {message}"))
                .remedy("correct the image in the chart's values")
                .finally(),
        );
    }
    let known = known(facts.nodes().await?);
    let mut text = format!("the image {name} is not in the cluster");
    if reason != "ErrImageNeverPull" && !message.is_empty() {
        text = format!("the image {name} cannot be had: {}", reason_of(message));
    }
    Ok(Cause::new(title, text)
        .remedy(remedy(name, &known))
        .finally())
}

/// Returns the registry's reason alone: what was tried stands before it, what
/// helps behind it, and both are said anyway.
fn reason_of(message: &str) -> &str {
    const TRIED: &str = "failed to pull image ";
    const HELPS: &str = "; an image of this machine is brought by";
    let reason = message
        .rsplit_once(TRIED)
        .and_then(|(_, rest)| rest.split_once("\": "))
        .map_or(message, |(_, reason)| reason);
    reason
        .split_once(HELPS)
        .map_or(reason, |(reason, _)| reason)
}

/// Returns the image that a pod's container names.
fn wanted<'a>(pod: &'a Value, container: &str) -> Option<&'a str> {
    items(&pod["spec"]["containers"])
        .chain(items(&pod["spec"]["initContainers"]))
        .find(|one| one["name"] == container)?["image"]
        .as_str()
}

/// Returns the names of the images that nodes have.
fn known(nodes: &[Value]) -> Vec<String> {
    let images = nodes
        .iter()
        .flat_map(|node| items(&node["status"]["images"]));
    images
        .flat_map(|image| items(&image["names"]))
        .map(|name| short(text(name)).to_owned())
        .collect()
}

/// Returns an image's name without the parts that people leave away.
fn short(name: &str) -> &str {
    let name = name.strip_prefix("docker.io/").unwrap_or(name);
    name.strip_prefix("library/").unwrap_or(name)
}

fn remedy(name: &str, known: &[String]) -> String {
    let name = short(name);
    let build =
        format!("build it: coracle image build -t {name} DIR, or load it: coracle image load FILE");
    let repository = |name: &str| {
        name.rsplit_once(':')
            .map_or(name, |(front, _)| front)
            .to_owned()
    };
    let same = known
        .iter()
        .find(|other| repository(other) == repository(name) && *other != name);
    match same
        .map(String::as_str)
        .or_else(|| similar(name, known.iter().map(String::as_str)))
    {
        Some(meant) => format!("the cluster has {meant}; did you mean that? Otherwise {build}"),
        None => build,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_alone_is_told() {
        let check = |message: &str, expected: &str| assert_eq!(reason_of(message), expected);
        check(
            "Back-off pulling image \"a:1\": ErrImagePull: failed to pull image \"a:1\": cannot reach r:443; an image of this machine is brought by: coracle image load FILE",
            "cannot reach r:443",
        );
        check("failed to pull image \"a:1\": no; wait", "no; wait");
        check("something else", "something else");
    }

    #[test]
    fn a_similar_image_is_proposed() {
        let known = ["todo-backend:latest".to_owned(), "web:1".to_owned()];
        let check = |name: &str, expected: &str| {
            let said = remedy(name, &known);
            assert!(said.contains(expected), "{name}: {said}");
        };
        check("todo-backnd:latest", "has todo-backend:latest");
        check("docker.io/library/web:2", "has web:1");
        check("postgres:16", "coracle image build -t postgres:16");
    }
}
