//! Versions of kinds that are passing out of use, as the types of client-go
//! say it (`APILifecycleDeprecated` and its sisters in `k8s.io/api`).

use crate::capabilities::KubeVersion;

struct Row {
    version: &'static str,
    kinds: &'static [&'static str],
    /// Minor releases of Kubernetes 1; 0 if it stays.
    deprecated: u32,
    removed: u32,
    replacement: &'static str,
}

const fn row(
    version: &'static str,
    kinds: &'static [&'static str],
    deprecated: u32,
    removed: u32,
    replacement: &'static str,
) -> Row {
    Row {
        version,
        kinds,
        deprecated,
        removed,
        replacement,
    }
}

#[rustfmt::skip]
const ROWS: &[Row] = &[
    row("v1", &["ComponentStatus"], 19, 0, ""),
    row("v1", &["Endpoints"], 33, 0, "discovery.k8s.io/v1"),
    row("admissionregistration.k8s.io/v1alpha1", &["ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"], 29, 32, ""),
    row("admissionregistration.k8s.io/v1alpha1", &["MutatingAdmissionPolicy", "MutatingAdmissionPolicyBinding"], 35, 38, ""),
    row("admissionregistration.k8s.io/v1beta1", &["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"], 16, 22, "admissionregistration.k8s.io/v1"),
    row("admissionregistration.k8s.io/v1beta1", &["ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"], 31, 34, ""),
    row("apps/v1beta1", &["ControllerRevision", "Deployment", "StatefulSet"], 8, 16, "apps/v1"),
    row("apps/v1beta2", &["ControllerRevision", "DaemonSet", "Deployment", "ReplicaSet", "StatefulSet"], 9, 16, "apps/v1"),
    row("authentication.k8s.io/v1alpha1", &["SelfSubjectReview"], 29, 32, ""),
    row("authentication.k8s.io/v1beta1", &["TokenReview"], 19, 22, "authentication.k8s.io/v1"),
    row("authentication.k8s.io/v1beta1", &["SelfSubjectReview"], 30, 33, ""),
    row("authorization.k8s.io/v1beta1", &["LocalSubjectAccessReview", "SelfSubjectAccessReview", "SelfSubjectRulesReview", "SubjectAccessReview"], 19, 22, "authorization.k8s.io/v1"),
    row("batch/v1beta1", &["CronJob"], 21, 25, "batch/v1"),
    row("certificates.k8s.io/v1alpha1", &["ClusterTrustBundle"], 34, 37, ""),
    row("certificates.k8s.io/v1beta1", &["CertificateSigningRequest"], 19, 22, "certificates.k8s.io/v1"),
    row("coordination.k8s.io/v1alpha2", &["LeaseCandidate"], 35, 38, ""),
    row("coordination.k8s.io/v1beta1", &["Lease"], 19, 22, "coordination.k8s.io/v1"),
    row("coordination.k8s.io/v1beta1", &["LeaseCandidate"], 36, 39, ""),
    row("discovery.k8s.io/v1beta1", &["EndpointSlice"], 21, 25, "discovery.k8s.io/v1"),
    row("events.k8s.io/v1beta1", &["Event"], 22, 25, ""),
    row("extensions/v1beta1", &["DaemonSet", "Deployment", "ReplicaSet"], 8, 16, "apps/v1"),
    row("extensions/v1beta1", &["NetworkPolicy"], 9, 16, "networking.k8s.io/v1"),
    row("extensions/v1beta1", &["Ingress"], 14, 22, "networking.k8s.io/v1"),
    row("flowcontrol.apiserver.k8s.io/v1beta1", &["FlowSchema", "PriorityLevelConfiguration"], 23, 26, "flowcontrol.apiserver.k8s.io/v1beta3"),
    row("flowcontrol.apiserver.k8s.io/v1beta2", &["FlowSchema", "PriorityLevelConfiguration"], 26, 29, "flowcontrol.apiserver.k8s.io/v1beta3"),
    row("flowcontrol.apiserver.k8s.io/v1beta3", &["FlowSchema", "PriorityLevelConfiguration"], 29, 32, "flowcontrol.apiserver.k8s.io/v1"),
    row("networking.k8s.io/v1beta1", &["Ingress", "IngressClass"], 19, 22, "networking.k8s.io/v1"),
    row("networking.k8s.io/v1beta1", &["IPAddress", "ServiceCIDR"], 34, 37, ""),
    row("node.k8s.io/v1beta1", &["RuntimeClass"], 22, 25, ""),
    row("policy/v1beta1", &["PodDisruptionBudget"], 21, 25, "policy/v1"),
    row("policy/v1beta1", &["Eviction"], 22, 25, ""),
    row("rbac.authorization.k8s.io/v1beta1", &["ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"], 17, 22, "rbac.authorization.k8s.io/v1"),
    row("resource.k8s.io/v1alpha3", &["DeviceTaintRule"], 36, 39, ""),
    row("resource.k8s.io/v1beta1", &["DeviceClass", "ResourceClaim", "ResourceClaimTemplate", "ResourceSlice"], 35, 38, ""),
    row("resource.k8s.io/v1beta2", &["DeviceClass", "ResourceClaim", "ResourceClaimTemplate", "ResourceSlice"], 36, 39, ""),
    row("scheduling.k8s.io/v1beta1", &["PriorityClass"], 14, 22, "scheduling.k8s.io/v1"),
    row("storage.k8s.io/v1alpha1", &["VolumeAttachment"], 21, 24, "storage.k8s.io/v1"),
    row("storage.k8s.io/v1alpha1", &["CSIStorageCapacity"], 21, 24, "storage.k8s.io/v1beta1"),
    row("storage.k8s.io/v1alpha1", &["VolumeAttributesClass"], 32, 35, "storage.k8s.io/v1"),
    row("storage.k8s.io/v1beta1", &["CSINode"], 17, 22, "storage.k8s.io/v1"),
    row("storage.k8s.io/v1beta1", &["CSIDriver", "StorageClass", "VolumeAttachment"], 19, 22, "storage.k8s.io/v1"),
    row("storage.k8s.io/v1beta1", &["CSIStorageCapacity"], 24, 27, "storage.k8s.io/v1"),
    row("storage.k8s.io/v1beta1", &["VolumeAttributesClass"], 34, 37, "storage.k8s.io/v1"),
];

/// Returns Kubernetes' warning about a kind, if its version is deprecated.
pub(super) fn message(version: &str, kind: &str, kubernetes: &KubeVersion) -> Option<String> {
    let minor: u32 = kubernetes.minor.trim_end_matches('+').parse().ok()?;
    let row = ROWS
        .iter()
        .find(|row| row.version == version && row.kinds.contains(&kind))?;
    if row.deprecated > minor {
        return None;
    }
    let mut text = format!("{version} {kind} is deprecated in v1.{}+", row.deprecated);
    if row.removed > 0 {
        text.push_str(&format!(", unavailable in v1.{}+", row.removed));
    }
    let new = match kind {
        "Endpoints" => "EndpointSlice",
        // Upstream's own slip.
        "IngressClass" => "IngressClassList",
        kind => kind,
    };
    if !row.replacement.is_empty() {
        text.push_str(&format!("; use {} {new}", row.replacement));
    }
    Some(text)
}
