//! Images: names that are none, and images that are not there.

use crate::report::Severity;
use crate::sink::Sink;
use crate::workload::{Container, Workload};
use crate::world::World;

/// Checks the images of all containers.
pub fn check(world: &World<'_>, sink: &mut Sink) {
    for workload in world.workloads() {
        for container in workload.containers() {
            let Some(image) = container.value["image"].as_str() else {
                continue;
            };
            match fault(image) {
                Some(why) => {
                    let message = format!("image {image:?} of {} {why}", container.name());
                    let field = workload.in_container(&container, "image");
                    sink.add(
                        Severity::Error,
                        "image-name",
                        workload.object,
                        field,
                        message,
                    )
                    .fix("write registry/repository:tag; check that repository and tag are set");
                }
                None => present(world, &workload, &container, image, sink),
            }
        }
    }
}

/// Why a text is no image name.
fn fault(image: &str) -> Option<&'static str> {
    let (name, tag) = split(image);
    let name_only = name.rsplit_once('@').map_or(name, |(name, _)| name);
    if image.trim() != image || image.contains(' ') {
        return Some("holds a space");
    }
    if tag == Some("") {
        return Some("has an empty tag");
    }
    if name_only.is_empty() || name_only.starts_with('/') || name_only.ends_with('/') {
        return Some("has an empty repository");
    }
    if name_only.contains("//") {
        return Some("has an empty part");
    }
    let path = match name_only.split_once('/') {
        Some((first, rest)) if is_registry(first) => rest,
        _ => name_only,
    };
    if path.chars().any(|c| c.is_ascii_uppercase()) {
        return Some("has capital letters in its repository");
    }
    None
}

/// The name and, where there is one, the tag.
fn split(image: &str) -> (&str, Option<&str>) {
    if let Some((name, _)) = image.split_once('@') {
        return (name, None);
    }
    match image.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
        _ => (image, None),
    }
}

fn is_registry(part: &str) -> bool {
    part.contains(['.', ':']) || part == "localhost"
}

/// The full name: registry, repository and tag.
pub fn full_name(image: &str) -> String {
    let (name, tag) = split(image);
    let registry = match name.split_once('/') {
        Some((first, _)) if is_registry(first) => name.to_owned(),
        Some(_) => format!("docker.io/{name}"),
        None => format!("docker.io/library/{name}"),
    };
    match (image.split_once('@'), tag) {
        (Some((_, digest)), _) => format!("{registry}@{digest}"),
        (None, tag) => format!("{registry}:{}", tag.unwrap_or("latest")),
    }
}

fn policy(container: &Container<'_>, image: &str) -> String {
    if let Some(policy) = container.value["imagePullPolicy"].as_str() {
        return policy.to_owned();
    }
    let (_, tag) = split(image);
    match (image.contains('@'), tag) {
        (true, _) => "IfNotPresent".into(),
        (false, None | Some("latest")) => "Always".into(),
        _ => "IfNotPresent".into(),
    }
}

fn present(
    world: &World<'_>,
    workload: &Workload<'_>,
    container: &Container<'_>,
    image: &str,
    sink: &mut Sink,
) {
    let Some(target) = world.target else {
        return;
    };
    let full = full_name(image);
    let have = |names: &std::collections::BTreeSet<String>| {
        names.iter().any(|name| full_name(name) == full)
    };
    let policy = policy(container, image);
    let field = workload.in_container(container, "image");
    let local = have(&target.local_images);
    if let Some(images) = &target.images {
        if have(images) || (policy != "Never" && target.can_pull) {
            return;
        }
        let why = match policy.as_str() {
            "Never" => "and its pull policy is Never",
            _ => "and this cluster pulls none",
        };
        let message = format!("image {image} is not there {why}");
        let fix = match target.is_coracle {
            true => {
                format!("bring it: coracle image build -t {image} . or coracle image load FILE")
            }
            false => "load it onto every node, or let nodes pull it: imagePullPolicy: IfNotPresent"
                .into(),
        };
        sink.add(
            Severity::Error,
            "image-absent",
            workload.object,
            field,
            message,
        )
        .fix(fix);
        return;
    }
    if target.is_coracle {
        return;
    }
    // What nodes of another cluster have is unknown; what can never get there is not.
    let pushed = image.split('/').next().is_some_and(is_registry) && image.contains('/');
    if local && !pushed {
        let message =
            format!("image {image} is on this machine only: the cluster's nodes cannot pull it");
        sink.add(
            Severity::Error,
            "image-not-pushed",
            workload.object,
            field,
            message,
        )
        .fix("push it to a registry that the nodes reach, and give that name in the values");
    } else if policy == "Never" {
        let message =
            format!("image {image} has pull policy Never: every node must have it already");
        sink.add(
            Severity::Warning,
            "image-absent",
            workload.object,
            field,
            message,
        )
        .fix("load it onto every node, or let nodes pull it: imagePullPolicy: IfNotPresent");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_faults() {
        let check = |image: &str, faulty: bool| {
            assert_eq!(fault(image).is_some(), faulty, "{image}");
        };
        check("nginx", false);
        check("nginx:", true);
        check("repo/Nginx:1", true);
        check("Registry.example.com:5000/a/b:v1", false);
        check("quay.io/a@sha256:0123", false);
        check(":1.0", true);
        check("a b", true);
        check("ghcr.io//x:1", true);
    }

    #[test]
    fn names_are_completed() {
        let check = |image: &str, expected: &str| assert_eq!(full_name(image), expected);
        check("nginx", "docker.io/library/nginx:latest");
        check("a/b:1", "docker.io/a/b:1");
        check("localhost:5000/b", "localhost:5000/b:latest");
        check("q.io/a@sha256:01", "q.io/a@sha256:01");
    }
}
