//! What a user may ask about: `TYPE/NAME` with kubectl's names, or a release.

use std::str::FromStr;

use super::words::similar;

/// Kinds that can be explained: kind, names, path in the API.
const KINDS: &[(&str, &[&str], &str)] = &[
    ("Pod", &["pod", "pods", "po"], "/api/v1"),
    ("Service", &["service", "services", "svc"], "/api/v1"),
    (
        "PersistentVolumeClaim",
        &["persistentvolumeclaim", "persistentvolumeclaims", "pvc"],
        "/api/v1",
    ),
    (
        "Deployment",
        &["deployment", "deployments", "deploy"],
        "/apis/apps/v1",
    ),
    (
        "StatefulSet",
        &["statefulset", "statefulsets", "sts"],
        "/apis/apps/v1",
    ),
    (
        "DaemonSet",
        &["daemonset", "daemonsets", "ds"],
        "/apis/apps/v1",
    ),
    (
        "ReplicaSet",
        &["replicaset", "replicasets", "rs"],
        "/apis/apps/v1",
    ),
    ("Job", &["job", "jobs"], "/apis/batch/v1"),
    (
        "Ingress",
        &["ingress", "ingresses", "ing"],
        "/apis/networking.k8s.io/v1",
    ),
    (
        "HorizontalPodAutoscaler",
        &["horizontalpodautoscaler", "horizontalpodautoscalers", "hpa"],
        "/apis/autoscaling/v2",
    ),
];

/// Something a user asks about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resource {
    /// A release, by its name.
    Release(String),
    /// An object of one of the explained kinds.
    Object {
        /// Its kind.
        kind: &'static str,
        /// Its name.
        name: String,
    },
}

/// A resource was named in a way that means nothing.
#[derive(Debug, thiserror::Error)]
pub enum ResourceError {
    /// The type is unknown.
    #[error("there is no explanation for a {found:?}; {hint}")]
    Unknown {
        /// The type.
        found: String,
        /// What was perhaps meant.
        hint: String,
    },
    /// The name is missing.
    #[error("{found:?} names no object: TYPE/NAME, or the name of a release")]
    NoName {
        /// What was given.
        found: String,
    },
}

impl FromStr for Resource {
    type Err = ResourceError;

    fn from_str(text: &str) -> Result<Resource, ResourceError> {
        let Some((kind, name)) = text.split_once('/') else {
            return if text.is_empty() {
                Err(ResourceError::NoName { found: text.into() })
            } else {
                Ok(Resource::Release(text.into()))
            };
        };
        if name.is_empty() {
            return Err(ResourceError::NoName { found: text.into() });
        }
        // kubectl prints `deployment.apps/web`.
        let kind = kind.split('.').next().unwrap_or_default().to_lowercase();
        if kind == "release" {
            return Ok(Resource::Release(name.into()));
        }
        let known = KINDS.iter().flat_map(|(_, names, _)| names.iter().copied());
        let found = KINDS
            .iter()
            .find(|(_, names, _)| names.contains(&kind.as_str()));
        match found {
            Some((kind, ..)) => Ok(Resource::Object {
                kind,
                name: name.into(),
            }),
            None => Err(ResourceError::Unknown {
                hint: match similar(&kind, known) {
                    Some(meant) => format!("did you mean {meant}/{name}?"),
                    None => format!("there is one for {}", shortest()),
                },
                found: kind,
            }),
        }
    }
}

fn shortest() -> String {
    let names: Vec<&str> = KINDS.iter().map(|(_, names, _)| names[0]).collect();
    names.join(", ")
}

/// Returns whether objects of a kind can be explained.
pub fn is_explained(kind: &str) -> bool {
    KINDS.iter().any(|(known, ..)| *known == kind)
}

/// Returns the path of a kind's objects in a namespace.
pub fn path(kind: &str, namespace: &str) -> Option<String> {
    let (_, names, group) = KINDS.iter().find(|(known, ..)| *known == kind)?;
    Some(format!("{group}/namespaces/{namespace}/{}", names[1]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resources_have_the_names_of_kubectl() {
        let check = |text: &str, expected: Option<(&'static str, &str)>| {
            let found = text.parse::<Resource>().ok();
            let expected = expected.map(|(kind, name)| match kind {
                "" => Resource::Release(name.into()),
                kind => Resource::Object {
                    kind,
                    name: name.into(),
                },
            });
            assert_eq!(found, expected, "{text}");
        };
        check("todo", Some(("", "todo")));
        check("release/todo", Some(("", "todo")));
        check("pod/a", Some(("Pod", "a")));
        check("deploy/a", Some(("Deployment", "a")));
        check("deployment.apps/a", Some(("Deployment", "a")));
        check("SVC/a", Some(("Service", "a")));
        check("pod/", None);
        check("", None);
        check("podd/a", None);
        let said = "podd/a"
            .parse::<Resource>()
            .expect_err("unknown")
            .to_string();
        assert!(said.ends_with("did you mean pod/a?"), "{said}");
    }
}
