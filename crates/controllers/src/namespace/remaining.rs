//! What a namespace that is being deleted still holds, and how its status says
//! so (upstream: pkg/controller/namespace/deletion/status_condition_utils.go).

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::NamespaceCondition;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::discovery::ApiResource;

/// Condition, reason and message while nothing is wrong, in upstream's order.
const WELL: [(&str, &str, &str); 5] = [
    (
        "NamespaceDeletionDiscoveryFailure",
        "ResourcesDiscovered",
        "All resources successfully discovered",
    ),
    (
        "NamespaceDeletionGroupVersionParsingFailure",
        "ParsedGroupVersions",
        "All legacy kube types successfully parsed",
    ),
    (
        "NamespaceDeletionContentFailure",
        "ContentDeleted",
        "All content successfully deleted, may be waiting on finalization",
    ),
    (
        "NamespaceContentRemaining",
        "ContentRemoved",
        "All content successfully removed",
    ),
    (
        "NamespaceFinalizersRemaining",
        "ContentHasNoFinalizers",
        "All content-preserving finalizers finished",
    ),
];

/// How many objects are left, by resource and by finalizer.
#[derive(Debug, Default)]
pub struct Remaining {
    /// Keys read `PLURAL.GROUP`, with the point even where there is no group.
    resources: BTreeMap<String, usize>,
    finalizers: BTreeMap<String, usize>,
}

impl Remaining {
    /// Returns whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.resources.is_empty()
    }

    /// Adds the objects of one resource.
    pub fn count<'a>(
        &mut self,
        resource: &ApiResource,
        objects: impl Iterator<Item = &'a ObjectMeta>,
    ) {
        let name = format!("{}.{}", resource.plural, resource.group);
        for object in objects {
            *self.resources.entry(name.clone()).or_default() += 1;
            for finalizer in object.finalizers.iter().flatten() {
                *self.finalizers.entry(finalizer.clone()).or_default() += 1;
            }
        }
    }

    /// Brings the conditions of a namespace up to date.
    pub fn tell(&self, conditions: &mut Vec<NamespaceCondition>) {
        for (type_, reason, message) in WELL {
            let (status, reason, message) = match self.trouble(type_) {
                Some((reason, message)) => ("True", reason, message),
                None => ("False", reason, message.to_owned()),
            };
            let known = conditions.iter_mut().find(|known| known.type_ == type_);
            let condition = match known {
                Some(known) => known,
                None => {
                    let fresh = NamespaceCondition {
                        type_: type_.into(),
                        ..Default::default()
                    };
                    conditions.push(fresh);
                    let last = conditions.len() - 1;
                    &mut conditions[last]
                }
            };
            if condition.status != status {
                condition.last_transition_time = Some(coracle_client::now());
            }
            condition.status = status.into();
            condition.reason = Some(reason.into());
            condition.message = Some(message);
        }
    }

    fn trouble(&self, type_: &str) -> Option<(&'static str, String)> {
        let (reason, intro, noun, counts) = match type_ {
            "NamespaceContentRemaining" => (
                "SomeResourcesRemain",
                "Some resources are remaining",
                "has",
                &self.resources,
            ),
            "NamespaceFinalizersRemaining" => (
                "SomeFinalizersRemain",
                "Some content in the namespace has finalizers remaining",
                "in",
                &self.finalizers,
            ),
            _ => return None,
        };
        let mut parts: Vec<String> = counts
            .iter()
            .map(|(name, count)| format!("{name} {noun} {count} resource instances"))
            .collect();
        parts.sort();
        (!parts.is_empty()).then(|| (reason, format!("{intro}: {}", parts.join(", "))))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn resource(group: &str, plural: &str) -> ApiResource {
        ApiResource {
            group: group.into(),
            version: "v1".into(),
            api_version: "v1".into(),
            kind: "X".into(),
            plural: plural.into(),
        }
    }

    #[test]
    fn what_is_left_is_named_in_upstreams_words() {
        let meta = |finalizers: serde_json::Value| -> ObjectMeta {
            serde_json::from_value(json!({"name": "x", "finalizers": finalizers}))
                .expect("metadata")
        };
        let mut remaining = Remaining::default();
        let held = meta(json!(["example.com/hold"]));
        remaining.count(&resource("", "pods"), [&meta(json!([])), &held].into_iter());
        remaining.count(&resource("apps", "deployments"), [&held].into_iter());
        let mut conditions = Vec::new();
        remaining.tell(&mut conditions);
        let said: Vec<_> = conditions
            .iter()
            .map(|one| {
                (
                    &*one.type_,
                    &*one.status,
                    one.message.as_deref().unwrap_or_default(),
                )
            })
            .collect();
        assert_eq!(said[0].1, "False");
        assert_eq!(
            said[3],
            (
                "NamespaceContentRemaining",
                "True",
                "Some resources are remaining: deployments.apps has 1 resource instances, pods. has 2 resource instances",
            )
        );
        assert_eq!(
            said[4].2,
            "Some content in the namespace has finalizers remaining: example.com/hold in 2 resource instances"
        );
        Remaining::default().tell(&mut conditions);
        assert_eq!(conditions.len(), 5);
        assert!(conditions.iter().all(|one| one.status == "False"));
        assert_eq!(conditions[3].reason.as_deref(), Some("ContentRemoved"));
    }
}
