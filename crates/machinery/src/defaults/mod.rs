//! Defaults by API group; `apply` picks the function of a kind.

mod admission;
mod apps;
mod autoscaling;
mod batch;
mod cluster;
mod core;
pub mod extensions;
mod networking;
pub mod pods;
mod rbac;
mod storage;
mod volumes;

use crate::default::{Object, child, each, text};
use crate::kind::Kind;

/// Writes the defaults of `kind` into `object`.
pub fn apply(kind: &Kind, object: &mut Object) {
    let version = kind.version;
    match (kind.group, kind.kind) {
        ("", "Pod") => pods::pod(object),
        ("", "PodTemplate") => pods::template(object, "template"),
        ("", "ReplicationController") => core::replication_controller(object),
        ("", "Service") => networking::service(object),
        ("", "Endpoints") => core::endpoints(object),
        ("", "Secret") => text(object, "type", "Opaque"),
        ("", "Namespace") => core::namespace(object),
        ("", "Node") => core::node(object),
        ("", "PersistentVolume") => storage::persistent_volume(object),
        ("", "PersistentVolumeClaim") => storage::claim(object),
        ("", "LimitRange") => core::limit_range(object),
        ("apps", "Deployment") => apps::deployment(object),
        ("apps", "ReplicaSet") => apps::replica_set(object),
        ("apps", "StatefulSet") => apps::stateful_set(object),
        ("apps", "DaemonSet") => apps::daemon_set(object),
        ("batch", "Job") => batch::job(object),
        ("batch", "CronJob") => batch::cron_job(object),
        ("autoscaling", "HorizontalPodAutoscaler") => autoscaling::autoscaler(object, version),
        ("networking.k8s.io", "NetworkPolicy") => networking::network_policy(object),
        ("networking.k8s.io", "IngressClass") => networking::ingress_class(object),
        ("rbac.authorization.k8s.io", "RoleBinding" | "ClusterRoleBinding") => {
            rbac::binding(object);
        }
        ("storage.k8s.io", "StorageClass") => storage::class(object),
        ("storage.k8s.io", "CSIDriver") => storage::driver(object),
        ("storage.k8s.io", "VolumeAttachment") => storage::attachment(object),
        ("scheduling.k8s.io", "PriorityClass") => {
            crate::default::value(object, "preemptionPolicy", || "PreemptLowerPriority");
        }
        ("discovery.k8s.io", "EndpointSlice") => networking::endpoint_slice(object),
        (
            "admissionregistration.k8s.io",
            "ValidatingWebhookConfiguration" | "MutatingWebhookConfiguration",
        ) => admission::webhooks(object, kind.kind == "MutatingWebhookConfiguration"),
        (
            "admissionregistration.k8s.io",
            "ValidatingAdmissionPolicy" | "MutatingAdmissionPolicy",
        ) => admission::policy(object),
        (
            "admissionregistration.k8s.io",
            "ValidatingAdmissionPolicyBinding" | "MutatingAdmissionPolicyBinding",
        ) => admission::binding(object),
        ("apiextensions.k8s.io", "CustomResourceDefinition") => extensions::definition(object),
        ("apiregistration.k8s.io", "APIService") => cluster::api_service(object),
        ("flowcontrol.apiserver.k8s.io", "FlowSchema") => cluster::flow_schema(object),
        ("flowcontrol.apiserver.k8s.io", "PriorityLevelConfiguration") => {
            cluster::priority_level(object);
        }
        ("resource.k8s.io", "ResourceClaim") => cluster::claim(object),
        ("resource.k8s.io", "ResourceClaimTemplate") => cluster::claim_template(object),
        _ => {}
    }
}
