//! To which release an object belongs: Helm's label and annotations.

use kube::ResourceExt;
use kube::api::DynamicObject;

use crate::ReleaseError;
use crate::error::OwnershipError;
use crate::objects::Object;

const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
const RELEASE_NAME: &str = "meta.helm.sh/release-name";
const RELEASE_NAMESPACE: &str = "meta.helm.sh/release-namespace";

/// Checks that a release may take an object that stands there already.
///
/// # Errors
/// Says what is missing, whose it is, and how to take it.
pub(crate) fn check(
    object: &Object,
    live: &DynamicObject,
    name: &str,
    namespace: &str,
    operation: &'static str,
) -> Result<(), ReleaseError> {
    let problems = problems(live, name, namespace);
    if problems.is_empty() {
        return Ok(());
    }
    let annotations = live.annotations();
    let owner = annotations.get(RELEASE_NAME).map(|owner| {
        let space = annotations.get(RELEASE_NAMESPACE).cloned();
        (owner.clone(), space.unwrap_or_default())
    });
    Err(ReleaseError::Ownership(Box::new(OwnershipError {
        operation,
        file: object.file.clone(),
        kind: object.kind().to_owned(),
        object: object.name().to_owned(),
        namespace: live.namespace().unwrap_or_default(),
        problems,
        owner,
        wanted: (name.to_owned(), namespace.to_owned()),
    })))
}

/// Whether an object belongs to a release.
pub(crate) fn is_owned(live: &DynamicObject, name: &str, namespace: &str) -> bool {
    problems(live, name, namespace).is_empty()
}

fn problems(live: &DynamicObject, name: &str, namespace: &str) -> Vec<String> {
    let checks = [
        ("label", live.labels().get(MANAGED_BY), MANAGED_BY, "Helm"),
        (
            "annotation",
            live.annotations().get(RELEASE_NAME),
            RELEASE_NAME,
            name,
        ),
        (
            "annotation",
            live.annotations().get(RELEASE_NAMESPACE),
            RELEASE_NAMESPACE,
            namespace,
        ),
    ];
    let mut problems = Vec::new();
    for (what, actual, key, wanted) in checks {
        match actual {
            None => problems.push(format!(
                "{what} validation error: missing key \"{key}\": must be set to \"{wanted}\""
            )),
            Some(actual) if actual != wanted => problems.push(format!(
                "{what} validation error: key \"{key}\" must equal \"{wanted}\": current value is \"{actual}\""
            )),
            Some(_) => {}
        }
    }
    problems
}
