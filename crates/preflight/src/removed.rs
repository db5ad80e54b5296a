//! API versions that Kubernetes no longer serves, and what stands for them.
//!
//! After the deprecation guide:
//! <https://kubernetes.io/docs/reference/using-api/deprecation-guide/>.

/// An API version that is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Removed {
    version: &'static str,
    kinds: &'static [&'static str],
    /// The Kubernetes release that left it away.
    pub release: &'static str,
    replacement: &'static str,
    advice: &'static str,
}

const fn row(
    version: &'static str,
    kinds: &'static [&'static str],
    release: &'static str,
    replacement: &'static str,
    advice: &'static str,
) -> Removed {
    Removed {
        version,
        kinds,
        release,
        replacement,
        advice,
    }
}

const WORKLOADS: &[&str] = &["Deployment", "DaemonSet", "ReplicaSet", "StatefulSet"];
const SELECTOR: &str = "spec.selector is required now and cannot change later";
const INGRESS: &str =
    "a backend is service.name and service.port.number or name, and every path needs pathType";

#[rustfmt::skip]
const REMOVED: &[Removed] = &[
    row("extensions/v1beta1", &["Ingress"], "1.22", "networking.k8s.io/v1", INGRESS),
    row("networking.k8s.io/v1beta1", &["Ingress"], "1.22", "networking.k8s.io/v1", INGRESS),
    row("networking.k8s.io/v1beta1", &["IngressClass"], "1.22", "networking.k8s.io/v1", ""),
    row("extensions/v1beta1", WORKLOADS, "1.16", "apps/v1", SELECTOR),
    row("apps/v1beta1", WORKLOADS, "1.16", "apps/v1", SELECTOR),
    row("apps/v1beta2", WORKLOADS, "1.16", "apps/v1", SELECTOR),
    row("apps/v1beta1", &["ControllerRevision"], "1.16", "apps/v1", ""),
    row("apps/v1beta2", &["ControllerRevision"], "1.16", "apps/v1", ""),
    row("extensions/v1beta1", &["NetworkPolicy"], "1.16", "networking.k8s.io/v1", ""),
    row("extensions/v1beta1", &["PodSecurityPolicy"], "1.16", "", "use Pod Security Admission: label the namespace pod-security.kubernetes.io/enforce"),
    row("policy/v1beta1", &["PodSecurityPolicy"], "1.25", "", "use Pod Security Admission: label the namespace pod-security.kubernetes.io/enforce"),
    row("policy/v1beta1", &["PodDisruptionBudget"], "1.25", "policy/v1", "an empty selector matches all pods now"),
    row("batch/v1beta1", &["CronJob"], "1.25", "batch/v1", ""),
    row("batch/v2alpha1", &["CronJob"], "1.21", "batch/v1", ""),
    row("autoscaling/v2beta1", &["HorizontalPodAutoscaler"], "1.25", "autoscaling/v2", "targetAverageUtilization is target.averageUtilization with target.type: Utilization now"),
    row("autoscaling/v2beta2", &["HorizontalPodAutoscaler"], "1.26", "autoscaling/v2", ""),
    row("discovery.k8s.io/v1beta1", &["EndpointSlice"], "1.25", "discovery.k8s.io/v1", "topology is gone: write nodeName and zone"),
    row("events.k8s.io/v1beta1", &["Event"], "1.25", "events.k8s.io/v1", ""),
    row("node.k8s.io/v1beta1", &["RuntimeClass"], "1.25", "node.k8s.io/v1", ""),
    row("node.k8s.io/v1alpha1", &["RuntimeClass"], "1.24", "node.k8s.io/v1", ""),
    row("admissionregistration.k8s.io/v1beta1", &["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"], "1.22", "admissionregistration.k8s.io/v1", "sideEffects and admissionReviewVersions are required now"),
    row("admissionregistration.k8s.io/v1beta1", &["ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"], "1.34", "admissionregistration.k8s.io/v1", ""),
    row("apiextensions.k8s.io/v1beta1", &["CustomResourceDefinition"], "1.22", "apiextensions.k8s.io/v1", "each version needs a structural schema"),
    row("apiregistration.k8s.io/v1beta1", &["APIService"], "1.22", "apiregistration.k8s.io/v1", ""),
    row("authentication.k8s.io/v1beta1", &["TokenReview"], "1.22", "authentication.k8s.io/v1", ""),
    row("authorization.k8s.io/v1beta1", &["LocalSubjectAccessReview", "SelfSubjectAccessReview", "SubjectAccessReview", "SelfSubjectRulesReview"], "1.22", "authorization.k8s.io/v1", ""),
    row("certificates.k8s.io/v1beta1", &["CertificateSigningRequest"], "1.22", "certificates.k8s.io/v1", "spec.signerName is required now"),
    row("coordination.k8s.io/v1beta1", &["Lease"], "1.22", "coordination.k8s.io/v1", ""),
    row("rbac.authorization.k8s.io/v1beta1", &["ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"], "1.22", "rbac.authorization.k8s.io/v1", ""),
    row("rbac.authorization.k8s.io/v1alpha1", &["ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"], "1.23", "rbac.authorization.k8s.io/v1", ""),
    row("scheduling.k8s.io/v1beta1", &["PriorityClass"], "1.22", "scheduling.k8s.io/v1", ""),
    row("scheduling.k8s.io/v1alpha1", &["PriorityClass"], "1.23", "scheduling.k8s.io/v1", ""),
    row("storage.k8s.io/v1beta1", &["StorageClass", "VolumeAttachment", "CSIDriver", "CSINode"], "1.22", "storage.k8s.io/v1", ""),
    row("storage.k8s.io/v1beta1", &["CSIStorageCapacity"], "1.27", "storage.k8s.io/v1", ""),
    row("flowcontrol.apiserver.k8s.io/v1alpha1", &["FlowSchema", "PriorityLevelConfiguration"], "1.21", "flowcontrol.apiserver.k8s.io/v1", ""),
    row("flowcontrol.apiserver.k8s.io/v1beta1", &["FlowSchema", "PriorityLevelConfiguration"], "1.26", "flowcontrol.apiserver.k8s.io/v1", ""),
    row("flowcontrol.apiserver.k8s.io/v1beta2", &["FlowSchema", "PriorityLevelConfiguration"], "1.29", "flowcontrol.apiserver.k8s.io/v1", ""),
    row("flowcontrol.apiserver.k8s.io/v1beta3", &["FlowSchema", "PriorityLevelConfiguration"], "1.32", "flowcontrol.apiserver.k8s.io/v1", ""),
];

impl Removed {
    /// Returns what to write instead.
    pub fn remedy(self) -> String {
        let new = match self.replacement {
            "" => String::new(),
            version => format!("write apiVersion: {version}"),
        };
        match (new.as_str(), self.advice) {
            (_, "") => new,
            ("", advice) => advice.to_owned(),
            (new, advice) => format!("{new}; {advice}"),
        }
    }
}

/// Returns the row of a kind that is gone.
pub fn removed(version: &str, kind: &str) -> Option<Removed> {
    REMOVED
        .iter()
        .find(|row| row.version == version && row.kinds.contains(&kind))
        .copied()
}

/// Returns what to write instead of something that still works.
pub fn deprecated(version: &str, kind: &str) -> Option<&'static str> {
    match (version, kind) {
        ("v1", "Endpoints") => Some("write an EndpointSlice of discovery.k8s.io/v1"),
        ("v1", "ComponentStatus") => Some("ask /livez and /readyz of the API server"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use coracle_machinery::kinds;

    #[test]
    fn what_stands_for_it_exists_and_it_does_not() {
        for row in REMOVED {
            for kind in row.kinds {
                assert!(
                    kinds::by_api_version(row.version, kind).is_none(),
                    "{} {kind} is served",
                    row.version
                );
                if !row.replacement.is_empty() && !kind.ends_with("Review") {
                    assert!(
                        kinds::by_api_version(row.replacement, kind).is_some(),
                        "{} {kind} is not served",
                        row.replacement
                    );
                }
            }
        }
    }
}
