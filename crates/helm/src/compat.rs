//! Which release of Helm to equal: rules of output as data.

/// A release line of Helm.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Level {
    /// Helm 3.17 and its neighbours.
    V3,
    /// Helm 4.1.
    V4_1,
    /// Helm 4.2.
    #[default]
    V4_2,
}

/// What differs between release lines.
#[derive(Debug)]
pub struct Rules {
    /// Whether line breaks at the end of a document stay.
    pub keep_trailing_newlines: bool,
    /// Kinds in the order of installation.
    pub install_order: &'static [&'static str],
    /// Whether nulls in chart defaults are dropped when values are coalesced.
    pub drop_default_nulls: bool,
    /// Whether a null over a null stays null; before, it removed the key.
    pub keep_matching_nulls: bool,
    /// Minor version of Kubernetes that templates see by default.
    pub kube_minor: u32,
    /// Version, commit and Go version that templates see.
    pub helm: [&'static str; 3],
    /// Whether errors of execution are printed over several lines.
    pub multiline_errors: bool,
    /// Whether values files may hold several documents.
    pub multi_document_values: bool,
}

const ORDER_4: &[&str] = &[
    "PriorityClass",
    "Namespace",
    "NetworkPolicy",
    "ResourceQuota",
    "LimitRange",
    "PodSecurityPolicy",
    "PodDisruptionBudget",
    "ServiceAccount",
    "Secret",
    "SecretList",
    "ConfigMap",
    "StorageClass",
    "PersistentVolume",
    "PersistentVolumeClaim",
    "CustomResourceDefinition",
    "ClusterRole",
    "ClusterRoleList",
    "ClusterRoleBinding",
    "ClusterRoleBindingList",
    "Role",
    "RoleList",
    "RoleBinding",
    "RoleBindingList",
    "Service",
    "DaemonSet",
    "Pod",
    "ReplicationController",
    "ReplicaSet",
    "Deployment",
    "HorizontalPodAutoscaler",
    "StatefulSet",
    "Job",
    "CronJob",
    "IngressClass",
    "Ingress",
    "APIService",
    "MutatingWebhookConfiguration",
    "ValidatingWebhookConfiguration",
];

/// Kinds in the order of removal.
pub const UNINSTALL_ORDER: &[&str] = &[
    "ValidatingWebhookConfiguration",
    "MutatingWebhookConfiguration",
    "APIService",
    "Ingress",
    "IngressClass",
    "Service",
    "CronJob",
    "Job",
    "StatefulSet",
    "HorizontalPodAutoscaler",
    "Deployment",
    "ReplicaSet",
    "ReplicationController",
    "Pod",
    "DaemonSet",
    "RoleBindingList",
    "RoleBinding",
    "RoleList",
    "Role",
    "ClusterRoleBindingList",
    "ClusterRoleBinding",
    "ClusterRoleList",
    "ClusterRole",
    "CustomResourceDefinition",
    "PersistentVolumeClaim",
    "PersistentVolume",
    "StorageClass",
    "ConfigMap",
    "SecretList",
    "Secret",
    "ServiceAccount",
    "PodDisruptionBudget",
    "PodSecurityPolicy",
    "LimitRange",
    "ResourceQuota",
    "NetworkPolicy",
    "Namespace",
    "PriorityClass",
];

impl Level {
    /// Returns the rules of the release line.
    pub fn rules(self) -> &'static Rules {
        static V3: Rules = Rules {
            keep_trailing_newlines: false,
            install_order: ORDER_4.split_at(ORDER_4.len() - 2).0,
            drop_default_nulls: false,
            keep_matching_nulls: false,
            kube_minor: 32,
            helm: [
                "v3.17.2",
                "cc0bbbd6d6276b83880042c1ecb34087e84d41eb",
                "go1.23.7",
            ],
            multiline_errors: false,
            multi_document_values: false,
        };
        static V4_1: Rules = Rules {
            keep_trailing_newlines: false,
            install_order: ORDER_4,
            drop_default_nulls: false,
            keep_matching_nulls: true,
            kube_minor: 35,
            helm: [
                "v4.1.4",
                "05fa37973dc9e42b76e1d2883494c87174b6074f",
                "go1.25.9",
            ],
            multiline_errors: true,
            multi_document_values: true,
        };
        static V4_2: Rules = Rules {
            keep_trailing_newlines: true,
            install_order: ORDER_4,
            drop_default_nulls: true,
            keep_matching_nulls: true,
            kube_minor: 36,
            helm: [
                "v4.2.3",
                "43e8b7feece8beb0fcba47059ec9b522fd929a64",
                "go1.26.5",
            ],
            multiline_errors: true,
            multi_document_values: true,
        };
        match self {
            Level::V3 => &V3,
            Level::V4_1 => &V4_1,
            Level::V4_2 => &V4_2,
        }
    }
}
