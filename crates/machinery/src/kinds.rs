//! The table of built-in kinds, one row each, as Kubernetes 1.36 serves them
//! (the groups are listed in COMPATIBILITY.md).

use crate::kind::{ALL_VERBS, CREATE, GET_PATCH_UPDATE, Kind, ScalePaths, Selectable, Subresource};

/// Returns every built-in kind, grouped, in discovery order.
pub fn all() -> &'static [Kind] {
    KINDS
}

/// Returns the kind served under a group, version and plural resource name.
pub fn by_plural(group: &str, version: &str, plural: &str) -> Option<&'static Kind> {
    KINDS
        .iter()
        .find(|kind| kind.plural == plural && kind.group == group && kind.version == version)
}

/// Returns the kind with a group, version and kind name.
pub fn by_kind(group: &str, version: &str, name: &str) -> Option<&'static Kind> {
    KINDS
        .iter()
        .find(|kind| kind.kind == name && kind.group == group && kind.version == version)
}

/// Returns the kind an `apiVersion` and `kind` pair names.
pub fn by_api_version(api_version: &str, name: &str) -> Option<&'static Kind> {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    by_kind(group, version, name)
}

/// Returns the served groups with their versions, preferred version first,
/// in discovery order.
pub fn groups() -> &'static [(&'static str, &'static [&'static str])] {
    &[
        ("", &["v1"]),
        ("apiregistration.k8s.io", &["v1"]),
        ("apps", &["v1"]),
        ("events.k8s.io", &["v1"]),
        ("authentication.k8s.io", &["v1"]),
        ("authorization.k8s.io", &["v1"]),
        ("autoscaling", &["v2", "v1"]),
        ("batch", &["v1"]),
        ("certificates.k8s.io", &["v1"]),
        ("networking.k8s.io", &["v1"]),
        ("policy", &["v1"]),
        ("rbac.authorization.k8s.io", &["v1"]),
        ("storage.k8s.io", &["v1"]),
        ("admissionregistration.k8s.io", &["v1"]),
        ("apiextensions.k8s.io", &["v1"]),
        ("scheduling.k8s.io", &["v1"]),
        ("coordination.k8s.io", &["v1"]),
        ("node.k8s.io", &["v1"]),
        ("discovery.k8s.io", &["v1"]),
        ("resource.k8s.io", &["v1"]),
        ("flowcontrol.apiserver.k8s.io", &["v1"]),
    ]
}

const SPEC: &[&str] = &["spec"];
const GET: &[&str] = &["get"];
const CREATE_GET: &[&str] = &["create", "get"];
const PROXY_VERBS: &[&str] = &["create", "delete", "get", "patch", "update"];
const EXTENSIONS: &[&str] = &["api-extensions"];
const ALL_CATEGORY: &[&str] = &["all"];

const fn sub(name: &'static str, verbs: &'static [&'static str]) -> Subresource {
    Subresource {
        name,
        verbs,
        kind: None,
    }
}

const fn sub_of(
    name: &'static str,
    verbs: &'static [&'static str],
    kind: (&'static str, &'static str, &'static str),
) -> Subresource {
    Subresource {
        name,
        verbs,
        kind: Some(kind),
    }
}

const STATUS_SUB: Subresource = sub("status", GET_PATCH_UPDATE);
const SCALE_SUB: Subresource = sub_of("scale", GET_PATCH_UPDATE, ("autoscaling", "v1", "Scale"));
const STATUS: &[Subresource] = &[STATUS_SUB];
const SCALE_STATUS: &[Subresource] = &[SCALE_SUB, STATUS_SUB];

const POD_SUBRESOURCES: &[Subresource] = &[
    sub_of("attach", CREATE_GET, ("", "v1", "PodAttachOptions")),
    sub_of("binding", CREATE, ("", "v1", "Binding")),
    sub("ephemeralcontainers", GET_PATCH_UPDATE),
    sub_of("eviction", CREATE, ("policy", "v1", "Eviction")),
    sub_of("exec", CREATE_GET, ("", "v1", "PodExecOptions")),
    sub("log", GET),
    sub_of(
        "portforward",
        CREATE_GET,
        ("", "v1", "PodPortForwardOptions"),
    ),
    sub_of("proxy", PROXY_VERBS, ("", "v1", "PodProxyOptions")),
    sub("resize", GET_PATCH_UPDATE),
    STATUS_SUB,
];

const fn field(label: &'static str, paths: &'static [&'static str]) -> Selectable {
    Selectable {
        label,
        paths,
        absent: "",
    }
}

const fn field_or(
    label: &'static str,
    paths: &'static [&'static str],
    absent: &'static str,
) -> Selectable {
    Selectable {
        label,
        paths,
        absent,
    }
}

const POD_FIELDS: &[Selectable] = &[
    field("spec.nodeName", &["spec.nodeName"]),
    field("spec.restartPolicy", &["spec.restartPolicy"]),
    field("spec.schedulerName", &["spec.schedulerName"]),
    field("spec.serviceAccountName", &["spec.serviceAccountName"]),
    field_or("spec.hostNetwork", &["spec.hostNetwork"], "false"),
    field("status.phase", &["status.phase"]),
    field("status.podIP", &["status.podIP"]),
    field("status.podIPs", &["status.podIP"]),
    field("status.nominatedNodeName", &["status.nominatedNodeName"]),
];

const EVENT_FIELDS: &[Selectable] = &[
    field("involvedObject.kind", &["involvedObject.kind"]),
    field("involvedObject.namespace", &["involvedObject.namespace"]),
    field("involvedObject.name", &["involvedObject.name"]),
    field("involvedObject.uid", &["involvedObject.uid"]),
    field("involvedObject.apiVersion", &["involvedObject.apiVersion"]),
    field(
        "involvedObject.resourceVersion",
        &["involvedObject.resourceVersion"],
    ),
    field("involvedObject.fieldPath", &["involvedObject.fieldPath"]),
    field("reason", &["reason"]),
    field("reportingComponent", &["reportingComponent"]),
    field("source", &["source.component", "reportingComponent"]),
    field("type", &["type"]),
];

const EVENTS_EVENT_FIELDS: &[Selectable] = &[
    field("regarding.kind", &["regarding.kind"]),
    field("regarding.namespace", &["regarding.namespace"]),
    field("regarding.name", &["regarding.name"]),
    field("regarding.uid", &["regarding.uid"]),
    field("regarding.apiVersion", &["regarding.apiVersion"]),
    field("regarding.resourceVersion", &["regarding.resourceVersion"]),
    field("regarding.fieldPath", &["regarding.fieldPath"]),
    field("reason", &["reason"]),
    field("reportingController", &["reportingController"]),
    field("type", &["type"]),
];

/// Scale paths of the workload kinds.
const SCALE: ScalePaths = ScalePaths {
    spec_replicas: "spec.replicas",
    status_replicas: "status.replicas",
    selector: "spec.selector",
};

struct Group {
    group: &'static str,
    version: &'static str,
    package: &'static str,
}

impl Group {
    const fn new(group: &'static str, version: &'static str, package: &'static str) -> Group {
        Group {
            group,
            version,
            package,
        }
    }

    const fn kind(&self, kind: &'static str, plural: &'static str, singular: &'static str) -> Kind {
        Kind {
            group: self.group,
            version: self.version,
            kind,
            plural,
            singular,
            short_names: &[],
            categories: &[],
            namespaced: true,
            verbs: ALL_VERBS,
            subresources: &[],
            scale: None,
            selectable: &[],
            generation: &[],
            stored_as: None,
            deprecated: None,
            package: self.package,
            custom: None,
        }
    }
}

impl Kind {
    const fn short(mut self, names: &'static [&'static str]) -> Kind {
        self.short_names = names;
        self
    }

    const fn categories(mut self, categories: &'static [&'static str]) -> Kind {
        self.categories = categories;
        self
    }

    const fn in_all(self) -> Kind {
        self.categories(ALL_CATEGORY)
    }

    const fn cluster(mut self) -> Kind {
        self.namespaced = false;
        self
    }

    const fn verbs(mut self, verbs: &'static [&'static str]) -> Kind {
        self.verbs = verbs;
        self
    }

    const fn subs(mut self, subresources: &'static [Subresource]) -> Kind {
        self.subresources = subresources;
        self
    }

    const fn scaled(mut self) -> Kind {
        self.scale = Some(SCALE);
        self.subresources = SCALE_STATUS;
        self
    }

    const fn fields(mut self, selectable: &'static [Selectable]) -> Kind {
        self.selectable = selectable;
        self
    }

    const fn generation(mut self, parts: &'static [&'static str]) -> Kind {
        self.generation = parts;
        self
    }

    const fn stored_as(
        mut self,
        group: &'static str,
        version: &'static str,
        plural: &'static str,
    ) -> Kind {
        self.stored_as = Some((group, version, plural));
        self
    }

    const fn deprecated(mut self, text: &'static str) -> Kind {
        self.deprecated = Some(text);
        self
    }
}

const CORE: Group = Group::new("", "v1", "io.k8s.api.core");
const APPS: Group = Group::new("apps", "v1", "io.k8s.api.apps");
const EVENTS: Group = Group::new("events.k8s.io", "v1", "io.k8s.api.events");
const AUTHENTICATION: Group =
    Group::new("authentication.k8s.io", "v1", "io.k8s.api.authentication");
const AUTHORIZATION: Group = Group::new("authorization.k8s.io", "v1", "io.k8s.api.authorization");
const AUTOSCALING_V1: Group = Group::new("autoscaling", "v1", "io.k8s.api.autoscaling");
const AUTOSCALING_V2: Group = Group::new("autoscaling", "v2", "io.k8s.api.autoscaling");
const BATCH: Group = Group::new("batch", "v1", "io.k8s.api.batch");
const NETWORKING: Group = Group::new("networking.k8s.io", "v1", "io.k8s.api.networking");
const POLICY: Group = Group::new("policy", "v1", "io.k8s.api.policy");
const RBAC: Group = Group::new("rbac.authorization.k8s.io", "v1", "io.k8s.api.rbac");
const STORAGE: Group = Group::new("storage.k8s.io", "v1", "io.k8s.api.storage");
const ADMISSION: Group = Group::new(
    "admissionregistration.k8s.io",
    "v1",
    "io.k8s.api.admissionregistration",
);
const EXTENSION: Group = Group::new(
    "apiextensions.k8s.io",
    "v1",
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions",
);
const SCHEDULING: Group = Group::new("scheduling.k8s.io", "v1", "io.k8s.api.scheduling");
const COORDINATION: Group = Group::new("coordination.k8s.io", "v1", "io.k8s.api.coordination");
const NODE: Group = Group::new("node.k8s.io", "v1", "io.k8s.api.node");
const DISCOVERY: Group = Group::new("discovery.k8s.io", "v1", "io.k8s.api.discovery");

const REGISTRATION: Group = Group::new(
    "apiregistration.k8s.io",
    "v1",
    "io.k8s.kube-aggregator.pkg.apis.apiregistration",
);
const CERTIFICATES: Group = Group::new("certificates.k8s.io", "v1", "io.k8s.api.certificates");
const RESOURCE: Group = Group::new("resource.k8s.io", "v1", "io.k8s.api.resource");
const FLOW_CONTROL: Group = Group::new(
    "flowcontrol.apiserver.k8s.io",
    "v1",
    "io.k8s.api.flowcontrol",
);

static KINDS: &[Kind] = &[
    CORE.kind("Binding", "bindings", "binding").verbs(CREATE),
    CORE.kind("ComponentStatus", "componentstatuses", "componentstatus")
        .short(&["cs"])
        .cluster()
        .verbs(&["get", "list"])
        .deprecated("v1 ComponentStatus is deprecated in v1.19+"),
    CORE.kind("ConfigMap", "configmaps", "configmap")
        .short(&["cm"]),
    CORE.kind("Endpoints", "endpoints", "endpoints")
        .short(&["ep"])
        .deprecated("v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice"),
    CORE.kind("Event", "events", "event")
        .short(&["ev"])
        .fields(EVENT_FIELDS),
    CORE.kind("LimitRange", "limitranges", "limitrange")
        .short(&["limits"]),
    CORE.kind("Namespace", "namespaces", "namespace")
        .short(&["ns"])
        .cluster()
        .verbs(&[
            "create", "delete", "get", "list", "patch", "update", "watch",
        ])
        .subs(&[sub("finalize", &["update"]), STATUS_SUB])
        .fields(&[field("status.phase", &["status.phase"])]),
    CORE.kind("Node", "nodes", "node")
        .short(&["no"])
        .cluster()
        .subs(&[
            sub_of("proxy", PROXY_VERBS, ("", "v1", "NodeProxyOptions")),
            STATUS_SUB,
        ])
        .fields(&[field_or(
            "spec.unschedulable",
            &["spec.unschedulable"],
            "false",
        )]),
    CORE.kind(
        "PersistentVolumeClaim",
        "persistentvolumeclaims",
        "persistentvolumeclaim",
    )
    .short(&["pvc"])
    .subs(STATUS),
    CORE.kind("PersistentVolume", "persistentvolumes", "persistentvolume")
        .short(&["pv"])
        .cluster()
        .subs(STATUS),
    CORE.kind("Pod", "pods", "pod")
        .short(&["po"])
        .in_all()
        .subs(POD_SUBRESOURCES)
        .fields(POD_FIELDS)
        .generation(SPEC),
    CORE.kind("PodTemplate", "podtemplates", "podtemplate")
        .generation(&["template"]),
    CORE.kind(
        "ReplicationController",
        "replicationcontrollers",
        "replicationcontroller",
    )
    .short(&["rc"])
    .in_all()
    .scaled()
    .fields(&[field_or("status.replicas", &["status.replicas"], "0")])
    .generation(SPEC),
    CORE.kind("ResourceQuota", "resourcequotas", "resourcequota")
        .short(&["quota"])
        .subs(STATUS),
    CORE.kind("Secret", "secrets", "secret")
        .fields(&[field("type", &["type"])]),
    CORE.kind("ServiceAccount", "serviceaccounts", "serviceaccount")
        .short(&["sa"])
        .subs(&[sub_of(
            "token",
            CREATE,
            ("authentication.k8s.io", "v1", "TokenRequest"),
        )]),
    CORE.kind("Service", "services", "service")
        .short(&["svc"])
        .in_all()
        .subs(&[
            sub_of("proxy", PROXY_VERBS, ("", "v1", "ServiceProxyOptions")),
            STATUS_SUB,
        ])
        .fields(&[
            field("spec.clusterIP", &["spec.clusterIP"]),
            field("spec.type", &["spec.type"]),
        ]),
    APPS.kind(
        "ControllerRevision",
        "controllerrevisions",
        "controllerrevision",
    ),
    APPS.kind("DaemonSet", "daemonsets", "daemonset")
        .short(&["ds"])
        .in_all()
        .subs(STATUS)
        .generation(SPEC),
    APPS.kind("Deployment", "deployments", "deployment")
        .short(&["deploy"])
        .in_all()
        .scaled()
        .generation(&["spec", "metadata.annotations"]),
    APPS.kind("ReplicaSet", "replicasets", "replicaset")
        .short(&["rs"])
        .in_all()
        .scaled()
        .generation(SPEC),
    APPS.kind("StatefulSet", "statefulsets", "statefulset")
        .short(&["sts"])
        .in_all()
        .scaled()
        .generation(SPEC),
    EVENTS
        .kind("Event", "events", "event")
        .short(&["ev"])
        .fields(EVENTS_EVENT_FIELDS)
        .stored_as("", "v1", "events"),
    AUTHENTICATION
        .kind(
            "SelfSubjectReview",
            "selfsubjectreviews",
            "selfsubjectreview",
        )
        .cluster()
        .verbs(CREATE),
    AUTHENTICATION
        .kind("TokenReview", "tokenreviews", "tokenreview")
        .cluster()
        .verbs(CREATE),
    AUTHORIZATION
        .kind(
            "LocalSubjectAccessReview",
            "localsubjectaccessreviews",
            "localsubjectaccessreview",
        )
        .verbs(CREATE),
    AUTHORIZATION
        .kind(
            "SelfSubjectAccessReview",
            "selfsubjectaccessreviews",
            "selfsubjectaccessreview",
        )
        .cluster()
        .verbs(CREATE),
    AUTHORIZATION
        .kind(
            "SelfSubjectRulesReview",
            "selfsubjectrulesreviews",
            "selfsubjectrulesreview",
        )
        .cluster()
        .verbs(CREATE),
    AUTHORIZATION
        .kind(
            "SubjectAccessReview",
            "subjectaccessreviews",
            "subjectaccessreview",
        )
        .cluster()
        .verbs(CREATE),
    AUTOSCALING_V2
        .kind(
            "HorizontalPodAutoscaler",
            "horizontalpodautoscalers",
            "horizontalpodautoscaler",
        )
        .short(&["hpa"])
        .in_all()
        .subs(STATUS),
    AUTOSCALING_V1
        .kind(
            "HorizontalPodAutoscaler",
            "horizontalpodautoscalers",
            "horizontalpodautoscaler",
        )
        .short(&["hpa"])
        .in_all()
        .subs(STATUS)
        .stored_as("autoscaling", "v2", "horizontalpodautoscalers"),
    BATCH
        .kind("CronJob", "cronjobs", "cronjob")
        .short(&["cj"])
        .in_all()
        .subs(STATUS)
        .generation(SPEC),
    BATCH
        .kind("Job", "jobs", "job")
        .in_all()
        .subs(STATUS)
        .fields(&[field_or("status.successful", &["status.succeeded"], "0")])
        .generation(SPEC),
    NETWORKING
        .kind("IngressClass", "ingressclasses", "ingressclass")
        .cluster()
        .generation(SPEC),
    NETWORKING
        .kind("Ingress", "ingresses", "ingress")
        .short(&["ing"])
        .subs(STATUS)
        .generation(SPEC),
    NETWORKING
        .kind("IPAddress", "ipaddresses", "ipaddress")
        .short(&["ip"])
        .cluster(),
    NETWORKING
        .kind("NetworkPolicy", "networkpolicies", "networkpolicy")
        .short(&["netpol"])
        .generation(SPEC),
    NETWORKING
        .kind("ServiceCIDR", "servicecidrs", "servicecidr")
        .cluster()
        .subs(STATUS),
    POLICY
        .kind(
            "PodDisruptionBudget",
            "poddisruptionbudgets",
            "poddisruptionbudget",
        )
        .short(&["pdb"])
        .subs(STATUS)
        .generation(SPEC),
    RBAC.kind(
        "ClusterRoleBinding",
        "clusterrolebindings",
        "clusterrolebinding",
    )
    .cluster(),
    RBAC.kind("ClusterRole", "clusterroles", "clusterrole")
        .cluster(),
    RBAC.kind("RoleBinding", "rolebindings", "rolebinding"),
    RBAC.kind("Role", "roles", "role"),
    STORAGE
        .kind("CSIDriver", "csidrivers", "csidriver")
        .cluster()
        .generation(&[
            "spec.tokenRequests",
            "spec.requiresRepublish",
            "spec.seLinuxMount",
            "spec.storageCapacity",
        ]),
    STORAGE.kind("CSINode", "csinodes", "csinode").cluster(),
    STORAGE.kind(
        "CSIStorageCapacity",
        "csistoragecapacities",
        "csistoragecapacity",
    ),
    STORAGE
        .kind("StorageClass", "storageclasses", "storageclass")
        .short(&["sc"])
        .cluster(),
    STORAGE
        .kind("VolumeAttachment", "volumeattachments", "volumeattachment")
        .cluster()
        .subs(STATUS),
    STORAGE
        .kind(
            "VolumeAttributesClass",
            "volumeattributesclasses",
            "volumeattributesclass",
        )
        .short(&["vac"])
        .cluster(),
    ADMISSION
        .kind(
            "MutatingAdmissionPolicy",
            "mutatingadmissionpolicies",
            "mutatingadmissionpolicy",
        )
        .categories(EXTENSIONS)
        .cluster()
        .generation(SPEC),
    ADMISSION
        .kind(
            "MutatingAdmissionPolicyBinding",
            "mutatingadmissionpolicybindings",
            "mutatingadmissionpolicybinding",
        )
        .categories(EXTENSIONS)
        .cluster()
        .generation(SPEC),
    ADMISSION
        .kind(
            "MutatingWebhookConfiguration",
            "mutatingwebhookconfigurations",
            "mutatingwebhookconfiguration",
        )
        .categories(EXTENSIONS)
        .cluster()
        .generation(&["webhooks"]),
    ADMISSION
        .kind(
            "ValidatingAdmissionPolicy",
            "validatingadmissionpolicies",
            "validatingadmissionpolicy",
        )
        .categories(EXTENSIONS)
        .cluster()
        .subs(STATUS)
        .generation(SPEC),
    ADMISSION
        .kind(
            "ValidatingAdmissionPolicyBinding",
            "validatingadmissionpolicybindings",
            "validatingadmissionpolicybinding",
        )
        .categories(EXTENSIONS)
        .cluster()
        .generation(SPEC),
    ADMISSION
        .kind(
            "ValidatingWebhookConfiguration",
            "validatingwebhookconfigurations",
            "validatingwebhookconfiguration",
        )
        .categories(EXTENSIONS)
        .cluster()
        .generation(&["webhooks"]),
    EXTENSION
        .kind(
            "CustomResourceDefinition",
            "customresourcedefinitions",
            "customresourcedefinition",
        )
        .short(&["crd", "crds"])
        .categories(EXTENSIONS)
        .cluster()
        .subs(STATUS)
        .generation(SPEC),
    SCHEDULING
        .kind("PriorityClass", "priorityclasses", "priorityclass")
        .short(&["pc"])
        .cluster()
        .generation(&["value", "globalDefault", "preemptionPolicy"]),
    COORDINATION.kind("Lease", "leases", "lease"),
    NODE.kind("RuntimeClass", "runtimeclasses", "runtimeclass")
        .cluster(),
    DISCOVERY
        .kind("EndpointSlice", "endpointslices", "endpointslice")
        .generation(&["addressType", "endpoints", "ports", "metadata.labels"]),
    REGISTRATION
        .kind("APIService", "apiservices", "apiservice")
        .categories(EXTENSIONS)
        .cluster()
        .subs(STATUS),
    CERTIFICATES
        .kind(
            "CertificateSigningRequest",
            "certificatesigningrequests",
            "certificatesigningrequest",
        )
        .short(&["csr"])
        .cluster()
        .subs(&[sub("approval", GET_PATCH_UPDATE), STATUS_SUB])
        .fields(&[field("spec.signerName", &["spec.signerName"])]),
    RESOURCE
        .kind("DeviceClass", "deviceclasses", "deviceclass")
        .cluster()
        .generation(SPEC),
    RESOURCE
        .kind("ResourceClaim", "resourceclaims", "resourceclaim")
        .subs(STATUS),
    RESOURCE.kind(
        "ResourceClaimTemplate",
        "resourceclaimtemplates",
        "resourceclaimtemplate",
    ),
    RESOURCE
        .kind("ResourceSlice", "resourceslices", "resourceslice")
        .cluster()
        .fields(&[
            field("spec.nodeName", &["spec.nodeName"]),
            field("spec.driver", &["spec.driver"]),
        ])
        .generation(SPEC),
    FLOW_CONTROL
        .kind("FlowSchema", "flowschemas", "flowschema")
        .cluster()
        .subs(STATUS)
        .generation(SPEC),
    FLOW_CONTROL
        .kind(
            "PriorityLevelConfiguration",
            "prioritylevelconfigurations",
            "prioritylevelconfiguration",
        )
        .cluster()
        .subs(STATUS)
        .generation(SPEC),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_its_definition_and_metadata() {
        for kind in all() {
            let schema = kind.schema();
            assert_eq!(schema.definition(), Some(&*kind.definition()));
            assert!(schema.at("metadata.name").is_some(), "{}", kind.kind);
            assert_eq!(kind.has_status(), kind.subresource("status").is_some());
            for selectable in kind.selectable {
                let path = selectable.paths[0];
                assert!(schema.at(path).is_some(), "{} {path}", kind.kind);
            }
            for part in kind.generation {
                assert!(schema.at(part).is_some(), "{} {part}", kind.kind);
            }
        }
    }

    #[test]
    fn every_group_of_a_kind_is_listed() {
        for kind in all() {
            let versions = groups().iter().find(|(group, _)| *group == kind.group);
            assert!(versions.is_some_and(|(_, v)| v.contains(&kind.version)));
        }
    }

    #[test]
    fn stored_kinds_point_at_their_storage() {
        let v1 = by_plural("autoscaling", "v1", "horizontalpodautoscalers").expect("served");
        assert_eq!(v1.storage().version, "v2");
        let events = by_kind("events.k8s.io", "v1", "Event").expect("served");
        assert_eq!(events.storage().group, "");
    }
}
